//! Runs a program in a home to its end, with its output in files and a time limit.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::directory::Home;
use crate::wait::DEADLINE;

impl Home {
    /// Runs a command, for example of [`Home::command`], and returns its output and status. The output is also stored in
    /// files below [`Home::logs`].
    ///
    /// Returns when the program itself ends, even if processes that it started are still running.
    ///
    /// # Panics
    /// Panics if the program cannot be started. If it does not end within [`DEADLINE`], it is killed and the message shows
    /// its output.
    #[track_caller]
    pub fn run(&self, command: &mut Command) -> Output {
        self.run_within(DEADLINE, command)
    }

    /// Like [`Home::run`] with another limit.
    ///
    /// # Panics
    /// As [`Home::run`].
    #[track_caller]
    pub fn run_within(&self, limit: Duration, command: &mut Command) -> Output {
        let [stdout, stderr] = self.log_files(Path::new(command.get_program()));
        // Files instead of pipes: a daemon that inherits a pipe would keep it open after the program's end.
        command.stdin(Stdio::null()).stdout(create(&stdout)).stderr(create(&stderr)).process_group(0);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("could not run {command:?}: {error}"));
        let group = Pid::from_raw(i32::try_from(child.id()).expect("a process id fits"));
        let (ended, end) = mpsc::channel();
        std::thread::spawn(move || ended.send(child.wait()));
        let status = end.recv_timeout(limit);
        if status.is_err() {
            // Fails only if it has just ended.
            let _gone = killpg(group, Signal::SIGKILL);
        }
        let read = |path| fs::read(path).expect("the output of a program");
        let (stdout, stderr) = (read(&stdout), read(&stderr));
        match status {
            Ok(status) => Output { status: status.expect("the status of a child"), stdout, stderr },
            Err(_) => panic!(
                "{command:?} did not end within {limit:?}; its output:\n{}{}",
                String::from_utf8_lossy(&stdout),
                String::from_utf8_lossy(&stderr)
            ),
        }
    }

    fn log_files(&self, program: &Path) -> [PathBuf; 2] {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let logs = self.logs();
        fs::create_dir_all(&logs).expect("the directory of logs");
        ["stdout", "stderr"].map(|stream| logs.join(format!("{number:03}-{name}.{stream}")))
    }
}

fn create(path: &Path) -> File {
    File::create(path).unwrap_or_else(|error| panic!("could not write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_and_status_are_returned_and_stored() {
        let home = Home::new();
        // The shell ends at once; its background process keeps the output open.
        let output = home.run(home.command("sh").args(["-c", "sleep 600 & echo out; echo err >&2; exit 3"]));
        assert_eq!(output.status.code(), Some(3));
        assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
        let mut files: Vec<String> = fs::read_dir(home.logs()).unwrap().map(|entry| name(&entry.unwrap())).collect();
        files.sort();
        assert!(files[0].ends_with("-sh.stderr") && files[1].ends_with("-sh.stdout"), "{files:?}");
    }

    fn name(entry: &fs::DirEntry) -> String {
        entry.file_name().into_string().unwrap()
    }

    #[test]
    fn program_that_does_not_end_is_killed_and_its_output_shown() {
        let home = Home::new();
        let run = || {
            home.run_within(Duration::from_millis(200), home.command("sh").args(["-c", "echo started; exec sleep 600"]))
        };
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_err();
        let message = panic.downcast::<String>().unwrap();
        assert!(message.contains("did not end within 200ms"), "{message}");
    }
}
