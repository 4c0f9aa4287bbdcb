//! Finds and kills the processes that belong to a home.
//!
//! A process belongs to it if its initial environment names the home or if its working directory is in it. The second
//! condition finds processes that cleared their environment. Only Linux shows both (`/proc`); on other systems `ps` shows
//! the environment of some processes.

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
    pub pid: i32,
    /// The command line, arguments separated by spaces.
    pub command: String,
}

/// All processes that belong to the home in `directory`, except this one.
pub(super) fn remaining(directory: &Path) -> Vec<Remaining> {
    let own = i32::try_from(std::process::id()).expect("a process id fits");
    if cfg!(target_os = "linux") { by_proc(directory, own) } else { by_ps(directory, own) }
}

/// Uses `ps` of BSD and macOS, which shows the environment of a process after its arguments.
fn by_ps(directory: &Path, own: i32) -> Vec<Remaining> {
    let Ok(output) = Command::new("ps").args(["-axEww", "-o", "pid=,command="]).output() else { return Vec::new() };
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    lines.lines().filter_map(|line| parse_ps_line(line, directory)).filter(|process| process.pid != own).collect()
}

/// The process of a line of `ps`, if a variable in it names the home.
fn parse_ps_line(line: &str, directory: &Path) -> Option<Remaining> {
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

/// Kills the processes that belong to the home in `directory`, and those that they start meanwhile, until none is left.
///
/// # Errors
/// The processes that are still running after [`DEADLINE`].
pub(super) fn kill_all(directory: &Path) -> Result<(), Vec<Remaining>> {
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
            // Fails only if it has just ended.
            let _gone = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn belongs(pid: i32, directory: &Path) -> bool {
    let process = PathBuf::from(format!("/proc/{pid}"));
    // Zombies have neither, and processes of other users show neither.
    let works_inside = fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(directory));
    works_inside || fs::read(process.join("environ")).is_ok_and(|environ| names(&environ, directory))
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
    let line: Vec<u8> = bytes.iter().map(|byte| if *byte == 0 { b' ' } else { *byte }).collect();
    OsString::from_vec(line).to_string_lossy().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ps_lines_are_parsed() {
        let home = Path::new("/tmp/home");
        let process = parse_ps_line("  42 sleep 600 PATH=/bin KUGETSU_HOME=/tmp/home/kugetsu", home).unwrap();
        assert_eq!((process.pid, process.command.starts_with("sleep 600")), (42, true));
        assert_eq!(parse_ps_line("42 sleep 600 HOME=/tmp/home2", home), None);
    }

    #[test]
    fn only_paths_of_the_home_name_it() {
        let home = Path::new("/tmp/home");
        assert!(names(b"PATH=/bin\0KUGETSU_HOME=/tmp/home/kugetsu\0", home));
        assert!(names(b"HOME=/tmp/home", home));
        assert!(!names(b"HOME=/tmp/home2\0A=/x/tmp/home\0/tmp/home=1", home));
    }
}
