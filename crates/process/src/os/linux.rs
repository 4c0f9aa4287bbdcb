//! Linux: processes from `/proc`, signals by pidfd, the child subreaper, and files in memory.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::unix::Process;

/// The kernel limits arguments and environment to a quarter of the stack limit, usually 2 MiB.
const ENVIRON_MAX: u64 = 8 * 1024 * 1024;

/// Makes this process a child subreaper, or stops that.
pub(crate) fn adopt(enable: bool) -> io::Result<()> {
    // SAFETY: all arguments are numbers.
    let status = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, libc::c_ulong::from(enable), 0, 0, 0) };
    Errno::result(status)?;
    Ok(())
}

/// Keeps other processes of the same user from reading the memory, the environment and the open files of this one, and
/// from tracing it. Programs that it starts are not affected.
pub(crate) fn protect_memory() -> io::Result<()> {
    // SAFETY: all arguments are numbers.
    let status = unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
    Errno::result(status)?;
    Ok(())
}

/// Returns whether orphans become children of this process: it is a subreaper, or init.
pub(crate) fn adopts() -> bool {
    let mut enabled: libc::c_int = 0;
    // SAFETY: the kernel writes one int to the address of `enabled`.
    let status = unsafe { libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &raw mut enabled, 0, 0, 0) };
    (status == 0 && enabled != 0) || std::process::id() == 1
}

/// The first two numbers of the kernel's version.
pub(crate) fn version() -> Option<(u32, u32)> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Creates an empty file in memory without a name, which children do not inherit.
pub(crate) fn create_memfd() -> io::Result<File> {
    // SAFETY: the name is static and ends with a zero byte; the result is a new descriptor that this process owns.
    unsafe {
        let fd = Errno::result(libc::memfd_create(c"kugetsu-sandbox".as_ptr(), libc::MFD_CLOEXEC))?;
        Ok(OwnedFd::from_raw_fd(fd).into())
    }
}

/// Creates a file in memory with this content, positioned at its beginning.
pub(crate) fn memfd_with(bytes: &[u8]) -> io::Result<File> {
    let mut file = create_memfd()?;
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

/// Lists the children of this process, zombies included. Fast, but may miss some while others end.
pub(crate) fn children() -> io::Result<Vec<Pid>> {
    let mut pids = Vec::new();
    for thread in fs::read_dir("/proc/self/task")? {
        match fs::read_to_string(thread?.path().join("children")) {
            Ok(list) => pids.extend(list.split_ascii_whitespace().filter_map(number).map(Pid::from_raw)),
            // The thread ended meanwhile and its children moved to another one, or the kernel lacks this file.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return children_by_table(),
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return children_by_table(),
            Err(error) => return Err(error),
        }
    }
    Ok(pids)
}

fn children_by_table() -> io::Result<Vec<Pid>> {
    let us = std::process::id().cast_signed();
    Ok(table()?.into_iter().filter(|process| process.parent == us).map(|process| Pid::from_raw(process.pid)).collect())
}

/// Lists all visible processes.
pub(crate) fn table() -> io::Result<Vec<Process>> {
    Ok(pids()?.into_iter().filter_map(process).collect())
}

/// Lists the processes whose environment has the variable `name`, with its value. Environments of other users are
/// unreadable and left out.
pub(crate) fn marked(name: &str) -> io::Result<Vec<(i32, Vec<u8>)>> {
    Ok(pids()?.into_iter().filter_map(|pid| Some((pid, variable(pid, name)?))).collect())
}

/// Lists the processes that were started with these arguments in a row.
pub(crate) fn with_arguments(arguments: &[OsString]) -> io::Result<Vec<i32>> {
    let wanted: Vec<&[u8]> = arguments.iter().map(|argument| argument.as_bytes()).collect();
    let has_them = |pid: &i32| {
        let Ok(line) = fs::read(proc_file(*pid, "cmdline")) else { return false };
        let line: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        !wanted.is_empty() && line.windows(wanted.len()).any(|part| part == wanted.as_slice())
    };
    Ok(pids()?.into_iter().filter(has_them).collect())
}

/// Lists the loopback ports of IPv4 on which processes of this group listen.
pub(crate) fn listening_ports(group: i32) -> io::Result<Vec<u16>> {
    let members = table()?.into_iter().filter(|process| process.group == group);
    let sockets: BTreeSet<String> = members.flat_map(|process| sockets(process.pid)).collect();
    // The processes may have a network of their own.
    let listed = fs::read_to_string(proc_file(group, "net/tcp"))?;
    Ok(listed.lines().skip(1).filter_map(|line| loopback_port(line, &sockets)).collect())
}

/// The inodes of a process's sockets.
fn sockets(pid: i32) -> Vec<String> {
    let Ok(files) = fs::read_dir(proc_file(pid, "fd")) else { return Vec::new() };
    let targets = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    targets
        .filter_map(|target| Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect()
}

/// The port of a line of `/proc/net/tcp` if one of these sockets listens there on 127.0.0.1 or on every address.
fn loopback_port(line: &str, sockets: &BTreeSet<String>) -> Option<u16> {
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (address, port) = fields.get(1)?.split_once(':')?;
    // The kernel prints addresses in the byte order of the machine.
    let address = u32::from_str_radix(address, 16).ok()?.to_ne_bytes();
    let listens = *fields.get(3)? == LISTEN && sockets.contains(*fields.get(9)?);
    (listens && matches!(address, [127, 0, 0, 1] | [0, 0, 0, 0])).then(|| u16::from_str_radix(port, 16).ok()).flatten()
}

/// Signals this process, never a later one with the same pid.
pub(crate) fn signal(process: &Process, signal: Signal) -> Result<(), Errno> {
    // SAFETY: the arguments are numbers; the result is a new descriptor that this process owns.
    let fd = match Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, process.pid, 0) }) {
        Ok(fd) => unsafe { OwnedFd::from_raw_fd(libc::c_int::try_from(fd).map_err(|_| Errno::EBADF)?) },
        // The kernel is older than 5.3, or a seccomp filter blocks the call.
        Err(Errno::ENOSYS | Errno::EPERM) => return kill(Pid::from_raw(process.pid), signal),
        Err(error) => return Err(error),
    };
    // The descriptor pins the process that has the pid now; its start time shows whether that is the one listed.
    if self::process(process.pid).is_none_or(|now| now.born != process.born) {
        return Err(Errno::ESRCH);
    }
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the descriptor is open, and a null siginfo is permitted.
    let status =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd.as_raw_fd(), signal as libc::c_int, no_info, 0) };
    Errno::result(status).map(drop)
}

fn pids() -> io::Result<Vec<i32>> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")? {
        pids.extend(entry?.file_name().to_str().and_then(number));
    }
    Ok(pids)
}

pub(crate) fn process(pid: i32) -> Option<Process> {
    parse_stat(pid, &fs::read(proc_file(pid, "stat")).ok()?)
}

/// Parses `pid (name) state ppid pgrp ... starttime ...`. The name may contain any bytes, parentheses too.
fn parse_stat(pid: i32, stat: &[u8]) -> Option<Process> {
    let after = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let fields: Vec<&str> = std::str::from_utf8(&stat[after..]).ok()?.split_ascii_whitespace().collect();
    let dead = matches!(*fields.first()?, "Z" | "X" | "x");
    let born = fields.get(19)?.parse().ok()?;
    Some(Process { pid, parent: number(fields.get(1)?)?, group: number(fields.get(2)?)?, born, dead })
}

/// The arguments of a process, with its name; none if they cannot be read.
pub(crate) fn arguments(pid: i32) -> Vec<OsString> {
    let line = fs::read(proc_file(pid, "cmdline")).unwrap_or_default();
    let line = line.strip_suffix(b"\0").unwrap_or(&line);
    line.split(|byte| *byte == 0).map(|argument| OsString::from_vec(argument.to_vec())).collect()
}

/// The value of a variable in the environment of a process; `None` also if it cannot be read.
pub(crate) fn variable(pid: i32, name: &str) -> Option<Vec<u8>> {
    let mut environ = Vec::new();
    File::open(proc_file(pid, "environ")).ok()?.take(ENVIRON_MAX).read_to_end(&mut environ).ok()?;
    environ
        .split(|byte| *byte == 0)
        .find_map(|variable| variable.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        .map(<[u8]>::to_vec)
}

fn proc_file(pid: i32, file: &str) -> PathBuf {
    Path::new("/proc").join(pid.to_string()).join(file)
}

fn number(text: &str) -> Option<i32> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{children, listening_ports, parse_stat, table};

    #[test]
    fn loopback_ports_of_a_group_are_listed() {
        let local = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = local.local_addr().unwrap().port();
        let group = nix::unistd::getpgrp().as_raw();
        let leader = table().unwrap().into_iter().any(|process| process.pid == group);
        if leader {
            assert!(listening_ports(group).unwrap().contains(&port));
        }
        let line = |address: &str, state: &str| format!("0: {address}:1F90 00000000:0000 {state} 0:0 0:0 0 0 0 77 1");
        let sockets = ["77".to_owned()].into();
        let local = format!("{:08X}", u32::from_ne_bytes([127, 0, 0, 1]));
        assert_eq!(super::loopback_port(&line(&local, "0A"), &sockets), Some(8080));
        assert_eq!(super::loopback_port(&line("00000000", "0A"), &sockets), Some(8080));
        assert_eq!(super::loopback_port(&line(&local, "01"), &sockets), None, "connected");
        assert_eq!(super::loopback_port(&line(&local, "0A"), &["78".to_owned()].into()), None);
        assert_eq!(super::loopback_port(&line("0A000001", "0A"), &sockets), None, "another interface");
        assert_eq!(super::loopback_port("", &sockets), None);
    }

    #[test]
    fn names_with_parentheses_and_spaces_are_parsed() {
        let stat = b"7 (a) Z (b) S 3 5 9 0 -1 1 2 3 4 5 6 7 8 9 10 11 12 13 777 15";
        let process = parse_stat(7, stat).unwrap();
        assert_eq!((process.parent, process.group, process.born, process.dead), (3, 5, 777, false));
        assert!(parse_stat(7, b"7 (a) Z 3 5 9 0 -1 1 2 3 4 5 6 7 8 9 10 11 12 13 777 15").unwrap().dead);
        assert!(parse_stat(7, b"").is_none());
    }

    #[test]
    fn a_child_is_listed() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id().cast_signed();
        let us = std::process::id().cast_signed();
        let listed = table().unwrap().into_iter().find(|process| process.pid == pid).unwrap();
        // `children` may miss one while threads of other tests end; the next call has it.
        let end = Instant::now() + Duration::from_secs(60);
        let mut is_child = false;
        while !is_child && Instant::now() < end {
            is_child = children().unwrap().iter().any(|child| child.as_raw() == pid);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!((listed.parent, listed.dead), (us, false));
        assert!(is_child);
    }
}
