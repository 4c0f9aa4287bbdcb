//! The entry point for the fuzz target in `fuzz/`. It panics where a property is violated.
#![expect(clippy::expect_used, reason = "a violated property must stop the fuzzer")]

use serde_json::Value;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};

use super::inbox::{EVENTS_MAX, Inbox};
use super::state::SharedState;
use crate::event::AgentEvent;
use crate::question::{Policy, Questions};
use crate::truncate::{LINE_MAX, TEXT_MAX};
use crate::usage::Usage;
use crate::wire::{Closed, RpcClient, send_all};

/// Longest note after a truncated text, in bytes.
const NOTE_MAX: usize = 40;

/// Receives `data` as an agent's output during a turn. It is read to its end, strings in events are bounded, and each message
/// to the agent is one line.
pub fn agent_lines(data: &[u8]) {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    let (sender, mut events) = mpsc::channel(EVENTS_MAX);
    let (rpc, outbox) = RpcClient::new();
    let (state, questions) = (SharedState::default(), Questions::default());
    state.lock().open_session("s", Usage::default());
    state.lock().begin_turn();
    questions.begin_turn();
    let inbox = Inbox { rpc: rpc.clone(), state, questions: questions.clone(), events: sender };
    let take_events = async {
        while let Some(event) = events.recv().await {
            check(event);
        }
    };
    // A response to this request may be anywhere in the data.
    let request = async {
        let _ = rpc.request("initialize", Value::Null).await;
    };
    let (read_to_the_end, end) = oneshot::channel::<()>();
    let read = async {
        let closed = inbox.run(data).await;
        assert!(matches!(closed, Closed::Ended), "{closed:?}");
        rpc.close(closed);
        questions.end_turn();
        drop(read_to_the_end);
    };
    let mut sent = Vec::new();
    let send = async { send_all(outbox, &mut sent, end).await.expect("a vector takes everything") };
    runtime.block_on(async { tokio::join!(request, take_events, read, send) });
    for line in String::from_utf8(sent).expect("text").split_inclusive('\n') {
        let line = line.strip_suffix('\n').expect("a line");
        assert!(!line.contains('\n') && serde_json::from_str::<Value>(line).is_ok(), "{line}");
    }
}

fn check(event: AgentEvent) {
    // Text, and lines for people or IDs.
    let (texts, lines): (Vec<&String>, Vec<&String>) = match &event {
        AgentEvent::Text { text } | AgentEvent::Thought { text } | AgentEvent::Notice { text } => (vec![text], vec![]),
        AgentEvent::ToolStarted { id, title, input, .. } => (vec![input], vec![id, title]),
        AgentEvent::ToolChanged { id, title, input, output } => {
            (input.iter().chain(output).collect(), title.iter().chain([id]).collect())
        }
        AgentEvent::ToolEnded { id, title, input, output, .. } => (vec![input, output], vec![id, title]),
        AgentEvent::Plan { steps } => (vec![], steps.iter().map(|step| &step.text).collect()),
        AgentEvent::Question(question) => {
            (vec![&question.input], question.tool.iter().chain([&question.title]).collect())
        }
        AgentEvent::Usage { .. } => (vec![], vec![]),
    };
    for (strings, max) in [(texts, TEXT_MAX), (lines, LINE_MAX)] {
        for string in strings {
            assert!(string.len() <= max + NOTE_MAX, "{} bytes", string.len());
        }
    }
    if let AgentEvent::Question(question) = event {
        let answer = question.decide(Policy::Allow);
        answer.map(|answer| question.answer(answer));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn corpus_of_agent_lines_passes() {
        kugetsu_testkit::corpus::replay("agent_lines", super::agent_lines);
    }
}
