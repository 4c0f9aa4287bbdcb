//! Parses a JSON script: commands as objects or in the line form, and model steps.

use std::time::Duration;

use serde_json::Value;

use super::command::{Command, ORPHAN_FILE, line_command, shell};
use crate::model::script::{Bash, Call, Edit, Read, Step, ToolCall, Tools};
use crate::script_text;

pub(super) fn commands(script: &Value) -> Result<Vec<Command>, String> {
    let items = script.as_array().ok_or_else(|| format!("a script must be a list, not {script}"))?;
    let mut commands = Vec::new();
    for item in items {
        match item {
            Value::String(line) => commands.push(line_command(line)?),
            _ => match object_command(item)? {
                Some(command) => commands.push(command),
                None => commands.extend(step_commands(script_text::decode(item)?)),
            },
        }
    }
    Ok(commands)
}

/// Parses an object whose only key is a command's name. Returns `None` for other names and for commands that are also
/// model steps.
fn object_command(item: &Value) -> Result<Option<Command>, String> {
    let object = item.as_object().filter(|object| object.len() == 1);
    let (name, value) =
        object.and_then(|object| object.iter().next()).ok_or_else(|| format!("{item} is not a command"))?;
    let argument = Argument { item, value };
    let command = match name.as_str() {
        "think" => Command::Think(argument.text("text")?),
        "write" if value.get("text").is_some() => {
            Command::Write { path: argument.text("path")?, content: argument.text("text")? }
        }
        "append" => Command::Append { path: argument.text("path")?, content: argument.text("text")? },
        "commit" => Command::Commit(argument.text("message")?),
        "run" => Command::Run(argument.program()?),
        "permission" => Command::Permission(argument.text("title")?),
        "slow" if value.get("text").is_none() => Command::Slow(Duration::from_millis(argument.number("ms")?)),
        "wait" => Command::Wait(argument.text("file")?),
        "env" => Command::Env(argument.text("name")?),
        "usage" => Command::Usage {
            cost: value["cost"].as_f64().unwrap_or(0.0),
            input: value["input"].as_u64().unwrap_or(0),
            output: value["output"].as_u64().unwrap_or(0),
        },
        "flood" => Command::Flood(argument.size()?),
        "giant" => Command::Giant(argument.size()?),
        "stderr" => Command::Stderr(argument.text("text")?),
        "flood-stderr" => Command::FloodStderr(argument.size()?),
        "orphan" => Command::Orphan(argument.text("file").unwrap_or_else(|_| ORPHAN_FILE.to_owned())),
        "exit" => Command::Exit(i32::try_from(argument.number("code")?).map_err(|error| error.to_string())?),
        "error" => Command::Error(argument.text("text")?),
        "error-once" => Command::ErrorOnce(argument.text("text")?),
        "pwd" | "history" | "session" | "model" | "mcp" | "garbage" | "unknown" | "freeze" | "crash" | "refuse"
        | "max_tokens" | "max_turn_requests" => line_command(name)?,
        _ => return Ok(None),
    };
    Ok(Some(command))
}

/// The value of a command: its argument, or an object with named arguments.
struct Argument<'a> {
    item: &'a Value,
    value: &'a Value,
}

impl Argument<'_> {
    fn named(&self, name: &str) -> &Value {
        if self.value.is_object() { &self.value[name] } else { self.value }
    }

    fn text(&self, name: &str) -> Result<String, String> {
        let text = self.named(name).as_str().map(str::to_owned);
        text.ok_or_else(|| format!("{} needs the text \"{name}\"", self.item))
    }

    fn number(&self, name: &str) -> Result<u64, String> {
        self.named(name).as_u64().ok_or_else(|| format!("{} needs the number \"{name}\"", self.item))
    }

    fn size(&self) -> Result<usize, String> {
        usize::try_from(self.number("bytes")?).map_err(|error| error.to_string())
    }

    fn program(&self) -> Result<Vec<String>, String> {
        let command = self.named("command");
        let argv = command.as_array().map(|args| args.iter().map(|arg| arg.as_str().map(str::to_owned)).collect());
        match (command, argv) {
            (Value::String(command), _) => Ok(shell(command)),
            (_, Some(Some(argv))) => Ok(argv),
            _ => Err(format!("{} needs a shell command, or a program and its arguments", self.item)),
        }
    }
}

/// The commands that correspond to a model step.
fn step_commands(step: Step) -> Vec<Command> {
    match step {
        Step::Say(text) => vec![Command::Say(text)],
        Step::Full(text) => vec![Command::Say(text), Command::Stop("max_tokens")],
        Step::Filtered(text) => vec![Command::Say(text), Command::Stop("refusal")],
        Step::Thought(thought) => vec![Command::Think(thought.text), Command::Say(thought.say)],
        Step::Read(read) => vec![call_command(ToolCall::Read(read))],
        Step::Bash(bash) => vec![call_command(ToolCall::Bash(bash))],
        Step::Write(write) => vec![call_command(ToolCall::Write(write))],
        Step::Call(call) => vec![call_command(ToolCall::Call(call))],
        Step::Edit(edit) => vec![call_command(ToolCall::Edit(edit))],
        Step::Tools(Tools { say, calls }) => {
            let say = (!say.is_empty()).then_some(Command::Say(say));
            say.into_iter().chain(calls.into_iter().map(call_command)).collect()
        }
        Step::Slow(slow) => {
            vec![Command::SlowSay { pause: Duration::from_millis(slow.delay_ms), text: slow.text }]
        }
        Step::Hang(hang) if hang.text.is_empty() => vec![Command::Hang],
        Step::Hang(hang) => vec![Command::Say(hang.text), Command::Hang],
        Step::Status(status) => vec![Command::Error(format!("scripted status {}", status.code))],
        Step::Cut(cut) => vec![Command::Say(cut.text)],
        Step::Wait(gate) => vec![Command::Wait(gate)],
    }
}

fn call_command(call: ToolCall) -> Command {
    match call {
        ToolCall::Bash(Bash { command, .. }) => Command::Run(shell(&command)),
        ToolCall::Write(write) => Command::Write { path: write.path, content: write.content },
        ToolCall::Read(Read { path }) => Command::Run(vec!["cat".to_owned(), "--".to_owned(), path]),
        ToolCall::Edit(Edit { path, old, new }) => Command::Edit { path, old, new },
        ToolCall::Call(Call { tool, arguments }) => Command::Call { tool, arguments },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_command_has_an_object_form() {
        let script = json!([
            {"say": "a"}, {"think": "b"},
            {"write": {"path": "p", "text": "t"}}, {"write": {"path": "p", "content": "t"}},
            {"append": {"path": "p", "text": "t"}}, {"commit": "m"}, {"commit": {"message": "m"}},
            {"run": "ls | wc"}, {"run": ["ls", "-l"]}, {"run": {"command": ["ls"]}},
            {"permission": {"title": "t"}}, {"hang": {}}, {"crash": {}}, {"exit": {"code": 3}}, {"orphan": {}},
            {"flood": {"bytes": 7}}, {"garbage": {}}, {"stderr": {"text": "e"}}, {"slow": {"ms": 5}}, {"slow": 6},
            {"slow": {"delay_ms": 5, "text": "x"}}, {"env": {"name": "N"}}, {"pwd": {}}, {"history": {}},
            {"usage": {"cost": 0.5, "input": 1, "output": 2}}, {"refuse": {}}, {"max_tokens": {}},
            {"wait": {"file": "f"}}, "session", "stderr hm",
        ]);
        let run = |argv: &[&str]| Command::Run(argv.iter().map(|arg| (*arg).to_owned()).collect());
        let write = Command::Write { path: "p".into(), content: "t".into() };
        assert_eq!(
            commands(&script).unwrap(),
            [
                Command::Say("a".into()),
                Command::Think("b".into()),
                write.clone(),
                write,
                Command::Append { path: "p".into(), content: "t".into() },
                Command::Commit("m".into()),
                Command::Commit("m".into()),
                run(&["sh", "-c", "ls | wc"]),
                run(&["ls", "-l"]),
                run(&["ls"]),
                Command::Permission("t".into()),
                Command::Hang,
                Command::Crash,
                Command::Exit(3),
                Command::Orphan("orphan.pid".into()),
                Command::Flood(7),
                Command::Garbage,
                Command::Stderr("e".into()),
                Command::Slow(Duration::from_millis(5)),
                Command::Slow(Duration::from_millis(6)),
                Command::SlowSay { pause: Duration::from_millis(5), text: "x".into() },
                Command::Env("N".into()),
                Command::Pwd,
                Command::History,
                Command::Usage { cost: 0.5, input: 1, output: 2 },
                Command::Stop("refusal"),
                Command::Stop("max_tokens"),
                Command::Wait("f".into()),
                Command::Session,
                Command::Stderr("hm".into()),
            ]
        );
    }

    #[test]
    fn errors_name_what_is_invalid() {
        for (script, part) in [(json!([{"dance": {}}]), "dance"), (json!([{"run": 5}]), "run"), (json!({}), "list")] {
            let error = commands(&script).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
