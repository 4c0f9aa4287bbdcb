//! Finds and ends the processes that belong to a home.
//!
//! A process belongs to it when its environment at start names the home, or when it works in a directory below it: the
//! second finds those that cleared their environment. Only Linux shows both (`/proc`); elsewhere `ps` shows the
//! environment of some.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait::DEADLINE;

/// A process that belongs to a home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remaining {
    /// Its process id.
    pub pid: i32,
    /// Its command line, arguments separated by spaces.
    pub command: String,
}

/// Every process that belongs to the home in `directory`, this one apart.
pub(super) fn remaining(directory: &Path) -> Vec<Remaining> {
    let own = i32::try_from(std::process::id()).expect("a process id fits");
    if cfg!(target_os = "linux") { by_proc(directory, own) } else { by_ps(directory, own) }
}

/// By `ps` of BSD and macOS, which shows each process's environment behind its arguments.
fn by_ps(directory: &Path, own: i32) -> Vec<Remaining> {
    let Ok(output) = Command::new("ps").args(["-axEww", "-o", "pid=,command="]).output() else { return Vec::new() };
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    lines.lines().filter_map(|line| named_in(line, directory)).filter(|process| process.pid != own).collect()
}

/// The process of a line of `ps` when a variable in it names the home.
fn named_in(line: &str, directory: &Path) -> Option<Remaining> {
    let (pid, rest) = line.trim().split_once(' ')?;
    let belongs = names(rest.replace(' ', "\0").as_bytes(), directory);
    let command = rest.trim().to_owned();
    belongs.then(|| pid.parse().ok()).flatten().map(|pid| Remaining { pid, command })
}

fn by_proc(directory: &Path, own: i32) -> Vec<Remaining> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != own && belongs(*pid, directory))
        .map(|pid| Remaining { pid, command: command_line(pid) })
        .collect()
}

/// Kills every process that belongs to the home in `directory` until none is left; what they start meanwhile as well.
///
/// # Errors
/// Those that are still there after [`DEADLINE`].
pub(super) fn end_all(directory: &Path) -> Result<(), Vec<Remaining>> {
    let started = Instant::now();
    loop {
        let left = remaining(directory);
        if left.is_empty() {
            return Ok(());
        }
        if started.elapsed() > DEADLINE {
            return Err(left);
        }
        for process in &left {
            // It may have ended by itself since it was found.
            let _gone = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn belongs(pid: i32, directory: &Path) -> bool {
    let process = PathBuf::from(format!("/proc/{pid}"));
    // A zombie has neither; another user's process shows neither. Both are none of ours.
    let works_below = fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(directory));
    works_below || fs::read(process.join("environ")).is_ok_and(|environ| names(&environ, directory))
}

/// Whether a variable's value is a path at or below `directory`.
fn names(environ: &[u8], directory: &Path) -> bool {
    environ.split(|byte| *byte == 0).any(|variable| {
        let equals = variable.iter().position(|byte| *byte == b'=');
        equals.is_some_and(|at| is_at_or_below(&variable[at + 1..], directory.as_os_str().as_bytes()))
    })
}

fn is_at_or_below(value: &[u8], directory: &[u8]) -> bool {
    value.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

fn command_line(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<u8> = bytes.iter().map(|byte| if *byte == 0 { b' ' } else { *byte }).collect();
    OsString::from_vec(words).to_string_lossy().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_ps_is_read() {
        let home = Path::new("/tmp/home");
        let found = named_in("  42 sleep 600 PATH=/bin KUGETSU_HOME=/tmp/home/kugetsu", home).unwrap();
        assert_eq!((found.pid, found.command.starts_with("sleep 600")), (42, true));
        assert_eq!(named_in("42 sleep 600 HOME=/tmp/home2", home), None);
    }

    #[test]
    fn only_values_at_or_below_the_home_name_it() {
        let home = Path::new("/tmp/home");
        assert!(names(b"PATH=/bin\0KUGETSU_HOME=/tmp/home/kugetsu\0", home));
        assert!(names(b"HOME=/tmp/home", home));
        assert!(!names(b"HOME=/tmp/home2\0A=/x/tmp/home\0/tmp/home=1", home));
    }
}
