//! Filters for system calls: what neither mounts nor landlock keep.
//!
//! Numbers of calls from 424 on are the same on every architecture; the C library does not name all of them yet. Values of
//! commands are those of `linux/fs.h`, `linux/fsverity.h`, `linux/btrfs.h` and `asm-generic/ioctls.h`.

use std::collections::BTreeMap;
use std::io;

use seccompiler::SeccompCmpOp::{Eq, MaskedEq, Ne};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    sock_filter,
};

/// The last call that was looked at for this file (Linux 6.17, `file_setattr`). Later ones are answered as an older
/// kernel would: they could change files in ways that are not known here. So are the calls of the x32 ABI, whose
/// numbers are higher still and name the same calls once more.
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

/// Refused by every cage: ways round the cage, into other processes or into the system as a whole.
const WAYS_OUT: &[i64] = &[
    // What comes through a ring is not seen by a filter.
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
    // Keys of the user's sessions, which are kept by the kernel.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // The kernel itself. Most of it is root's alone.
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

/// Memory, queues and locks that processes share by name. bwrap gives a cage its own.
const SHARED: &[i64] = &[
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

/// Extended attributes, which landlock does not know. Programs can do without on many file systems.
const ATTRIBUTES: &[i64] = &[
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

/// Permission bits, owners and times, which landlock does not know either, and which no filter can tell by their path.
/// Git, npm, tar and many more give up when these fail for their own files, so they only seem to succeed.
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

/// Types into a terminal.
const TIOCSTI: u64 = 0x5412;
const TIOCLINUX: u64 = 0x541c;
/// Commands of one kind have the same second byte.
const KIND: u64 = 0xff00;
/// Kinds of commands that change a file by a descriptor that may only read, with those of that kind that are harmless or
/// need a descriptor that may write: `FS_IOC_GETFLAGS`, `FS_IOC_FIEMAP`; `FS_IOC_FSGETXATTR`; `FICLONE`,
/// `FICLONERANGE`, `FIDEDUPERANGE`.
const CHANGING_KINDS: &[(u64, &[u64])] = &[
    (0x6600, &[0x8008_6601, 0xc020_660b]),
    (0x5800, &[0x801c_581f]),
    (0x9400, &[0x4004_9409, 0x4020_940d, 0xc018_9436]),
];
/// `FS_IOC_SETVERSION`, of a kind that terminals and others use too.
const SETVERSION: u64 = 0x4008_7602;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// For a cage whose files are kept by mounts.
pub(super) fn basic() -> io::Result<BpfProgram> {
    compile(refused(WAYS_OUT)?, libc::EPERM)
}

/// For a cage that nothing but landlock keeps beside: to be applied one after the other.
pub(super) fn strict() -> io::Result<Vec<BpfProgram>> {
    let mut rules = refused(&[WAYS_OUT, SHARED].concat())?;
    let ioctl = rules.entry(libc::SYS_ioctl).or_default();
    for (kind, harmless) in CHANGING_KINDS {
        let others = harmless.iter().map(|command| (1, Ne, *command));
        ioctl.push(rule([(1, MaskedEq(KIND), *kind)].into_iter().chain(others))?);
    }
    ioctl.push(rule([(1, Eq, SETVERSION)])?);
    // Limits of another process, which needs no more than to be of the same user.
    rules.insert(libc::SYS_prlimit64, vec![rule([(0, Ne, 0)])?]);
    let all = |calls: &[i64]| calls.iter().map(|call| (*call, Vec::new())).collect::<Rules>();
    Ok(vec![compile(rules, libc::EPERM)?, compile(all(ATTRIBUTES), libc::EOPNOTSUPP)?, compile(all(METADATA), 0)?])
}

/// As the kernel and bwrap read it.
pub(super) fn bytes(program: &BpfProgram) -> Vec<u8> {
    let instructions = program.iter();
    instructions
        .flat_map(|one| {
            let [a, b] = one.code.to_ne_bytes();
            let [c, d, e, f] = one.k.to_ne_bytes();
            [a, b, one.jt, one.jf, c, d, e, f]
        })
        .collect()
}

fn refused(calls: &[i64]) -> io::Result<Rules> {
    let mut rules: Rules = calls.iter().map(|call| (*call, Vec::new())).collect();
    // The internet, and asking the kernel for its addresses. No unix socket, which leads to whoever listens; nothing
    // rarer, which leads out of a virtual machine or to devices.
    let families = [libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
    rules.insert(libc::SYS_socket, vec![rule(families.map(|family| (0, Ne, number(family))))?]);
    // One of a pair is connected for good if it is a stream; the others can be connected once more, to anybody.
    let kinds = [libc::SOCK_DGRAM, libc::SOCK_RAW];
    let pairs = kinds.map(|kind| rule([(1, MaskedEq(0xf), number(kind))]));
    rules.insert(libc::SYS_socketpair, pairs.into_iter().collect::<io::Result<_>>()?);
    let typing = [TIOCSTI, TIOCLINUX].map(|command| rule([(1, Eq, command)]));
    rules.insert(libc::SYS_ioctl, typing.into_iter().collect::<io::Result<_>>()?);
    Ok(rules)
}

/// Holds if all of these do: of an argument, the lower half is compared, which is all the kernel looks at in these calls.
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

/// Everything is allowed but what is in `rules`, which is answered with an error number.
fn compile(rules: Rules, errno: libc::c_int) -> io::Result<BpfProgram> {
    let architecture = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let refusal = SeccompAction::Errno(errno.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refusal, architecture).map_err(io::Error::other)?;
    let program: BpfProgram = filter.try_into().map_err(io::Error::other)?;
    Ok(unknown().into_iter().chain(program).collect())
}

/// Load the number of the call; go on if it is known; no such call.
fn unknown() -> [sock_filter; 3] {
    const LOAD: libc::c_uint = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const IF_GREATER: libc::c_uint = libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K;
    const ANSWER: libc::c_uint = libc::BPF_RET | libc::BPF_K;
    let line = |code: libc::c_uint, jf: u8, k: u32| sock_filter { code: code as libc::c_ushort, jt: 0, jf, k };
    let no_such_call = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();
    [line(LOAD, 0, 0), line(IF_GREATER, 1, LAST_KNOWN), line(ANSWER, 0, no_such_call)]
}

#[cfg(test)]
mod tests {
    use super::{basic, bytes, strict};

    #[test]
    fn a_filter_is_eight_bytes_an_instruction() {
        let program = basic().unwrap();
        assert_eq!(bytes(&program).len(), program.len() * 8);
        // Load the call's number, which is the first word of what a filter is given.
        assert_eq!(bytes(&program)[..8], [0x20, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn filters_stay_below_the_kernels_limit() {
        for program in strict().unwrap() {
            assert!((4..4096).contains(&program.len()), "{}", program.len());
        }
    }
}
