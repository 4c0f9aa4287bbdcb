//! Steps: each is named before it begins and timed when it ends; the last lines say what failed and how to see it again.

use std::process::Command;
use std::time::{Duration, Instant};

/// What became of a verb: nothing to say, or what is wrong and what to do about it.
pub(crate) type Answer = Result<(), String>;

/// The steps of one call.
pub(crate) struct Steps {
    begun: Instant,
    done: Vec<Done>,
    skipped: Vec<String>,
}

struct Done {
    name: &'static str,
    time: Duration,
    /// What to type to see it again, if it failed.
    again: Option<String>,
}

impl Steps {
    pub(crate) fn new() -> Self {
        Self { begun: Instant::now(), done: Vec::new(), skipped: Vec::new() }
    }

    /// Runs a command with this terminal as its own. Says whether it succeeded.
    pub(crate) fn run(&mut self, name: &'static str, command: &mut Command) -> bool {
        let typed = typed(command);
        self.check(name, &typed, || match command.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(status.to_string()),
            Err(error) => Err(format!("could not run it: {error}")),
        })
        .is_some()
    }

    /// Does something else and times it; `again` is what to type to see it again.
    pub(crate) fn check<T>(
        &mut self,
        name: &'static str,
        again: &str,
        work: impl FnOnce() -> Result<T, String>,
    ) -> Option<T> {
        println!("==> {name}: {again}");
        let begun = Instant::now();
        let answer = work();
        let time = begun.elapsed();
        if let Err(why) = &answer {
            println!("==> {name} failed after {}: {why}", seconds(time));
        }
        self.done.push(Done { name, time, again: answer.is_err().then(|| again.to_owned()) });
        answer.ok()
    }

    /// Something was left out.
    pub(crate) fn skipped(&mut self, what: String) {
        self.skipped.push(what);
    }

    /// The summary.
    ///
    /// # Errors
    /// A step failed.
    pub(crate) fn finish(self) -> Answer {
        println!();
        for what in &self.skipped {
            println!("skipped: {what}");
        }
        for step in &self.done {
            let word = if step.again.is_some() { "FAILED" } else { "ok" };
            println!("{word:>6}  {:>8}  {}", seconds(step.time), step.name);
        }
        println!("{:>6}  {:>8}  all", "", seconds(self.begun.elapsed()));
        let again: Vec<_> = self
            .done
            .iter()
            .filter_map(|step| step.again.as_ref().map(|again| format!("  {again}   # {}", step.name)))
            .collect();
        if again.is_empty() { Ok(()) } else { Err(format!("to see it again:\n{}", again.join("\n"))) }
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// The command as a person types it.
pub(crate) fn typed(command: &Command) -> String {
    let variables = command
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={}", name.display(), quoted(&value?.to_string_lossy()))));
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    variables.chain(words.map(|word| quoted(&word.to_string_lossy()))).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@,+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::typed;

    #[test]
    fn a_command_is_shown_as_it_can_be_typed() {
        let mut command = Command::new("cargo");
        command.args(["nextest", "run", "-E", "not test(/it's/)"]).env("A", "b c").env_remove("B");
        assert_eq!(typed(&command), r"A='b c' cargo nextest run -E 'not test(/it'\''s/)'");
    }
}
