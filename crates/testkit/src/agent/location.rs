//! Where the built program is.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// Environment variable with the path of the program, for tests that are run without cargo.
pub const PROGRAM: &str = "KUGETSU_SCRIPTED_AGENT";

const NAME: &str = "kugetsu-scripted-agent";

/// Path of `kugetsu-scripted-agent`: what [`PROGRAM`] says, else beside the directory of the running test.
///
/// cargo builds it for the tests of this crate only. For those of other crates it is built here when it is missing or
/// older than its source; tests that ask at the same time wait for each other.
///
/// # Panics
/// When it cannot be built.
pub fn scripted_agent() -> PathBuf {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(find).clone()
}

fn find() -> PathBuf {
    if let Some(path) = std::env::var_os(PROGRAM) {
        let path = PathBuf::from(path);
        assert!(path.is_file(), "{PROGRAM} names {}, which is no file", path.display());
        return path;
    }
    let directory = built();
    let program = directory.join(NAME);
    if is_current(&program) {
        return program;
    }
    let lock = File::create(directory.join(format!(".{NAME}.lock"))).expect("a lock in cargo's target directory");
    lock.lock().expect("the lock of the build");
    if !is_current(&program) {
        build(&directory);
    }
    assert!(program.is_file(), "cargo has built {NAME}, but not as {}", program.display());
    program
}

/// The directory of cargo's programs, for instance `target/debug`, by the place of the running test.
fn built() -> PathBuf {
    let own = std::env::current_exe().expect("the path of the running test");
    let parent = own.parent().expect("a program in a directory");
    let is_inner = parent.file_name().is_some_and(|name| name == "deps" || name == "examples");
    let directory = if is_inner { parent.parent().unwrap_or(parent) } else { parent };
    directory.to_owned()
}

/// Whether the program is there and not older than the source it is made of.
fn is_current(program: &Path) -> bool {
    let Ok(built) = fs::metadata(program).and_then(|metadata| metadata.modified()) else { return false };
    newest(&source()).is_none_or(|changed| changed <= built)
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// When the newest file below `directory` changed; `None` where the source is not at hand.
fn newest(directory: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(directory).ok()?.flatten();
    let times = entries.filter_map(|entry| {
        let path = entry.path();
        if path.is_dir() { newest(&path) } else { entry.metadata().ok()?.modified().ok() }
    });
    times.max()
}

fn build(directory: &Path) {
    let target = directory.parent().expect("a profile's directory below cargo's target directory");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command.args(["build", "--quiet", "--package", "kugetsu-testkit", "--bin", NAME]).arg("--target-dir").arg(target);
    if directory.file_name().is_some_and(|name| name == "release") {
        command.arg("--release");
    }
    let status = command.status().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    assert!(status.success(), "{command:?} failed ({status})");
}
