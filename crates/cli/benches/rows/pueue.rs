//! pueue, another queue for commands, in a home of its own: for numbers to compare with.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kugetsu_testkit::{Home, eventually};

use crate::stage::Stage;

/// How often its scheduler looks.
const TICK: Duration = Duration::from_millis(300);

/// Its daemon, which ends with this.
pub(crate) struct Pueue<'a> {
    home: &'a Home,
    daemon: Child,
}

impl<'a> Pueue<'a> {
    /// Starts its daemon; none where it is not on PATH.
    pub(crate) fn start(stage: &'a Stage) -> Option<Self> {
        let home = &stage.home;
        let daemon = quiet(home.command("pueued")).spawn().ok()?;
        let pueue = Self { home, daemon };
        eventually("pueue's daemon to answer", || {
            quiet(pueue.command(&["status"])).status().is_ok_and(|status| status.success())
        });
        Some(pueue)
    }

    /// The command that queues a task.
    pub(crate) fn add(&self, task: &str) -> Command {
        quiet(self.command(&["add", "--", task]))
    }

    /// From the command to the task's first instruction. Its scheduler looks every 300 ms, so what comes out depends on
    /// when the command comes: `turn` of `turns` spreads the commands over that time.
    pub(crate) fn to_the_first_instruction(&self, turn: u32, turns: u32) -> Duration {
        let word = self.home.path().join("pueue.word");
        // What was queued before has its turn first.
        assert!(quiet(self.command(&["wait"])).status().unwrap().success());
        std::thread::sleep(TICK * turn / turns);
        let _ = std::fs::remove_file(&word);
        let begun = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        assert!(self.add(&format!("date +%s%N > {}", word.display())).status().unwrap().success());
        let said = eventually("the task's word", || {
            let text = std::fs::read_to_string(&word).ok()?;
            text.trim().parse::<u64>().ok()
        });
        Duration::from_nanos(said).saturating_sub(begun)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.home.command("pueue");
        command.args(args);
        command
    }
}

impl Drop for Pueue<'_> {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn quiet(mut command: Command) -> Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}
