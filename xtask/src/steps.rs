//! Runs the steps of a verb one after another, times them, and ends with a summary that shows how to repeat each failure.

use std::process::Command;
use std::time::{Duration, Instant};

/// The result of a verb; the error is a message for the user.
pub(crate) type Outcome = Result<(), String>;

pub(crate) struct Steps {
    started: Instant,
    finished: Vec<Finished>,
    skipped: Vec<String>,
}

struct Finished {
    name: &'static str,
    duration: Duration,
    /// The command that repeats the step, if it failed.
    repeat: Option<String>,
}

impl Steps {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), finished: Vec::new(), skipped: Vec::new() }
    }

    /// Runs a command that shares this terminal. Returns whether it succeeded.
    pub(crate) fn run(&mut self, name: &'static str, command: &mut Command) -> bool {
        let shown = shell_line(command);
        self.check(name, &shown, || match command.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(status.to_string()),
            Err(error) => Err(format!("could not start: {error}")),
        })
        .is_some()
    }

    /// Runs and times `work`. `repeat` is the command that repeats it.
    pub(crate) fn check<T>(
        &mut self,
        name: &'static str,
        repeat: &str,
        work: impl FnOnce() -> Result<T, String>,
    ) -> Option<T> {
        println!("==> {name}: {repeat}");
        let started = Instant::now();
        let result = work();
        let duration = started.elapsed();
        if let Err(error) = &result {
            println!("==> {name} failed after {}: {error}", seconds(duration));
        }
        self.finished.push(Finished { name, duration, repeat: result.is_err().then(|| repeat.to_owned()) });
        result.ok()
    }

    /// Lists something in the summary that was not checked.
    pub(crate) fn skip(&mut self, what: String) {
        self.skipped.push(what);
    }

    /// Prints the summary. Fails if a step failed.
    pub(crate) fn finish(self) -> Outcome {
        println!();
        for what in &self.skipped {
            println!("skipped: {what}");
        }
        for step in &self.finished {
            let status = if step.repeat.is_some() { "FAILED" } else { "ok" };
            println!("{status:>6}  {:>8}  {}", seconds(step.duration), step.name);
        }
        println!("{:>6}  {:>8}  total", "", seconds(self.started.elapsed()));
        let failed: Vec<_> = self
            .finished
            .iter()
            .filter_map(|step| step.repeat.as_ref().map(|repeat| format!("  {repeat}   # {}", step.name)))
            .collect();
        if failed.is_empty() { Ok(()) } else { Err(format!("to repeat what failed:\n{}", failed.join("\n"))) }
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// The command as the user would type it in a shell.
pub(crate) fn shell_line(command: &Command) -> String {
    let variables = command
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={}", name.display(), quoted(&value?.to_string_lossy()))));
    let args = std::iter::once(command.get_program()).chain(command.get_args());
    variables.chain(args.map(|arg| quoted(&arg.to_string_lossy()))).collect::<Vec<_>>().join(" ")
}

fn quoted(arg: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@,+".contains(c);
    if !arg.is_empty() && arg.chars().all(is_plain) {
        arg.to_owned()
    } else {
        format!("'{}'", arg.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::shell_line;

    #[test]
    fn commands_are_shown_with_quotes_and_variables() {
        let mut command = Command::new("cargo");
        command.args(["nextest", "run", "-E", "not test(/it's/)"]).env("A", "b c").env_remove("B");
        assert_eq!(shell_line(&command), r"A='b c' cargo nextest run -E 'not test(/it'\''s/)'");
    }
}
