//! Runs git for the test itself, with nothing of the user's configuration.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// `git` in `directory`, with an identity and defaults of its own.
pub fn command(directory: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .current_dir(directory)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()))
        .env("LC_ALL", "C.UTF-8")
        // Without a home git reads no configuration of the user's, and it asks nobody anything.
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .envs(["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"].map(|name| (name, "Test Person")))
        .envs(["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"].map(|name| (name, "test@example.invalid")))
        .args(["-c", "init.defaultBranch=main"])
        .args(["-c", "protocol.file.allow=always"])
        // No background process may outlive the command.
        .args(["-c", "gc.auto=0", "-c", "maintenance.auto=false"])
        .stdin(Stdio::null());
    command
}

/// Runs git and returns what came of it, failure included.
pub fn attempt<S: AsRef<OsStr>>(directory: &Path, args: impl IntoIterator<Item = S>) -> Output {
    let mut command = command(directory);
    command.args(args);
    command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"))
}

/// Runs git and returns its output as it is.
///
/// # Panics
/// When git fails; the message holds the command and all it said.
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

/// [`bytes`] as text without the last line break.
///
/// # Panics
/// When git fails or does not speak UTF-8.
#[track_caller]
pub fn text<S: AsRef<OsStr>>(directory: &Path, args: impl IntoIterator<Item = S>) -> String {
    let text = String::from_utf8(bytes(directory, args)).expect("git's output is UTF-8");
    text.trim_end_matches('\n').to_owned()
}
