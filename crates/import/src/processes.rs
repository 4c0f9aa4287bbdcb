//! Whether processes that the script recorded still run. A process ID alone is not enough, because IDs are reused.

use std::fs;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

/// Whether the process exists and either is one of these programs or works in `directory`.
pub(crate) fn is_running(pid: i64, programs: &[&str], directory: Option<&Path>) -> bool {
    let Ok(number) = i32::try_from(pid) else { return false };
    if number <= 1 || kill(Pid::from_raw(number), None) == Err(Errno::ESRCH) {
        return false;
    }
    let process = Path::new("/proc").join(number.to_string());
    let Ok(command) = fs::read(process.join("cmdline")) else {
        // Without /proc the process cannot be identified, and is assumed to be the recorded one.
        return !Path::new("/proc/self/cmdline").exists();
    };
    let command = String::from_utf8_lossy(&command);
    let works_in = |directory: &Path| {
        let (cwd, directory) = (fs::read_link(process.join("cwd")), directory.canonicalize());
        matches!((cwd, directory), (Ok(cwd), Ok(directory)) if cwd.starts_with(&directory))
    };
    programs.iter().any(|program| command.contains(program)) || directory.is_some_and(works_in)
}

/// Finds a process of one of these programs that works in `directory`.
pub(crate) fn worker_in(directory: &Path, programs: &[&str]) -> Option<i64> {
    let directory = directory.canonicalize().ok()?;
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i64>().ok());
    pids.find(|pid| {
        let cwd = fs::read_link(Path::new("/proc").join(pid.to_string()).join("cwd"));
        cwd.is_ok_and(|cwd| cwd.starts_with(&directory)) && is_running(*pid, programs, None)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_process_id_is_not_the_recorded_process() {
        let own = i64::from(std::process::id());
        let here = std::env::current_dir().unwrap();
        assert!(is_running(own, &[], Some(&here)));
        assert!(!is_running(own, &["no-such-program"], Some(Path::new("/nowhere"))));
        assert!(!is_running(0, &[""], None) && !is_running(-1, &[""], None) && !is_running(i64::MAX, &[""], None));
    }
}
