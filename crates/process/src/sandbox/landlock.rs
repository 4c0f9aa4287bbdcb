//! A cage by the security module landlock (<https://docs.kernel.org/userspace-api/landlock.html>) and seccomp.
//!
//! Landlock knows rights below a path and has no exceptions. So the right to read files is given to everything beside
//! the way to a hidden directory; the right to list directories, which would otherwise be missing on the way itself, is
//! given everywhere.

use std::fs::{self, DirEntry};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, Scope,
};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use seccompiler::{BpfProgram, sock_filter};

use super::paths::{ResolvedPath, ResolvedPaths};
use super::seccomp;

/// Without the right to truncate (ABI 3, Linux 6.2) any file could be emptied.
const LEAST: ABI = ABI::V3;
/// The last whose rights to files were looked at: 5 brought commands for devices.
const FILES: ABI = ABI::V5;
/// Brought bounds for signals and abstract sockets (Linux 6.12).
const SCOPES: ABI = ABI::V6;

/// What a program may use of `/dev`. Terminals, disks, shared memory and what people type are not among it.
const DEVICES: [&str; 6] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];
const DEV: &str = "/dev";

pub(super) struct Landlock {
    ruleset: OwnedFd,
    filters: Vec<BpfProgram>,
}

impl Landlock {
    pub(super) fn build(paths: &ResolvedPaths) -> io::Result<Self> {
        let missing = |why: &str| {
            let why = format!("the kernel does not offer landlock of version {} or newer{why}", LEAST as i32);
            io::Error::new(io::ErrorKind::Unsupported, why)
        };
        let ruleset = ruleset(paths).map_err(|error| match error {
            // Which rights are lacking says nothing to a person.
            RulesetError::HandleAccesses(_) => missing(""),
            error => io::Error::other(error),
        })?;
        let ruleset = Option::<OwnedFd>::from(ruleset).ok_or_else(|| missing(": it is switched off"))?;
        Ok(Self { ruleset, filters: seccomp::strict()? })
    }

    pub(super) fn shut(self, command: &mut Command) {
        let Self { ruleset, filters } = self;
        // SAFETY: the hook makes system calls with what was built before the fork; it neither allocates nor takes a lock.
        unsafe { command.pre_exec(move || shut_in(&ruleset, &filters)) };
    }
}

/// Runs between fork and exec.
fn shut_in(ruleset: &OwnedFd, filters: &[BpfProgram]) -> io::Result<()> {
    // SAFETY: takes a number.
    unsafe { libc::umask(0o077) };
    drop_capabilities()?;
    // SAFETY: take numbers.
    unsafe {
        Errno::result(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
        Errno::result(libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0))?;
    }
    for filter in filters {
        apply(filter)?;
    }
    Ok(())
}

/// The rights that make root more than a user who owns root's files. Others have none.
fn drop_capabilities() -> io::Result<()> {
    /// Of `linux/capability.h`: version 3, two times 32 of each kind.
    const VERSION: u32 = 0x2008_0522;
    const LAST: libc::c_ulong = 63;
    let header: [u32; 2] = [VERSION, 0];
    let none = [0_u32; 6];
    // SAFETY: take numbers, and memory of the sizes that belong to this version.
    unsafe {
        for capability in 0..=LAST {
            // Refused to those who have none to drop, and for those that the kernel does not know.
            libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0);
        }
        Errno::result(libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()))?;
    }
    Ok(())
}

fn apply(filter: &[sock_filter]) -> io::Result<()> {
    #[repr(C)]
    struct Program {
        len: libc::c_ushort,
        filter: *const sock_filter,
    }
    let program =
        Program { len: libc::c_ushort::try_from(filter.len()).unwrap_or(libc::c_ushort::MAX), filter: filter.as_ptr() };
    // SAFETY: the kernel reads as many instructions as are there; too many are refused.
    unsafe {
        Errno::result(libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program))?;
    }
    Ok(())
}

fn ruleset(paths: &ResolvedPaths) -> Result<RulesetCreated, RulesetError> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(LEAST))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(FILES))?
        .scope(Scope::from_all(SCOPES))?
        .create()?;
    if let Some(root) = opened(Path::new("/")) {
        rules = rules.add_rule(PathBeneath::new(root, AccessFs::ReadDir))?;
    }
    let kept: Vec<&Path> = paths.hidden.iter().map(|path| path.path.as_path()).chain([Path::new(DEV)]).collect();
    rules = read_beside(Path::new("/"), &kept, rules)?;
    for device in DEVICES {
        if let Some(device) = opened(Path::new(device)) {
            let rights = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev;
            rules = rules.add_rule(PathBeneath::new(device, rights))?;
        }
    }
    for path in &paths.readable {
        rules = rules.add_rule(PathBeneath::new(path.fd.as_fd(), reading(path)))?;
    }
    // No devices and no sockets.
    let not_made = AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::MakeSock | AccessFs::IoctlDev;
    for path in &paths.writable {
        rules = rules.add_rule(PathBeneath::new(path.fd.as_fd(), AccessFs::from_all(FILES) & !not_made))?;
    }
    Ok(rules)
}

fn reading(path: &ResolvedPath) -> BitFlags<AccessFs> {
    let files = AccessFs::ReadFile | AccessFs::Execute;
    if path.is_directory { files | AccessFs::ReadDir } else { files }
}

/// Gives the right to read what is in `directory`, but for the way to what is `kept` from it.
fn read_beside(directory: &Path, kept: &[&Path], mut rules: RulesetCreated) -> Result<RulesetCreated, RulesetError> {
    // One that cannot be listed cannot be read by the caged process either.
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if kept.contains(&path.as_path()) {
            continue;
        }
        if kept.iter().any(|kept| kept.starts_with(&path)) {
            rules = read_beside(&path, kept, rules)?;
        } else if is_file_or_directory(&entry)
            && let Some(found) = opened(&path)
        {
            rules = rules.add_rule(PathBeneath::new(found, AccessFs::ReadFile | AccessFs::Execute))?;
        }
    }
    Ok(rules)
}

/// A link stands for something that has rights of its own.
fn is_file_or_directory(entry: &DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_file() || kind.is_dir())
}

/// Without the right to read it. `None`: it is gone, or out of reach for the caged process too.
fn opened(path: &Path) -> Option<OwnedFd> {
    open(path, OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty()).ok()
}
