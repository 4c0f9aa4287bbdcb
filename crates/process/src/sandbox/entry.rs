//! The helper: a process that builds the sandbox around itself and becomes the program. It has one thread and no other purpose, so it
//! may allocate, unlike the code between fork and exec.
//!
//! With namespaces there are three processes. The helper itself stays outside and waits. Its child is the first process inside (pid 1):
//! it builds the file system and reaps orphans, and when it ends, the kernel ends everything inside. The third one becomes the program.
//! When the program has ended, so does the helper, with its status. The first process stays until the others have ended: they may need
//! time for that.

use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::exit;

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

use super::plan::{Namespaces, Plan};
use super::{file_tree, landlock, network, seccomp};
use crate::os::linux;

/// The status of a program that was killed by signal n is this and n, as in a shell.
const KILLED: i32 = 128;
/// The kernel whose limit of processes counts those of a user namespace alone.
const COUNTS_BY_NAMESPACE: (u32, u32) = (5, 14);
/// The message on the channel that the sandbox is complete. A reason for a failure does not begin with it.
pub(super) const READY: u8 = 0;
/// The status of the helper if it fails. Its message is on the channel.
const FAILED: i32 = 126;

/// Becomes the program of the plan in a file that this process has inherited. `channel` is a socket: it gets the listeners, or the reason
/// for a failure, and closes when the program has started.
pub fn enter(plan: RawFd, channel: RawFd) -> ! {
    // The program inherits the standard three only. Bubblewrap leaves another one open: that of this program's file.
    // SAFETY: the arguments are numbers.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    // SAFETY: both were opened for this process, and nothing else in it knows them.
    let (plan, channel) = unsafe { (File::from_raw_fd(plan), OwnedFd::from_raw_fd(channel)) };
    let failed = match Plan::read(io::BufReader::new(plan)) {
        Ok(plan) => match &plan.namespaces {
            Some(namespaces) => outside(&plan, namespaces, &channel),
            None => inside(&plan, &channel),
        },
        Err(error) => error,
    };
    fail(&channel, &failed)
}

/// Sends the reason to the process outside, and ends this one.
fn fail(channel: &OwnedFd, reason: &io::Error) -> ! {
    let text = reason.to_string();
    // Without a reader, the reason is not needed.
    // SAFETY: the buffer is as long as its length says.
    unsafe { libc::write(channel.as_raw_fd(), text.as_ptr().cast(), text.len()) };
    exit(FAILED)
}

/// Starts the first process inside and waits for it. Returns only errors.
fn outside(plan: &Plan, namespaces: &Namespaces, channel: &OwnedFd) -> io::Error {
    match start_first(plan, namespaces, channel) {
        Ok((first, status)) => {
            // The channel would not close while this process keeps it, and neither would a pipe of the program.
            let mut status = keep_only(status.into());
            let mut bytes = [0; size_of::<i32>()];
            exit(match io::Read::read_exact(&mut status, &mut bytes) {
                Ok(()) => i32::from_ne_bytes(bytes),
                Err(_) => wait_for(first, |_| {}),
            })
        }
        Err(error) => error,
    }
}

/// Closes all descriptors of this process but one.
fn keep_only(kept: OwnedFd) -> File {
    let number = kept.as_raw_fd().unsigned_abs();
    // SAFETY: the arguments are numbers, and nothing here uses the closed descriptors any more.
    unsafe {
        if number > 0 {
            libc::syscall(libc::SYS_close_range, 0, number - 1, 0);
        }
        libc::syscall(libc::SYS_close_range, number + 1, libc::c_uint::MAX, 0);
    }
    kept.into()
}

/// Returns the first process, and where it writes the program's status.
fn start_first(plan: &Plan, namespaces: &Namespaces, channel: &OwnedFd) -> io::Result<(libc::pid_t, io::PipeReader)> {
    // A signal to the whole tree ends the program; then this process ends, too, with its status.
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGTERM] {
        // SAFETY: no handler is installed.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    let ids = Ids::of_this_process()?;
    let mut flags = libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC;
    if namespaces.has_own_network {
        flags |= libc::CLONE_NEWNET;
    }
    let (reader, mut writer) = io::pipe()?;
    let (status, ended) = io::pipe()?;
    let flags = libc::c_long::from(flags | libc::SIGCHLD);
    // SAFETY: like fork: with this stack, and no other thread exists whose locks could be held.
    let child = Errno::result(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })?;
    let child = libc::pid_t::try_from(child).map_err(io::Error::other)?;
    if child == 0 {
        drop((writer, status));
        let Err(failed) = first(plan, namespaces, channel, reader, ended, &ids);
        fail(channel, &failed);
    }
    if ids.are_mapped_outside {
        ids.map(&format!("/proc/{child}"))?;
    }
    // The child continues when its users are known.
    writer.write_all(b".")?;
    Ok((child, status))
}

/// The users and groups inside: the same numbers as outside.
struct Ids {
    users: String,
    groups: String,
    /// Whether the maps need the rights of the process outside.
    are_mapped_outside: bool,
}

impl Ids {
    fn of_this_process() -> io::Result<Self> {
        // SAFETY: neither call fails.
        let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
        if user != 0 {
            let (users, groups) = (format!("{user} {user} 1"), format!("{group} {group} 1"));
            return Ok(Self { users, groups, are_mapped_outside: false });
        }
        // Root keeps all users, so that files of others are shown with their owners.
        let same = |map: &str| -> io::Result<String> {
            let map = fs::read_to_string(map)?;
            let extents = map.lines().filter_map(|line| {
                let mut fields = line.split_ascii_whitespace();
                let (first, count) = (fields.next()?, fields.nth(1)?);
                Some(format!("{first} {first} {count}\n"))
            });
            Ok(extents.collect())
        };
        let (users, groups) = (same("/proc/self/uid_map")?, same("/proc/self/gid_map")?);
        Ok(Self { users, groups, are_mapped_outside: true })
    }

    fn map(&self, process: &str) -> io::Result<()> {
        if !self.are_mapped_outside {
            // Otherwise an ordinary user may map no group.
            fs::write(format!("{process}/setgroups"), "deny")?;
        }
        fs::write(format!("{process}/uid_map"), &self.users)?;
        fs::write(format!("{process}/gid_map"), &self.groups)
    }
}

/// The first process inside. Returns only errors.
fn first(
    plan: &Plan,
    namespaces: &Namespaces,
    channel: &OwnedFd,
    mut mapped: io::PipeReader,
    ended: io::PipeWriter,
    ids: &Ids,
) -> io::Result<Infallible> {
    // SAFETY: the arguments are numbers.
    unsafe { Errno::result(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0))? };
    io::Read::read_exact(&mut mapped, &mut [0]).map_err(|_| io::Error::other("could not map the user"))?;
    drop(mapped);
    if !ids.are_mapped_outside {
        ids.map("/proc/self")?;
    }
    if namespaces.has_own_network {
        network::start_loopback()?;
        network::allow_low_ports();
    }
    file_tree::enter(&namespaces.mounts, namespaces.memory)?;
    limit_tasks(namespaces.tasks)?;
    landlock::drop_capabilities()?;
    // SAFETY: the arguments are numbers. The program may not look into this process.
    unsafe {
        Errno::result(libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0))?;
        Errno::result(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
    }
    // SAFETY: this process has one thread.
    let program = Errno::result(unsafe { libc::fork() })?;
    if program == 0 {
        for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGTERM] {
            // SAFETY: no handler is installed.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        fail(channel, &inside(plan, channel));
    }
    let mut ended = Some(keep_only(ended.into()));
    exit(wait_for(program, |status| {
        // SAFETY: the arguments are numbers. From here on, this process may outlive the helper.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, 0, 0, 0, 0) };
        if let Some(mut ended) = ended.take() {
            // It fails if the helper is gone.
            let _ = ended.write_all(&status.to_ne_bytes());
        }
    }))
}

/// Limits the processes of this user namespace. Older kernels count all processes of the user, so there the limit is not set.
fn limit_tasks(most: u64) -> io::Result<()> {
    if most == 0 || linux::version().is_none_or(|version| version < COUNTS_BY_NAMESPACE) {
        return Ok(());
    }
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel reads and writes `limit` only.
    unsafe {
        Errno::result(libc::getrlimit(libc::RLIMIT_NPROC, &raw mut limit))?;
        limit = libc::rlimit { rlim_cur: limit.rlim_cur.min(most), rlim_max: limit.rlim_max.min(most) };
        Errno::result(libc::setrlimit(libc::RLIMIT_NPROC, &raw const limit))?;
    }
    Ok(())
}

/// Waits until all children have ended. Calls `ended` with the status of one of them, and returns it.
fn wait_for(child: libc::pid_t, mut ended: impl FnMut(i32)) -> i32 {
    let mut of_child = FAILED;
    loop {
        let mut status = 0;
        // SAFETY: the kernel writes one int.
        let found = unsafe { libc::waitpid(-1, &raw mut status, 0) };
        if found == child {
            of_child = match libc::WIFSIGNALED(status) {
                true => KILLED + libc::WTERMSIG(status),
                false => libc::WEXITSTATUS(status),
            };
            ended(of_child);
        } else if found == -1 && Errno::last() != Errno::EINTR {
            return of_child;
        }
    }
}

/// The last steps, in the process that becomes the program. Returns only errors.
fn inside(plan: &Plan, channel: &OwnedFd) -> io::Error {
    match prepare(plan, channel) {
        Ok(()) => exec(&plan.program, &plan.args),
        Err(error) => error,
    }
}

fn prepare(plan: &Plan, channel: &OwnedFd) -> io::Result<()> {
    let listeners = network::listen(&plan.listeners)?;
    std::env::set_current_dir(&plan.cwd)?;
    // SAFETY: the arguments are numbers.
    unsafe { Errno::result(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))? };
    if let Some(writable) = &plan.writable {
        landlock::restrict_inside(writable)?;
    }
    for filter in &plan.filters {
        seccomp::apply(filter)?;
    }
    let fds: Vec<RawFd> = listeners.iter().map(AsRawFd::as_raw_fd).collect();
    let messages = [ControlMessage::ScmRights(&fds)];
    let messages = if fds.is_empty() { &[] } else { &messages[..] };
    sendmsg::<()>(channel.as_raw_fd(), &[io::IoSlice::new(&[READY])], messages, MsgFlags::empty(), None)?;
    Ok(())
}

fn exec(program: &OsString, args: &[OsString]) -> io::Error {
    let texts: Result<Vec<CString>, _> =
        std::iter::once(program).chain(args).map(|text| CString::new(text.as_bytes())).collect();
    let texts = match texts {
        Ok(texts) => texts,
        Err(error) => return io::Error::other(error),
    };
    let mut pointers: Vec<*const libc::c_char> = texts.iter().map(|text| text.as_ptr()).collect();
    pointers.push(std::ptr::null());
    // SAFETY: the texts end with a zero byte, and the list with a null pointer.
    unsafe { libc::execvp(pointers[0], pointers.as_ptr()) };
    let error = io::Error::last_os_error();
    io::Error::new(error.kind(), format!("could not start {}: {error}", Path::new(program).display()))
}
