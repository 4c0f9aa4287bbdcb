//! Answers an HTTP request: finds the script and its next step, and carries it out.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::stream;
use serde_json::{Value, json};

use super::conversation::Turn;
use super::next_step::{NextStep, next_step};
use super::reply::{Frame, Reply};
use super::request::{Delivery, ModelRequest, Outcome, Requests};
use super::script::{Script, Status, Step};
use crate::script_text::{self, ScriptText};
use crate::watched::Watched;

pub(super) const MODEL: &str = "mock-1";

/// The state that all requests share.
#[derive(Debug)]
pub(super) struct ModelState {
    /// The script for messages without one.
    pub(super) default: Watched<Script>,
    /// Scripts by a text that occurs in the message.
    pub(super) named: Watched<BTreeMap<String, Script>>,
    /// The open gates.
    pub(super) gates: Watched<BTreeSet<String>>,
    pub(super) requests: Arc<Requests>,
    faults: Watched<HashMap<(Turn, usize), u32>>,
}

impl ModelState {
    pub(super) fn new(default: Script) -> Self {
        Self {
            default: Watched::new(default),
            named: Watched::default(),
            gates: Watched::default(),
            requests: Arc::default(),
            faults: Watched::default(),
        }
    }

    pub(super) fn router(self: Arc<Self>) -> Router {
        Router::new().route("/v1/chat/completions", post(completions)).route("/v1/models", get(models)).with_state(self)
    }

    /// Returns the script in the message, the one with the longest name that occurs in it, or the default.
    fn script(&self, request: &str) -> Result<Script, String> {
        match script_text::find(request)? {
            Some(ScriptText::Json(value)) => script_text::decode(&value),
            Some(ScriptText::Commands(lines)) => Err(format!(
                "a model's script must be JSON; \"{}\" works only with the scripted agent",
                lines.join("; ")
            )),
            None => Ok(self.named_script(request).unwrap_or_else(|| self.default.read(Script::clone))),
        }
    }

    fn named_script(&self, request: &str) -> Option<Script> {
        self.named.read(|named| {
            let matching = named.iter().filter(|(name, _)| request.contains(name.as_str()));
            matching.max_by_key(|(name, _)| name.len()).map(|(_, script)| script.clone())
        })
    }

    /// Returns the next step when no gate blocks the turn, and counts injected faults.
    async fn await_next_step(&self, turn: &Turn, script: &Script, delivery: &Delivery) -> Option<Step> {
        loop {
            let (index, step) = match self.peek_step(turn, script) {
                NextStep::End => return None,
                NextStep::Step(index, step) => (index, step.clone()),
            };
            match &step {
                Step::Wait(gate) => {
                    delivery.hold(Some(gate));
                    self.gates.reached(|open| open.contains(gate).then_some(())).await;
                    delivery.hold(None);
                }
                Step::Status(_) | Step::Cut(_) => {
                    self.faults.change(|faults| *faults.entry(Self::fault_key(turn, index)).or_default() += 1);
                    return Some(step);
                }
                _ => return Some(step),
            }
        }
    }

    fn peek_step<'a>(&self, turn: &Turn, script: &'a Script) -> NextStep<'a> {
        let injected =
            |index| self.faults.read(|faults| faults.get(&Self::fault_key(turn, index)).copied().unwrap_or(0));
        next_step(script, &turn.answers, injected, |gate| self.gates.read(|open| open.contains(gate)))
    }

    /// Faults are counted per turn, regardless of the answers so far.
    fn fault_key(turn: &Turn, index: usize) -> (Turn, usize) {
        (Turn { answers: Vec::new(), ..turn.clone() }, index)
    }
}

async fn models() -> Json<Value> {
    Json(json!({"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "scripted"}]}))
}

async fn completions(State(state): State<Arc<ModelState>>, headers: HeaderMap, body: Bytes) -> Response {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        return error_response(StatusCode::BAD_REQUEST, "the body is not JSON", None);
    };
    let request = ModelRequest {
        at: SystemTime::now(),
        session: text("x-session-affinity"),
        authorization: text("authorization"),
        body,
        outcome: Outcome::Open,
    };
    let mut delivery = Delivery::open(Arc::clone(&state.requests), request.clone());
    if request.is_title() {
        return deliver(&Reply::text("Scripted title"), &request, delivery);
    }
    let session = request.session.clone().unwrap_or_default();
    let turn = Turn::of(&session, &request.body);
    let script = match state.script(&turn.request).and_then(|script| replace_session(&script, &session)) {
        Ok(script) => script,
        Err(reason) => {
            delivery.end(Outcome::Refused(400));
            return error_response(StatusCode::BAD_REQUEST, &reason, None);
        }
    };
    match state.await_next_step(&turn, &script, &delivery).await {
        Some(Step::Status(status)) => refuse(&status, delivery),
        Some(step) => {
            let reply = Reply::of(&step).expect("statuses and gates are handled above");
            deliver(&reply, &request, delivery)
        }
        None => deliver(&Reply::text("Done."), &request, delivery),
    }
}

/// Replaces `{session}` in the script by the session's id.
fn replace_session(script: &Script, session: &str) -> Result<Script, String> {
    let json = serde_json::to_string(script).map_err(|error| error.to_string())?;
    // Only characters that need no escape in JSON.
    let id: String = session.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect();
    serde_json::from_str(&json.replace("{session}", &id)).map_err(|error| error.to_string())
}

fn refuse(status: &Status, mut delivery: Delivery) -> Response {
    delivery.end(Outcome::Refused(status.code));
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    error_response(code, &format!("scripted status {}", status.code), status.retry_after)
}

fn error_response(code: StatusCode, message: &str, retry_after: Option<u64>) -> Response {
    let body = json!({"error": {"message": message, "type": "scripted", "code": code.as_u16()}});
    let mut response = response(code, "application/json", Body::from(body.to_string()));
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

fn deliver(reply: &Reply, request: &ModelRequest, delivery: Delivery) -> Response {
    let id = format!("scripted_{}", delivery.index());
    if request.body["stream"] == true {
        response(StatusCode::OK, "text/event-stream", body(reply.event_stream(&id), delivery))
    } else {
        response(StatusCode::OK, "application/json", body(reply.single_body(&id), delivery))
    }
}

fn response(code: StatusCode, content_type: &'static str, body: Body) -> Response {
    Response::builder()
        .status(code)
        .header(header::CONTENT_TYPE, content_type)
        .body(body)
        .expect("status and header are valid")
}

/// The frames as a body. It owns `delivery`, so that a disconnect of the client is recorded.
fn body(frames: Vec<Frame>, delivery: Delivery) -> Body {
    let state = (VecDeque::from(frames), delivery);
    Body::from_stream(stream::unfold(state, |(mut frames, mut delivery)| async move {
        let frame = frames.pop_front()?;
        let item = match frame {
            Frame::Bytes(pause, bytes) => {
                tokio::time::sleep(pause).await;
                Ok(bytes)
            }
            Frame::Break => {
                // The server discards unsent data when a body fails; yielding first lets it send them.
                tokio::task::yield_now().await;
                Err(std::io::Error::other("scripted break"))
            }
            Frame::Silence => std::future::pending().await,
        };
        if frames.is_empty() {
            delivery.end(Outcome::Answered);
        }
        Some((item, (frames, delivery)))
    }))
}
