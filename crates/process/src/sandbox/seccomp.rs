//! Filters for system calls that neither mounts nor landlock restrict.
//!
//! Call numbers from 424 on are the same on every architecture; the C library does not name all of them yet. The values of
//! ioctl commands are those of `linux/fs.h`, `linux/fsverity.h`, `linux/btrfs.h` and `asm-generic/ioctls.h`.

use std::collections::BTreeMap;
use std::io;

use nix::errno::Errno;
use seccompiler::SeccompCmpOp::{Eq, MaskedEq, Ne};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    sock_filter,
};

/// The newest call that is considered here (`file_setattr`, Linux 6.17). Newer ones could change files in unknown ways, so
/// they fail as on an older kernel. So do the calls of the x32 ABI, which has the same calls under still higher numbers.
const LAST_KNOWN: u32 = 469;

const OPEN_TREE: i64 = 428;
const MOVE_MOUNT: i64 = 429;
const FSOPEN: i64 = 430;
const FSCONFIG: i64 = 431;
const FSMOUNT: i64 = 432;
const FSPICK: i64 = 433;
const PIDFD_GETFD: i64 = 438;
const PROCESS_MADVISE: i64 = 440;
const MOUNT_SETATTR: i64 = 442;
const QUOTACTL_FD: i64 = 443;
const FCHMODAT2: i64 = 452;
const SETXATTRAT: i64 = 463;
const REMOVEXATTRAT: i64 = 466;
const OPEN_TREE_ATTR: i64 = 467;
const FILE_SETATTR: i64 = 469;

/// Denied in every sandbox: ways around it, into other processes, or into the system as a whole.
const ESCAPES: &[i64] = &[
    // Filters do not see operations that go through a ring.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    PIDFD_GETFD,
    PROCESS_MADVISE,
    // Other views of the file system.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_open_by_handle_at,
    OPEN_TREE,
    MOVE_MOUNT,
    FSOPEN,
    FSCONFIG,
    FSMOUNT,
    FSPICK,
    MOUNT_SETATTR,
    OPEN_TREE_ATTR,
    // Keys of the user's sessions, which the kernel stores.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // The kernel itself. Most of these need root anyway.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_fanotify_init,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    QUOTACTL_FD,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
];

/// Memory, queues and semaphores that processes share by name. In bubblewrap an ipc namespace separates them.
const SHARED_IPC: &[i64] = &[
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_semctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
];

/// Extended attributes, which landlock does not restrict. Programs cope without them, as many file systems have none.
const XATTRS: &[i64] = &[
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    SETXATTRAT,
    REMOVEXATTRAT,
    FILE_SETATTR,
];

/// Permission bits, owners and times. Landlock does not restrict them either, and a filter cannot see which file a call is
/// for. Git, npm, tar and many others fail if these calls fail on their own files, so they succeed without effect.
const METADATA: &[i64] = &[
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    FCHMODAT2,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utime,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utimes,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_futimesat,
];

/// Simulates input on a terminal.
const TIOCSTI: u64 = 0x5412;
const TIOCLINUX: u64 = 0x541c;
/// The second byte of an ioctl command is its kind.
const KIND_MASK: u64 = 0xff00;
/// Kinds with commands that change a file through a read-only descriptor, each with the commands of that kind that are
/// harmless or need a writable descriptor: `FS_IOC_GETFLAGS`, `FS_IOC_FIEMAP`; `FS_IOC_FSGETXATTR`; `FICLONE`,
/// `FICLONERANGE`, `FIDEDUPERANGE`.
const CHANGING_KINDS: &[(u64, &[u64])] = &[
    (0x6600, &[0x8008_6601, 0xc020_660b]),
    (0x5800, &[0x801c_581f]),
    (0x9400, &[0x4004_9409, 0x4020_940d, 0xc018_9436]),
];
/// `FS_IOC_SETVERSION`, whose kind terminals and others use too.
const SETVERSION: u64 = 0x4008_7602;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// The filters for a sandbox whose files are protected by mounts. Apply them one after the other.
pub(super) fn basic(sockets: UnixSockets) -> io::Result<Vec<BpfProgram>> {
    let none = || (libc::SYS_clone3, Vec::new());
    // Its arguments are in memory, which a filter cannot read. Programs use `clone` on kernels that lack it.
    let missing = compile([none()].into_iter().collect(), libc::ENOSYS)?;
    Ok(vec![compile(denied(ESCAPES, sockets)?, libc::EPERM)?, missing])
}

/// The filters for a sandbox whose files are protected by landlock alone. Apply them one after the other.
pub(super) fn strict() -> io::Result<Vec<BpfProgram>> {
    let mut rules = denied(&[ESCAPES, SHARED_IPC].concat(), UnixSockets::Denied)?;
    let ioctl = rules.entry(libc::SYS_ioctl).or_default();
    for (kind, harmless) in CHANGING_KINDS {
        let others = harmless.iter().map(|command| (1, Ne, *command));
        ioctl.push(rule([(1, MaskedEq(KIND_MASK), *kind)].into_iter().chain(others))?);
    }
    ioctl.push(rule([(1, Eq, SETVERSION)])?);
    // Setting limits of another process only needs the same user.
    rules.insert(libc::SYS_prlimit64, vec![rule([(0, Ne, 0)])?]);
    let all = |calls: &[i64]| calls.iter().map(|call| (*call, Vec::new())).collect::<Rules>();
    Ok(vec![compile(rules, libc::EPERM)?, compile(all(XATTRS), libc::EOPNOTSUPP)?, compile(all(METADATA), 0)?])
}

/// Converts a filter to the layout that the kernel reads.
pub(super) fn to_bytes(program: &BpfProgram) -> Vec<u8> {
    let instructions = program.iter();
    instructions
        .flat_map(|instruction| {
            let [a, b] = instruction.code.to_ne_bytes();
            let [c, d, e, f] = instruction.k.to_ne_bytes();
            [a, b, instruction.jt, instruction.jf, c, d, e, f]
        })
        .collect()
}

/// Installs a filter, which this thread and what it starts keep. Neither allocates nor takes a lock.
pub(super) fn install(filter: &[sock_filter]) -> io::Result<()> {
    install_at(filter.as_ptr().cast(), filter.len())
}

/// Installs a filter that [`to_bytes`] has converted.
pub(super) fn apply(filter: &[u8]) -> io::Result<()> {
    // The kernel copies the instructions from any address.
    install_at(filter.as_ptr().cast(), filter.len() / size_of::<sock_filter>())
}

fn install_at(instructions: *const libc::c_void, count: usize) -> io::Result<()> {
    #[repr(C)]
    struct Program {
        len: libc::c_ushort,
        filter: *const libc::c_void,
    }
    let len = libc::c_ushort::try_from(count).unwrap_or(libc::c_ushort::MAX);
    let program = Program { len, filter: instructions };
    // SAFETY: the kernel reads as many instructions as `len` says, and rejects programs that are too long.
    unsafe {
        Errno::result(libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program))?;
    }
    Ok(())
}

/// Whether programs in the sandbox may open unix sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnixSockets {
    /// Only among themselves, because those of other programs are out of sight.
    Allowed,
    Denied,
}

fn denied(calls: &[i64], sockets: UnixSockets) -> io::Result<Rules> {
    let mut rules: Rules = calls.iter().map(|call| (*call, Vec::new())).collect();
    // Allowed are internet sockets, and netlink to ask the kernel for addresses. Rarer families lead out of a virtual machine or to
    // devices.
    let mut families = vec![libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
    match sockets {
        UnixSockets::Allowed => families.push(libc::AF_UNIX),
        UnixSockets::Denied => {
            // A pair of streams stays connected. A pair of datagram sockets could be connected again, to any other socket.
            let types = [libc::SOCK_DGRAM, libc::SOCK_RAW];
            let pairs = types.map(|socket_type| rule([(1, MaskedEq(0xf), number(socket_type))]));
            rules.insert(libc::SYS_socketpair, pairs.into_iter().collect::<io::Result<_>>()?);
        }
    }
    let others = families.into_iter().map(|family| (0, Ne, number(family)));
    rules.insert(libc::SYS_socket, vec![rule(others)?]);
    let new_users = number(libc::CLONE_NEWUSER);
    rules.insert(libc::SYS_clone, vec![rule([(0, MaskedEq(new_users), new_users)])?]);
    let input = [TIOCSTI, TIOCLINUX].map(|command| rule([(1, Eq, command)]));
    rules.insert(libc::SYS_ioctl, input.into_iter().collect::<io::Result<_>>()?);
    Ok(rules)
}

/// A rule that matches if all conditions do. Only the lower half of an argument is compared, which is all that the kernel
/// uses in these calls.
fn rule(conditions: impl IntoIterator<Item = (u8, SeccompCmpOp, u64)>) -> io::Result<SeccompRule> {
    let conditions = conditions
        .into_iter()
        .map(|(argument, operator, value)| SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value))
        .collect::<Result<Vec<_>, _>>()
        .map_err(io::Error::other)?;
    SeccompRule::new(conditions).map_err(io::Error::other)
}

fn number(constant: libc::c_int) -> u64 {
    constant.unsigned_abs().into()
}

/// Compiles a filter in which calls that match a rule fail with `errno`, and all others are allowed.
fn compile(rules: Rules, errno: libc::c_int) -> io::Result<BpfProgram> {
    let architecture = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let failure = SeccompAction::Errno(errno.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, failure, architecture).map_err(io::Error::other)?;
    let program: BpfProgram = filter.try_into().map_err(io::Error::other)?;
    Ok(reject_unknown_calls().into_iter().chain(program).collect())
}

/// Loads the call number, skips the next instruction if the number is known, and fails with ENOSYS.
fn reject_unknown_calls() -> [sock_filter; 3] {
    const LOAD: libc::c_uint = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const IF_GREATER: libc::c_uint = libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K;
    const RETURN: libc::c_uint = libc::BPF_RET | libc::BPF_K;
    let instruction = |code: libc::c_uint, jf: u8, k: u32| sock_filter { code: code as libc::c_ushort, jt: 0, jf, k };
    let no_such_call = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();
    [instruction(LOAD, 0, 0), instruction(IF_GREATER, 1, LAST_KNOWN), instruction(RETURN, 0, no_such_call)]
}

#[cfg(test)]
mod tests {
    use super::{UnixSockets, basic, strict, to_bytes};

    #[test]
    fn an_instruction_takes_eight_bytes() {
        let programs = basic(UnixSockets::Allowed).unwrap();
        assert_eq!(to_bytes(&programs[0]).len(), programs[0].len() * 8);
        // The first instruction loads the call number, the first word of the filter's input.
        assert_eq!(to_bytes(&programs[0])[..8], [0x20, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn filters_do_not_exceed_the_kernels_limit() {
        for program in strict().unwrap().into_iter().chain(basic(UnixSockets::Denied).unwrap()) {
            assert!((4..4096).contains(&program.len()), "{}", program.len());
        }
    }
}
