//! A sandbox that is ready for use. Everything that allocates memory is done before the fork.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

use super::backend::Backend;
use super::entry::READY;
use super::landlock::{self, Landlock};
use super::layout::{Network, Sandbox, SandboxError};
use super::paths::ResolvedPaths;
use super::plan::Plan;
use super::seccomp::{self, UnixSockets};
use super::shared_paths::private_directories;
use super::{bubblewrap, namespaces};
use crate::os::linux;
use crate::tracking::controllers::TreeLimits;

/// How long the helper may take. It takes milliseconds; a file system that hangs may take longer.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Good for one process.
pub(crate) struct PreparedSandbox {
    sandbox: Sandbox,
    paths: ResolvedPaths,
    /// The program `bwrap`, if it is used.
    bubblewrap: Option<PathBuf>,
    landlock: Option<Landlock>,
    limits: TreeLimits,
}

/// Everything that the new process inherits.
pub(crate) struct Inherited {
    landlock: Option<Landlock>,
    /// Descriptors that it gets, besides the standard three.
    files: Vec<OwnedFd>,
}

/// The other end of the helper's channel.
pub(crate) struct Channel(UnixStream);

impl PreparedSandbox {
    /// Resolves the paths, and builds the rules for the kernel.
    pub(crate) fn prepare(sandbox: &Sandbox, limits: TreeLimits) -> Result<Self, SandboxError> {
        let paths = ResolvedPaths::resolve(&sandbox.files)?;
        let backend = sandbox.backend;
        let system = |source: io::Error| SandboxError::System { backend, source };
        let (mut bubblewrap, mut landlock) = (None, None);
        match backend {
            Backend::Namespaces => {}
            Backend::Bubblewrap => bubblewrap = Some(bubblewrap::find().map_err(system)?),
            Backend::Landlock if sandbox.network != Network::Host => {
                return Err(SandboxError::NeedsNamespaces { backend });
            }
            Backend::Landlock => landlock = Some(Landlock::prepare(&paths).map_err(system)?),
        }
        Ok(Self { sandbox: sandbox.clone(), paths, bubblewrap, landlock, limits })
    }

    /// Creates the command that starts `program` in this sandbox and in `cwd`. `found` is the program's path.
    ///
    /// # Errors
    /// [`SandboxError::Hidden`], or the plan of the helper cannot be made.
    pub(crate) fn command(
        self,
        program: &OsStr,
        found: &Path,
        args: &[OsString],
        cwd: &Path,
    ) -> Result<(Command, Inherited, Option<Channel>), SandboxError> {
        let also_hidden = match self.sandbox.backend {
            Backend::Namespaces | Backend::Bubblewrap => private_directories(),
            Backend::Landlock => Vec::new(),
        };
        for path in [found, cwd] {
            if !self.paths.is_visible(path, &also_hidden) {
                return Err(SandboxError::Hidden { path: path.to_owned() });
            }
        }
        if let Some(landlock) = self.landlock {
            let mut command = Command::new(program);
            command.args(args);
            return Ok((command, Inherited { landlock: Some(landlock), files: Vec::new() }, None));
        }
        let backend = self.sandbox.backend;
        self.by_helper(program, args, cwd).map_err(|source| SandboxError::System { backend, source })
    }

    fn by_helper(
        self,
        program: &OsStr,
        args: &[OsString],
        cwd: &Path,
    ) -> io::Result<(Command, Inherited, Option<Channel>)> {
        let Self { sandbox, paths, bubblewrap, limits, .. } = self;
        let (has_own_network, listeners) = match &sandbox.network {
            Network::Host => (false, Vec::new()),
            Network::Own { listeners } => (true, listeners.clone()),
        };
        // In the machine's network, abstract sockets of other programs are in sight.
        let sockets = match has_own_network || landlock::restricts_abstract_sockets() {
            true => UnixSockets::Allowed,
            false => UnixSockets::Denied,
        };
        let plan = Plan {
            namespaces: match bubblewrap {
                Some(_) => None,
                None => Some(namespaces::plan(&sandbox, &paths, &limits)?),
            },
            writable: Some(namespaces::writable(&paths)),
            filters: seccomp::basic(sockets)?.iter().map(seccomp::to_bytes).collect(),
            listeners,
            cwd: cwd.to_owned(),
            program: program.to_owned(),
            args: args.to_vec(),
        };
        let plan = OwnedFd::from(linux::memfd_with(&plan.to_bytes())?);
        let (outer, inner) = UnixStream::pair()?;
        let mut files = vec![plan, inner.into()];
        let numbers: Vec<OsString> = files.iter().map(|file| file.as_raw_fd().to_string().into()).collect();
        let mut command = match bubblewrap {
            Some(bubblewrap) => {
                let mut command = bubblewrap::command(&bubblewrap, &sandbox, &paths);
                // By its descriptor, because its path may not be visible.
                let helper = OwnedFd::from(File::open(&sandbox.helper.program)?);
                command.arg(format!("/proc/self/fd/{}", helper.as_raw_fd()));
                files.push(helper);
                command
            }
            None => Command::new(&sandbox.helper.program),
        };
        command.args(&sandbox.helper.args).args(numbers);
        Ok((command, Inherited { landlock: None, files }, Some(Channel(outer))))
    }
}

impl Inherited {
    /// Makes `command` enter the sandbox, or the helper inherit what it needs, as the last step before exec.
    pub(crate) fn apply(self, command: &mut Command) {
        let Self { landlock, files } = self;
        if let Some(landlock) = landlock {
            landlock.restrict(command);
        }
        // SAFETY: the hook makes system calls with numbers; it neither allocates nor takes a lock.
        unsafe {
            command.pre_exec(move || {
                for file in &files {
                    Errno::result(libc::fcntl(file.as_raw_fd(), libc::F_SETFD, 0))?;
                }
                Ok(())
            })
        };
    }
}

impl Channel {
    /// Waits until the program has started. The command that started the helper must have been dropped. Returns the listeners.
    ///
    /// # Errors
    /// The reason of the helper.
    pub(crate) fn started(self) -> io::Result<Vec<TcpListener>> {
        self.0.set_read_timeout(Some(START_LIMIT))?;
        let mut listeners = Vec::new();
        let mut first = [0; 1];
        let mut space = cmsg_space!([RawFd; 32]);
        let received = {
            let mut buffers = [io::IoSliceMut::new(&mut first)];
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            let message = loop {
                match recvmsg::<()>(self.0.as_raw_fd(), &mut buffers, Some(&mut space), flags) {
                    // A child has ended.
                    Err(Errno::EINTR) => {}
                    received => break received?,
                }
            };
            for part in message.cmsgs()? {
                if let ControlMessageOwned::ScmRights(fds) = part {
                    // SAFETY: the kernel has just created them for this process.
                    listeners.extend(fds.into_iter().map(|fd| unsafe { TcpListener::from_raw_fd(fd) }));
                }
            }
            message.bytes
        };
        let mut text = Vec::new();
        (&self.0).read_to_end(&mut text)?;
        let reason = match (received, first) {
            (0, _) => return Err(io::Error::other("the helper ended before it had built the sandbox")),
            (_, [READY]) if text.is_empty() => return Ok(listeners),
            (_, [READY]) => text,
            (_, first) => [&first[..], &text].concat(),
        };
        Err(io::Error::other(String::from_utf8_lossy(&reason).into_owned()))
    }
}
