//! What Linux offers to see and to end processes: `/proc`, pidfd, the child subreaper.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::process::Process;

/// The kernel's limit for arguments and environment is a quarter of the stack limit, usually 2 MiB.
const ENVIRON_MAX: u64 = 8 * 1024 * 1024;

/// Whether orphans shall become our children.
pub(crate) fn adopt(yes: bool) -> io::Result<()> {
    // SAFETY: takes numbers.
    let answer = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, libc::c_ulong::from(yes), 0, 0, 0) };
    Errno::result(answer)?;
    Ok(())
}

/// Whether orphans become our children: because we asked for it, or because we are init.
pub(crate) fn adopts() -> bool {
    let mut yes: libc::c_int = 0;
    // SAFETY: the kernel writes one int to the address given.
    let answer = unsafe { libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &raw mut yes, 0, 0, 0) };
    (answer == 0 && yes != 0) || std::process::id() == 1
}

/// Our children, dead ones not yet reaped included. Quick; may miss some while others end.
pub(crate) fn children() -> io::Result<Vec<Pid>> {
    let mut pids = Vec::new();
    for thread in fs::read_dir("/proc/self/task")? {
        match fs::read_to_string(thread?.path().join("children")) {
            Ok(list) => pids.extend(list.split_ascii_whitespace().filter_map(number).map(Pid::from_raw)),
            // A thread that ended meanwhile has handed its children on; a kernel without this file has none at all.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return children_by_table(),
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return children_by_table(),
            Err(error) => return Err(error),
        }
    }
    Ok(pids)
}

fn children_by_table() -> io::Result<Vec<Pid>> {
    let own = std::process::id().cast_signed();
    Ok(table()?.into_iter().filter(|process| process.parent == own).map(|process| Pid::from_raw(process.pid)).collect())
}

/// All processes that can be seen.
pub(crate) fn table() -> io::Result<Vec<Process>> {
    Ok(pids()?.into_iter().filter_map(process).collect())
}

/// Every process that carries the variable `name`, with its value. Those of other users cannot be read and are left out.
pub(crate) fn marked(name: &str) -> io::Result<Vec<(i32, Vec<u8>)>> {
    Ok(pids()?.into_iter().filter_map(|pid| Some((pid, variable(pid, name)?))).collect())
}

/// Signals this very process, not one that got its number later.
pub(crate) fn signal(process: &Process, signal: Signal) -> Result<(), Errno> {
    // SAFETY: takes numbers, gives a new descriptor of ours.
    let fd = match Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, process.pid, 0) }) {
        Ok(fd) => unsafe { OwnedFd::from_raw_fd(libc::c_int::try_from(fd).map_err(|_| Errno::EBADF)?) },
        // Old kernel, or a filter that does not know the call.
        Err(Errno::ENOSYS | Errno::EPERM) => return kill(Pid::from_raw(process.pid), signal),
        Err(error) => return Err(error),
    };
    if self::process(process.pid).is_none_or(|now| now.born != process.born) {
        return Err(Errno::ESRCH);
    }
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the descriptor is open, and no siginfo is allowed.
    let answer = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd.as_raw_fd(), signal as libc::c_int, none, 0) };
    Errno::result(answer).map(drop)
}

fn pids() -> io::Result<Vec<i32>> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")? {
        pids.extend(entry?.file_name().to_str().and_then(number));
    }
    Ok(pids)
}

/// One process, if it exists.
pub(crate) fn process(pid: i32) -> Option<Process> {
    parse(pid, &fs::read(of(pid, "stat")).ok()?)
}

/// `pid (name) state ppid pgrp ... starttime ...`; the name may hold anything, brackets too.
fn parse(pid: i32, stat: &[u8]) -> Option<Process> {
    let after = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let fields: Vec<&str> = std::str::from_utf8(&stat[after..]).ok()?.split_ascii_whitespace().collect();
    let dead = matches!(*fields.first()?, "Z" | "X" | "x");
    let born = fields.get(19)?.parse().ok()?;
    Some(Process { pid, parent: number(fields.get(1)?)?, group: number(fields.get(2)?)?, born, dead })
}

fn variable(pid: i32, name: &str) -> Option<Vec<u8>> {
    let mut environ = Vec::new();
    File::open(of(pid, "environ")).ok()?.take(ENVIRON_MAX).read_to_end(&mut environ).ok()?;
    environ
        .split(|byte| *byte == 0)
        .find_map(|variable| variable.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        .map(<[u8]>::to_vec)
}

fn of(pid: i32, file: &str) -> PathBuf {
    Path::new("/proc").join(pid.to_string()).join(file)
}

fn number(text: &str) -> Option<i32> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{children, parse, table};

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_confuse() {
        let stat = b"7 (a) Z (b) S 3 5 9 0 -1 1 2 3 4 5 6 7 8 9 10 11 12 13 777 15";
        let process = parse(7, stat).unwrap();
        assert_eq!((process.parent, process.group, process.born, process.dead), (3, 5, 777, false));
        assert!(parse(7, b"7 (a) Z 3 5 9 0 -1 1 2 3 4 5 6 7 8 9 10 11 12 13 777 15").unwrap().dead);
        assert!(parse(7, b"").is_none());
    }

    #[test]
    fn this_process_and_its_child_are_listed() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id().cast_signed();
        let own = std::process::id().cast_signed();
        let listed = table().unwrap().into_iter().find(|process| process.pid == pid).unwrap();
        // The quick list may miss a child while threads of other tests end: the next one has it.
        let end = Instant::now() + Duration::from_secs(60);
        let mut is_child = false;
        while !is_child && Instant::now() < end {
            is_child = children().unwrap().iter().any(|child| child.as_raw() == pid);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!((listed.parent, listed.dead), (own, false));
        assert!(is_child);
    }
}
