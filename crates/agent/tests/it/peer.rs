//! The agent's end of the pipes, which tests play message by message. It shares no code with the client.

use std::time::Duration;

use kugetsu_agent::{AgentError, AgentEvent, AgentSettings, Connection, EventStream, Profile, SessionOptions, profile};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, DuplexStream, Lines};

/// Longest time of a step. Only a hang exceeds it.
pub(crate) const LIMIT: Duration = Duration::from_secs(180);

/// An agent whose messages the test writes.
pub(crate) struct Peer {
    lines: Lines<BufReader<Box<dyn AsyncRead + Unpin>>>,
    writer: Box<dyn AsyncWrite + Unpin>,
}

pub(crate) fn opencode() -> Profile {
    profile("opencode", &[]).unwrap()
}

/// An agent without quirks.
pub(crate) fn plain() -> Profile {
    profile(
        "plain",
        &[AgentSettings { name: "plain".into(), program: Some("plain".into()), ..AgentSettings::default() }],
    )
    .unwrap()
}

/// A pipe with a small buffer, and the agent at its other end.
pub(crate) fn pipe() -> (DuplexStream, Peer) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let (reader, writer) = tokio::io::split(theirs);
    (ours, Peer::of(reader, writer))
}

/// Opens a connection.
pub(crate) async fn connected(profile: &Profile) -> (Connection, EventStream, Peer) {
    connected_with(profile, SessionOptions::default(), initialized()).await
}

/// Opens a connection to an agent that responds to `initialize` like this.
pub(crate) async fn connected_with(
    profile: &Profile,
    options: SessionOptions,
    initialized: Value,
) -> (Connection, EventStream, Peer) {
    let (ours, mut peer) = pipe();
    let (reader, writer) = tokio::io::split(ours);
    let (opened, ()) = within(async {
        tokio::join!(Connection::open(profile, options, writer, reader), async {
            let (id, params) = peer.expect("initialize").await;
            assert_eq!(params["protocolVersion"], 1);
            assert_eq!(params["clientCapabilities"]["terminal"], false);
            peer.result(&id, initialized).await;
        })
    })
    .await;
    let (connection, events) = opened.unwrap();
    (connection, events, peer)
}

/// opencode 1.18.33's response to `initialize`.
pub(crate) fn initialized() -> Value {
    json!({
        "protocolVersion": 1,
        "agentCapabilities": {
            "loadSession": true,
            "mcpCapabilities": {"http": true, "sse": true},
            "promptCapabilities": {"embeddedContext": true, "image": true},
            "sessionCapabilities": {"close": {}, "fork": {}, "list": {}, "resume": {}},
        },
        "authMethods": [{"description": "Run `opencode auth login` in the terminal", "name": "Login with opencode", "id": "opencode-login"}],
        "agentInfo": {"name": "OpenCode", "version": "1.18.33"},
    })
}

/// The relevant part of opencode's response to `session/new`.
pub(crate) fn new_session(id: &str) -> Value {
    json!({"sessionId": id, "configOptions": [
        {"id": "model", "name": "Model", "category": "model", "type": "select", "currentValue": "mock/mock-1",
         "options": [{"value": "mock/mock-1", "name": "Mock/mock-1"}, {"value": "mock/mock-2", "name": "Mock/mock-2"}]},
        {"id": "mode", "category": "mode", "currentValue": "build", "options": [{"value": "build"}]},
    ]})
}

pub(crate) fn text(answer: &str, text: &str) -> Value {
    json!({"sessionUpdate": "agent_message_chunk", "messageId": answer, "content": {"type": "text", "text": text}})
}

/// The response to a prompt whose last model step used this many tokens.
pub(crate) fn end_turn(input: u64, output: u64) -> Value {
    let usage = json!({"inputTokens": input, "outputTokens": output, "totalTokens": input.saturating_add(output)});
    json!({"stopReason": "end_turn", "usage": usage, "_meta": {}})
}

/// Fails the test if the future takes too long.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.expect("timed out")
}

/// Collects the events until the future is ready.
pub(crate) async fn collecting<T>(events: &mut EventStream, future: impl Future<Output = T>) -> (T, Vec<AgentEvent>) {
    let mut future = std::pin::pin!(future);
    let mut seen = Vec::new();
    let value = within(async {
        loop {
            tokio::select! {
                value = &mut future => break value,
                Some(event) = events.next() => seen.push(event),
            }
        }
    })
    .await;
    seen.extend(std::iter::from_fn(|| events.try_next()));
    (value, seen)
}

/// The concatenated text of the agent's answer.
pub(crate) fn text_of(events: &[AgentEvent]) -> String {
    let texts = events
        .iter()
        .filter_map(|event| if let AgentEvent::Text { text } = event { Some(text.as_str()) } else { None });
    texts.collect()
}

/// The error message.
pub(crate) fn message<T>(result: Result<T, AgentError>) -> String {
    result.err().expect("an error").to_string()
}

impl Peer {
    pub(crate) fn of(input: impl AsyncRead + Unpin + 'static, output: impl AsyncWrite + Unpin + 'static) -> Self {
        Self { lines: BufReader::new(Box::new(input) as Box<dyn AsyncRead + Unpin>).lines(), writer: Box::new(output) }
    }

    pub(crate) fn close_input(&mut self) {
        self.lines = BufReader::new(Box::new(tokio::io::empty()) as Box<dyn AsyncRead + Unpin>).lines();
    }

    /// Expects a request or notification next, and returns its id and parameters.
    pub(crate) async fn expect(&mut self, method: &str) -> (Value, Value) {
        let mut message = self.next().await.unwrap_or_else(|| panic!("the pipe closed before {method}"));
        assert_eq!(message["method"], method, "{message}");
        (message["id"].take(), message["params"].take())
    }

    /// Expects the response to this request next.
    pub(crate) async fn response_to(&mut self, id: &Value) -> Value {
        let message = self.next().await.expect("the pipe closed");
        assert_eq!(message["id"], *id, "{message}");
        message
    }

    /// Returns the next message, or `None` if the other end was closed.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        let line = within(self.lines.next_line()).await.unwrap()?;
        Some(serde_json::from_str(&line).unwrap())
    }

    pub(crate) async fn result(&mut self, id: &Value, result: Value) {
        self.send(json!({"jsonrpc": "2.0", "id": id, "result": result})).await;
    }

    pub(crate) async fn error(&mut self, id: &Value, error: Value) {
        self.send(json!({"jsonrpc": "2.0", "id": id, "error": error})).await;
    }

    pub(crate) async fn update(&mut self, session: &str, update: Value) {
        let params = json!({"sessionId": session, "update": update});
        self.send(json!({"jsonrpc": "2.0", "method": "session/update", "params": params})).await;
    }

    /// Asks for a permission as opencode does.
    pub(crate) async fn ask(&mut self, id: u64, session: &str, title: &str) {
        let params = json!({
            "sessionId": session,
            "toolCall": {"toolCallId": "call_1", "title": title, "kind": "execute", "status": "pending", "locations": [], "rawInput": {"command": title}},
            "options": [
                {"optionId": "once", "kind": "allow_once", "name": "Allow once"},
                {"optionId": "always", "kind": "allow_always", "name": "Always allow"},
                {"optionId": "reject", "kind": "reject_once", "name": "Reject"},
            ],
        });
        self.send(json!({"jsonrpc": "2.0", "id": id, "method": "session/request_permission", "params": params})).await;
    }

    async fn send(&mut self, message: Value) {
        self.line(&message.to_string()).await;
    }

    pub(crate) async fn line(&mut self, line: &str) {
        within(self.writer.write_all(format!("{line}\n").as_bytes())).await.unwrap();
    }

    /// Writes without a time limit, and returns whether the other end is still open.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> bool {
        self.writer.write_all(bytes).await.is_ok()
    }

    /// Responds to `session/new` with this session.
    pub(crate) async fn opens(&mut self, session: &str) {
        let (id, _) = self.expect("session/new").await;
        self.result(&id, new_session(session)).await;
    }
}
