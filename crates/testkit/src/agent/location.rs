//! Finds the built program `kugetsu-scripted-agent`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// Environment variable with the path of the program, for tests that run without cargo.
pub const PROGRAM: &str = "KUGETSU_SCRIPTED_AGENT";

const NAME: &str = "kugetsu-scripted-agent";

/// Returns the path of `kugetsu-scripted-agent`: the one in [`PROGRAM`], or the one in cargo's output directory.
///
/// cargo builds it only for the tests of this crate. For other crates it is built here if it is missing or older than its
/// source. Concurrent callers wait for each other.
///
/// # Panics
/// Panics if it cannot be built.
pub fn scripted_agent() -> PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(find).clone()
}

fn find() -> PathBuf {
    if let Some(path) = std::env::var_os(PROGRAM) {
        let path = PathBuf::from(path);
        assert!(path.is_file(), "{PROGRAM} names {}, which is not a file", path.display());
        return path;
    }
    let directory = output_directory();
    let program = directory.join(NAME);
    if is_current(&program) {
        return program;
    }
    let lock = File::create(directory.join(format!(".{NAME}.lock"))).expect("a lock in cargo's target directory");
    lock.lock().expect("the lock of the build");
    if !is_current(&program) {
        build(&directory);
    }
    assert!(program.is_file(), "cargo built {NAME}, but not at {}", program.display());
    program
}

/// cargo's output directory, for example `target/debug`, derived from the path of the running test.
fn output_directory() -> PathBuf {
    let own = std::env::current_exe().expect("the path of the running test");
    let parent = own.parent().expect("a program in a directory");
    let is_inner = parent.file_name().is_some_and(|name| name == "deps" || name == "examples");
    let directory = if is_inner { parent.parent().unwrap_or(parent) } else { parent };
    directory.to_owned()
}

/// Whether the program exists and is not older than its source.
fn is_current(program: &Path) -> bool {
    let Ok(built) = fs::metadata(program).and_then(|metadata| metadata.modified()) else { return false };
    newest_change(&source()).is_none_or(|changed| changed <= built)
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Time of the newest change below `directory`, or `None` if there is no source.
fn newest_change(directory: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(directory).ok()?.flatten();
    let times = entries.filter_map(|entry| {
        let path = entry.path();
        if path.is_dir() { newest_change(&path) } else { entry.metadata().ok()?.modified().ok() }
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
