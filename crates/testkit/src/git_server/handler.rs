//! Answers an HTTP request: records it, injects the next fault, checks the token and passes it to git.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode, Uri, header};
use futures::{StreamExt, stream};

use super::backend::{self, BackendRequest};
use super::credentials;
use super::request::GitRequest;
use crate::watched::Watched;

/// The state that all requests share.
#[derive(Debug)]
pub(crate) struct ServerState {
    pub(super) root: PathBuf,
    pub(super) token: Watched<String>,
    pub(super) requests: Watched<Vec<GitRequest>>,
    pub(super) faults: Watched<Faults>,
}

/// Faults to inject.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Statuses of the next answers, the next one last.
    pub(super) statuses: Vec<u16>,
    /// Number of next requests that are never answered.
    pub(super) hangs: usize,
    /// Pause before every answer.
    pub(super) delay: Duration,
    /// Number of next transfers whose connection breaks.
    pub(super) drops: usize,
}

impl ServerState {
    /// The directory of the repositories.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn router(self: Arc<Self>) -> Router {
        Router::new().fallback(serve).with_state(self)
    }

    fn record(&self, request: &Request, authorized: bool) -> usize {
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let entry = GitRequest {
            at: SystemTime::now(),
            method: request.method().to_string(),
            target: request.uri().to_string(),
            authorized,
            protocol: header("git-protocol"),
            encoding: header("content-encoding"),
            status: None,
        };
        self.requests.change(|list| {
            list.push(entry);
            list.len() - 1
        })
    }

    fn authorizes(&self, request: &Request) -> bool {
        let value = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        value.and_then(credentials::token).is_some_and(|token| self.token.read(|valid| *valid == token))
    }

    async fn answer(&self, request: Request, authorized: bool) -> Response<Body> {
        let (hangs, status, delay) = self.faults.change(|faults| {
            let hangs = faults.take_hang();
            (hangs, if hangs { None } else { faults.statuses.pop() }, faults.delay)
        });
        if hangs {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(delay).await;
        if let Some(status) = status {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return text_response(status, "injected failure");
        }
        if !authorized {
            let mut response = text_response(StatusCode::UNAUTHORIZED, "a token is required");
            let realm = header::HeaderValue::from_static("Basic realm=\"scripted git server\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
            return response;
        }
        self.transfer(request).await
    }

    async fn transfer(&self, request: Request) -> Response<Body> {
        let Some(path) = repository_path(request.uri()) else {
            return text_response(StatusCode::NOT_FOUND, "not the path of a repository");
        };
        let (parts, body) = request.into_parts();
        let breaks = parts.method == "POST" && self.faults.change(Faults::take_drop);
        let request = BackendRequest {
            query: parts.uri.query().unwrap_or_default().to_owned(),
            method: parts.method,
            path,
            headers: parts.headers,
            body: if breaks { truncated(body) } else { body },
        };
        match backend::run(&self.root, request).await {
            Ok(response) if breaks => response.map(truncated),
            Ok(response) => response,
            Err(error) => text_response(StatusCode::INTERNAL_SERVER_ERROR, &format!("git http-backend: {error}")),
        }
    }
}

impl Faults {
    fn take_drop(&mut self) -> bool {
        take_one(&mut self.drops)
    }

    fn take_hang(&mut self) -> bool {
        take_one(&mut self.hangs)
    }
}

/// Decrements the count. Returns whether it was positive.
fn take_one(left: &mut usize) -> bool {
    let is_left = *left > 0;
    *left = left.saturating_sub(1);
    is_left
}

pub(crate) async fn serve(State(state): State<Arc<ServerState>>, request: Request) -> Response<Body> {
    let authorized = state.authorizes(&request);
    let index = state.record(&request, authorized);
    let response = state.answer(request, authorized).await;
    state.requests.change(|list| list[index].status = Some(response.status().as_u16()));
    response
}

/// The path below the root, with `.git` added to the repository's name if the client left it out.
pub(crate) fn repository_path(uri: &Uri) -> Option<String> {
    let path = uri.path();
    let services = ["/info/refs", "/git-upload-pack", "/git-receive-pack", "/HEAD", "/objects/"];
    let at = services.iter().find_map(|service| path.find(service))?;
    let (project, service) = path.split_at(at);
    let project = project.strip_suffix(".git").unwrap_or(project);
    (!project.contains("..")).then(|| format!("{project}.git{service}"))
}

/// The first half of the body's first chunk, then an error.
fn truncated(body: Body) -> Body {
    let chunks = body
        .into_data_stream()
        .take(1)
        .map(|chunk| chunk.map(|bytes| bytes.slice(..bytes.len() / 2)).map_err(std::io::Error::other));
    let broken: std::io::Result<Bytes> = Err(std::io::Error::other("injected break"));
    Body::from_stream(chunks.chain(stream::iter([broken])))
}

fn text_response(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{text}\n")));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_mapped_to_bare_repositories() {
        let path = |text: &str| repository_path(&text.parse().unwrap());
        assert_eq!(path("/o/r/info/refs?service=x").as_deref(), Some("/o/r.git/info/refs"));
        assert_eq!(path("/group/sub/r.git/git-upload-pack").as_deref(), Some("/group/sub/r.git/git-upload-pack"));
        assert_eq!(path("/o/../../r/HEAD"), None);
        assert_eq!(path("/o/r"), None);
    }
}
