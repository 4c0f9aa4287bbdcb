//! Answers one HTTP request: notes it, makes the scripted fault, checks the token, hands it to git.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode, Uri, header};
use futures::{StreamExt, stream};

use super::backend::{self, BackendRequest};
use super::credentials;
use super::record::GitRequest;
use crate::watched::Watched;

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(super) root: PathBuf,
    pub(super) token: Watched<String>,
    pub(super) requests: Watched<Vec<GitRequest>>,
    pub(super) faults: Watched<Faults>,
}

/// Faults to be made.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Statuses of the next answers, the next one last.
    pub(super) statuses: Vec<u16>,
    /// How many of the next requests are never answered.
    pub(super) hangs: usize,
    /// Pause before every answer.
    pub(super) delay: Duration,
    /// How many of the next transfers break off after some bytes.
    pub(super) drops: usize,
}

impl Desk {
    pub(super) fn router(self: Arc<Self>) -> Router {
        Router::new().fallback(serve).with_state(self)
    }

    fn note(&self, request: &Request, authorized: bool) -> usize {
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
        value.and_then(credentials::token).is_some_and(|token| self.token.read(|right| *right == token))
    }

    async fn answer(&self, request: Request, authorized: bool) -> Response<Body> {
        let (hangs, status, delay) = self.faults.change(|faults| {
            let hangs = faults.takes_a_hang();
            (hangs, if hangs { None } else { faults.statuses.pop() }, faults.delay)
        });
        if hangs {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(delay).await;
        if let Some(status) = status {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return plain(status, "the test asked for this failure");
        }
        if !authorized {
            let mut response = plain(StatusCode::UNAUTHORIZED, "a token is needed");
            let realm = header::HeaderValue::from_static("Basic realm=\"scripted git server\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
            return response;
        }
        self.transfer(request).await
    }

    async fn transfer(&self, request: Request) -> Response<Body> {
        let Some(path) = repository_path(request.uri()) else {
            return plain(StatusCode::NOT_FOUND, "not a path of a repository");
        };
        let (parts, body) = request.into_parts();
        let breaks = parts.method == "POST" && self.faults.change(Faults::takes_a_drop);
        let request = BackendRequest {
            query: parts.uri.query().unwrap_or_default().to_owned(),
            method: parts.method,
            path,
            headers: parts.headers,
            body: if breaks { half(body) } else { body },
        };
        match backend::run(&self.root, request).await {
            Ok(response) if breaks => response.map(half),
            Ok(response) => response,
            Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, &format!("git http-backend: {error}")),
        }
    }
}

impl Faults {
    fn takes_a_drop(&mut self) -> bool {
        takes_one(&mut self.drops)
    }

    fn takes_a_hang(&mut self) -> bool {
        takes_one(&mut self.hangs)
    }
}

fn takes_one(left: &mut usize) -> bool {
    let takes = *left > 0;
    *left = left.saturating_sub(1);
    takes
}

pub(crate) async fn serve(State(desk): State<Arc<Desk>>, request: Request) -> Response<Body> {
    let authorized = desk.authorizes(&request);
    let index = desk.note(&request, authorized);
    let response = desk.answer(request, authorized).await;
    desk.requests.change(|list| list[index].status = Some(response.status().as_u16()));
    response
}

/// The path below the root, `.git` added to the repository's name where the client left it out.
pub(crate) fn repository_path(uri: &Uri) -> Option<String> {
    let path = uri.path();
    let services = ["/info/refs", "/git-upload-pack", "/git-receive-pack", "/HEAD", "/objects/"];
    let at = services.iter().find_map(|service| path.find(service))?;
    let (project, service) = path.split_at(at);
    let project = project.strip_suffix(".git").unwrap_or(project);
    (!project.contains("..")).then(|| format!("{project}.git{service}"))
}

/// A body that breaks off: the first half of its first chunk, then an error.
fn half(body: Body) -> Body {
    let chunks = body
        .into_data_stream()
        .take(1)
        .map(|chunk| chunk.map(|bytes| bytes.slice(..bytes.len() / 2)).map_err(std::io::Error::other));
    let broken: std::io::Result<Bytes> = Err(std::io::Error::other("the test breaks the connection here"));
    Body::from_stream(chunks.chain(stream::iter([broken])))
}

fn plain(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{text}\n")));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_bare_repositories() {
        let path = |text: &str| repository_path(&text.parse().unwrap());
        assert_eq!(path("/o/r/info/refs?service=x").as_deref(), Some("/o/r.git/info/refs"));
        assert_eq!(path("/group/sub/r.git/git-upload-pack").as_deref(), Some("/group/sub/r.git/git-upload-pack"));
        assert_eq!(path("/o/../../r/HEAD"), None);
        assert_eq!(path("/o/r"), None);
    }
}
