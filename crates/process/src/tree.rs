//! An agent with everything it starts: one process tree, started with exactly the environment given and ended as a whole.
//!
//! An agent's tools run in sessions of their own and outlive it, so its process group is not enough: see
//! [`crate::Tracking`]. What the agent may see and do is for the caller to say, and for [`crate::sandbox`] to keep.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::process::{ChildStdin, ChildStdout};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use crate::capture::{Capture, Filter};
use crate::cgroup::Cgroup;
use crate::child::{Child, Pipes};
use crate::child_registry;
use crate::error::RunError;
use crate::marker::{MARKER, Marker};
use crate::orphans::{self, Reaping};
use crate::pre_exec;
use crate::sandbox::{PreparedSandbox, Sandbox, SandboxError};
use crate::table::Source;
use crate::tracking::Tracking;
use crate::tree_killer::{Membership, TreeKiller};

const STDERR_TAIL: usize = 4 * 1024;
/// A process that was seen dead is reaped at once; this only bounds a kernel that is very busy.
const REAP: Duration = Duration::from_secs(5);
/// Times that all is ended once more because the kernel still knows of a child.
const ROUNDS: usize = 50;

/// What to start.
pub struct TreeSpec {
    /// The program: a path, or a name that is looked up on the `PATH` in `env`.
    pub program: OsString,
    /// Its arguments, without the program's name.
    pub args: Vec<OsString>,
    /// Where it runs. `PWD` says the same.
    pub cwd: PathBuf,
    /// Its whole environment, apart from `PWD` and the marker. Nothing is inherited.
    pub env: Vec<(OsString, OsString)>,
    /// Put into the environment, so that the run's processes can be found.
    pub marker: Marker,
    /// Where its stderr goes.
    pub stderr: File,
    /// Bytes that file may get (at least 1 KiB): the beginning, and at the end of the run the last quarter, 64 KiB at
    /// most. What came between is counted and left out.
    pub stderr_max: usize,
    /// What is kept of it; all of it without.
    pub stderr_filter: Option<Filter>,
    /// The strongest means to use, where they can be had: [`Tracking::CgroupV2`] unless there is a reason.
    pub tracking: Tracking,
    /// What it is shut in; free to do what its user may do without.
    pub sandbox: Option<Sandbox>,
}

/// Values of variables may be secrets: only names are shown.
impl fmt::Debug for TreeSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.env.iter().map(|(name, _)| name).collect();
        f.debug_struct("TreeSpec")
            .field("program", &self.program)
            .field("args", &self.args)
            .field("cwd", &self.cwd)
            .field("env", &names)
            .field("marker", &self.marker)
            .field("stderr_max", &self.stderr_max)
            .field("tracking", &self.tracking)
            .field("sandbox", &self.sandbox)
            .finish_non_exhaustive()
    }
}

/// Why a tree was not started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The program could not be started.
    #[error(transparent)]
    NotStarted(#[from] RunError),
    /// This process adopts orphans and has a tree already: an orphan of one could not be told from an orphan of the other.
    #[error("cannot start `{}`: this runner has an agent already, and there is one runner for each agent", .program.display())]
    SecondTree {
        /// As it was asked for.
        program: OsString,
    },
    /// Its cage could not be built.
    #[error("cannot start `{}`: {source}", .program.display())]
    Sandbox {
        /// As it was asked for.
        program: OsString,
        /// What is wrong with it.
        source: SandboxError,
    },
}

/// A running tree. To be ended with [`Tree::end`]; if it is dropped, as in a panic, all that can be found at that moment
/// is killed.
pub struct Tree {
    /// To be taken by whoever speaks to the agent.
    pub stdin: Option<ChildStdin>,
    /// To be taken by whoever listens to it.
    pub stdout: Option<ChildStdout>,
    child: Child,
    status: Option<ExitStatus>,
    stderr: Option<Capture>,
    killer: TreeKiller,
    tracking: Tracking,
    reaping: Option<Reaping>,
    done: bool,
    _claim: Option<Claim>,
}

/// What became of a tree.
#[derive(Debug)]
pub struct TreeExit {
    /// How the agent ended; `None` only if it is among `left`.
    pub status: Option<ExitStatus>,
    /// Processes that had to be signalled. 0: all had ended by themselves.
    pub signalled: usize,
    /// Processes that would not end. Empty, unless one hangs in the kernel or belongs to another user.
    pub survivors: Vec<Pid>,
    /// By what tracking.
    pub tracking: Tracking,
    /// What went wrong beside: processes could not be listed, the stderr file could not be written, the cgroup could
    /// not be removed.
    pub problem: Option<io::Error>,
}

impl Tree {
    /// Starts an agent in a session of its own. With [`crate::adopt_orphans`] called before, a process can have one tree.
    ///
    /// # Errors
    /// [`SpawnError`].
    ///
    /// # Panics
    /// Outside a tokio runtime with time and IO.
    pub async fn spawn(spec: TreeSpec) -> Result<Self, SpawnError> {
        Self::spawn_seen_by(Source::best(), spec).await
    }

    pub(crate) async fn spawn_seen_by(source: Source, spec: TreeSpec) -> Result<Self, SpawnError> {
        let adopts = spec.tracking >= Tracking::Subreaper && source.shows_orphans() && orphans::are_adopted();
        let claim = if adopts { Some(Claim::take(&spec.program)?) } else { None };
        let program = spec.program.clone();
        Self::start(spec, source, adopts, claim).map_err(|error| match error {
            Refusal::Known(error) => error.into(),
            Refusal::Sandbox(source) => SpawnError::Sandbox { program, source },
            Refusal::System(source) => RunError::Io { program, source }.into(),
        })
    }

    fn start(spec: TreeSpec, source: Source, adopts: bool, claim: Option<Claim>) -> Result<Self, Refusal> {
        let ends = signal(SignalKind::child())?;
        let (mut child, cgroup) = spawn(&spec)?;
        let tracking = match (&cgroup, adopts) {
            (Some(_), _) => Tracking::CgroupV2,
            (None, true) => Tracking::Subreaper,
            (None, false) => Tracking::Groups,
        };
        let membership = Membership {
            root: Some(child.pid()),
            orphans: adopts,
            // Beside the subreaper nothing can get lost, and reading all environments is slow.
            marker: (!adopts).then_some(spec.marker),
            cgroups: cgroup.into_iter().collect(),
        };
        let killer = TreeKiller::new(source, membership)?;
        let Pipes { stdin, stdout, stderr } = child.pipes()?;
        Ok(Self {
            stdin,
            stdout,
            child,
            status: None,
            stderr: stderr.map(|pipe| Capture::start(pipe, spec.stderr, spec.stderr_max, spec.stderr_filter)),
            killer,
            tracking,
            reaping: adopts.then(|| Reaping::start(ends)),
            done: false,
            _claim: claim,
        })
    }

    /// The agent's process number, which is its session's and its group's too.
    pub fn pid(&self) -> Pid {
        self.child.pid()
    }

    /// By what means the tree is held together.
    pub fn tracking(&self) -> Tracking {
        self.tracking
    }

    /// Waits until the agent itself has ended; what it started may go on. Cancel safe, and may be called again.
    ///
    /// # Errors
    /// The system does not tell.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        self.child.ended().await?;
        // From here on its number may be given to another process.
        self.killer.membership.root = None;
        let status = self.child.reap()?;
        self.status = Some(status);
        Ok(status)
    }

    /// The last 4 KiB of stderr so far, for messages.
    pub fn stderr_tail(&self) -> String {
        let tail = self.stderr.as_ref().map(|stderr| stderr.tail(STDERR_TAIL)).unwrap_or_default();
        String::from_utf8_lossy(&tail).into_owned()
    }

    /// Ends the whole tree: SIGTERM to every process, up to `grace` for them to obey, then SIGKILL until none is left,
    /// whether it left the group, lost its parent, cleared its environment, ignores SIGTERM or forks meanwhile. Takes
    /// no time if all have ended already, and about 20 s more than `grace` at the very worst.
    pub async fn end(mut self, grace: Duration) -> TreeExit {
        // From here on orphans are reaped by the killer.
        self.reaping = None;
        self.stdin = None;
        self.stdout = None;
        let mut problem = self.killer.terminate(grace).await.err();
        let mut survivors = Vec::new();
        for _ in 0..ROUNDS {
            match self.killer.kill().await {
                Ok(still) => survivors = still,
                Err(error) => {
                    problem = Some(error);
                    self.killer.kill_now();
                    self.child.signal_group(Signal::SIGKILL);
                }
            }
            problem = problem.or(self.reap_root(&survivors).await.err());
            if !survivors.is_empty() || self.is_proven() {
                break;
            }
        }
        self.done = true;
        if let Some(stderr) = self.stderr.take() {
            problem = problem.or(stderr.finish().await.err());
        }
        if survivors.is_empty() {
            problem = problem.or(self.killer.drop_empty_cgroups().await.err());
        }
        TreeExit {
            status: self.status,
            signalled: self.killer.signalled(),
            survivors,
            tracking: self.tracking,
            problem,
        }
    }

    async fn reap_root(&mut self, survivors: &[Pid]) -> io::Result<()> {
        if self.status.is_none() && !survivors.contains(&self.pid()) {
            timeout(REAP, self.wait()).await??;
        }
        Ok(())
    }

    /// Listings say that all is ended; the kernel must agree.
    fn is_proven(&mut self) -> bool {
        if !self.killer.membership.orphans {
            return true;
        }
        let mut registry = child_registry::lock();
        registry.reap_orphans();
        registry.has_no_orphans().unwrap_or(false)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if !self.done {
            tracing::warn!(pid = self.pid().as_raw(), "an agent's process tree was dropped, not ended; killing it");
            self.killer.kill_now();
        }
    }
}

/// Within [`Tree::start`]: with a message of its own, or not.
enum Refusal {
    Known(RunError),
    Sandbox(SandboxError),
    System(io::Error),
}

impl From<SandboxError> for Refusal {
    fn from(error: SandboxError) -> Self {
        Self::Sandbox(error)
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// In a cgroup of its own if that can be had.
fn spawn(spec: &TreeSpec) -> Result<(Child, Option<Cgroup>), Refusal> {
    // First, so that nothing is made for what cannot be started.
    let mut command = command(spec)?;
    if spec.tracking == Tracking::CgroupV2
        && let Ok(cgroup) = Cgroup::make(&spec.marker)
    {
        match cgroup.admit(&mut command).and_then(|()| Child::spawn(&mut command)) {
            Ok(child) => return Ok((child, Some(cgroup))),
            Err(error) => tracing::debug!(%error, "could not start in a cgroup; starting without"),
        }
        if let Err(error) = cgroup.remove() {
            tracing::debug!(%error, "could not remove a cgroup that is not used");
        }
        command = self::command(spec)?;
    }
    match Child::spawn(&mut command) {
        Ok(child) => Ok((child, None)),
        Err(error) => Err(Refusal::Known(RunError::of(&spec.program, Some(&spec.cwd), error))),
    }
}

fn command(spec: &TreeSpec) -> Result<Command, Refusal> {
    let cwd = std::path::absolute(&spec.cwd)?;
    let sandbox = spec.sandbox.as_ref().map(PreparedSandbox::build).transpose()?;
    let mut command = match &sandbox {
        Some(sandbox) => {
            let path = spec.env.iter().rev().find(|(name, _)| name == "PATH").map(|(_, path)| path.as_os_str());
            // Its own starter would only tell the agent's stderr.
            let found = RunError::look(&spec.program, &cwd, path).map_err(Refusal::Known)?;
            sandbox.command(&spec.program, &found, &spec.args, &cwd)?
        }
        None => {
            let mut command = Command::new(&spec.program);
            command.args(&spec.args);
            command
        }
    };
    command.env_clear().envs(spec.env.iter().map(|(name, value)| (name, value)));
    command.env("PWD", &cwd).env(MARKER, spec.marker.id()).current_dir(cwd);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    pre_exec::isolate(&mut command);
    if let Some(sandbox) = sandbox {
        sandbox.shut(&mut command);
    }
    Ok(command)
}

/// The right of this process to have a tree.
struct Claim;

static CLAIMED: AtomicBool = AtomicBool::new(false);

impl Claim {
    fn take(program: &OsStr) -> Result<Self, SpawnError> {
        if CLAIMED.swap(true, Ordering::AcqRel) {
            return Err(SpawnError::SecondTree { program: program.to_owned() });
        }
        Ok(Self)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        CLAIMED.store(false, Ordering::Release);
    }
}
