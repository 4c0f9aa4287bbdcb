//! Runs git for tests, isolated from the user's configuration.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// `git` in `directory` with a test identity and fixed defaults.
pub fn command(directory: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .current_dir(directory)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()))
        .env("LC_ALL", "C.UTF-8")
        // No configuration of the user or the system, and no prompts.
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .envs(["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"].map(|name| (name, "Test Person")))
        .envs(["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"].map(|name| (name, "test@example.invalid")))
        .args(["-c", "init.defaultBranch=main"])
        .args(["-c", "protocol.file.allow=always"])
        // No background process that outlives the command.
        .args(["-c", "gc.auto=0", "-c", "maintenance.auto=false"])
        .stdin(Stdio::null());
    command
}

/// Runs git and returns its output and status.
pub fn attempt<S: AsRef<OsStr>>(directory: &Path, args: impl IntoIterator<Item = S>) -> Output {
    let mut command = command(directory);
    command.args(args);
    command.output().unwrap_or_else(|error| panic!("could not run {command:?}: {error}"))
}

/// Runs git and returns its stdout.
///
/// # Panics
/// Panics if git fails, with the command and its output.
#[track_caller]
pub fn bytes<S: AsRef<OsStr>>(directory: &Path, args: impl IntoIterator<Item = S>) -> Vec<u8> {
    let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
    let output = attempt(directory, &args);
    assert!(
        output.status.success(),
        "git {args:?} in {} failed ({}):\n{}{}",
        directory.display(),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    output.stdout
}

/// Like [`bytes`] as text without the last line break.
///
/// # Panics
/// Panics if git fails or its output is not UTF-8.
#[track_caller]
pub fn text<S: AsRef<OsStr>>(directory: &Path, args: impl IntoIterator<Item = S>) -> String {
    let text = String::from_utf8(bytes(directory, args)).expect("git's output is UTF-8");
    text.trim_end_matches('\n').to_owned()
}
