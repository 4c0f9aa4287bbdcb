//! Starts runners.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use futures::future::BoxFuture;
use kugetsu_api::home::{RunHome, RunHomeError};
use kugetsu_api::regular_file;
use kugetsu_api::run_key::RunKey;
use kugetsu_api::run_spec::{RunSecrets, RunSpec};
use kugetsu_domain::git_variables::not_inherited;
use kugetsu_domain::issue::{Issue, Lease};
use kugetsu_store::error::StoreError;
use thiserror::Error;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};

use super::lock;
use super::run_spec::{SpecError, run_spec};
use super::temporary;
use crate::engine::{Engine, StartRunner};
use crate::repo_file::RepoFileError;

/// Why a runner was not started.
#[derive(Debug, Error)]
pub(crate) enum LaunchError {
    #[error(transparent)]
    Store(StoreError),
    /// The commands that check its work are not known: its server, or a person, has to do something first.
    #[error(transparent)]
    RepoFile(RepoFileError),
    #[error("{0}")]
    Spec(String),
    #[error(transparent)]
    Directory(#[from] RunHomeError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl LaunchError {
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint().map(str::to_owned),
            Self::RepoFile(error) => error.hint(),
            Self::Directory(error) => error.hint(),
            Self::Spec(_) | Self::Io(_) => None,
        }
    }

    pub(crate) fn io(&self) -> Option<&io::Error> {
        match self {
            Self::Io(error) => Some(error),
            Self::Directory(error) => Some(error.io()),
            Self::Store(_) | Self::RepoFile(_) | Self::Spec(_) => None,
        }
    }
}

impl From<SpecError> for LaunchError {
    fn from(error: SpecError) -> Self {
        match error {
            SpecError::Store(error) => Self::Store(error),
            SpecError::RepoFile(RepoFileError::Store(error)) => Self::Store(error),
            SpecError::RepoFile(error) => Self::RepoFile(error),
            other => Self::Spec(other.to_string()),
        }
    }
}

/// Starts the runner of a run that was claimed. The returned future waits for its end.
///
/// # Errors
/// No runner was started.
pub(crate) async fn start(
    engine: &Engine,
    issue: &Issue,
    lease: Lease,
) -> Result<BoxFuture<'static, String>, LaunchError> {
    let key = RunKey::random()?;
    let (spec, secrets) = run_spec(engine, issue, lease, &key).await?;
    let home = engine.home().run(lease.run);
    // Of a daemon that died between here and the start of the runner.
    if let Err(error) = temporary::remove(engine, issue, lease.run, engine.now()).await {
        return Err(LaunchError::Spec(error.in_one_line()));
    }
    home.create(engine.settings().run.temp_dir.as_deref())?;
    write_spec(&spec, &home)?;
    let lock = lock::take(&home)?;
    // Before the runner can report. A daemon that dies here makes another key when the next one starts the run.
    engine.store().set_run_key(lease.run, key.public().to_string()).await.map_err(LaunchError::Store)?;
    Ok(engine.start_runner()(&home, lock, secrets)?)
}

/// Starts runners as processes: `program` in a session of its own, so that it outlives the daemon. `name` is what lists of
/// processes show.
pub fn process_runner(program: PathBuf, name: PathBuf, home: PathBuf) -> Arc<StartRunner> {
    Arc::new(move |run, lock, secrets| {
        let child = spawn((&program, &name), &home, run, &lock, &secrets)?;
        Ok(Box::pin(wait(child)))
    })
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

fn spawn(
    (program, name): (&Path, &Path),
    home: &Path,
    run: &RunHome,
    lock: &File,
    secrets: &RunSecrets,
) -> io::Result<Child> {
    let secrets = serde_json::to_vec(secrets)?;
    let log = regular_file::open(OpenOptions::new().create(true).append(true).mode(0o600), &run.runner_log())?;
    let held: RawFd = lock.as_raw_fd();
    let mut command = Command::new(program);
    command
        .arg0(name)
        .arg("runner")
        .arg(run.path())
        .arg("--lock")
        .arg(held.to_string())
        .env("KUGETSU_HOME", home)
        .current_dir(home)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(log);
    // Agents do not get them either, but nothing that this process starts needs them.
    for name in not_inherited(std::env::vars_os()) {
        command.env_remove(name);
    }
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
        tokio::spawn(send_secrets(stdin, secrets));
    }
    Ok(child)
}

/// Writes the secrets to the runner's standard input and closes it. A pipe may hold less than that, so this waits for the
/// runner to read. A runner that ends before says why in its log.
async fn send_secrets(mut stdin: ChildStdin, secrets: Vec<u8>) {
    if let Err(error) = stdin.write_all(&secrets).await {
        tracing::warn!(%error, "a runner did not read its variables");
    }
}

/// Not synced to the disk: only the runner that is about to be started reads it, and a machine that dies in between starts
/// the run again.
fn write_spec(spec: &RunSpec, home: &RunHome) -> io::Result<()> {
    let text = serde_json::to_vec(spec)?;
    let mut file =
        regular_file::open(OpenOptions::new().create(true).truncate(true).write(true).mode(0o600), &home.spec())?;
    file.write_all(&text)
}
