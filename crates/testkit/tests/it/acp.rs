//! A minimal client of the Agent Client Protocol.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use kugetsu_testkit::wait::DEADLINE;
use kugetsu_testkit::{Home, eventually, scripted_agent};
use serde_json::{Value, json};

pub(crate) struct Agent {
    pub(crate) child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    next_id: u64,
    /// All updates of the last turn.
    pub(crate) updates: Vec<Value>,
    /// Lines that are not messages.
    pub(crate) garbage: Vec<String>,
    /// Number of permission requests.
    pub(crate) permission_requests: usize,
    /// The answer to permission requests; `None` leaves them open.
    pub(crate) permission: Option<Value>,
    /// Limit for the agent's next message.
    pub(crate) limit: Duration,
    /// All messages in both directions.
    pub(crate) log: Vec<Logged>,
}

/// A message with its author.
pub(crate) struct Logged {
    pub(crate) from: &'static str,
    pub(crate) message: Value,
    pub(crate) at: Instant,
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
            permission_requests: 0,
            permission: selected("once"),
            limit: DEADLINE,
            log: Vec::new(),
        }
    }

    /// Starts an agent with a new session in `cwd` and returns the session's id too.
    pub(crate) fn with_session(home: &Home, cwd: &Path) -> (Self, String) {
        let mut agent = Self::start(home, &[]);
        agent.call("initialize", json!({"protocolVersion": 1})).unwrap();
        let session = agent.call("session/new", json!({"cwd": cwd, "mcpServers": []})).unwrap();
        (agent, session["sessionId"].as_str().unwrap().to_owned())
    }

    pub(crate) fn send(&mut self, message: &Value) {
        self.log.push(Logged { from: "client", message: message.clone(), at: Instant::now() });
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
        self.await_response(id)
    }

    pub(crate) fn prompt(&mut self, session: &str, text: &str) -> Result<Value, Value> {
        let id = self.start_prompt(session, text);
        self.await_response(id)
    }

    pub(crate) fn start_prompt(&mut self, session: &str, text: &str) -> u64 {
        self.updates.clear();
        self.request("session/prompt", json!({"sessionId": session, "prompt": [{"type": "text", "text": text}]}))
    }

    /// Reads up to the response to the request `id`.
    pub(crate) fn await_response(&mut self, id: u64) -> Result<Value, Value> {
        loop {
            let message = self.read_message();
            if message["id"] == id && message.get("method").is_none() {
                return message.get("result").cloned().ok_or_else(|| message["error"].clone());
            }
        }
    }

    /// Reads up to the first update that matches.
    pub(crate) fn await_update(&mut self, matches: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.read_message();
            if matches(&message["params"]["update"]) {
                return message["params"]["update"].clone();
            }
        }
    }

    /// Reads up to the next permission request and returns it unanswered.
    pub(crate) fn await_permission_request(&mut self) -> Value {
        self.permission = None;
        loop {
            let message = self.read_message();
            if message["method"] == "session/request_permission" {
                return message;
            }
        }
    }

    /// Reads messages until one fails to arrive within `limit`, or until the response to the request `id`, which it returns.
    pub(crate) fn try_response(&mut self, id: u64, limit: Duration) -> Option<Value> {
        let end = Instant::now() + limit;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            let message = self.try_message(left)?;
            if message["id"] == id && message.get("method").is_none() {
                return Some(message);
            }
        }
        None
    }

    fn read_message(&mut self) -> Value {
        self.try_message(self.limit).expect("the agent's next message")
    }

    /// Reads the next message, stores updates and answers permission requests. Returns `None` if none arrives within
    /// `limit`.
    fn try_message(&mut self, limit: Duration) -> Option<Value> {
        loop {
            let line = self.lines.recv_timeout(limit).ok()?;
            let message = serde_json::from_str::<Value>(&line).ok().filter(|message| message["jsonrpc"] == "2.0");
            let Some(message) = message else {
                self.garbage.push(line);
                continue;
            };
            self.log.push(Logged { from: "agent", message: message.clone(), at: Instant::now() });
            if message["method"] == "session/update" {
                self.updates.push(message["params"]["update"].clone());
            }
            if message["method"] == "session/request_permission" {
                self.permission_requests += 1;
                if let Some(answer) = self.permission_answer(&message) {
                    self.send(&json!({"jsonrpc": "2.0", "id": message["id"], "result": answer}));
                }
            } else if message.get("method").is_some() && message.get("id").is_some() {
                let error = json!({"code": -32601, "message": "method not found"});
                self.send(&json!({"jsonrpc": "2.0", "id": message["id"], "error": error}));
            }
            return Some(message);
        }
    }

    /// `permission`, or the id of the option of the kind that it names instead of an id.
    fn permission_answer(&self, request: &Value) -> Option<Value> {
        let mut answer = self.permission.clone()?;
        let options = request["params"]["options"].as_array().map(Vec::as_slice).unwrap_or_default();
        if let Some(option) = options.iter().find(|option| option["kind"] == answer["outcome"]["optionId"]) {
            answer["outcome"]["optionId"] = option["optionId"].clone();
        }
        Some(answer)
    }

    /// The agent's text in the last turn.
    pub(crate) fn text(&self) -> String {
        let chunks = self.updates.iter().filter(|update| update["sessionUpdate"] == "agent_message_chunk");
        chunks.filter_map(|update| update["content"]["text"].as_str()).collect()
    }

    pub(crate) fn of_kind(&self, kind: &str) -> Vec<&Value> {
        self.updates.iter().filter(|update| update["sessionUpdate"] == kind).collect()
    }

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
        // Fails if it has already ended.
        let _killed = self.child.kill();
        let _status = self.child.wait();
    }
}
