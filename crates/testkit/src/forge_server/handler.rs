//! Answers an HTTP request: records it, injects the next fault, and routes requests of git clients to the git server and
//! API requests to the forge's flavor.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use futures::stream;

use super::api_request::{self, ApiRequest};
use super::fault::Fault;
use super::flavor::Flavor;
use super::reply::Reply;
use super::request::ForgeRequest;
use super::state::ForgeState;
use super::{access, gitea, github, gitlab};
use crate::git_server::handler as git;
use crate::watched::Watched;

/// The state that all requests share.
#[derive(Debug)]
pub(super) struct ServerState {
    pub(super) flavor: Flavor,
    pub(super) forge: Watched<ForgeState>,
    pub(super) requests: Watched<Vec<ForgeRequest>>,
    /// Faults to inject, in order, each with the text that the request's target must contain.
    pub(super) faults: Watched<Vec<(String, Fault)>>,
    /// The server of repositories.
    pub(super) git: Watched<Option<Arc<git::ServerState>>>,
}

impl ServerState {
    pub(super) fn router(self: Arc<Self>) -> Router {
        Router::new().fallback(serve).with_state(self)
    }

    fn record(&self, request: &Request, login: Option<String>) -> usize {
        let text = |(name, value): (&HeaderName, &HeaderValue)| {
            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let entry = ForgeRequest {
            method: request.method().to_string(),
            target: request.uri().to_string(),
            headers: request.headers().iter().map(text).collect(),
            login,
            status: None,
        };
        self.requests.change(|list| {
            list.push(entry);
            list.len() - 1
        })
    }

    fn take_fault(&self, target: &str) -> Option<Fault> {
        self.faults.change(|faults| {
            let at = faults.iter().position(|(part, _)| target.contains(part.as_str()))?;
            Some(faults.remove(at).1)
        })
    }

    fn answer(&self, request: &Request) -> Response<Body> {
        let reply = self.forge.read(|forge| match access::login(self.flavor, forge, request.headers()) {
            Ok(login) => self.reply(forge, request, login),
            Err(refusal) => refusal,
        });
        json_response(reply, self.flavor)
    }

    fn reply(&self, forge: &ForgeState, request: &Request, login: Option<String>) -> Reply {
        let path = request.uri().path();
        if request.method() != "GET" {
            return Reply::error(405, "this server is read-only");
        }
        if self.flavor == Flavor::GitHub && request.headers().get(header::USER_AGENT).is_none() {
            return Reply::error(
                403,
                "Request forbidden by administrative rules. Please make sure your request has a User-Agent header",
            );
        }
        if self.flavor == Flavor::Forgejo && path.starts_with("/api/forgejo/") {
            return gitea::forgejo(forge, login.is_some(), &api_request::parts(path)[1..]);
        }
        let Some(below) = path.strip_prefix(self.flavor.prefix()).filter(|rest| rest.starts_with('/')) else {
            return Reply::error(404, "Not Found");
        };
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1");
        let request = ApiRequest {
            parts: api_request::parts(below),
            query: api_request::query(request.uri().query().unwrap_or_default()),
            login,
            base: if forge.root_url.is_empty() { format!("http://{host}") } else { forge.root_url.clone() },
            target: request.uri().to_string(),
        };
        match self.flavor {
            Flavor::GitHub => github::answer(forge, &request),
            Flavor::Gitea | Flavor::Forgejo => gitea::answer(self.flavor, forge, &request),
            Flavor::GitLab => gitlab::answer(forge, &request),
        }
    }
}

async fn serve(State(state): State<Arc<ServerState>>, request: Request) -> Response<Body> {
    if git::repository_path(request.uri()).is_some()
        && let Some(git) = state.git.read(Clone::clone)
    {
        return git::serve(State(git), request).await;
    }
    let login = state.forge.read(|forge| access::login(state.flavor, forge, request.headers()).ok().flatten());
    let index = state.record(&request, login);
    let response = match state.take_fault(&request.uri().to_string()) {
        Some(Fault::Late(pause)) => {
            tokio::time::sleep(pause).await;
            state.answer(&request)
        }
        Some(fault) => faulty_response(fault, state.flavor),
        None => state.answer(&request),
    };
    state.requests.change(|list| list[index].status = Some(response.status().as_u16()));
    response
}

fn json_response(reply: Reply, flavor: Flavor) -> Response<Body> {
    let kind = if flavor == Flavor::GitLab { "application/json" } else { "application/json; charset=utf-8" };
    let mut response = text_response(reply.status, kind, reply.body.to_string());
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
            streamed(Body::from_stream(stream::iter(pieces)))
        }
        Fault::Large(size) => {
            let piece = Bytes::from(vec![b' '; 64 * 1024]);
            let pieces = size.div_ceil(piece.len());
            streamed(Body::from_stream(stream::iter((0..pieces).map(move |_| Ok::<_, std::io::Error>(piece.clone())))))
        }
        Fault::Late(_) => unreachable!("a late request gets the correct answer"),
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
