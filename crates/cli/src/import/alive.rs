//! Whether a process that the script wrote down still is what it was then: numbers are given again.

use std::fs;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

/// Whether the process runs and is one of these programs, or works in that place.
pub(super) fn runs(pid: i64, programs: &[&str], place: Option<&Path>) -> bool {
    let Ok(number) = i32::try_from(pid) else { return false };
    if number <= 1 || kill(Pid::from_raw(number), None) == Err(Errno::ESRCH) {
        return false;
    }
    let about = Path::new("/proc").join(number.to_string());
    let Ok(command) = fs::read(about.join("cmdline")) else {
        // A system that does not tell: whoever has that number may be it.
        return !Path::new("/proc/self/cmdline").exists();
    };
    let command = String::from_utf8_lossy(&command);
    let is_there = |place: &Path| {
        let (cwd, place) = (fs::read_link(about.join("cwd")), place.canonicalize());
        matches!((cwd, place), (Ok(cwd), Ok(place)) if cwd.starts_with(&place))
    };
    programs.iter().any(|program| command.contains(program)) || place.is_some_and(is_there)
}

/// A process of one of these programs that works in that place, whoever wrote down which.
pub(super) fn worker_in(place: &Path, programs: &[&str]) -> Option<i64> {
    let place = place.canonicalize().ok()?;
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i64>().ok());
    numbers.find(|pid| {
        let about = Path::new("/proc").join(pid.to_string());
        fs::read_link(about.join("cwd")).is_ok_and(|cwd| cwd.starts_with(&place)) && runs(*pid, programs, None)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_somebody_else_has_now_is_not_the_agent() {
        let own = i64::from(std::process::id());
        let here = std::env::current_dir().unwrap();
        assert!(runs(own, &[], Some(&here)) && !runs(own, &["no-such-program"], Some(Path::new("/nowhere"))));
        assert!(!runs(0, &[""], None) && !runs(-1, &[""], None) && !runs(i64::MAX, &[""], None));
    }
}
