//! Turns: their events, how they end, and what they use.

use std::path::Path;

use kugetsu_agent::{AgentError, AgentEvent, StopReason};
use serde_json::json;

use crate::peer::{collecting, connected, end_turn, opencode, plain, text, text_of, within};

#[tokio::test]
async fn turn_has_events_and_usage() {
    let (connection, mut events, mut peer) = connected(&opencode()).await;
    assert_eq!((connection.info().name.as_str(), connection.info().version.as_str()), ("OpenCode", "1.18.33"));
    let (session, ()) =
        within(async { tokio::join!(connection.new_session(Path::new("/")), peer.opens("ses_1")) }).await;
    let session = session.unwrap();
    assert_eq!((session.id().as_str(), session.model()), ("ses_1", Some("mock/mock-1")));

    let answering = async {
        let (id, params) = peer.expect("session/prompt").await;
        assert_eq!(params, json!({"sessionId": "ses_1", "prompt": [{"type": "text", "text": "hello"}]}));
        peer.update("ses_1", text("m1", "I look")).await;
        peer.update("ses_1", json!({"sessionUpdate": "tool_call", "toolCallId": "c", "title": "bash", "kind": "execute", "status": "pending", "rawInput": {}})).await;
        let output = json!([{"type": "content", "content": {"type": "text", "text": "hi\n"}}]);
        peer.update(
            "ses_1",
            json!({"sessionUpdate": "tool_call_update", "toolCallId": "c", "status": "completed", "content": output}),
        )
        .await;
        peer.update("ses_other", text("m9", "a sub-agent's text")).await;
        peer.update("ses_1", text("m2", " and go.")).await;
        peer.update("ses_1", json!({"sessionUpdate": "usage_update", "used": 100, "size": 1000, "cost": {"amount": 0.25, "currency": "USD"}})).await;
        peer.result(&id, end_turn(100, 20)).await;
    };
    let ((turn, ()), seen) = collecting(&mut events, async { tokio::join!(session.prompt("hello"), answering) }).await;
    let turn = turn.unwrap();
    assert!(turn.is_clean(), "{turn:?}");
    assert_eq!(
        (turn.usage.tokens.map(|tokens| (tokens.input, tokens.output)), turn.usage.cost_usd),
        (Some((100, 20)), Some(0.25))
    );
    assert_eq!(connection.usage(), turn.usage);
    assert_eq!(text_of(&seen), "I look and go.");
    let ended =
        seen.iter().any(|event| matches!(event, AgentEvent::ToolEnded { ok: true, output, .. } if output == "hi\n"));
    assert!(ended, "{seen:?}");
    assert!(seen.iter().any(|event| matches!(event, AgentEvent::Usage { context_used: 100, .. })), "{seen:?}");
}

/// Runs a turn with these updates and this response to the prompt.
async fn ended(updates: Vec<serde_json::Value>, answer: serde_json::Value) -> kugetsu_agent::Turn {
    let (connection, mut events, mut peer) = connected(&opencode()).await;
    let (session, ()) = within(async { tokio::join!(connection.new_session(Path::new("/")), peer.opens("s")) }).await;
    let answering = async {
        let (id, _) = peer.expect("session/prompt").await;
        for update in updates {
            peer.update("s", update).await;
        }
        peer.result(&id, answer).await;
    };
    let session = session.unwrap();
    let ((turn, ()), _) = collecting(&mut events, async { tokio::join!(session.prompt("hello"), answering) }).await;
    turn.unwrap()
}

#[tokio::test]
async fn turn_without_a_complete_answer_is_not_clean() {
    let tool = json!({"sessionUpdate": "tool_call_update", "toolCallId": "c", "status": "completed"});
    let doubtful = [
        (vec![text("m", "half a sen")], end_turn(0, 0)),
        (vec![text("m", "I look")], json!({"stopReason": "end_turn"})),
        (vec![text("m", "I look"), tool], end_turn(100, 20)),
        (vec![], end_turn(0, 0)),
        (vec![text("m", "fine")], json!({"stopReason": "from_the_future", "usage": {"inputTokens": 1}})),
        (vec![text("m", "fine")], json!({"usage": {"inputTokens": 1}})),
    ];
    for (updates, answer) in doubtful {
        let turn = ended(updates, answer.clone()).await;
        assert!(turn.doubt.is_some() && !turn.is_clean(), "{answer}");
    }
    for (word, stop) in [
        ("max_tokens", StopReason::MaxTokens),
        ("refusal", StopReason::Refused),
        ("max_turn_requests", StopReason::MaxRequests),
    ] {
        let turn = ended(vec![text("m", "x")], json!({"stopReason": word})).await;
        assert!(turn.stop == stop && !turn.is_clean(), "{word}");
    }
}

#[tokio::test]
async fn endless_broken_answers_cancel_the_turn() {
    let (connection, mut events, mut peer) = connected(&opencode()).await;
    let (session, ()) = within(async { tokio::join!(connection.new_session(Path::new("/")), peer.opens("s")) }).await;
    let session = session.unwrap();
    let answering = async {
        let (id, _) = peer.expect("session/prompt").await;
        for n in 0..=10 {
            peer.update("s", text(&format!("m{n}"), "half a sen")).await;
        }
        let (_, params) = peer.expect("session/cancel").await;
        assert_eq!(params["sessionId"], "s");
        peer.result(&id, json!({"stopReason": "cancelled"})).await;
    };
    let ((turn, ()), seen) = collecting(&mut events, async { tokio::join!(session.prompt("hello"), answering) }).await;
    assert!(matches!(turn, Err(AgentError::KeepsBreakingOff)), "{turn:?}");
    let notices =
        seen.iter().filter(|event| matches!(event, AgentEvent::Notice { text } if text.contains("broke off"))).count();
    assert_eq!(notices, 9);
}

#[tokio::test]
async fn cancel_ends_the_turn() {
    let (connection, mut events, mut peer) = connected(&opencode()).await;
    let (session, ()) = within(async { tokio::join!(connection.new_session(Path::new("/")), peer.opens("s")) }).await;
    let session = session.unwrap();
    connection.cancel();
    let answering = async {
        let (id, _) = peer.expect("session/prompt").await;
        connection.cancel();
        let (no_id, params) = peer.expect("session/cancel").await;
        assert!(no_id.is_null() && params["sessionId"] == "s", "only the cancel during the turn was sent");
        peer.result(&id, json!({"stopReason": "cancelled", "usage": {"inputTokens": 0}})).await;
    };
    let ((turn, ()), _) = collecting(&mut events, async { tokio::join!(session.prompt("hello"), answering) }).await;
    assert_eq!(turn.unwrap().stop, StopReason::Cancelled);
}

#[tokio::test]
async fn dropped_prompt_is_cancelled() {
    let (connection, _events, mut peer) = connected(&opencode()).await;
    let (session, ()) = within(async { tokio::join!(connection.new_session(Path::new("/")), peer.opens("s")) }).await;
    let session = session.unwrap();
    tokio::select! {
        turn = session.prompt("hello") => panic!("{turn:?}"),
        _ = peer.expect("session/prompt") => {}
    }
    loop {
        let message = peer.next().await.expect("a cancel");
        if message["method"] == "session/cancel" {
            break;
        }
    }
}

#[tokio::test]
async fn empty_messages_and_commands_are_not_sent_as_they_are() {
    let (connection, mut events, mut peer) = connected(&opencode()).await;
    let (session, ()) = within(async { tokio::join!(connection.new_session(Path::new("/")), peer.opens("s")) }).await;
    let session = session.unwrap();
    assert!(matches!(session.prompt(" \n").await, Err(AgentError::EmptyPrompt)));
    let answering = async {
        let (id, params) = peer.expect("session/prompt").await;
        assert_eq!(params["prompt"][1]["text"], "/init now");
        assert_eq!(params["prompt"][0]["text"], "The message is:");
        peer.update("s", text("m", "x")).await;
        peer.result(&id, end_turn(1, 1)).await;
    };
    let ((turn, ()), _) = collecting(&mut events, async { tokio::join!(session.prompt("/init now"), answering) }).await;
    assert!(turn.unwrap().is_clean());
}

#[tokio::test]
async fn agent_without_quirks_is_trusted() {
    let (connection, mut events, mut peer) = connected(&plain()).await;
    let (session, ()) = within(async { tokio::join!(connection.new_session(Path::new("/")), peer.opens("s")) }).await;
    let session = session.unwrap();
    let answering = async {
        let (id, _) = peer.expect("session/prompt").await;
        for n in 0..20 {
            peer.update("s", text(&format!("m{n}"), "a paragraph ")).await;
        }
        peer.result(&id, json!({"stopReason": "end_turn"})).await;
    };
    let ((turn, ()), _) = collecting(&mut events, async { tokio::join!(session.prompt("hello"), answering) }).await;
    assert!(turn.unwrap().is_clean());
}
