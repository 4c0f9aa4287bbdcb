//! One turn: runs the commands of a prompt and reports them as opencode does.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::signal::{Signal as Kill, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::command::Command;
use super::ids::unique;
use super::prompt;
use super::session::Session;
use super::signal::{Cancelled, Signal, block_forever};
use super::store::Store;
use super::tools;
use super::update;
use super::wire::{Wire, update_line};
use super::work::{self, ToolResult};
use crate::model::reply::{COMPLETION_TOKENS, PROMPT_TOKENS};

/// Default cost of a turn in US dollars.
pub const COST: f64 = 0.0006;

const PIECE: usize = 8 * 1024;

/// Poll interval for the file of a `wait` command.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The answer that a turn has in an export, with the fields that opencode exports.
fn answer(stop: &str, used: Usage) -> Value {
    let finish = match stop {
        "end_turn" => json!("stop"),
        "max_tokens" => json!("length"),
        "refusal" => json!("content-filter"),
        _ => Value::Null,
    };
    let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    let tokens = json!({"input": used.input, "output": used.output, "reasoning": 0, "cache": {"read": 0, "write": 0}});
    json!({"role": "assistant", "finish": finish, "time": {"created": created}, "cost": used.cost, "tokens": tokens})
}

#[derive(Debug)]
pub(super) struct Turn<'a> {
    wire: &'a Wire,
    store: &'a Store,
    session: &'a Session,
    signal: &'a Arc<Signal>,
    message: String,
    earlier: Vec<String>,
    usage: Option<Usage>,
}

#[derive(Debug, Clone, Copy)]
struct Usage {
    cost: f64,
    input: u64,
    output: u64,
}

/// The end of a turn before its last command.
enum EarlyEnd {
    /// The stop reason.
    Stop(&'static str),
    /// The JSON-RPC error.
    Failed(Value),
}

impl From<Cancelled> for EarlyEnd {
    fn from(Cancelled: Cancelled) -> Self {
        Self::Stop("cancelled")
    }
}

impl<'a> Turn<'a> {
    pub(super) fn start(
        wire: &'a Wire,
        store: &'a Store,
        session: &'a Session,
        signal: &'a Arc<Signal>,
        text: &str,
    ) -> Self {
        let earlier = session.add_prompt(text);
        let turn = Self { wire, store, session, signal, message: unique("msg"), earlier, usage: None };
        // Stored but not sent: opencode sends the prompt only when a session is loaded.
        turn.store(&update::chunk("user_message_chunk", &unique("msg"), text));
        turn
    }

    /// Runs the prompt `text` and returns the result of `session/prompt` or a JSON-RPC error.
    pub(super) fn run(mut self, text: &str) -> Result<Value, Value> {
        let commands = prompt::parse(text).map_err(|reason| failure(&reason))?;
        let result = commands.iter().try_for_each(|command| self.run_command(command));
        let stop = match result {
            Ok(()) => "end_turn",
            Err(EarlyEnd::Stop(reason)) => reason,
            Err(EarlyEnd::Failed(error)) => return Err(error),
        };
        let used = self.usage.unwrap_or(Usage { cost: COST, input: PROMPT_TOKENS, output: COMPLETION_TOKENS });
        self.report(&update::usage(used.input, self.session.add_cost(used.cost)));
        self.store(&answer(stop, used));
        let usage = json!({
            "inputTokens": used.input, "outputTokens": used.output, "totalTokens": used.input.saturating_add(used.output),
        });
        Ok(json!({"stopReason": stop, "usage": usage, "_meta": {}}))
    }

    fn run_command(&mut self, command: &Command) -> Result<(), EarlyEnd> {
        // A cancel also ends the turn between two commands.
        self.signal.pause(Duration::ZERO)?;
        match command {
            Command::Say(text) => self.say(text),
            Command::Think(text) => self.report(&update::chunk("agent_thought_chunk", &self.message, text)),
            Command::Write { path, content } => {
                let file = self.path(path);
                self.file_tool("write", path, || work::write(&file, content));
            }
            Command::Append { path, content } => {
                let file = self.path(path);
                self.file_tool("write", path, || work::append(&file, content));
            }
            Command::Edit { path, old, new } => {
                let file = self.path(path);
                self.file_tool("edit", path, || work::edit(&file, old, new));
            }
            Command::Commit(message) => self.commit(message),
            Command::Run(argv) => self.run_program(argv)?,
            Command::Call { tool, arguments } => self.call(tool, arguments),
            Command::Tool { name, time } => {
                let tool = self.start_tool(name, "other", name, &json!({}));
                self.signal.pause(*time)?;
                self.report(&update::tool_completed(&tool, name, "", &json!({})));
            }
            Command::Permission(title) => self.permission(title)?,
            Command::Slow(time) => self.signal.pause(*time)?,
            Command::SlowSay { pause, text } => {
                for word in text.split_inclusive(' ') {
                    self.signal.pause(*pause)?;
                    self.say(word);
                }
            }
            Command::Wait(file) => {
                let file = self.store.gate(file);
                while !file.exists() {
                    self.signal.pause(POLL_INTERVAL)?;
                }
            }
            Command::Env(name) => self.say_variable(name),
            Command::Pwd => self.say_directories(),
            Command::History => self.say_history(),
            Command::Session => self.say(&format!("session {}", self.session.id)),
            Command::Model => self.say(&format!("model {}", self.session.model())),
            Command::Mcp => self.say(&self.session.mcp_servers.to_string()),
            Command::Usage { cost, input, output } => {
                let before = self.usage.map_or(0.0, |usage| usage.cost);
                self.usage = Some(Usage { cost: before + cost, input: *input, output: *output });
            }
            Command::Flood(size) => self.flood(*size)?,
            Command::Giant(size) => self.wire.update(&self.session.id, &self.piece(*size)),
            Command::Stderr(text) => write_stderr(&format!("{text}\n")),
            Command::FloodStderr(size) => write_stderr(&"x".repeat(*size)),
            Command::Garbage => {
                for line in ["this is not JSON", "{\"jsonrpc\":\"2.0\"", "[1, 2]", "\"text\"", "{}", ""] {
                    self.wire.line(line);
                }
            }
            Command::Unknown => {
                self.wire.update(&self.session.id, &json!({"sessionUpdate": "from_the_future", "content": {"x": 1}}));
            }
            Command::Orphan(file) => self.orphan(file),
            Command::Hang => return Err(self.signal.wait_for_cancel().into()),
            Command::Freeze => block_forever(),
            Command::Crash => crash(),
            Command::Exit(code) => std::process::exit(*code),
            Command::Error(text) => return Err(EarlyEnd::Failed(failure(text))),
            Command::ErrorOnce(text) if self.earlier.is_empty() => return Err(EarlyEnd::Failed(failure(text))),
            Command::ErrorOnce(_) => {}
            Command::Stop(reason) => return Err(EarlyEnd::Stop(reason)),
            Command::Default => {
                let number = self.earlier.len() + 1;
                self.say("I add a line to done.txt and commit it.");
                let file = self.path("done.txt");
                let line = format!("prompt {number} of {}\n", self.session.id);
                self.file_tool("write", "done.txt", || work::append(&file, &line));
                self.commit(&format!("Do what prompt {number} asks"));
            }
        }
        Ok(())
    }

    fn say(&self, text: &str) {
        for word in text.split_inclusive(' ') {
            self.report(&update::chunk("agent_message_chunk", &self.message, word));
        }
    }

    /// Reports a tool call as announced and in progress; returns its id.
    fn start_tool(&self, name: &str, kind: &str, title: &str, input: &Value) -> String {
        let id = unique("call");
        self.report(&update::tool_call(&id, name, kind, input));
        self.report(&update::tool_in_progress(&id, title, kind, input));
        id
    }

    fn file_tool(&self, name: &str, path: &str, work: impl FnOnce() -> ToolResult) {
        let tool = self.start_tool(name, "edit", path, &json!({"filePath": self.path(path)}));
        self.finish_tool(&tool, path, "edit", work());
    }

    fn finish_tool(&self, tool: &str, title: &str, kind: &str, result: ToolResult) {
        match result {
            Ok(text) => self.report(&update::tool_completed(tool, title, &text, &json!({}))),
            Err(reason) => self.report(&update::tool_failed(tool, title, kind, &reason)),
        }
    }

    fn commit(&self, message: &str) {
        let title = format!("git commit -m {message}");
        let tool = self.start_tool("bash", "execute", &title, &json!({"command": title, "cwd": self.session.cwd}));
        self.finish_tool(&tool, &title, "execute", work::commit(&self.session.cwd, message));
    }

    fn run_program(&self, argv: &[String]) -> Result<(), EarlyEnd> {
        let title = match argv {
            [shell, flag, command] if shell == "sh" && flag == "-c" => command.clone(),
            _ => argv.join(" "),
        };
        let tool = self.start_tool("bash", "execute", &title, &json!({"command": title, "cwd": self.session.cwd}));
        let id = self.wire.fresh_id();
        match work::start(argv, &self.session.cwd, self.signal, id) {
            Ok(running) => {
                let (output, exit) = running.finish(self.signal, id)?;
                let metadata = json!({"output": output, "exit": exit, "truncated": false});
                self.report(&update::tool_completed(&tool, &title, &output, &metadata));
            }
            Err(reason) => self.report(&update::tool_failed(&tool, &title, "execute", &reason)),
        }
        Ok(())
    }

    fn call(&self, name: &str, arguments: &Value) {
        let tool = self.start_tool(name, "other", name, arguments);
        let result = match self.session.has_tools() {
            true => tools::call(&self.session.mcp_servers, name, arguments, &self.session.cwd),
            false => Err(format!("there is no tool {name} yet")),
        };
        self.finish_tool(&tool, name, "other", result);
    }

    fn permission(&self, title: &str) -> Result<(), EarlyEnd> {
        let tool = self.start_tool("bash", "execute", title, &json!({"command": title, "cwd": self.session.cwd}));
        if self.wire.is_waiting() {
            // opencode sends no further request while one of a cancelled turn is unanswered.
            return Err(self.signal.wait_for_cancel().into());
        }
        let params = update::permission(&self.session.id, &tool, title);
        let id = self.wire.request("session/request_permission", &params, self.signal);
        let answer = self.signal.await_answer(id)?;
        if answer["outcome"]["optionId"].as_str().is_some_and(|option| ["once", "always"].contains(&option)) {
            self.report(&update::tool_completed(&tool, title, "", &json!({"exit": 0})));
            return Ok(());
        }
        let reason = "The user rejected permission to use this specific tool call.";
        self.report(&update::tool_failed(&tool, title, "execute", reason));
        Err(EarlyEnd::Stop("end_turn"))
    }

    fn say_variable(&self, name: &str) {
        self.say(&match std::env::var_os(name) {
            Some(value) => format!("{name}={}", value.to_string_lossy()),
            None => format!("{name} is not set"),
        });
    }

    fn say_directories(&self) {
        let process = std::env::current_dir().map_or_else(|error| error.to_string(), |path| path.display().to_string());
        let variable = std::env::var_os("PWD").unwrap_or_default();
        let session = self.session.cwd.display();
        self.say(&format!("process {process}\nPWD {}\nsession {session}\n", variable.to_string_lossy()));
    }

    fn say_history(&self) {
        let count = self.earlier.len();
        let prompts = if count == 1 { "prompt" } else { "prompts" };
        let first = self.earlier.first().map_or(String::new(), |first| format!(", the first: {first}"));
        self.say(&format!("{count} earlier {prompts}{first}\n"));
    }

    fn orphan(&self, file: &str) {
        let path = self.path(file);
        let result = work::orphan(&self.session.cwd).and_then(|pid| {
            work::write(&path, &format!("{pid}\n"))?;
            Ok(format!("orphan {pid}"))
        });
        self.say(&result.unwrap_or_else(|reason| format!("no orphan: {reason}")));
    }

    fn flood(&self, size: usize) -> Result<(), Cancelled> {
        // Sent but not stored, so that the session's file stays small. Built once, so that only the pipe limits the rate.
        let line = update_line(&self.session.id, &self.piece(PIECE));
        for _ in 0..size / PIECE {
            self.signal.pause(Duration::ZERO)?;
            self.wire.line(&line);
        }
        if !size.is_multiple_of(PIECE) {
            self.wire.update(&self.session.id, &self.piece(size % PIECE));
        }
        Ok(())
    }

    fn piece(&self, size: usize) -> Value {
        update::chunk("agent_message_chunk", &self.message, &"x".repeat(size))
    }

    fn path(&self, path: &str) -> PathBuf {
        self.session.cwd.join(path)
    }

    fn report(&self, update: &Value) {
        self.store(update);
        self.wire.update(&self.session.id, update);
    }

    fn store(&self, update: &Value) {
        if let Err(error) = self.store.append(&self.session.id, update) {
            write_stderr(&format!("could not store the session {}: {error}\n", self.session.id));
        }
    }
}

/// The error of opencode 1.18.33 when its model fails.
fn failure(reason: &str) -> Value {
    json!({
        "code": -32603, "message": format!("Internal error: {reason}"),
        "data": {"service": "session", "errorName": "APIError"},
    })
}

fn write_stderr(text: &str) {
    // The client may have closed the pipe.
    let _closed = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Kills this process as the kernel does when memory runs out.
pub(super) fn crash() -> ! {
    let _killed = kill(Pid::this(), Kill::SIGKILL);
    block_forever()
}
