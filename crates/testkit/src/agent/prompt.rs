//! Parses a prompt into commands.

use super::command::{Command, line_command, shell};
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
            let commands = commands.ok().filter(|commands| !commands.is_empty()).or_else(|| merge(prompt));
            Ok(commands.unwrap_or_else(|| vec![Command::Default]))
        }
    }
}

/// The git commands in a section about a conflict. Both sides of the conflicts are kept.
fn merge(prompt: &str) -> Option<Vec<Command>> {
    let (_, section) = prompt.split_once("## Conflict\n")?;
    let quoted = section.split('`').skip(1).step_by(2).filter(|text| text.starts_with("git "));
    let keep = "sed -i -E '/^(<{7} |={7}$|>{7} )/d' $(git diff --name-only --diff-filter=U)";
    let commands = quoted.chain([keep]).map(|command| Command::Run(shell(command)));
    Some(commands.chain([Command::Commit("Resolve the conflicts".into())]).collect())
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
    fn conflicts_are_resolved_with_the_commands_of_the_prompt() {
        let commands =
            parse("Do `git this`.\n## Conflict\n\nRun `git fetch x`, then `git merge y`, in `here`.").unwrap();
        assert_eq!(commands[..2], [Command::Run(shell("git fetch x")), Command::Run(shell("git merge y"))]);
        assert!(matches!(commands[2..], [Command::Run(_), Command::Commit(_)]), "{commands:?}");
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
