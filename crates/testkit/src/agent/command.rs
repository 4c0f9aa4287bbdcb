//! The commands that a prompt can give to the scripted agent.
//!
//! A prompt is a script if every line of it is a command, or if it contains one after the marker of
//! [`crate::script_text`]: commands line by line, or a JSON list of commands and of model steps
//! ([`crate::model::script::Step`]), so that one script drives this agent and, through a model server, a real one.
//! Without a script the agent runs [`Command::Default`], or the git commands that a section `## Conflict` names, and resolves the
//! conflicts.
//!
//! | command | as a JSON object | effect |
//! |---|---|---|
//! | `say TEXT` | `{"say": "TEXT"}` | sends a message, word by word |
//! | `think TEXT` | `{"think": "TEXT"}` | sends a thought |
//! | `write PATH TEXT` | `{"write": {"path", "text"}}` | writes a file; the line form adds a line break and replaces `\n` in TEXT by one |
//! | `append PATH TEXT` | `{"append": {"path", "text"}}` | appends to a file, likewise |
//! | `commit MESSAGE` | `{"commit": "MESSAGE"}` | commits everything in the session's directory with git |
//! | `run COMMAND` | `{"run": "COMMAND"}`, `{"run": ["a", "b"]}` | runs a shell command, or a program, in the session's directory as a tool |
//! | `call TOOL JSON` | `{"call": {"tool", "arguments"}}` | calls `<server>_<tool>`, a tool of an MCP server from the client, and shows its result |
//! | `tool NAME SECONDS` | | pretends to use a tool for this time |
//! | `permission TITLE` | `{"permission": "TITLE"}` | requests permission; if it is rejected, the turn ends as opencode's does |
//! | `slow MS` | `{"slow": MS}` | waits |
//! | `wait FILE` | `{"wait": "FILE"}` | waits until FILE exists; a relative path is below `gates` in the agent's state directory |
//! | `env NAME` | `{"env": "NAME"}` | sends `NAME=value`, or `NAME is not set` |
//! | `pwd` | | sends `process DIR`, `PWD DIR` and `session DIR`, each on a line |
//! | `history` | | sends `N earlier prompts` of this session and the text of the first |
//! | `session` | | sends `session ID` |
//! | `model` | | sends `model NAME` |
//! | `mcp` | | sends the client's MCP servers as JSON |
//! | `usage COST IN OUT` | `{"usage": {"cost", "input", "output"}}` | cost of this turn in dollars, and the tokens it reports |
//! | `flood N`, `giant N` | `{"flood": N}`, `{"giant": N}` | sends N bytes in pieces of 8 KiB, or in one message |
//! | `stderr TEXT` | `{"stderr": "TEXT"}` | writes a line to stderr |
//! | `flood-stderr N` | `{"flood-stderr": N}` | writes N bytes to stderr |
//! | `garbage` | | writes lines to stdout that are not JSON or not JSON-RPC |
//! | `unknown` | | sends an update of a kind that does not exist |
//! | `orphan`, `orphan FILE` | `{"orphan": "FILE"}` | leaves a process that sleeps for an hour in its own session with an empty environment; writes its id to FILE (default `orphan.pid`) |
//! | `hang` | | does nothing until the turn is cancelled; `freeze` ignores a cancel too |
//! | `crash`, `exit N` | `{"exit": N}` | dies by SIGKILL, or exits, in the middle of the turn |
//! | `error TEXT` | `{"error": "TEXT"}` | answers the prompt with a JSON-RPC error, as opencode does when the model fails |
//! | `error-once TEXT` | `{"error-once": "TEXT"}` | as `error`, but only for the first prompt of the session |
//! | `refuse`, `max_tokens`, `max_turn_requests` | | ends the turn with that stop reason |
//!
//! In JSON a command may also be a string in the line form. A command without arguments is a string (`"pwd"`) or an
//! object (`{"pwd": {}}`). An argument may be named: `{"commit": {"message": "m"}}`.

use std::time::Duration;

use serde_json::{Value, json};

/// A command; the table of the [module](self) explains the variants.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Say(String),
    Think(String),
    Write {
        path: String,
        content: String,
    },
    Append {
        path: String,
        content: String,
    },
    Edit {
        path: String,
        old: String,
        new: String,
    },
    Commit(String),
    Run(Vec<String>),
    Call {
        tool: String,
        arguments: Value,
    },
    Tool {
        name: String,
        time: Duration,
    },
    Permission(String),
    Slow(Duration),
    SlowSay {
        pause: Duration,
        text: String,
    },
    Wait(String),
    Env(String),
    Pwd,
    History,
    Session,
    Model,
    Mcp,
    Usage {
        cost: f64,
        input: u64,
        output: u64,
    },
    Flood(usize),
    Giant(usize),
    Stderr(String),
    FloodStderr(usize),
    Garbage,
    Unknown,
    Orphan(String),
    Hang,
    Freeze,
    Crash,
    Exit(i32),
    Error(String),
    ErrorOnce(String),
    Stop(&'static str),
    /// Sends a message, appends a line to `done.txt` and commits it.
    Default,
}

/// Default file for the process id of an `orphan`.
pub(super) const ORPHAN_FILE: &str = "orphan.pid";

/// Parses the line form of a command.
pub(super) fn line_command(line: &str) -> Result<Command, String> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let rest = rest.trim();
    let number = || rest.parse::<u32>().map_err(|_| format!("\"{line}\" needs a number"));
    let size = || number().map(|number| number as usize);
    let text = || if rest.is_empty() { Err(format!("\"{line}\" needs an argument")) } else { Ok(rest.to_owned()) };
    let alone =
        |command: Command| if rest.is_empty() { Ok(command) } else { Err(format!("\"{line}\" takes no argument")) };
    match word {
        "say" => Ok(Command::Say(text()?)),
        "think" => Ok(Command::Think(text()?)),
        "write" => file_text(&text()?).map(|(path, content)| Command::Write { path, content }),
        "append" => file_text(&text()?).map(|(path, content)| Command::Append { path, content }),
        "commit" => Ok(Command::Commit(text()?)),
        "run" => Ok(Command::Run(shell(&text()?))),
        "call" => call_command(&text()?),
        "tool" => tool_command(&text()?),
        "permission" => Ok(Command::Permission(text()?)),
        "slow" => Ok(Command::Slow(Duration::from_millis(number()?.into()))),
        "wait" => Ok(Command::Wait(text()?)),
        "env" => Ok(Command::Env(text()?)),
        "pwd" => alone(Command::Pwd),
        "history" => alone(Command::History),
        "session" => alone(Command::Session),
        "model" => alone(Command::Model),
        "mcp" => alone(Command::Mcp),
        "usage" => usage_command(&text()?),
        "flood" => Ok(Command::Flood(size()?)),
        "giant" => Ok(Command::Giant(size()?)),
        "stderr" => Ok(Command::Stderr(text()?)),
        "flood-stderr" => Ok(Command::FloodStderr(size()?)),
        "garbage" => alone(Command::Garbage),
        "unknown" => alone(Command::Unknown),
        "orphan" if rest.is_empty() => Ok(Command::Orphan(ORPHAN_FILE.to_owned())),
        "orphan" => Ok(Command::Orphan(text()?)),
        "hang" => alone(Command::Hang),
        "freeze" => alone(Command::Freeze),
        "crash" => alone(Command::Crash),
        "exit" => Ok(Command::Exit(i32::try_from(number()?).map_err(|error| error.to_string())?)),
        "error" => Ok(Command::Error(text()?)),
        "error-once" => Ok(Command::ErrorOnce(text()?)),
        "refuse" => alone(Command::Stop("refusal")),
        "max_tokens" => alone(Command::Stop("max_tokens")),
        "max_turn_requests" => alone(Command::Stop("max_turn_requests")),
        _ => Err(format!("unknown command \"{line}\"")),
    }
}

fn file_text(rest: &str) -> Result<(String, String), String> {
    let (path, content) = rest.split_once(' ').unwrap_or((rest, ""));
    Ok((path.to_owned(), format!("{}\n", content.replace("\\n", "\n"))))
}

/// The argument vector that runs `command` in a shell.
pub(super) fn shell(command: &str) -> Vec<String> {
    ["sh", "-c", command].map(str::to_owned).to_vec()
}

fn call_command(rest: &str) -> Result<Command, String> {
    let (tool, arguments) = rest.split_once(' ').unwrap_or((rest, "{}"));
    let arguments = match arguments.trim() {
        "" => json!({}),
        text => serde_json::from_str(text).map_err(|error| format!("\"call {rest}\": {error}"))?,
    };
    Ok(Command::Call { tool: tool.to_owned(), arguments })
}

fn tool_command(rest: &str) -> Result<Command, String> {
    let (name, seconds) = rest.rsplit_once(' ').ok_or_else(|| format!("\"tool {rest}\" needs a name and seconds"))?;
    let seconds: f64 = seconds.parse().map_err(|_| format!("\"{seconds}\" is not a number of seconds"))?;
    let time = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
    Ok(Command::Tool { name: name.to_owned(), time })
}

fn usage_command(rest: &str) -> Result<Command, String> {
    let invalid = || format!("\"usage {rest}\" needs dollars and two numbers of tokens");
    let numbers: Vec<f64> = rest.split(' ').map(str::parse).collect::<Result<_, _>>().map_err(|_| invalid())?;
    match numbers[..] {
        [cost, input, output] => Ok(Command::Usage { cost, input: input as u64, output: output as u64 }),
        _ => Err(invalid()),
    }
}
