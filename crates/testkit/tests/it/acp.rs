//! A client of the Agent Client Protocol for tests: whole lines, nothing hidden.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};

use kugetsu_testkit::wait::DEADLINE;
use kugetsu_testkit::{Home, eventually, scripted_agent};
use serde_json::{Value, json};

/// A running agent.
pub(crate) struct Agent {
    pub(crate) child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    next_id: u64,
    /// Every update so far.
    pub(crate) updates: Vec<Value>,
    /// Every line that was no message.
    pub(crate) garbage: Vec<String>,
    /// How many permission questions came.
    pub(crate) questions: usize,
    /// How a permission question is answered; `None` leaves it open.
    pub(crate) answer: Option<Value>,
}

pub(crate) fn selected(option: &str) -> Option<Value> {
    Some(json!({"outcome": {"outcome": "selected", "optionId": option}}))
}

pub(crate) fn command(home: &Home) -> Command {
    home.command(scripted_agent())
}

impl Agent {
    pub(crate) fn start(home: &Home, args: &[&str]) -> Self {
        let mut command = command(home);
        command.arg("acp").args(args);
        Self::spawn(command)
    }

    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let stdin = child.stdin.take();
        Self {
            child,
            stdin,
            lines,
            next_id: 1,
            updates: Vec::new(),
            garbage: Vec::new(),
            questions: 0,
            answer: selected("once"),
        }
    }

    /// An initialized agent with a new session in `cwd`; returns the session's id as well.
    pub(crate) fn with_session(home: &Home, cwd: &Path) -> (Self, String) {
        let mut agent = Self::start(home, &[]);
        agent.call("initialize", json!({"protocolVersion": 1})).unwrap();
        let session = agent.call("session/new", json!({"cwd": cwd, "mcpServers": []})).unwrap();
        (agent, session["sessionId"].as_str().unwrap().to_owned())
    }

    pub(crate) fn send(&mut self, message: &Value) {
        self.stdin.as_mut().unwrap().write_all(format!("{message}\n").as_bytes()).unwrap();
    }

    pub(crate) fn notify(&mut self, method: &str, params: Value) {
        self.send(&json!({"jsonrpc": "2.0", "method": method, "params": params}));
    }

    pub(crate) fn request(&mut self, method: &str, params: Value) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        id
    }

    pub(crate) fn call(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        let id = self.request(method, params);
        self.answer_to(id)
    }

    pub(crate) fn prompt(&mut self, session: &str, text: &str) -> Result<Value, Value> {
        let id = self.begin_prompt(session, text);
        self.answer_to(id)
    }

    pub(crate) fn begin_prompt(&mut self, session: &str, text: &str) -> u64 {
        self.updates.clear();
        self.request("session/prompt", json!({"sessionId": session, "prompt": [{"type": "text", "text": text}]}))
    }

    /// Reads until the answer to the request `id` comes.
    pub(crate) fn answer_to(&mut self, id: u64) -> Result<Value, Value> {
        loop {
            let message = self.message();
            if message["id"] == id && message.get("method").is_none() {
                return message.get("result").cloned().ok_or_else(|| message["error"].clone());
            }
        }
    }

    /// Reads until an update fits.
    pub(crate) fn until_update(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.message();
            if fits(&message["params"]["update"]) {
                return message["params"]["update"].clone();
            }
        }
    }

    /// Reads until the agent asks for permission; returns the request, which is not answered.
    pub(crate) fn until_question(&mut self) -> Value {
        self.answer = None;
        loop {
            let message = self.message();
            if message["method"] == "session/request_permission" {
                return message;
            }
        }
    }

    /// The next message; updates are kept, questions answered.
    fn message(&mut self) -> Value {
        loop {
            let line = self.lines.recv_timeout(DEADLINE).expect("the agent's next message");
            let message = serde_json::from_str::<Value>(&line).ok().filter(|message| message["jsonrpc"] == "2.0");
            let Some(message) = message else {
                self.garbage.push(line);
                continue;
            };
            if message["method"] == "session/update" {
                self.updates.push(message["params"]["update"].clone());
            }
            if message["method"] == "session/request_permission" {
                self.questions += 1;
                if let Some(answer) = self.answer.clone() {
                    self.send(&json!({"jsonrpc": "2.0", "id": message["id"], "result": answer}));
                }
            }
            return message;
        }
    }

    /// All that the agent said in the last turn.
    pub(crate) fn said(&self) -> String {
        let said = self.updates.iter().filter(|update| update["sessionUpdate"] == "agent_message_chunk");
        said.filter_map(|update| update["content"]["text"].as_str()).collect()
    }

    /// The updates of one kind.
    pub(crate) fn of_kind(&self, kind: &str) -> Vec<&Value> {
        self.updates.iter().filter(|update| update["sessionUpdate"] == kind).collect()
    }

    /// Waits for the end of the process.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        eventually("the end of the agent", || self.child.try_wait().unwrap())
    }

    /// Closes stdin and waits for the end.
    pub(crate) fn close(mut self) -> ExitStatus {
        self.stdin = None;
        self.wait()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}
