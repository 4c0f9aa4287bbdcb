//! An agent with everything that it starts: one process tree, started with exactly the given environment and ended as a
//! whole.
//!
//! An agent's tools run in sessions of their own and outlive it, so ending its process group is not enough: see
//! [`Tracking`]. A [`sandbox`](crate::sandbox) restricts what the tree may read and write.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::process::{ChildStdin, ChildStdout};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use crate::child::capture::{Capture, Filter};
use crate::child::group::{Child, Pipes};
use crate::child::{RunError, pre_exec, registry};
use crate::marker::{MARKER, Marker};
use crate::os;
use crate::sandbox::{Channel, PreparedSandbox, Sandbox, SandboxError};
use crate::tracking::cgroup::Cgroup;
use crate::tracking::controllers::TreeLimits;
use crate::tracking::orphans::{self, Reaper};
use crate::tracking::table::ProcessTable;
use crate::tracking::tree_killer::{Membership, TreeKiller};
use crate::tracking::{Meter, Tracking};

const STDERR_TAIL: usize = 16 * 1024;
/// Time to reap an agent that is not among the living any more. Only a very busy kernel needs any.
const REAP_TIMEOUT: Duration = Duration::from_secs(5);
/// How often everything is killed again because the kernel still knows a child.
const KILL_ROUNDS: usize = 50;

/// How to start an agent.
pub struct TreeSpec {
    /// A path, or a name that is looked up on the `PATH` in `env`.
    pub program: OsString,
    /// The arguments, without the program's name.
    pub args: Vec<OsString>,
    /// Working directory, which `PWD` names too.
    pub cwd: PathBuf,
    /// The whole environment apart from `PWD` and the marker. Nothing is inherited.
    pub env: Vec<(OsString, OsString)>,
    /// Added to the environment, so that the run's processes can be found.
    pub marker: Marker,
    /// The file that its stdout is; a pipe, [`Tree::stdout`], if none. Some programs lose output in a pipe.
    pub stdout: Option<File>,
    /// The file that its stderr is captured in.
    pub stderr: File,
    /// Size limit of that file in bytes, at least 1 KiB. The beginning of stderr is kept, and the last quarter of the
    /// limit (64 KiB at most) for its end. A line in between tells how much was omitted.
    pub stderr_max: usize,
    /// Rewrites stderr before it is stored.
    pub stderr_filter: Option<Filter>,
    /// The strongest tracking to use if it is available. [`Tracking::CgroupV2`] unless there is a reason.
    pub tracking: Tracking,
    /// Without one, the tree may do what its user may.
    pub sandbox: Option<Sandbox>,
    pub limits: TreeLimits,
}

/// Shows names of variables only, because the values may be secrets.
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
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    #[error(transparent)]
    NotStarted(#[from] RunError),
    /// This process adopts orphans and has a tree already. Orphans of two trees could not be distinguished.
    #[error("cannot start `{}`: this process already runs an agent", .program.display())]
    SecondTree { program: OsString },
    #[error("cannot start `{}`: {source}", .program.display())]
    Sandbox { program: OsString, source: SandboxError },
}

impl SpawnError {
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotStarted(error) => error.hint(),
            Self::SecondTree { .. } => None,
            Self::Sandbox { source, .. } => source.hint(),
        }
    }
}

/// A running tree. End it with [`Tree::end`]. If it is dropped, as in a panic, the processes that can be found at that
/// moment are killed.
pub struct Tree {
    /// `None` after it is taken.
    pub stdin: Option<ChildStdin>,
    /// `None` after it is taken, and if it is a file.
    pub stdout: Option<ChildStdout>,
    /// Those on the loopback interface of the sandbox, in the order of [`Network::Own`](crate::sandbox::Network).
    pub listeners: Vec<TcpListener>,
    child: Child,
    status: Option<ExitStatus>,
    stderr: Option<Capture>,
    killer: TreeKiller,
    tracking: Tracking,
    limits: TreeLimits,
    reaper: Option<Reaper>,
    done: bool,
    _claim: Option<Claim>,
}

/// How a tree ended.
#[derive(Debug)]
pub struct TreeExit {
    /// Exit status of the agent. `None` only if the agent is among the survivors.
    pub status: Option<ExitStatus>,
    /// Number of processes that were signaled. 0 means that all had ended by themselves.
    pub signaled: usize,
    /// Processes that survived SIGKILL: they hang in the kernel or belong to another user. Usually empty.
    pub survivors: Vec<Pid>,
    pub tracking: Tracking,
    /// A further failure: processes could not be listed, the stderr file could not be written, or the cgroup could not be
    /// removed.
    pub problem: Option<io::Error>,
}

impl Tree {
    /// Starts an agent in a session of its own. A process that called [`adopt_orphans`](crate::adopt_orphans) can have one
    /// tree at a time.
    ///
    /// # Panics
    /// Outside of a tokio runtime with time and IO enabled.
    pub async fn spawn(spec: TreeSpec) -> Result<Self, SpawnError> {
        let table = ProcessTable::best();
        let adopts = spec.tracking >= Tracking::Subreaper && table.shows_orphans() && orphans::are_adopted();
        let claim = if adopts { Some(Claim::take(&spec.program)?) } else { None };
        let program = spec.program.clone();
        Self::start(spec, table, adopts, claim).map_err(|error| match error {
            StartError::Run(error) => error.into(),
            StartError::Sandbox(source) => SpawnError::Sandbox { program, source },
            StartError::System(source) => RunError::Io { program, source }.into(),
        })
    }

    fn start(spec: TreeSpec, table: ProcessTable, adopts: bool, claim: Option<Claim>) -> Result<Self, StartError> {
        // Subscribe before the start: the reaper must not miss an orphan.
        let child_exits = signal(SignalKind::child())?;
        let Spawned { mut child, cgroup, listeners } = spawn(&spec)?;
        let tracking = match (&cgroup, adopts) {
            (Some(_), _) => Tracking::CgroupV2,
            (None, true) => Tracking::Subreaper,
            (None, false) => Tracking::Groups,
        };
        let membership = Membership {
            root: Some(child.pid()),
            orphans: adopts,
            // No member gets lost if orphans are adopted, and reading the environments of all processes is slow.
            markers: if adopts { Vec::new() } else { vec![spec.marker] },
            cgroups: cgroup.into_iter().collect(),
        };
        let killer = TreeKiller::new(table, membership)?;
        let Pipes { stdin, stdout, stderr } = child.pipes()?;
        Ok(Self {
            stdin,
            stdout,
            listeners,
            child,
            status: None,
            stderr: stderr.map(|pipe| Capture::start(pipe, spec.stderr, spec.stderr_max, spec.stderr_filter)),
            killer,
            tracking,
            limits: spec.limits,
            reaper: adopts.then(|| Reaper::start(child_exits)),
            done: false,
            _claim: claim,
        })
    }

    /// Returns the agent's pid, which is also the id of its session and of its group.
    pub fn pid(&self) -> Pid {
        self.child.pid()
    }

    pub fn tracking(&self) -> Tracking {
        self.tracking
    }

    /// Returns what measures the tree. It must not be used after the tree has ended.
    pub fn meter(&self) -> Meter {
        let Membership { orphans, cgroups, .. } = &self.killer.membership;
        Meter::new(self.limits, cgroups.first().cloned(), self.pid(), *orphans, self.killer.table())
    }

    /// Waits until the agent itself has ended; processes that it started may continue. Cancel safe. Later calls return the
    /// same status.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        self.child.ended().await?;
        // From here on the kernel may give its pid to another process.
        self.killer.membership.root = None;
        let status = self.child.reap()?;
        self.status = Some(status);
        Ok(status)
    }

    /// Lists the TCP ports on which the agent itself listens on the loopback interface, of IPv4: those of the processes in
    /// its own group, which its tools are not part of. Empty where that cannot be found out.
    pub fn listening_ports(&self) -> Vec<u16> {
        os::listening_ports(self.pid().as_raw()).unwrap_or_default()
    }

    /// Returns the last 16 KiB of stderr so far, for messages.
    pub fn stderr_tail(&self) -> String {
        let tail = self.stderr.as_ref().map(|stderr| stderr.tail(STDERR_TAIL)).unwrap_or_default();
        String::from_utf8_lossy(&tail).into_owned()
    }

    /// Ends the whole tree: SIGTERM to every process, up to `grace` for them to end, then SIGKILL until none is left.
    /// Finds processes that left the group, lost their parent, cleared their environment, ignore SIGTERM or fork
    /// meanwhile. Returns at once if all have ended already. Takes at most about 20 s longer than `grace`.
    pub async fn end(mut self, grace: Duration) -> TreeExit {
        // From here on the killer reaps the orphans, so that a pid it signals cannot be reused.
        self.reaper = None;
        self.stdin = None;
        self.stdout = None;
        let mut problem = self.killer.terminate(grace).await.err();
        let mut survivors = Vec::new();
        // The killer trusts listings, which may miss a process. The kernel has the last word on whether a child is left,
        // and if one is, everything is killed again.
        for _ in 0..KILL_ROUNDS {
            match self.killer.kill().await {
                Ok(left) => survivors = left,
                Err(error) => {
                    problem = Some(error);
                    self.killer.kill_now();
                    self.child.signal_group(Signal::SIGKILL);
                }
            }
            problem = problem.or(self.reap_root(&survivors).await.err());
            if !survivors.is_empty() || self.is_proven_empty() {
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
        TreeExit { status: self.status, signaled: self.killer.signaled(), survivors, tracking: self.tracking, problem }
    }

    async fn reap_root(&mut self, survivors: &[Pid]) -> io::Result<()> {
        if self.status.is_none() && !survivors.contains(&self.pid()) {
            timeout(REAP_TIMEOUT, self.wait()).await??;
        }
        Ok(())
    }

    /// Asks the kernel whether a child is left. Where orphans are not adopted, the listings are all there is.
    fn is_proven_empty(&mut self) -> bool {
        if !self.killer.membership.orphans {
            return true;
        }
        let mut registry = registry::lock();
        registry.reap_orphans();
        registry.has_no_orphans().unwrap_or(false)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if !self.done {
            tracing::warn!(
                pid = self.pid().as_raw(),
                "an agent's process tree was dropped without being ended; killing it"
            );
            self.killer.kill_now();
        }
    }
}

/// A [`SpawnError`] that does not name the program yet.
enum StartError {
    Run(RunError),
    Sandbox(SandboxError),
    System(io::Error),
}

impl From<SandboxError> for StartError {
    fn from(error: SandboxError) -> Self {
        Self::Sandbox(error)
    }
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

struct Spawned {
    child: Child,
    cgroup: Option<Cgroup>,
    listeners: Vec<TcpListener>,
}

/// Starts the agent, in a cgroup of its own if that is possible.
fn spawn(spec: &TreeSpec) -> Result<Spawned, StartError> {
    // Built first, so that no cgroup is created for an agent that cannot be started.
    let mut prepared = command(spec)?;
    if spec.tracking == Tracking::CgroupV2
        && let Ok(cgroup) = Cgroup::create(&spec.marker)
    {
        cgroup.limit(&spec.limits);
        match cgroup.attach(&mut prepared.0).and_then(|()| Child::spawn(&mut prepared.0)) {
            Ok(child) => {
                return Ok(Spawned { child, listeners: started(spec, prepared)?, cgroup: Some(cgroup) });
            }
            Err(error) => tracing::debug!(%error, "could not start in a cgroup; starting without one"),
        }
        if let Err(error) = cgroup.remove() {
            tracing::debug!(%error, "could not remove an unused cgroup");
        }
        // The old command still enters the cgroup.
        prepared = command(spec)?;
    }
    match Child::spawn(&mut prepared.0) {
        Ok(child) => Ok(Spawned { child, listeners: started(spec, prepared)?, cgroup: None }),
        Err(error) => Err(StartError::Run(RunError::of(&spec.program, Some(&spec.cwd), error))),
    }
}

/// Waits until the sandbox is built around the agent.
fn started(spec: &TreeSpec, (command, channel): (Command, Option<Channel>)) -> Result<Vec<TcpListener>, StartError> {
    // It holds the helper's end of the channel.
    drop(command);
    let (Some(channel), Some(sandbox)) = (channel, &spec.sandbox) else { return Ok(Vec::new()) };
    let system = |source: io::Error| SandboxError::System { backend: sandbox.backend, source };
    Ok(channel.started().map_err(system)?)
}

fn command(spec: &TreeSpec) -> Result<(Command, Option<Channel>), StartError> {
    let cwd = std::path::absolute(&spec.cwd)?;
    let sandbox = spec.sandbox.as_ref().map(|sandbox| PreparedSandbox::prepare(sandbox, spec.limits)).transpose()?;
    let (mut command, inherited, channel) = match sandbox {
        Some(sandbox) => {
            let path = spec.env.iter().rev().find(|(name, _)| name == "PATH").map(|(_, path)| path.as_os_str());
            // Looked up here, because a helper would report a missing program later.
            let found = RunError::resolve(&spec.program, &cwd, path).map_err(StartError::Run)?;
            let (command, inherited, channel) = sandbox.command(&spec.program, &found, &spec.args, &cwd)?;
            (command, Some(inherited), channel)
        }
        None => {
            let mut command = Command::new(&spec.program);
            command.args(&spec.args);
            (command, None, None)
        }
    };
    command.env_clear().envs(spec.env.iter().map(|(name, value)| (name, value)));
    command.env("PWD", &cwd).env(MARKER, spec.marker.id()).current_dir(cwd);
    let stdout = spec.stdout.as_ref().map(File::try_clone).transpose()?.map_or_else(Stdio::piped, Stdio::from);
    command.stdin(Stdio::piped()).stdout(stdout).stderr(Stdio::piped());
    pre_exec::isolate(&mut command);
    if let Some(inherited) = inherited {
        // The last hook before exec: the others need rights that the sandbox takes away.
        inherited.apply(&mut command);
    }
    Ok((command, channel))
}

/// The permission to have a tree, of which a process that adopts orphans has one.
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
