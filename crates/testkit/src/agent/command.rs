//! What a prompt can ask of the scripted agent.
//!
//! A prompt is a script when every line of it is a command, or when it carries one after the marker of
//! [`crate::script_text`]: commands line by line, or a JSON list of commands and of a model's steps
//! ([`crate::model::script::Step`]), so that one script can drive this agent and, through a model server, a real one.
//! Without a script it does [`Command::Default`].
//!
//! | command | as an object in JSON | what it does |
//! |---|---|---|
//! | `say TEXT` | `{"say": "TEXT"}` | says it, word by word |
//! | `think TEXT` | `{"think": "TEXT"}` | the same as a thought |
//! | `write PATH TEXT` | `{"write": {"path", "text"}}` | writes a file; as a line with a line break at the end, and `\n` in TEXT is one |
//! | `append PATH TEXT` | `{"append": {"path", "text"}}` | the same at the end of the file |
//! | `commit MESSAGE` | `{"commit": "MESSAGE"}` | commits everything in the session's directory with git |
//! | `run COMMAND` | `{"run": "COMMAND"}`, `{"run": ["a", "b"]}` | runs a shell command, or a program, in the session's directory as a tool |
//! | `call TOOL JSON` | `{"call": {"tool", "arguments"}}` | calls a tool of an MCP server that the client gave, `<server>_<tool>`, and shows its answer as a tool's |
//! | `tool NAME SECONDS` | | pretends to use a tool for so long |
//! | `permission TITLE` | `{"permission": "TITLE"}` | asks for permission; if it is rejected, the turn ends there as opencode's does |
//! | `slow MS` | `{"slow": MS}` | waits |
//! | `wait FILE` | `{"wait": "FILE"}` | waits until FILE exists; a relative one is below `gates` in the agent's state |
//! | `env NAME` | `{"env": "NAME"}` | says `NAME=value`, or `NAME is not set` |
//! | `pwd` | | says `process DIR`, `PWD DIR` and `session DIR`, a line each |
//! | `history` | | says `N earlier prompts` of this session, and the first one's text |
//! | `session` | | says `session ID` |
//! | `model` | | says `model NAME` |
//! | `mcp` | | says the MCP servers that the client gave, as JSON |
//! | `usage COST IN OUT` | `{"usage": {"cost", "input", "output"}}` | what this turn costs in dollars, and the tokens it reports |
//! | `flood N`, `giant N` | `{"flood": N}`, `{"giant": N}` | says N bytes in pieces of 8 KiB, or in one message |
//! | `stderr TEXT` | `{"stderr": "TEXT"}` | writes a line to stderr |
//! | `flood-stderr N` | `{"flood-stderr": N}` | writes N bytes to stderr |
//! | `garbage` | | writes lines that are no JSON, or no JSON-RPC, to stdout |
//! | `unknown` | | sends an update of a kind that does not exist |
//! | `orphan`, `orphan FILE` | `{"orphan": "FILE"}` | leaves a process behind that sleeps for an hour, in a session of its own and with an empty environment; its id goes into FILE (`orphan.pid`) |
//! | `hang` | | does nothing until it is cancelled; `freeze` does not even take a cancel |
//! | `crash`, `exit N` | `{"exit": N}` | kills itself by SIGKILL, or exits, in the middle of the turn |
//! | `error TEXT` | `{"error": "TEXT"}` | answers the prompt with a JSON-RPC error, as opencode does when the model refuses |
//! | `refuse`, `max_tokens`, `max_turn_requests` | | ends the turn with that stop reason |
//!
//! In JSON a command without arguments is a string (`"pwd"`) or an object (`{"pwd": {}}`), and any command may be a
//! string as on a line. An argument may also stand in an object by its name in lower case: `{"commit": {"message": "m"}}`.

use std::time::Duration;

use serde_json::{Value, json};

/// One thing the agent does. The variants are explained in the [module's](self) table.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the table above says what each does, once")]
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
    Stop(&'static str),
    /// Says something, adds a line to `done.txt` and commits it.
    Default,
}

/// Where `orphan` writes the process id when nothing else is said.
pub(super) const ORPHAN_FILE: &str = "orphan.pid";

/// The command on a line.
///
/// # Errors
/// A sentence that says what is not understood.
pub(super) fn line_command(line: &str) -> Result<Command, String> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let rest = rest.trim();
    let number = || rest.parse::<u32>().map_err(|_| format!("\"{line}\" needs a number"));
    let size = || number().map(|number| number as usize);
    let text = || if rest.is_empty() { Err(format!("\"{line}\" needs more words")) } else { Ok(rest.to_owned()) };
    let alone =
        |command: Command| if rest.is_empty() { Ok(command) } else { Err(format!("\"{line}\" has too many words")) };
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

/// `command` as the arguments of a shell that runs it.
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
    let seconds: f64 = seconds.parse().map_err(|_| format!("\"{seconds}\" is no number of seconds"))?;
    let time = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
    Ok(Command::Tool { name: name.to_owned(), time })
}

fn usage_command(rest: &str) -> Result<Command, String> {
    let explain = || format!("\"usage {rest}\" needs dollars and two numbers of tokens");
    let numbers: Vec<f64> = rest.split(' ').map(str::parse).collect::<Result<_, _>>().map_err(|_| explain())?;
    match numbers[..] {
        [cost, input, output] => Ok(Command::Usage { cost, input: input as u64, output: output as u64 }),
        _ => Err(explain()),
    }
}
