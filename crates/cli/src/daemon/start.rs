//! Starts the daemon in the background and waits until it listens.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, io};

use kugetsu_api::client::{Client, ClientError};
use kugetsu_api::home::Home;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{pipe2, setsid};

use crate::failure::Failure;
use crate::place::socket;

use super::descriptor;

/// What the daemon writes into the pipe when it listens.
pub(crate) const READY: u8 = b'r';
/// How long a start may take: a database that was not closed in order is repaired first.
const READY_LIMIT_MS: u16 = 30_000;
/// A log larger than this is put aside at the start.
const LOG_MAX: u64 = 10 * 1024 * 1024;
/// How much of the log an error shows.
const SHOWN: usize = 20;

/// Starts the daemon unless one listens. Of many callers at once one starts it and the others wait for that.
pub(crate) async fn start(home: &Home) -> Result<(), Failure> {
    home.create().map_err(|error| Failure::new(error.to_string()))?;
    let failed = |error: io::Error| Failure::new(format!("the daemon could not be started: {error}"));
    // Held to the end: it goes with the process at the latest.
    let _turn = turn(home).map_err(failed)?;
    match Client::connect(&socket(home)?).await {
        Ok(_) => return Ok(()),
        Err(ClientError::NotRunning { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    if env::var_os(kugetsu_process::MARKER).is_some() {
        // Whatever begins inside of a run is ended with it, and so would be the runs of such a daemon.
        return Err(Failure::new("no daemon runs, and one that is started inside of a run would end with the run")
            .hint("start it outside: kugetsu daemon start"));
    }
    let mut log = open_log(&home.log()).map_err(failed)?;
    let before = log.seek(SeekFrom::End(0)).map_err(failed)?;
    let (ready, told) = pipe2(OFlag::O_CLOEXEC).map_err(|error| failed(error.into()))?;
    spawn(home, &log, told).map_err(failed)?;
    let told = wait(&ready).map_err(failed)?;
    match told {
        Told::Ready => Ok(()),
        Told::Nothing => Err(Failure::new(format!(
            "the daemon did not listen within {} s; its log is {}",
            READY_LIMIT_MS / 1000,
            home.log().display()
        ))),
        Told::Ended => Err(explain(home, &mut log, before)),
    }
}

enum Told {
    Ready,
    Ended,
    Nothing,
}

/// Waits until it is this caller's turn to start the daemon.
fn turn(home: &Home) -> io::Result<File> {
    let path = home.path().join("daemon.starting");
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    file.lock()?;
    Ok(file)
}

/// The log, with an old one put aside when it has grown too large.
fn open_log(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    if fs::metadata(path).is_ok_and(|log| log.len() > LOG_MAX) {
        fs::rename(path, path.with_extension("log.old"))?;
    }
    OpenOptions::new().create(true).append(true).read(true).mode(0o600).open(path)
}

fn spawn(home: &Home, log: &File, told: OwnedFd) -> io::Result<()> {
    let kept = told.as_raw_fd();
    let mut command = Command::new(env::current_exe()?);
    command
        .args(["daemon", "run", "--ready-fd"])
        .arg(kept.to_string())
        .env("KUGETSU_HOME", home.path())
        .current_dir(home.path())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log.try_clone()?);
    // SAFETY: between fork and exec only setsid, close_range and fcntl are called, which are async-signal-safe.
    #[expect(unsafe_code, reason = "a session of its own and an inherited pipe need a step between fork and exec")]
    unsafe {
        command.pre_exec(move || {
            setsid()?;
            descriptor::inherit_only(kept)
        });
    }
    // It outlives this process, so nobody here waits for its end.
    command.spawn().map(drop)
}

/// Waits for the word, or for the end of everybody who could say it.
fn wait(ready: &OwnedFd) -> io::Result<Told> {
    let mut watched = [PollFd::new(ready.as_fd(), PollFlags::POLLIN)];
    loop {
        match poll(&mut watched, PollTimeout::from(READY_LIMIT_MS)) {
            Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
            Ok(0) => return Ok(Told::Nothing),
            Ok(_) => break,
        }
    }
    let mut word = [0];
    let count = File::from(ready.try_clone()?).read(&mut word)?;
    Ok(if count == 1 && word == [READY] { Told::Ready } else { Told::Ended })
}

/// The daemon ended before it listened: its last words say why.
fn explain(home: &Home, log: &mut File, before: u64) -> Failure {
    let mut text = Vec::new();
    let read = log.seek(SeekFrom::Start(before)).and_then(|_| log.read_to_end(&mut text));
    let failure = match read {
        Ok(_) => last_words(&String::from_utf8_lossy(&text)),
        Err(error) => Failure::new(format!("the daemon ended at once, and its log cannot be read: {error}")),
    };
    failure.hint(format!("the daemon's log is {}; to see it run: kugetsu daemon run", home.log().display()))
}

/// What the daemon said as every command says why it failed; without that, the end of what it logged.
fn last_words(text: &str) -> Failure {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let Some(at) = lines.iter().rposition(|line| line.starts_with("error: ")) else {
        let end = lines[lines.len().saturating_sub(SHOWN)..].join("\n");
        let said = if end.is_empty() { "; it said nothing".to_owned() } else { format!(":\n{end}") };
        return Failure::new(format!("the daemon ended at once{said}"));
    };
    let (hints, words): (Vec<&str>, Vec<&str>) = lines[at..].iter().partition(|line| line.starts_with("hint: "));
    let failure = Failure::new(format!("the daemon cannot run: {}", words.join("\n").trim_start_matches("error: ")));
    hints.iter().fold(failure, |failure, hint| failure.hint(hint.trim_start_matches("hint: ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_of_a_daemon_that_could_not_run_are_shown() {
        let failure = last_words("2026 INFO a\nerror: x is wrong\n and more\nhint: do y\n");
        assert_eq!(failure.message, "the daemon cannot run: x is wrong\n and more");
        assert_eq!(failure.hints, ["do y"]);
        assert_eq!(last_words("a panic\n").message, "the daemon ended at once:\na panic");
        assert_eq!(last_words("\n").message, "the daemon ended at once; it said nothing");
    }
}
