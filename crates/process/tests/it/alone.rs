//! A test in a process of its own: who adopts orphans, or ignores signals, does so for the whole process.

use std::process::Command;

const NAME: &str = "KUGETSU_TEST_ALONE";

/// Defines a test whose body runs in a process of its own, which adopts orphans as a runner does.
macro_rules! alone {
    ($(#[$meta:meta])* $name:ident, $body:expr) => {
        #[test]
        $(#[$meta])*
        fn $name() {
            crate::alone::run(concat!(module_path!(), "::", stringify!($name)), $body);
        }
    };
}
pub(crate) use alone;

pub(crate) fn run(test: &str, body: impl AsyncFnOnce()) {
    if std::env::var_os(NAME).is_some_and(|name| name == test) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(async {
            kugetsu_process::adopt_orphans().unwrap();
            body().await;
        });
    }
    let status = again(test).env(NAME, test).status().unwrap();
    assert!(status.success(), "{test} failed in a process of its own: {status}");
}

/// This test program once more, with one test of it.
pub(crate) fn again(test: &str) -> Command {
    let name = test.split_once("::").unwrap().1;
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture", "--include-ignored"]);
    command
}
