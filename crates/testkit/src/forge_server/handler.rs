//! Answers one HTTP request: notes it, makes the fault that was asked for, hands git's requests to git, and everything
//! else to the flavor.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use futures::stream;

use super::fault::Fault;
use super::flavor::Flavor;
use super::question::{self, Question};
use super::record::ForgeRequest;
use super::reply::Reply;
use super::world::World;
use super::{access, gitea, github, gitlab};
use crate::git_server::handler as git;
use crate::watched::Watched;

/// What all requests share.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) flavor: Flavor,
    pub(super) world: Watched<World>,
    pub(super) requests: Watched<Vec<ForgeRequest>>,
    /// Faults in their order, each with what a request's target must hold to get it.
    pub(super) faults: Watched<Vec<(String, Fault)>>,
    /// Who serves repositories.
    pub(super) git: Watched<Option<Arc<git::Desk>>>,
}

impl Desk {
    pub(super) fn router(self: Arc<Self>) -> Router {
        Router::new().fallback(serve).with_state(self)
    }

    fn note(&self, request: &Request, login: Option<String>) -> usize {
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

    fn fault(&self, target: &str) -> Option<Fault> {
        self.faults.change(|faults| {
            let at = faults.iter().position(|(part, _)| target.contains(part.as_str()))?;
            Some(faults.remove(at).1)
        })
    }

    fn answer(&self, request: &Request) -> Response<Body> {
        let reply = self.world.read(|world| match access::login(self.flavor, world, request.headers()) {
            Ok(login) => self.reply(world, request, login),
            Err(refused) => refused,
        });
        sent(reply, self.flavor)
    }

    fn reply(&self, world: &World, request: &Request, login: Option<String>) -> Reply {
        let path = request.uri().path();
        if request.method() != "GET" {
            return Reply::error(405, "this server only tells");
        }
        if self.flavor == Flavor::GitHub && request.headers().get(header::USER_AGENT).is_none() {
            return Reply::error(
                403,
                "Request forbidden by administrative rules. Please make sure your request has a User-Agent header",
            );
        }
        if self.flavor == Flavor::Forgejo && path.starts_with("/api/forgejo/") {
            return gitea::forgejo(world, login.is_some(), &question::parts(path)[1..]);
        }
        let Some(below) = path.strip_prefix(self.flavor.prefix()).filter(|rest| rest.starts_with('/')) else {
            return Reply::error(404, "Not Found");
        };
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1");
        let question = Question {
            parts: question::parts(below),
            query: question::query(request.uri().query().unwrap_or_default()),
            login,
            base: if world.root_url.is_empty() { format!("http://{host}") } else { world.root_url.clone() },
            target: request.uri().to_string(),
        };
        match self.flavor {
            Flavor::GitHub => github::answer(world, &question),
            Flavor::Gitea | Flavor::Forgejo => gitea::answer(self.flavor, world, &question),
            Flavor::GitLab => gitlab::answer(world, &question),
        }
    }
}

async fn serve(State(desk): State<Arc<Desk>>, request: Request) -> Response<Body> {
    if git::repository_path(request.uri()).is_some()
        && let Some(git) = desk.git.read(Clone::clone)
    {
        return git::serve(State(git), request).await;
    }
    let login = desk.world.read(|world| access::login(desk.flavor, world, request.headers()).ok().flatten());
    let index = desk.note(&request, login);
    let response = match desk.fault(&request.uri().to_string()) {
        Some(Fault::Late(pause)) => {
            tokio::time::sleep(pause).await;
            desk.answer(&request)
        }
        Some(fault) => wrong(fault, desk.flavor),
        None => desk.answer(&request),
    };
    desk.requests.change(|list| list[index].status = Some(response.status().as_u16()));
    response
}

fn sent(reply: Reply, flavor: Flavor) -> Response<Body> {
    let kind = if flavor == Flavor::GitLab { "application/json" } else { "application/json; charset=utf-8" };
    let mut response = whole(reply.status, kind, reply.body.to_string());
    for (name, value) in reply.headers {
        response.headers_mut().append(name, HeaderValue::try_from(value).expect("a header of a scripted answer"));
    }
    // What a browser would get a session by; it is how servers that tell nothing else are recognised.
    if matches!(flavor, Flavor::Gitea) {
        let cookie = HeaderValue::from_static("i_like_gitea=0123456789abcdef; Path=/; HttpOnly; SameSite=Lax");
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

fn wrong(fault: Fault, flavor: Flavor) -> Response<Body> {
    match fault {
        Fault::Status(status) => sent(Reply::error(status, "the test asked for this failure"), flavor),
        Fault::Answer { status, headers, body } => {
            let mut response = whole(status, "application/json", body);
            for (name, value) in headers {
                let value = HeaderValue::try_from(value).expect("a header of the test's answer");
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
            response
        }
        Fault::Page => {
            whole(200, "text/html; charset=utf-8", "<!DOCTYPE html><html><title>Sign in</title></html>".to_owned())
        }
        Fault::Redirect(status, to) => {
            let mut response = whole(status, "text/plain", String::new());
            response.headers_mut().insert(header::LOCATION, HeaderValue::try_from(to).expect("an address"));
            response
        }
        Fault::Cut => {
            let pieces =
                [Ok(Bytes::from_static(b"{\"number\": 1, ")), Err(std::io::Error::other("the test breaks off here"))];
            streamed(Body::from_stream(stream::iter(pieces)))
        }
        Fault::Large(size) => {
            let piece = Bytes::from(vec![b' '; 64 * 1024]);
            let pieces = size.div_ceil(piece.len());
            streamed(Body::from_stream(stream::iter((0..pieces).map(move |_| Ok::<_, std::io::Error>(piece.clone())))))
        }
        Fault::Late(_) => unreachable!("it is answered, only later"),
    }
}

fn whole(status: u16, kind: &'static str, body: String) -> Response<Body> {
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
