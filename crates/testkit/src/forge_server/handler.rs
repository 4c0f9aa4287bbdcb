//! Answers an HTTP request: records it, injects the next fault, and routes requests of git clients to the git server and
//! API requests to the forge's flavor.

use std::fmt;
use std::future::pending;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};
use futures::{StreamExt, stream};
use serde_json::Value;

use super::api_request::{self, ApiRequest};
use super::delivery::{self, Outgoing};
use super::fault::Fault::{self, Held};
use super::flavor::Flavor;
use super::hook::{Delivery, Mishap};
use super::reply::Reply;
use super::request::ForgeRequest;
use super::state::ForgeState;
use super::{access, gitea, github, gitlab};
use crate::git_server::handler as git;
use crate::watched::Watched;

/// The recorded status of a request that is not answered any more, as nginx writes it.
const CLIENT_IS_DEAD: u16 = 499;

/// The state that all requests share.
#[derive(Debug)]
pub(super) struct ServerState {
    pub(super) flavor: Flavor,
    pub(super) forge: Watched<ForgeState>,
    pub(super) requests: Watched<Vec<ForgeRequest>>,
    /// Requests to the server of logs.
    pub(super) log_requests: Watched<Vec<ForgeRequest>>,
    /// Faults to inject, in order, each with the text that the request's method and target must contain.
    pub(super) faults: Watched<Vec<(String, Fault)>>,
    pub(super) outage: Watched<Option<Outage>>,
    pub(super) gate: Watched<Option<Gate>>,
    /// The server of repositories.
    pub(super) git: Watched<Option<Arc<git::ServerState>>>,
    /// For the next deliveries, in order.
    pub(super) mishaps: Watched<Vec<Mishap>>,
    pub(super) deliveries: Arc<Watched<Vec<Delivery>>>,
    pub(super) outgoing: Mutex<Sender<Outgoing>>,
}

/// Decides about a request, given as its method and target.
#[derive(Clone)]
pub(super) struct Outage(pub(super) Arc<Decide>);

type Decide = dyn Fn(&str) -> Option<Fault> + Send + Sync;

impl fmt::Debug for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outage")
    }
}

/// Called before a request that may change something is carried out, and afterwards. If it returns false, the client is dead.
#[derive(Clone)]
pub(super) struct Gate(pub(super) Arc<dyn Fn() -> bool + Send + Sync>);

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}

impl ServerState {
    pub(super) fn router(self: Arc<Self>) -> Router {
        Router::new().fallback(serve).with_state(self)
    }

    /// The other origin that has the logs of jobs.
    pub(super) fn logs_router(self: Arc<Self>) -> Router {
        Router::new().fallback(serve_log).with_state(self)
    }

    /// Changes the data, and sends what webhooks report about that.
    pub(super) fn change<R>(&self, change: impl FnOnce(&mut ForgeState) -> R) -> R {
        let (result, outgoing) = self.forge.change(|forge| {
            forge.look_at_repositories();
            let result = change(forge);
            forge.record_versions();
            forge.merge_ready();
            (result, delivery::take(forge, &self.mishaps))
        });
        let sender = self.outgoing.lock().unwrap_or_else(PoisonError::into_inner);
        for delivery in outgoing {
            sender.send(delivery).expect("the thread for deliveries");
        }
        result
    }

    fn entry(parts: &Parts, body: &Bytes, login: Option<String>) -> ForgeRequest {
        let text = |(name, value): (&HeaderName, &HeaderValue)| {
            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        ForgeRequest {
            method: parts.method.to_string(),
            target: parts.uri.to_string(),
            headers: parts.headers.iter().map(text).collect(),
            body: String::from_utf8_lossy(body).into_owned(),
            login,
            status: None,
        }
    }

    fn record(&self, entry: ForgeRequest) -> usize {
        self.requests.change(|list| {
            list.push(entry);
            list.len() - 1
        })
    }

    fn take_fault(&self, request: &str) -> Option<Fault> {
        let once = self.faults.change(|faults| {
            let at = faults.iter().position(|(part, _)| request.contains(part.as_str()))?;
            Some(faults.remove(at).1)
        });
        let always = || self.outage.read(Clone::clone).and_then(|outage| outage.0(request));
        once.or_else(always)
    }

    /// Whether the client lives when its request arrives, or when it was carried out. Reading has no such points.
    fn passes_gate(&self, method: &Method) -> bool {
        let gate = self.gate.read(|gate| gate.clone().filter(|_| method != Method::GET));
        gate.is_none_or(|gate| gate.0())
    }

    fn answer(&self, parts: &Parts, body: &Bytes) -> Response<Body> {
        let reply = self.change(|forge| {
            let reply = match access::login(self.flavor, forge, &parts.headers) {
                Ok(login) => self.reply(forge, parts, body, login),
                Err(refusal) => refusal,
            };
            if let (Some(kind), 200..=299) = (reply.change, reply.status) {
                *forge.changes.entry(kind).or_default() += 1;
            }
            let reply = if self.flavor == Flavor::GitHub { conditional(forge, parts, reply) } else { reply };
            match forge.date() {
                Some(date) => reply.header("date", date),
                None => reply,
            }
        });
        json_response(reply, self.flavor)
    }

    fn reply(&self, forge: &mut ForgeState, parts: &Parts, body: &Bytes, login: Option<String>) -> Reply {
        let path = parts.uri.path();
        if self.flavor == Flavor::GitHub && parts.headers.get(header::USER_AGENT).is_none() {
            return Reply::error(
                403,
                "Request forbidden by administrative rules. Please make sure your request has a User-Agent header",
            );
        }
        if self.flavor == Flavor::Forgejo && path.starts_with("/api/forgejo/") {
            return gitea::forgejo(forge, login.is_some(), &api_request::parts(path)[1..]);
        }
        let below = path.strip_prefix(self.flavor.prefix()).filter(|rest| rest.starts_with('/'));
        // The other API of GitHub is beside this one.
        let graphql = || (self.flavor == Flavor::GitHub && path == "/api/graphql").then_some("/graphql");
        let Some(below) = below.or_else(graphql) else { return Reply::error(404, "Not Found") };
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1");
        let query = api_request::query(parts.uri.query().unwrap_or_default());
        let mut body = serde_json::from_slice(body).unwrap_or(Value::Null);
        if self.flavor == Flavor::GitLab && parts.method != "GET" {
            api_request::add_query(&mut body, &query);
        }
        let request = ApiRequest {
            method: parts.method.to_string(),
            parts: api_request::parts(below),
            query,
            body,
            login,
            base: if forge.root_url.is_empty() { format!("http://{host}") } else { forge.root_url.clone() },
            target: parts.uri.to_string(),
        };
        match self.flavor {
            Flavor::GitHub => github::answer(forge, &request),
            Flavor::Gitea | Flavor::Forgejo => gitea::answer(forge, &request),
            Flavor::GitLab => gitlab::answer(forge, &request),
        }
    }
}

/// GitHub's answer to a conditional request, which costs nothing if the object is the same.
fn conditional(forge: &mut ForgeState, parts: &Parts, mut reply: Reply) -> Reply {
    let is_object = parts.method == "GET" && reply.status == 200 && reply.text.is_none();
    if is_object {
        let mut hasher = DefaultHasher::new();
        reply.body.to_string().hash(&mut hasher);
        let etag = format!("W/\"{:016x}\"", hasher.finish());
        let is_same = parts.headers.get(header::IF_NONE_MATCH).is_some_and(|known| *known == *etag);
        reply = reply.header("etag", etag);
        if is_same {
            (reply.status, reply.text) = (304, Some(String::new()));
        }
    }
    if reply.status != 304 {
        forge.rate.remaining = forge.rate.remaining.saturating_sub(1);
    }
    reply.header("x-ratelimit-remaining", forge.rate.remaining.to_string())
}

async fn serve(State(state): State<Arc<ServerState>>, request: Request) -> Response<Body> {
    if git::repository_path(request.uri()).is_some()
        && let Some(git) = state.git.read(Clone::clone)
    {
        // Looks at the branches before the client sees the end of the answer.
        let after = stream::once(async move {
            state.change(|_| ());
            Ok(Bytes::new())
        });
        let response = git::serve(State(git), request).await;
        return response.map(|body| Body::from_stream(body.into_data_stream().chain(after)));
    }
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let login = state.forge.read(|forge| access::login(state.flavor, forge, &parts.headers).ok().flatten());
    let index = state.record(ServerState::entry(&parts, &body, login));
    if !state.passes_gate(&parts.method) {
        state.requests.change(|list| list[index].status = Some(CLIENT_IS_DEAD));
        return pending().await;
    }
    // The client may not wait that long, and with it this goes.
    let note_late = || state.requests.change(|list| list[index].status = Some(CLIENT_IS_DEAD));
    let response = match state.take_fault(&format!("{} {}", parts.method, parts.uri)) {
        Some(Fault::Late(pause)) => {
            note_late();
            tokio::time::sleep(pause).await;
            state.answer(&parts, &body)
        }
        Some(Held(mut release)) => {
            note_late();
            // An error means that the sender is gone.
            drop(release.changed().await);
            state.answer(&parts, &body)
        }
        Some(Fault::Done(then)) => {
            let response = state.answer(&parts, &body);
            match *then {
                Fault::Late(pause) => {
                    note_late();
                    tokio::time::sleep(pause).await;
                    response
                }
                then => faulty_response(then, state.flavor),
            }
        }
        Some(fault) => faulty_response(fault, state.flavor),
        None => state.answer(&parts, &body),
    };
    state.requests.change(|list| list[index].status = Some(response.status().as_u16()));
    // The client may not live to see the answer.
    state.passes_gate(&parts.method);
    response
}

/// Serves `/logs/<project>/<job>` to everybody who knows the address.
async fn serve_log(State(state): State<Arc<ServerState>>, request: Request) -> Response<Body> {
    let (parts, _) = request.into_parts();
    let entry = ServerState::entry(&parts, &Bytes::new(), None);
    state.log_requests.change(|list| list.push(entry));
    let path = api_request::parts(parts.uri.path());
    let job: Option<u64> = path.last().and_then(|job| job.parse().ok());
    let log = state.forge.read(|forge| {
        let mut checks = forge.projects.values().flat_map(|project| project.checks.values()).flatten();
        checks.find(|check| Some(check.id) == job).and_then(|check| check.log.clone())
    });
    text_response(if log.is_some() { 200 } else { 404 }, "text/plain; charset=utf-8", log.unwrap_or_default())
}

fn json_response(reply: Reply, flavor: Flavor) -> Response<Body> {
    let kind = if flavor == Flavor::GitLab { "application/json" } else { "application/json; charset=utf-8" };
    let mut response = match reply.text {
        Some(text) => text_response(reply.status, "text/plain; charset=utf-8", text),
        None => text_response(reply.status, kind, reply.body.to_string()),
    };
    for (name, value) in reply.headers {
        response.headers_mut().append(name, HeaderValue::try_from(value).expect("a header of a scripted answer"));
    }
    // The session cookie for browsers, by which clients recognize servers that require a login.
    if matches!(flavor, Flavor::Gitea) {
        let cookie = HeaderValue::from_static("i_like_gitea=0123456789abcdef; Path=/; HttpOnly; SameSite=Lax");
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

fn faulty_response(fault: Fault, flavor: Flavor) -> Response<Body> {
    match fault {
        Fault::Status(status) => json_response(Reply::error(status, "injected failure"), flavor),
        Fault::Answer { status, headers, body } => {
            let mut response = text_response(status, "application/json", body);
            for (name, value) in headers {
                let value = HeaderValue::try_from(value).expect("a header of the test's answer");
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
            response
        }
        Fault::Page => text_response(
            200,
            "text/html; charset=utf-8",
            "<!DOCTYPE html><html><title>Sign in</title></html>".to_owned(),
        ),
        Fault::Redirect(status, to) => {
            let mut response = text_response(status, "text/plain", String::new());
            response.headers_mut().insert(header::LOCATION, HeaderValue::try_from(to).expect("an address"));
            response
        }
        Fault::Cut => {
            let pieces = [Ok(Bytes::from_static(b"{\"number\": 1, ")), Err(std::io::Error::other("injected break"))];
            // The client has the head and the first piece when the connection breaks.
            let pieces = stream::iter(pieces).then(|piece| async {
                if piece.is_err() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                piece
            });
            streamed(Body::from_stream(pieces))
        }
        Fault::Large(size) => {
            let piece = Bytes::from(vec![b' '; 64 * 1024]);
            let pieces = size.div_ceil(piece.len());
            streamed(Body::from_stream(stream::iter((0..pieces).map(move |_| Ok::<_, std::io::Error>(piece.clone())))))
        }
        Fault::Late(_) | Held(_) | Fault::Done(_) => unreachable!("the request gets the correct answer first"),
    }
}

fn text_response(status: u16, kind: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn streamed(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
