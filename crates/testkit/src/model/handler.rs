//! Answers an HTTP request: finds the script and its next step, and carries it out.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::stream;
use serde_json::{Value, json};

use super::conversation::Turn;
use super::dialect::Dialect;
use super::dialects::chat_completions::ChatCompletions;
use super::dialects::gemini::{self, Gemini};
use super::dialects::messages::{self, Messages};
use super::dialects::responses::Responses;
use super::frames::{Frame, event_stream, single_body};
use super::next_step::{NextStep, next_step};
use super::reply::{MODEL, OTHER_MODEL, Reply};
use super::request::{Delivery, ModelRequest, Outcome, Requests};
use super::script::{Script, Status, Step};
use super::side_request;
use crate::script_text::{self, ScriptText};
use crate::watched::Watched;

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
    faults: Watched<HashMap<(String, String, usize), u32>>,
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
        Router::new()
            .route(
                "/v1/chat/completions",
                post(|state, uri, headers, body| by_body(&ChatCompletions, state, uri, headers, body)),
            )
            .route("/v1/messages", post(|state, uri, headers, body| by_body(&Messages, state, uri, headers, body)))
            .route("/v1/messages/count_tokens", post(async || Json(messages::count_tokens())))
            .route("/v1/responses", post(|state, uri, headers, body| by_body(&Responses, state, uri, headers, body)))
            .route("/v1/models", get(models))
            .route("/v1beta/models", get(async || Json(gemini::models(MODEL))))
            .route("/v1beta/models/{call}", post(by_path))
            .with_state(self)
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
                    self.faults.change(|faults| *faults.entry(Self::fault_key(turn, script, index)).or_default() += 1);
                    return Some(step);
                }
                _ => return Some(step),
            }
        }
    }

    fn peek_step<'a>(&self, turn: &Turn, script: &'a Script) -> NextStep<'a> {
        let injected =
            |index| self.faults.read(|faults| faults.get(&Self::fault_key(turn, script, index)).copied().unwrap_or(0));
        next_step(script, &turn.answers, injected, |gate| self.gates.read(|open| open.contains(gate)))
    }

    /// Counted per script in a session: a client that sends a message again, perhaps together with another one, gets the next
    /// one, or the answer.
    fn fault_key(turn: &Turn, script: &Script, index: usize) -> (String, String, usize) {
        (turn.session.clone(), script.as_message(), index)
    }
}

/// The list of models, with the fields of OpenAI and of Anthropic.
async fn models() -> Json<Value> {
    let model = |name: &str| {
        json!({
            "id": name, "object": "model", "owned_by": "scripted", "created": 0,
            "type": "model", "display_name": name, "created_at": "2026-01-01T00:00:00Z",
        })
    };
    let models = [model(MODEL), model(OTHER_MODEL)];
    Json(json!({"object": "list", "data": models, "has_more": false, "first_id": MODEL, "last_id": OTHER_MODEL}))
}

/// An HTTP request for an answer of the model.
struct Incoming {
    dialect: &'static dyn Dialect,
    path: String,
    headers: HeaderMap,
    body: Value,
    model: String,
    is_stream: bool,
}

/// Handles the request of a dialect that names the model and the form of the response in the body.
async fn by_body(
    dialect: &'static dyn Dialect,
    State(state): State<Arc<ModelState>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(body) = parse(&body) else { return not_json(dialect) };
    let model = body["model"].as_str().unwrap_or(MODEL).to_owned();
    let is_stream = body["stream"] == true;
    answer(&state, Incoming { dialect, path: uri.path().to_owned(), headers, body, model, is_stream }).await
}

/// Handles a request of Gemini, which names both in the path.
async fn by_path(
    State(state): State<Arc<ModelState>>,
    Path(call): Path<String>,
    RawQuery(query): RawQuery,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let dialect = &Gemini;
    let Some(body) = parse(&body) else { return not_json(dialect) };
    let (model, method) = call.split_once(':').unwrap_or((&call, ""));
    let is_stream = match method {
        "countTokens" => return Json(gemini::count_tokens()).into_response(),
        "generateContent" => false,
        "streamGenerateContent" if query.unwrap_or_default().split('&').any(|pair| pair == "alt=sse") => true,
        _ => return error_response(dialect, StatusCode::NOT_FOUND, &format!("{call} is not supported"), None),
    };
    let model = model.to_owned();
    answer(&state, Incoming { dialect, path: uri.path().to_owned(), headers, body, model, is_stream }).await
}

fn parse(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(body).ok()
}

fn not_json(dialect: &dyn Dialect) -> Response {
    error_response(dialect, StatusCode::BAD_REQUEST, "the body is not JSON", None)
}

async fn answer(state: &Arc<ModelState>, incoming: Incoming) -> Response {
    let Incoming { dialect, headers, body, .. } = &incoming;
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let request = ModelRequest {
        at: SystemTime::now(),
        model: incoming.model.clone(),
        path: incoming.path.clone(),
        session: dialect.session(headers, body),
        authorization: text("authorization").or_else(|| text("x-api-key")).or_else(|| text("x-goog-api-key")),
        conversation: dialect.conversation(body),
        body: body.clone(),
        outcome: Outcome::Open,
    };
    let mut delivery = Delivery::open(Arc::clone(&state.requests), request.clone());
    if let Some(reply) = side_request::answer(&request.conversation) {
        return deliver(&incoming, &reply, &request, delivery);
    }
    let session = request.session.clone().unwrap_or_default();
    let turn = Turn::of(&session, &request.conversation);
    let script = match state.script(&turn.request).and_then(|script| replace_session(&script, &session)) {
        Ok(script) => script,
        Err(reason) => {
            delivery.end(Outcome::Refused(400));
            return error_response(*dialect, StatusCode::BAD_REQUEST, &reason, None);
        }
    };
    match state.await_next_step(&turn, &script, &delivery).await {
        Some(Step::Status(status)) => refuse(*dialect, &status, delivery),
        Some(step) => {
            let reply = Reply::of(&step).expect("statuses and gates are handled above");
            deliver(&incoming, &reply, &request, delivery)
        }
        None => deliver(&incoming, &Reply::text("Done."), &request, delivery),
    }
}

/// Replaces `{session}` in the script by the session's id.
fn replace_session(script: &Script, session: &str) -> Result<Script, String> {
    let json = serde_json::to_string(script).map_err(|error| error.to_string())?;
    // Only characters that need no escape in JSON.
    let id: String = session.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect();
    serde_json::from_str(&json.replace("{session}", &id)).map_err(|error| error.to_string())
}

fn refuse(dialect: &dyn Dialect, status: &Status, mut delivery: Delivery) -> Response {
    delivery.end(Outcome::Refused(status.code));
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    error_response(dialect, code, &format!("scripted status {}", status.code), status.retry_after)
}

fn error_response(dialect: &dyn Dialect, code: StatusCode, message: &str, retry_after: Option<u64>) -> Response {
    let body = dialect.error(code.as_u16(), message);
    let mut response = response(code, "application/json", Body::from(body.to_string()));
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

fn deliver(incoming: &Incoming, reply: &Reply, request: &ModelRequest, delivery: Delivery) -> Response {
    let id = format!("scripted_{}", delivery.index());
    let directory = request.working_directory();
    let answer = reply.answer(id, incoming.model.clone(), &request.conversation.tools, directory.as_deref());
    if incoming.is_stream {
        let frames = event_stream(incoming.dialect, reply, &answer);
        response(StatusCode::OK, "text/event-stream", body(frames, delivery))
    } else {
        let frames = single_body(incoming.dialect, reply, &answer);
        response(StatusCode::OK, "application/json", body(frames, delivery))
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
