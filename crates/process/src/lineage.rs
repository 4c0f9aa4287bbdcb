//! A process with those that started it: it shows whether the process belongs to a run.

use std::ffi::OsString;
use std::io;

use nix::unistd::Pid;

use crate::os;

/// A process, as far as that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ancestor {
    pub pid: Pid,
    /// The value of [`MARKER`](crate::MARKER) in its environment. It may have removed it.
    pub marker: Option<String>,
    /// The markers whose cgroups it is in. A process that may write to cgroups can leave them.
    pub cgroups: Vec<String>,
    pub arguments: Vec<OsString>,
}

/// Returns a process, its parent and so on, up to the first process of the machine, or up to `end`, which is left out.
/// Orphans are children of the process that adopted them.
///
/// # Errors
/// [`NotFound`](io::ErrorKind::NotFound) if the process has ended, [`Unsupported`](io::ErrorKind::Unsupported) if processes cannot be
/// seen.
#[cfg(target_os = "linux")]
pub fn lineage(pid: Pid, end: Option<Pid>) -> io::Result<Vec<Ancestor>> {
    use crate::marker::MARKER;
    use crate::os::linux;
    use crate::tracking::cgroup;

    /// How often a parent may end while it is read.
    const RETRIES: usize = 100;

    if linux::process(std::process::id().cast_signed()).is_none() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let mut lineage: Vec<Ancestor> = Vec::new();
    let mut retries = RETRIES;
    let mut next = pid;
    // 0 is the parent of the first process, and of one whose parent is in another pid namespace.
    while next.as_raw() > 0 && Some(next) != end {
        let Some(process) = linux::process(next.as_raw()).filter(|process| !process.dead) else {
            // It has ended, and its child has another parent now.
            let child = lineage.last().and_then(|child| linux::process(child.pid.as_raw()));
            match child {
                Some(child) if retries > 0 => {
                    retries -= 1;
                    next = Pid::from_raw(child.parent);
                    continue;
                }
                _ => return Err(io::ErrorKind::NotFound.into()),
            }
        };
        let marker = linux::variable(process.pid, MARKER).map(|value| String::from_utf8_lossy(&value).into_owned());
        let (cgroups, arguments) = (cgroup::markers_of(process.pid), linux::arguments(process.pid));
        lineage.push(Ancestor { pid: next, marker, cgroups, arguments });
        next = Pid::from_raw(process.parent);
    }
    Ok(lineage)
}

#[cfg(not(target_os = "linux"))]
pub fn lineage(_: Pid, _: Option<Pid>) -> io::Result<Vec<Ancestor>> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Keeps other processes of the same user from reading the memory, the environment and the open files of this process,
/// and from tracing it, unless they have capabilities. Programs that it starts are not affected. Only Linux can.
///
/// # Errors
/// The kernel refuses it.
pub fn protect_memory() -> io::Result<()> {
    os::protect_memory()
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn shown(lineage: &[Ancestor]) -> Vec<Option<&str>> {
        lineage.iter().map(|ancestor| ancestor.marker.as_deref()).collect()
    }

    #[test]
    fn parents_of_a_process_show_what_its_environment_hides() {
        let us = Pid::this();
        // The inner shell has no marker; `:` keeps the outer one from becoming the inner one.
        let script = "env -u KUGETSU_RUN sh -c 'echo $$; read line; :'; :";
        let mut outer = Command::new("sh")
            .args(["-c", script])
            .env("KUGETSU_RUN", "a-run.home")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        io::BufRead::read_line(&mut io::BufReader::new(outer.stdout.take().unwrap()), &mut line).unwrap();
        let inner = Pid::from_raw(line.trim().parse().unwrap());
        let found = lineage(inner, Some(us)).unwrap();
        assert_eq!(shown(&found), [None, Some("a-run.home")]);
        assert_eq!(found[1].pid.as_raw(), outer.id().cast_signed());
        assert_eq!(found[0].arguments[..2], ["sh", "-c"]);
        let all = lineage(inner, None).unwrap();
        assert!(all.len() > 2 && all[2].pid == us, "{all:?}");
        assert_eq!(lineage(us, Some(us)).unwrap(), []);
        drop(outer.stdin.take());
        outer.wait().unwrap();
        assert_eq!(lineage(inner, None).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn memory_of_a_protected_process_is_out_of_reach() {
        use std::os::unix::fs::MetadataExt;
        let owner = |pid: Pid| std::fs::metadata(format!("/proc/{pid}/environ")).unwrap().uid();
        // Of this process: nextest runs each test in another process. The kernel gives its files in /proc to root.
        protect_memory().unwrap();
        assert_eq!(owner(Pid::this()), 0);
        assert!(!nix::sys::prctl::get_dumpable().unwrap());
        // The lineage is still seen, and a program that it starts is not protected.
        assert_eq!(lineage(Pid::this(), None).unwrap()[0].pid, Pid::this());
        let child = Command::new("sh").args(["-c", "cat /proc/self/environ > /dev/null"]).status().unwrap();
        assert!(child.success());
    }
}
