//! Starts the daemon in the background and waits until it listens.

use std::fs::{File, OpenOptions};
use std::io::{PipeReader, PipeWriter, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, io};

use kugetsu_api::client::{Client, ClientError};
use kugetsu_api::home::Home;
use kugetsu_api::program;
use kugetsu_api::regular_file;
use kugetsu_domain::git_variables::not_inherited;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::setsid;

use crate::failure::Failure;
use crate::paths::socket;

use super::{descriptor, log_file};

/// Byte that the daemon writes to the pipe once it listens.
pub(crate) const READY: u8 = b'r';
/// Generous, because a database that was not closed cleanly is recovered first.
const READY_TIMEOUT_MS: u16 = 30_000;
/// Number of log lines that an error shows.
const LOG_LINES_SHOWN: usize = 20;

/// Starts the daemon unless one is listening. Of concurrent callers one starts it and the others wait.
pub(crate) async fn start(home: &Home) -> Result<(), Failure> {
    home.create()?;
    let failed = |error: io::Error| Failure::new(format!("could not start the daemon: {error}"));
    let _lock = start_lock(home)?;
    match Client::connect(&socket(home)?).await {
        Ok(_) => return Ok(()),
        Err(ClientError::NotRunning { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    if env::var_os(kugetsu_process::MARKER).is_some() {
        // Every process that is started inside a run is killed with it, and the runs of such a daemon would be, too.
        return Err(Failure::new("could not start the daemon from inside a run: it would be killed with the run")
            .hint("run `kugetsu daemon start` outside of the run"));
    }
    let mut log = log_file::open(&home.log()).map_err(|error| unusable(&home.log(), &error))?;
    let before = log.seek(SeekFrom::End(0)).map_err(failed)?;
    let (ready, writer) = io::pipe().map_err(failed)?;
    spawn(home, &log, writer).map_err(failed)?;
    match wait(ready).map_err(failed)? {
        Readiness::Listening => Ok(()),
        Readiness::TimedOut => {
            Err(Failure::new(format!("the daemon did not start listening within {} s", READY_TIMEOUT_MS / 1000))
                .hint(format!("read its log {}", home.log().display())))
        }
        Readiness::Exited => Err(explain(home, &mut log, before)),
    }
}

enum Readiness {
    Listening,
    Exited,
    TimedOut,
}

/// Serializes concurrent starts of the daemon. Released when dropped.
fn start_lock(home: &Home) -> Result<File, Failure> {
    let path = home.path().join("daemon.starting");
    let file = regular_file::open(OpenOptions::new().create(true).truncate(false).write(true).mode(0o600), &path);
    let locked = file.and_then(|file| file.lock().map(|()| file));
    locked.map_err(|error| unusable(&path, &error))
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    let failure = Failure::new(format!("could not start the daemon: could not open {}: {error}", path.display()));
    match path.metadata() {
        Ok(metadata) if !metadata.is_file() => failure.hint("move it away, then try again"),
        _ => failure,
    }
}

fn spawn(home: &Home, log: &File, ready: PipeWriter) -> io::Result<()> {
    let kept = ready.as_raw_fd();
    let mut command = Command::new(program::path()?);
    command
        .args(["daemon", "run", "--ready-fd"])
        .arg(kept.to_string())
        .env("KUGETSU_HOME", home.path())
        .current_dir(home.path())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log.try_clone()?);
    // Agents do not get them either, but nothing that this process starts needs them.
    for name in not_inherited(env::vars_os()) {
        command.env_remove(name);
    }
    // SAFETY: between fork and exec only setsid, close_range and fcntl are called, which are async-signal-safe.
    #[expect(unsafe_code, reason = "setsid and the inherited pipe need a step between fork and exec")]
    unsafe {
        command.pre_exec(move || {
            setsid()?;
            descriptor::inherit_only(kept)
        });
    }
    // The daemon outlives this process, so it is not waited for.
    command.spawn().map(drop)
}

/// Waits until the daemon writes [`READY`], or until every writer of the pipe has exited.
fn wait(mut ready: PipeReader) -> io::Result<Readiness> {
    let mut watched = [PollFd::new(ready.as_fd(), PollFlags::POLLIN)];
    loop {
        match poll(&mut watched, PollTimeout::from(READY_TIMEOUT_MS)) {
            Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
            Ok(0) => return Ok(Readiness::TimedOut),
            Ok(_) => break,
        }
    }
    let mut byte = [0];
    let count = ready.read(&mut byte)?;
    Ok(if count == 1 && byte == [READY] { Readiness::Listening } else { Readiness::Exited })
}

/// Explains from the log why the daemon exited before it listened.
fn explain(home: &Home, log: &mut File, before: u64) -> Failure {
    let mut text = Vec::new();
    let read = log.seek(SeekFrom::Start(before)).and_then(|_| log.read_to_end(&mut text));
    let failure = match read {
        Ok(_) => last_error(&String::from_utf8_lossy(&text)),
        Err(error) => Failure::new(format!("the daemon exited at once, and its log could not be read: {error}")),
    };
    failure
        .hint(format!("read its log {}, or run it in the foreground with `kugetsu daemon run`", home.log().display()))
}

/// The last error message in a log, with its hints. Without one, the last lines of the log.
fn last_error(text: &str) -> Failure {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let Some(at) = lines.iter().rposition(|line| line.starts_with("error: ")) else {
        let end = lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n");
        let log = if end.is_empty() { " without a message".to_owned() } else { format!(":\n{end}") };
        return Failure::new(format!("the daemon exited at once{log}"));
    };
    let (hints, message): (Vec<&str>, Vec<&str>) = lines[at..].iter().partition(|line| line.starts_with("hint: "));
    let message = message.join("\n");
    let failure = Failure::new(format!("could not start the daemon: {}", message.trim_start_matches("error: ")));
    hints.iter().fold(failure, |failure, hint| failure.hint(hint.trim_start_matches("hint: ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_error_of_a_daemon_that_failed_to_start_is_reported() {
        let failure = last_error("2026 INFO a\nerror: x is wrong\n and more\nhint: do y\n");
        assert_eq!(failure.message, "could not start the daemon: x is wrong\n and more");
        assert_eq!(failure.hints, ["do y"]);
        assert_eq!(last_error("a panic\n").message, "the daemon exited at once:\na panic");
        assert_eq!(last_error("\n").message, "the daemon exited at once without a message");
    }
}
