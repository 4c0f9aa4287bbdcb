//! Answers one HTTP request: finds the script, finds the step that is due, and carries it out.

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
use super::due::{Due, due};
use super::record::{Delivery, ModelRequest, Outcome, Requests};
use super::reply::{Frame, Reply};
use super::script::{Script, Status, Step};
use crate::script_text::{self, ScriptText};
use crate::watched::Watched;

/// The id of the only model.
pub(super) const MODEL: &str = "mock-1";

/// What all requests share.
#[derive(Debug)]
pub(super) struct Stage {
    /// The script of a message that names none.
    pub(super) default: Watched<Script>,
    /// Scripts by a word of the message.
    pub(super) named: Watched<BTreeMap<String, Script>>,
    /// Gates that the test has opened.
    pub(super) gates: Watched<BTreeSet<String>>,
    /// Every request so far.
    pub(super) requests: Arc<Requests>,
    faults: Watched<HashMap<(Turn, usize), u32>>,
}

impl Stage {
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

    /// The script in the message, else the one with the longest name that occurs in it, else the default.
    fn script(&self, request: &str) -> Result<Script, String> {
        match script_text::find(request)? {
            Some(ScriptText::Json(value)) => script_text::decode(&value),
            Some(ScriptText::Commands(lines)) => {
                Err(format!("a model's script is JSON; \"{}\" is for the scripted agent", lines.join("; ")))
            }
            None => Ok(self.named_script(request).unwrap_or_else(|| self.default.read(Script::clone))),
        }
    }

    fn named_script(&self, request: &str) -> Option<Script> {
        self.named.read(|named| {
            let fitting = named.iter().filter(|(name, _)| request.contains(name.as_str()));
            fitting.max_by_key(|(name, _)| name.len()).map(|(_, script)| script.clone())
        })
    }

    /// The step to carry out now, once no gate holds the turn. Faults are counted here.
    async fn next_step(&self, turn: &Turn, script: &Script, delivery: &Delivery) -> Option<Step> {
        loop {
            let (index, step) = match self.due(turn, script) {
                Due::End => return None,
                Due::Step(index, step) => (index, step.clone()),
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

    fn due<'a>(&self, turn: &Turn, script: &'a Script) -> Due<'a> {
        let spent = |index| self.faults.read(|faults| faults.get(&Self::fault_key(turn, index)).copied().unwrap_or(0));
        due(script, &turn.answers, spent, |gate| self.gates.read(|open| open.contains(gate)))
    }

    /// Faults are counted for the turn, however many answers it has by now.
    fn fault_key(turn: &Turn, index: usize) -> (Turn, usize) {
        (Turn { answers: Vec::new(), ..turn.clone() }, index)
    }
}

async fn models() -> Json<Value> {
    Json(json!({"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "scripted"}]}))
}

async fn completions(State(stage): State<Arc<Stage>>, headers: HeaderMap, body: Bytes) -> Response {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        return refusal(StatusCode::BAD_REQUEST, "the body is not JSON", None);
    };
    let request = ModelRequest {
        at: SystemTime::now(),
        session: text("x-session-affinity"),
        authorization: text("authorization"),
        body,
        outcome: Outcome::Open,
    };
    let mut delivery = Delivery::open(Arc::clone(&stage.requests), request.clone());
    if request.is_title() {
        return deliver(&Reply::text("Scripted title"), &request, delivery);
    }
    let session = request.session.clone().unwrap_or_default();
    let turn = Turn::of(&session, &request.body);
    let script = match stage.script(&turn.request).and_then(|script| fill_in(&script, &session)) {
        Ok(script) => script,
        Err(reason) => {
            delivery.end(Outcome::Refused(400));
            return refusal(StatusCode::BAD_REQUEST, &reason, None);
        }
    };
    match stage.next_step(&turn, &script, &delivery).await {
        Some(Step::Status(status)) => refuse(&status, delivery),
        Some(step) => {
            let reply = Reply::of(&step).expect("statuses and gates are dealt with above");
            deliver(&reply, &request, delivery)
        }
        None => deliver(&Reply::text("Done."), &request, delivery),
    }
}

/// Puts the session in the place of `{session}` everywhere in the script.
fn fill_in(script: &Script, session: &str) -> Result<Script, String> {
    let json = serde_json::to_string(script).map_err(|error| error.to_string())?;
    // A session id is a plain word, so it needs no quoting inside JSON; anything else would be a test's own doing.
    let word: String = session.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect();
    serde_json::from_str(&json.replace("{session}", &word)).map_err(|error| error.to_string())
}

fn refuse(status: &Status, mut delivery: Delivery) -> Response {
    delivery.end(Outcome::Refused(status.code));
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    refusal(code, &format!("scripted status {}", status.code), status.retry_after)
}

fn refusal(code: StatusCode, message: &str, retry_after: Option<u64>) -> Response {
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
        response(StatusCode::OK, "application/json", body(reply.whole(&id), delivery))
    }
}

fn response(code: StatusCode, content_type: &'static str, body: Body) -> Response {
    Response::builder()
        .status(code)
        .header(header::CONTENT_TYPE, content_type)
        .body(body)
        .expect("a status and one header make a response")
}

/// The frames as a body. `delivery` goes with it, so that a client that leaves is noticed.
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
                // The server throws away what it has not sent when a body fails; a body that is not ready lets it send.
                tokio::task::yield_now().await;
                Err(std::io::Error::other("the script breaks the connection here"))
            }
            Frame::Silence => std::future::pending().await,
        };
        if frames.is_empty() {
            delivery.end(Outcome::Answered);
        }
        Some((item, (frames, delivery)))
    }))
}
