//! pueue, another queue for commands, in the benchmark's home, as a reference.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kugetsu_testkit::{Home, eventually};

use crate::setup::Setup;

/// Interval of its scheduler.
const TICK: Duration = Duration::from_millis(300);

/// Its daemon, killed on drop.
pub(crate) struct Pueue<'a> {
    home: &'a Home,
    daemon: Child,
}

impl<'a> Pueue<'a> {
    /// Starts its daemon, or returns `None` if it is not on `PATH`.
    pub(crate) fn start(setup: &'a Setup) -> Option<Self> {
        let home = &setup.home;
        let daemon = quiet(home.command("pueued")).spawn().ok()?;
        let pueue = Self { home, daemon };
        eventually("pueue's daemon to answer", || {
            quiet(pueue.command(&["status"])).status().is_ok_and(|status| status.success())
        });
        Some(pueue)
    }

    pub(crate) fn add(&self, task: &str) -> Command {
        quiet(self.command(&["add", "--", task]))
    }

    /// Time from the command to the task's first instruction. It depends on the phase of the scheduler, so attempt `turn`
    /// of `turns` starts at a different point of its interval.
    pub(crate) fn time_to_first_instruction(&self, turn: u32, turns: u32) -> Duration {
        let output = self.home.path().join("pueue.output");
        // Earlier tasks would run first.
        assert!(quiet(self.command(&["wait"])).status().unwrap().success());
        std::thread::sleep(TICK * turn / turns);
        let _ = std::fs::remove_file(&output);
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        assert!(self.add(&format!("date +%s%N > {}", output.display())).status().unwrap().success());
        let time = eventually("the task's output", || {
            let text = std::fs::read_to_string(&output).ok()?;
            text.trim().parse::<u64>().ok()
        });
        Duration::from_nanos(time).saturating_sub(started)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.home.command("pueue");
        command.args(args);
        command
    }
}

impl Drop for Pueue<'_> {
    fn drop(&mut self) {
        // Fails if it has already ended.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn quiet(mut command: Command) -> Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}
