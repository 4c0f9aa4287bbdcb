//! Permission questions: each is answered exactly once, and refusals are reported.

use std::path::Path;

use kugetsu_agent::{AgentEvent, Answer, Policy, Question, StopReason, Turn};
use serde_json::{Value, json};

use crate::peer::{connected, end_turn, opencode, text, within};

/// Runs a turn in which the agent asks once. Returns the answer that the agent got, and the turn.
async fn ask(answer: impl FnOnce(Question)) -> (Value, Turn) {
    let (connection, mut events, mut peer) = connected(&opencode()).await;
    let (session, ()) = within(async { tokio::join!(connection.new_session(Path::new("/")), peer.opens("s")) }).await;
    let session = session.unwrap();
    let asking = async {
        let (id, _) = peer.expect("session/prompt").await;
        peer.update("s", text("m", "May I?")).await;
        peer.ask(7, "s", "rm -rf /").await;
        let answer = peer.response_to(&json!(7)).await;
        peer.result(&id, end_turn(100, 20)).await;
        answer["result"]["outcome"].clone()
    };
    let answering = async {
        loop {
            if let AgentEvent::Question(question) = events.next().await.expect("a question") {
                assert_eq!((question.title.as_str(), question.tool.as_deref()), ("rm -rf /", Some("call_1")));
                return answer(question);
            }
        }
    };
    let (turn, outcome, ()) = within(async { tokio::join!(session.prompt("hello"), asking, answering) }).await;
    (outcome, turn.unwrap())
}

#[tokio::test]
async fn allowed_question_leaves_the_turn_clean() {
    let (outcome, turn) = ask(|question| {
        let answer = question.decide(Policy::Allow).unwrap();
        question.answer(answer).unwrap();
    })
    .await;
    assert_eq!(outcome, json!({"outcome": "selected", "optionId": "once"}));
    assert!(turn.is_clean(), "{turn:?}");
}

#[tokio::test]
async fn refused_question_is_reported() {
    let (outcome, turn) = ask(|question| {
        let answer = question.decide(Policy::Refuse).unwrap();
        question.answer(answer).unwrap();
    })
    .await;
    assert_eq!(outcome, json!({"outcome": "selected", "optionId": "reject"}));
    assert_eq!((turn.stop, &turn.doubt), (StopReason::EndTurn, &None));
    assert_eq!(turn.refused.len(), 1);
    assert_eq!(turn.refused[0].title, "rm -rf /");
    assert!(!turn.is_clean());
}

#[tokio::test]
async fn dropped_question_is_refused() {
    let (outcome, turn) = ask(drop).await;
    assert_eq!(outcome["optionId"], "reject");
    assert_eq!(turn.refused.len(), 1);
}

#[tokio::test]
async fn question_for_a_person_stays_open_until_it_is_answered() {
    let (outcome, turn) = ask(|question| {
        assert_eq!(question.decide(Policy::Ask), None);
        question.answer(Answer::AllowAlways).unwrap();
    })
    .await;
    assert_eq!(outcome["optionId"], "always");
    assert!(turn.is_clean());
}

#[tokio::test]
async fn cancel_answers_open_and_later_questions() {
    let (connection, mut events, mut peer) = connected(&opencode()).await;
    let (session, ()) = within(async { tokio::join!(connection.new_session(Path::new("/")), peer.opens("s")) }).await;
    let session = session.unwrap();
    let cancelled = json!({"outcome": "cancelled"});
    let asking = async {
        let (id, _) = peer.expect("session/prompt").await;
        peer.ask(7, "s", "one").await;
        let AgentEvent::Question(question) = events.next().await.unwrap() else { panic!("no question") };
        connection.cancel();
        assert_eq!(peer.response_to(&json!(7)).await["result"]["outcome"], cancelled);
        assert!(question.answer(Answer::AllowOnce).is_err(), "it is closed");
        peer.expect("session/cancel").await;
        peer.ask(8, "s", "two").await;
        assert_eq!(peer.response_to(&json!(8)).await["result"]["outcome"], cancelled);
        peer.result(&id, json!({"stopReason": "cancelled"})).await;
    };
    let (turn, ()) = within(async { tokio::join!(session.prompt("hello"), asking) }).await;
    assert_eq!(turn.unwrap().stop, StopReason::Cancelled);
}

#[tokio::test]
async fn request_for_a_missing_capability_is_rejected() {
    let (connection, mut events, mut peer) = connected(&opencode()).await;
    peer.line(r#"{"jsonrpc":"2.0","id":3,"method":"fs/read_text_file","params":{"path":"/etc/passwd"}}"#).await;
    assert_eq!(peer.response_to(&json!(3)).await["error"]["code"], -32601);
    assert!(events.try_next().is_none());
    connection.close().await;
    assert_eq!(peer.next().await, None, "the agent's stdin was closed");
}
