//! Tests in processes of their own: adopting orphans and ignoring signals affect a whole process.

use std::process::Command;

const TEST_NAME: &str = "KUGETSU_TEST_OWN_PROCESS";

/// Defines a test whose body runs in a process of its own, which adopts orphans as a runner does.
macro_rules! own_process {
    ($(#[$meta:meta])* $name:ident, $body:expr) => {
        #[test]
        $(#[$meta])*
        fn $name() {
            crate::own_process::run(concat!(module_path!(), "::", stringify!($name)), $body);
        }
    };
}
pub(crate) use own_process;

pub(crate) fn run(test: &str, body: impl AsyncFnOnce()) {
    if std::env::var_os(TEST_NAME).is_some_and(|name| name == test) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(async {
            kugetsu_process::adopt_orphans().unwrap();
            body().await;
        });
    }
    let status = rerun(test).env(TEST_NAME, test).status().unwrap();
    assert!(status.success(), "{test} failed in its own process: {status}");
}

/// A command that runs a single test of this test program.
pub(crate) fn rerun(test: &str) -> Command {
    let name = test.split_once("::").unwrap().1;
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture", "--include-ignored"]);
    command
}
