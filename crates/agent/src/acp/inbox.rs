//! Handles what the agent sends, in the order in which it arrives.

use serde_json::{Value, json};
use tokio::io::AsyncRead;
use tokio::sync::mpsc;
use tokio::time::{Duration, timeout};

use super::state::{BROKEN_ANSWERS_MAX, Chunk, SharedState};
use super::updates;
use crate::event::AgentEvent;
use crate::question::Questions;
use crate::truncate::truncate;
use crate::wire::{Closed, Incoming, Line, LineReader, ReadError, RpcClient};

/// Longest message in bytes. One may contain the whole output of a tool.
pub(super) const MESSAGE_MAX: usize = 16 * 1024 * 1024;
/// Events that wait to be taken.
pub(super) const EVENTS_MAX: usize = 32;
/// Upper bound of the events that one message causes.
const EVENTS_PER_MESSAGE: usize = 4;
/// Bytes that a notice quotes of a line that is not a message.
const QUOTE_MAX: usize = 200;

/// How long responses may wait because the agent does not read them.
pub(super) const UNREAD_LIMIT: Duration = Duration::from_secs(60);

/// Turns messages into events.
///
/// It handles one message at a time, and reads the next only when the events of that one fit into the queue, and not too
/// many responses wait to be sent. So if the agent is faster than the consumer of the events, or does not read responses,
/// data piles up in the pipe and not in memory.
pub(super) struct Inbox {
    pub(super) rpc: RpcClient,
    pub(super) state: SharedState,
    pub(super) questions: Questions,
    pub(super) events: mpsc::Sender<AgentEvent>,
}

impl Inbox {
    /// Reads to the end of the stream, and returns why it ended.
    pub(super) async fn run<R: AsyncRead + Unpin>(self, stdout: R) -> Closed {
        let mut reader = LineReader::new(stdout, MESSAGE_MAX);
        let mut noticed = false;
        loop {
            // Messages are sent by the same task. This gives them a turn even if the agent sends without a pause.
            tokio::task::yield_now().await;
            if timeout(UNREAD_LIMIT, self.rpc.room()).await.is_err() {
                return Closed::Unread;
            }
            // Fails if the consumer is gone. Responses must be read nevertheless.
            let _room = self.events.reserve_many(EVENTS_PER_MESSAGE).await;
            match reader.next().await {
                Ok(Some(Line::Message(message))) => {
                    if let Some(incoming) = self.rpc.receive(message) {
                        self.handle(incoming).await;
                    }
                }
                // One notice is enough: an agent with a verbose library would flood the user.
                Ok(Some(Line::Other(_))) if noticed => {}
                Ok(Some(Line::Other(line))) => {
                    noticed = true;
                    let quote = truncate(line, QUOTE_MAX);
                    let text = format!("The agent printed lines that are not messages, such as: {quote}");
                    self.emit(AgentEvent::Notice { text }).await;
                }
                Ok(None) => return Closed::Ended,
                Err(ReadError::TooLong) => return Closed::LineTooLong,
                Err(ReadError::Io(error)) => return Closed::Pipe(error.to_string()),
            }
        }
    }

    async fn handle(&self, incoming: Incoming) {
        match incoming {
            Incoming::Notification { method, params } if method == "session/update" => {
                for event in self.update(&params) {
                    self.emit(event).await;
                }
            }
            // Sent by vibe.
            Incoming::Notification { method, params } if method == "_session/retrying" => {
                let fields = [&params["category"], &params["detail"]].into_iter().filter_map(Value::as_str);
                let why = fields.collect::<Vec<_>>().join(", ");
                let text = format!("The model failed, and the agent asks it again: {}", truncate(why, QUOTE_MAX));
                self.emit(AgentEvent::Notice { text }).await;
            }
            Incoming::Notification { method, .. } => {
                tracing::trace!(method, "an unknown notification was ignored");
            }
            Incoming::Request { method, params, responder } if method == "session/request_permission" => {
                if let Some(question) = self.questions.open(&params, responder) {
                    self.emit(AgentEvent::Question(question)).await;
                }
            }
            Incoming::Request { method, responder, .. } => {
                tracing::debug!(method, "the agent requested something that kugetsu does not offer");
                responder.method_not_found();
            }
        }
    }

    fn update(&self, params: &Value) -> Vec<AgentEvent> {
        let mut state = self.state.lock();
        if !state.prompting {
            state.take_total(&params["update"]);
        }
        let is_other = state.session.is_some() && state.session.as_deref() != params["sessionId"].as_str();
        if state.replaying || is_other {
            return Vec::new();
        }
        let update = &params["update"];
        state.take_update(update);
        let mut events = updates::events(update, &mut state);
        if !state.prompting {
            return events;
        }
        for event in &events {
            if let AgentEvent::Text { text } = event {
                state.text(text);
            }
            if is_answer(event) {
                state.answered();
            }
        }
        match answer_of_chunk(update).map_or(Chunk::Normal, |answer| state.chunk(answer)) {
            Chunk::Normal => {}
            Chunk::AfterBreak(times) => {
                let text = format!(
                    "The model's answer broke off ({times} of {BROKEN_ANSWERS_MAX} in a row); the agent requests another."
                );
                events.insert(0, AgentEvent::Notice { text });
            }
            Chunk::GiveUp => {
                self.questions.cancel_all();
                cancel(&self.rpc, params["sessionId"].as_str().unwrap_or_default());
            }
        }
        events
    }

    async fn emit(&self, event: AgentEvent) {
        // Fails if the consumer is gone. Dropping the event refuses a question in it.
        let _ = self.events.send(event).await;
    }
}

fn is_answer(event: &AgentEvent) -> bool {
    match event {
        AgentEvent::Text { text } => !text.trim().is_empty(),
        AgentEvent::ToolStarted { .. } | AgentEvent::Plan { .. } => true,
        _ => false,
    }
}

/// Returns the id of the answer, if the agent reports one, that the update is a chunk of.
fn answer_of_chunk(update: &Value) -> Option<Option<&str>> {
    matches!(update["sessionUpdate"].as_str()?, "agent_message_chunk" | "agent_thought_chunk")
        .then(|| update["messageId"].as_str())
}

/// Asks the agent to end its turn.
pub(super) fn cancel(rpc: &RpcClient, session: &str) {
    rpc.notify("session/cancel", json!({"sessionId": session}));
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[tokio::test]
    async fn nothing_is_read_while_events_wait() {
        let (sender, mut events) = mpsc::channel(EVENTS_MAX);
        for _ in 0..EVENTS_MAX {
            sender.try_send(AgentEvent::Notice { text: String::new() }).unwrap();
        }
        let (rpc, _lines) = RpcClient::new();
        let (mut agent, stdout) = tokio::io::duplex(4);
        let inbox = Inbox { rpc, state: SharedState::default(), questions: Questions::default(), events: sender };
        let mut running = pin!(inbox.run(stdout));
        let mut poll = |times: usize| {
            for _ in 0..times {
                assert!(running.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            }
        };
        let mut writing = pin!(tokio::io::AsyncWriteExt::write_all(&mut agent, b"{}\n{}\n"));
        let mut is_written = || writing.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        assert!(!is_written());
        poll(20);
        assert!(!is_written(), "the inbox waits for room");
        for _ in 0..EVENTS_PER_MESSAGE {
            events.recv().await.unwrap();
        }
        poll(20);
        assert!(is_written());
    }
}
