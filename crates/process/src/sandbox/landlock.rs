//! The backend that uses the security module landlock (<https://docs.kernel.org/userspace-api/landlock.html>) and seccomp.
//!
//! Landlock grants rights below a path, without exceptions. To hide a directory, the right to read files is therefore
//! granted to every entry beside the path that leads to it. The right to list directories would then be missing on that
//! path, so it is granted everywhere.

use std::fs::{self, DirEntry};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, Scope,
};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use seccompiler::BpfProgram;

use super::paths::{ResolvedPath, ResolvedPaths};
use super::seccomp;

/// ABI 3 (Linux 6.2) can deny truncation. Without that, any file could be emptied.
const MIN_ABI: ABI = ABI::V3;
/// The newest ABI whose file rights are handled here. ABI 5 added device commands.
const FILES_ABI: ABI = ABI::V5;
/// ABI 6 (Linux 6.12) can restrict signals and abstract sockets.
const SCOPES_ABI: ABI = ABI::V6;

/// The devices that a program may use. Terminals, disks, shared memory and input devices are not among them.
const DEVICES: [&str; 6] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];
const DEV: &str = "/dev";

pub(super) struct Landlock {
    ruleset: OwnedFd,
    filters: Vec<BpfProgram>,
}

impl Landlock {
    pub(super) fn prepare(paths: &ResolvedPaths) -> io::Result<Self> {
        let missing = |why: &str| {
            let message = format!("the kernel does not support version {} of landlock{why}", MIN_ABI as i32);
            io::Error::new(io::ErrorKind::Unsupported, message)
        };
        let ruleset = ruleset(paths).map_err(|error| match error {
            // The names of the missing rights would not help the user.
            RulesetError::HandleAccesses(_) => missing(""),
            error => io::Error::other(error),
        })?;
        let ruleset = Option::<OwnedFd>::from(ruleset).ok_or_else(|| missing(": it is disabled"))?;
        Ok(Self { ruleset, filters: seccomp::strict()? })
    }

    pub(super) fn restrict(self, command: &mut Command) {
        let Self { ruleset, filters } = self;
        // SAFETY: the hook makes system calls with data that was built before the fork; it neither allocates nor takes a
        // lock.
        unsafe { command.pre_exec(move || restrict_self(&ruleset, &filters)) };
    }
}

/// Runs between fork and exec.
fn restrict_self(ruleset: &OwnedFd, filters: &[BpfProgram]) -> io::Result<()> {
    // SAFETY: the argument is a number.
    unsafe { libc::umask(0o077) };
    drop_capabilities()?;
    // SAFETY: the arguments are numbers.
    unsafe {
        Errno::result(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
        Errno::result(libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0))?;
    }
    for filter in filters {
        seccomp::install(filter)?;
    }
    Ok(())
}

/// Drops what makes root more than the user who owns root's files. Other users have no capabilities.
pub(super) fn drop_capabilities() -> io::Result<()> {
    /// `_LINUX_CAPABILITY_VERSION_3`: two words of 32 bits for each set.
    const VERSION: u32 = 0x2008_0522;
    const LAST: libc::c_ulong = 63;
    let header: [u32; 2] = [VERSION, 0];
    let none = [0_u32; 6];
    // SAFETY: the arguments are numbers, and memory of the sizes that this version prescribes.
    unsafe {
        for capability in 0..=LAST {
            // Fails without privileges to drop, and for capabilities that the kernel does not know.
            libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0);
        }
        Errno::result(libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()))?;
    }
    Ok(())
}

/// Whether landlock keeps a program from abstract sockets of other programs.
pub(super) fn restricts_abstract_sockets() -> bool {
    const VERSION: libc::c_uint = 1;
    let none = std::ptr::null::<libc::c_void>();
    // SAFETY: without a ruleset, the call only returns a number.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, 0, VERSION) };
    version >= SCOPES_ABI as libc::c_long
}

/// Lets this thread, and what it starts, write below these directories and to devices only, signal no process outside, and reach no
/// abstract socket outside. It is a second layer: the file system that the thread sees has the same restrictions already, so a kernel
/// without landlock is no error.
pub(super) fn restrict_inside(writable: &[PathBuf]) -> io::Result<()> {
    let rules = || -> Result<(), RulesetError> {
        let mut rules = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(FILES_ABI))?
            .scope(Scope::from_all(SCOPES_ABI))?
            .create()?;
        if let Some(root) = open_path(Path::new("/")) {
            rules =
                rules.add_rule(PathBeneath::new(root, AccessFs::ReadDir | AccessFs::ReadFile | AccessFs::Execute))?;
        }
        if let Some(devices) = open_path(Path::new(DEV)) {
            let rights = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev;
            rules = rules.add_rule(PathBeneath::new(devices, rights))?;
        }
        let rights = AccessFs::from_all(FILES_ABI) & !(AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev);
        for path in writable.iter().filter_map(|path| open_path(path)) {
            rules = rules.add_rule(PathBeneath::new(path, rights))?;
        }
        rules.restrict_self().map(drop)
    };
    rules().map_err(io::Error::other)
}

fn ruleset(paths: &ResolvedPaths) -> Result<RulesetCreated, RulesetError> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(MIN_ABI))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(FILES_ABI))?
        .scope(Scope::from_all(SCOPES_ABI))?
        .create()?;
    if let Some(root) = open_path(Path::new("/")) {
        rules = rules.add_rule(PathBeneath::new(root, AccessFs::ReadDir))?;
    }
    let unreadable: Vec<&Path> = paths.emptied().map(|path| path.path.as_path()).chain([Path::new(DEV)]).collect();
    rules = grant_reading(Path::new("/"), &unreadable, rules)?;
    for device in DEVICES {
        if let Some(device) = open_path(Path::new(device)) {
            let rights = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev;
            rules = rules.add_rule(PathBeneath::new(device, rights))?;
        }
    }
    for path in paths.shown() {
        let hidden = |hidden: &&ResolvedPath| hidden.path != path.path && hidden.path.starts_with(&path.path);
        let inside: Vec<&Path> = paths.emptied().filter(hidden).map(|hidden| hidden.path.as_path()).collect();
        rules = match inside.is_empty() {
            true => rules.add_rule(PathBeneath::new(path.fd.as_fd(), read_rights(path)))?,
            // A right to the directory would be one to the hidden directories, too.
            false => grant_reading(&path.path, &inside, rules)?,
        };
    }
    let excluded = AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::MakeSock | AccessFs::IoctlDev;
    for path in &paths.writable {
        rules = rules.add_rule(PathBeneath::new(path.fd.as_fd(), AccessFs::from_all(FILES_ABI) & !excluded))?;
    }
    Ok(rules)
}

fn read_rights(path: &ResolvedPath) -> BitFlags<AccessFs> {
    let files = AccessFs::ReadFile | AccessFs::Execute;
    if path.is_directory { files | AccessFs::ReadDir } else { files }
}

/// Grants the right to read the contents of `directory`, except for the `unreadable` paths in it.
fn grant_reading(
    directory: &Path,
    unreadable: &[&Path],
    mut rules: RulesetCreated,
) -> Result<RulesetCreated, RulesetError> {
    // A directory that cannot be listed here is unreadable for the sandboxed process too.
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if unreadable.contains(&path.as_path()) {
            continue;
        }
        if unreadable.iter().any(|inner| inner.starts_with(&path)) {
            rules = grant_reading(&path, unreadable, rules)?;
        } else if is_file_or_directory(&entry)
            && let Some(fd) = open_path(&path)
        {
            rules = rules.add_rule(PathBeneath::new(fd, AccessFs::ReadFile | AccessFs::Execute))?;
        }
    }
    Ok(rules)
}

/// Links are left out: rights are granted to the file that a link points to, by its own path.
fn is_file_or_directory(entry: &DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_file() || kind.is_dir())
}

/// Opens a path without the right to read it. Returns `None` if it is gone, or unreachable for the sandboxed process too.
fn open_path(path: &Path) -> Option<OwnedFd> {
    open(path, OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty()).ok()
}
