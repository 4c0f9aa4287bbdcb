//! Starts a run's runner: the same program in a session of its own, which outlives the daemon.
//!
//! The runner's life is tied to a lock file, not to a process number: the daemon takes the lock and hands the open file
//! down, so there is no moment in which a started runner does not hold it, and no number that another process can get.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{ExitStatus, Stdio};

use kugetsu_api::run_spec::{RunSecrets, RunSpec};
use kugetsu_domain::flow::Event;
use kugetsu_domain::issue::{Issue, Lease};
use kugetsu_domain::run::{Outcome, Usage, Verdict};
use kugetsu_store::error::StoreError;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};

use crate::engine::Engine;
use crate::runners::aftermath;
use crate::runners::run_spec::run_spec;
use kugetsu_api::home::RunHome;

/// Starts the runner of a run that was claimed, and waits for its end in the background.
pub(crate) async fn launch(engine: &Engine, issue: &Issue, lease: Lease) {
    let started = match run_spec(engine, issue, lease).await {
        Ok((spec, secrets)) => start(engine, &spec, &secrets, &engine.home().run(lease.run)),
        Err(why) => Err(io::Error::other(why)),
    };
    match started {
        Ok(child) => {
            let engine = engine.clone();
            tokio::spawn(async move {
                let end = wait(child).await;
                aftermath::runner_is_gone(&engine, lease, &end).await;
            });
        }
        Err(error) => give_up(engine, lease, &error).await,
    }
}

async fn wait(mut child: Child) -> String {
    match child.wait().await {
        Ok(status) => describe(status),
        Err(error) => format!("its runner could not be waited for: {error}"),
    }
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (_, Some(signal)) => format!("its runner was killed by signal {signal}"),
        (Some(code), _) => format!("its runner ended with exit code {code} and without a report"),
        _ => "its runner ended without a report".to_owned(),
    }
}

/// The run never began.
async fn give_up(engine: &Engine, lease: Lease, error: &io::Error) {
    tracing::error!(run = %lease.run, %error, "a runner could not be started");
    let outcome = Outcome {
        verdict: Verdict::Failed,
        reason: format!("the runner could not be started: {error}"),
        head_sha: None,
        commits: 0,
        pushed: false,
        usage: Usage::default(),
    };
    aftermath::until_stored(lease, || async {
        match engine.apply(lease.issue, Event::RunEnded { lease, outcome: outcome.clone() }).await {
            // A refusal says that it is over already.
            Ok(_) | Err(StoreError::Refused(_)) => Ok(()),
            Err(error) => Err(error),
        }
    })
    .await;
}

fn start(engine: &Engine, spec: &RunSpec, secrets: &RunSecrets, home: &RunHome) -> io::Result<Child> {
    home.create(engine.settings().temp_dir.as_deref())?;
    write_spec(spec, home)?;
    let secrets = serde_json::to_vec(secrets)?;
    let lock = take_lock(home)?;
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(home.runner_log())?;
    let held: RawFd = lock.as_raw_fd();
    let mut command = Command::new(engine.program());
    command
        .arg("runner")
        .arg(home.path())
        .arg("--lock")
        .arg(held.to_string())
        .env("KUGETSU_HOME", engine.home().path())
        .current_dir(engine.home().path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(log);
    // SAFETY: between fork and exec only setsid and fcntl are called; both are async-signal-safe and take no memory.
    #[expect(unsafe_code, reason = "a session of its own and an inherited lock need a step between fork and exec")]
    unsafe {
        command.pre_exec(move || {
            nix::unistd::setsid()?;
            let inherited = std::os::fd::BorrowedFd::borrow_raw(held);
            nix::fcntl::fcntl(inherited, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()))?;
            Ok(())
        });
    }
    let mut child = command.spawn()?;
    if let Some(stdin) = child.stdin.take() {
        tokio::spawn(hand_over(stdin, secrets));
    }
    Ok(child)
}

/// Writes the secrets to the runner's standard input and closes it. A pipe holds less than they may need, so this waits
/// for the runner to read. A runner that ends before says why in its log.
async fn hand_over(mut stdin: ChildStdin, secrets: Vec<u8>) {
    if let Err(error) = stdin.write_all(&secrets).await {
        tracing::warn!(%error, "a runner did not read its variables");
    }
}

/// Takes the run's lock; it is held by whoever has the file open, so the runner keeps it after this process has let go.
fn take_lock(home: &RunHome) -> io::Result<File> {
    let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(home.lock())?;
    lock.try_lock()?;
    Ok(lock)
}

/// Written before the runner is started and read by it alone: a machine that dies in between loses a run that had not begun,
/// and its task is tried again. So nobody waits for the disk.
fn write_spec(spec: &RunSpec, home: &RunHome) -> io::Result<()> {
    let text = serde_json::to_vec(spec)?;
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(home.spec())?;
    file.write_all(&text)
}
