//! Parses a prompt into commands.

use super::command::{Command, line_command};
use super::script;
use crate::script_text::{self, ScriptText};

/// Returns the commands of the prompt's script.
pub fn parse(prompt: &str) -> Result<Vec<Command>, String> {
    match script_text::find(prompt)? {
        Some(ScriptText::Commands(lines)) => lines.iter().map(|line| line_command(line)).collect(),
        Some(ScriptText::Json(value)) => script::commands(&value),
        None => {
            let lines = prompt.lines().map(str::trim).filter(|line| !line.is_empty());
            let commands: Result<Vec<_>, _> = lines.map(line_command).collect();
            Ok(commands.ok().filter(|commands| !commands.is_empty()).unwrap_or_else(|| vec![Command::Default]))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::agent::command::shell;

    #[test]
    fn prompt_of_only_commands_is_a_script() {
        let commands =
            parse("say hello there\n\n  write a.txt one\\ntwo\ncommit All of it\ntool grep 0.5\nusage 0.5 10 20");
        assert_eq!(
            commands.unwrap(),
            [
                Command::Say("hello there".into()),
                Command::Write { path: "a.txt".into(), content: "one\ntwo\n".into() },
                Command::Commit("All of it".into()),
                Command::Tool { name: "grep".into(), time: Duration::from_millis(500) },
                Command::Usage { cost: 0.5, input: 10, output: 20 },
            ]
        );
    }

    #[test]
    fn prose_that_starts_like_a_command_is_not_a_script() {
        assert_eq!(parse("commit your work\nPlease fix the bug."), Ok(vec![Command::Default]));
        assert_eq!(parse(""), Ok(vec![Command::Default]));
    }

    #[test]
    fn marked_commands_are_found_in_prose() {
        let commands = parse("You are an agent.\n> kugetsu-script: say a\n> kugetsu-script: exit 3\ncommit your work");
        assert_eq!(commands, Ok(vec![Command::Say("a".into()), Command::Exit(3)]));
        assert!(parse("kugetsu-script: dance").unwrap_err().contains("dance"));
    }

    #[test]
    fn json_mixes_commands_and_model_steps() {
        let commands = parse(r#"kugetsu-script: ["pwd", {"bash": {"command": "ls"}}, {"hang": {"text": "hm"}}]"#);
        assert_eq!(
            commands,
            Ok(vec![Command::Pwd, Command::Run(shell("ls")), Command::Say("hm".into()), Command::Hang])
        );
    }
}
