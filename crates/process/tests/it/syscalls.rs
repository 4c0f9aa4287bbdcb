//! System calls that try to escape from a sandbox or to change a file. This test program makes them itself, so that no
//! other program has to be installed.

use std::ffi::CString;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixStream};

use nix::errno::Errno;

/// The variables that select a call and its argument.
pub(crate) const CALL: &str = "KUGETSU_TEST_CALL";
pub(crate) const ARGUMENT: &str = "KUGETSU_TEST_ARGUMENT";
pub(crate) const TEST: &str = "it::syscalls::play";

/// Its exit status tells whether the call succeeded.
#[test]
#[ignore = "run by other tests"]
fn play() {
    let (name, argument) = (std::env::var(CALL).unwrap(), std::env::var(ARGUMENT).unwrap());
    if let Err(errno) = call(&name, &argument) {
        panic!("{name}: {errno}");
    }
}

fn call(name: &str, argument: &str) -> Result<(), Errno> {
    let path = CString::new(argument).unwrap();
    let path = path.as_ptr();
    let number: libc::c_int = argument.parse().unwrap_or(-1);
    // SAFETY: strings end with a zero byte, and structures have the sizes that the calls expect.
    unsafe {
        match name {
            "truncate" => done(libc::truncate(path, 0)),
            "utime" => {
                let old = [libc::timespec { tv_sec: 1, tv_nsec: 0 }; 2];
                done(libc::utimensat(libc::AT_FDCWD, path, old.as_ptr(), 0))
            }
            "utime-fd" => {
                let old = [libc::timespec { tv_sec: 1, tv_nsec: 0 }; 2];
                done(libc::futimens(reading(path)?, old.as_ptr()))
            }
            "chmod" => done(libc::chmod(path, 0o777)),
            "chmod-fd" => done(libc::fchmod(reading(path)?, 0o777)),
            "chmod-at" => done(libc::syscall(libc::SYS_fchmodat, libc::AT_FDCWD, path, 0o777)),
            "chmod-at-2" => done(libc::syscall(452, libc::AT_FDCWD, path, 0o777, 0)),
            "chown" => done(libc::chown(path, libc::getuid(), libc::getgid())),
            "chown-fd" => done(libc::fchown(reading(path)?, libc::getuid(), libc::getgid())),
            "attribute" => done(libc::setxattr(path, c"user.x".as_ptr(), c"y".as_ptr().cast(), 1, 0)),
            "attribute-fd" => done(libc::fsetxattr(reading(path)?, c"user.x".as_ptr(), c"y".as_ptr().cast(), 1, 0)),
            "flags" => {
                // FS_IOC_SETFLAGS: no dump.
                let flags: libc::c_long = 0x40;
                done(libc::ioctl(reading(path)?, 0x4008_6602, &raw const flags))
            }
            "map" => map(path),
            "reopen" => {
                let again = CString::new(format!("/proc/self/fd/{}", reading(path)?)).unwrap();
                done(libc::truncate(again.as_ptr(), 0))
            }
            "trace" => done(libc::ptrace(libc::PTRACE_SEIZE, number, 0, 0)),
            "kill" => done(libc::kill(number, libc::SIGKILL)),
            "limit" => {
                let limit = libc::rlimit { rlim_cur: 4096, rlim_max: 4096 };
                done(libc::prlimit(number, libc::RLIMIT_FSIZE, &raw const limit, std::ptr::null_mut()))
            }
            "memory" => {
                let mut word = [0_u8; 8];
                let own = libc::iovec { iov_base: word.as_mut_ptr().cast(), iov_len: 0 };
                done(libc::process_vm_writev(number, &raw const own, 1, &raw const own, 1, 0) as i64)
            }
            "ring" => {
                let mut parameters = [0_u8; 120];
                done(libc::syscall(libc::SYS_io_uring_setup, 1, parameters.as_mut_ptr()))
            }
            "socket" => UnixStream::connect(argument).map(drop).map_err(|error| errno(&error)),
            "abstract" => {
                let address = SocketAddr::from_abstract_name(argument).unwrap();
                UnixStream::connect_addr(&address).map(drop).map_err(|error| errno(&error))
            }
            "pair" => pair(argument),
            "unshare" => done(libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS)),
            "mount" => {
                let none = std::ptr::null();
                done(libc::mount(none, path, none, libc::MS_REMOUNT | libc::MS_BIND, none.cast()))
            }
            "type" => match done(libc::ioctl(0, libc::TIOCSTI, c"x".as_ptr())) {
                // Without a sandbox the call gets through, and stdin is not a terminal.
                Err(Errno::ENOTTY) => Ok(()),
                answer => answer,
            },
            #[cfg(target_arch = "x86_64")]
            "x32" => done(libc::syscall(0x4000_0000 + libc::SYS_chmod, path, 0o777)),
            "capabilities" => {
                let status = std::fs::read_to_string("/proc/self/status").unwrap();
                let none = |line: &&str| line.trim_end().ends_with("\t0000000000000000");
                let sets = status.lines().filter(|line| ["CapPrm", "CapEff"].iter().any(|key| line.starts_with(key)));
                let privileged = sets.filter(|line| !none(line)).count() > 0;
                let may_gain = status.lines().any(|line| line == "NoNewPrivs:\t0");
                if privileged || may_gain { Ok(()) } else { Err(Errno::EPERM) }
            }
            _ => panic!("unknown call: {name}"),
        }
    }
}

fn done(answer: impl Into<i64>) -> Result<(), Errno> {
    if answer.into() < 0 { Err(Errno::last()) } else { Ok(()) }
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap())
}

unsafe fn reading(path: *const libc::c_char) -> Result<libc::c_int, Errno> {
    // SAFETY: the caller's path ends with a zero byte.
    Errno::result(unsafe { libc::open(path, libc::O_RDONLY) })
}

/// Writes through memory that is shared with the file.
unsafe fn map(path: *const libc::c_char) -> Result<(), Errno> {
    // SAFETY: as above; the mapping is as long as the write.
    unsafe {
        let fd = match Errno::result(libc::open(path, libc::O_RDWR)) {
            Ok(fd) => fd,
            Err(_) => reading(path)?,
        };
        let memory = libc::mmap(std::ptr::null_mut(), 1, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, fd, 0);
        if memory == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        memory.cast::<u8>().write_volatile(b'!');
    }
    Ok(())
}

/// Connects one end of a connected pair to a socket outside of the sandbox.
fn pair(path: &str) -> Result<(), Errno> {
    let mut ends = [0; 2];
    // SAFETY: the address is initialized, and the path fits into it.
    unsafe {
        done(libc::socketpair(libc::AF_UNIX, libc::SOCK_DGRAM, 0, ends.as_mut_ptr()))?;
        let mut address: libc::sockaddr_un = std::mem::zeroed();
        address.sun_family = libc::sa_family_t::try_from(libc::AF_UNIX).unwrap();
        for (to, from) in address.sun_path.iter_mut().zip(std::path::Path::new(path).as_os_str().as_bytes()) {
            *to = libc::c_char::from_ne_bytes([*from]);
        }
        let size = libc::socklen_t::try_from(size_of_val(&address)).unwrap();
        done(libc::connect(ends[0], (&raw const address).cast(), size))
    }
}
