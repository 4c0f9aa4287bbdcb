//! One address for an emulator, which has an API only, and for a git server.

use std::fmt::{self, Debug, Formatter};
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode, Uri, header};
use futures::{StreamExt, stream};
use serde_json::Value;

use super::http::exchange;
use crate::git_server::handler as git;
use crate::git_server::server::GitServer;
use crate::local_server::LocalServer;
use crate::watched::Watched;

type AfterPush = Arc<dyn Fn() + Send + Sync>;

/// Passes the requests of git clients to a git server, and all others to an emulator.
#[derive(Debug)]
pub struct Front {
    server: LocalServer,
    state: Arc<FrontState>,
}

struct FrontState {
    git: Arc<git::ServerState>,
    upstream: Watched<Option<SocketAddr>>,
    after_push: Watched<Option<AfterPush>>,
    /// Ends of paths that the emulator does not have, and the answers to them.
    answers: Watched<Vec<(&'static str, Value)>>,
}

impl Debug for FrontState {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrontState").field("upstream", &self.upstream).finish_non_exhaustive()
    }
}

impl Front {
    /// Listens on a free port. Other requests than git's are refused until [`Front::forward_to`].
    pub fn start(git: &GitServer) -> Self {
        let state = Arc::new(FrontState {
            git: git.shared_state(),
            upstream: Watched::default(),
            after_push: Watched::default(),
            answers: Watched::default(),
        });
        let router = Router::new().fallback(serve).with_state(Arc::clone(&state));
        Self { server: LocalServer::start("front", router), state }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    pub fn forward_to(&self, emulator: SocketAddr) {
        self.state.upstream.change(|upstream| *upstream = Some(emulator));
    }

    /// Calls this after each push, before the client sees the end of the answer.
    pub fn after_push(&self, call: impl Fn() + Send + Sync + 'static) {
        self.state.after_push.change(|after| *after = Some(Arc::new(call)));
    }

    /// Answers GET requests whose path ends like this, because the emulator does not know them.
    pub fn answer(&self, end: &'static str, body: Value) {
        self.state.answers.change(|answers| answers.push((end, body)));
    }
}

async fn serve(State(state): State<Arc<FrontState>>, request: Request) -> Response<Body> {
    let (path, method) = (request.uri().path().to_owned(), request.method().clone());
    if git::repository_path(request.uri()).is_some() {
        let after = state.after_push.read(Clone::clone).filter(|_| path.ends_with("/git-receive-pack"));
        let response = git::serve(State(Arc::clone(&state.git)), request).await;
        let after = stream::once(async move {
            if let Some(after) = after.filter(|_| method == "POST") {
                tokio::task::spawn_blocking(move || after()).await.map_err(std::io::Error::other)?;
            }
            Ok::<_, std::io::Error>(Bytes::new())
        });
        let whole = |body: Body| body.into_data_stream().map(|chunk| chunk.map_err(std::io::Error::other));
        return response.map(|body| Body::from_stream(whole(body).chain(after)));
    }
    let known = state.answers.read(|answers| {
        let found = answers.iter().find(|(end, _)| method == "GET" && path.ends_with(end));
        found.map(|(_, body)| body.to_string())
    });
    let forwarded = match (known, state.upstream.read(|upstream| *upstream)) {
        (Some(body), _) => Ok(json(body)),
        (None, Some(upstream)) => exchange(upstream, relative(request)).await,
        (None, None) => Err(std::io::Error::other("there is no emulator yet")),
    };
    forwarded.unwrap_or_else(|error| {
        let mut response = Response::new(Body::from(error.to_string()));
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        response
    })
}

/// The request with only path and query in its URI.
fn relative(mut request: Request) -> Request {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    *request.uri_mut() = target.parse::<Uri>().unwrap_or_default();
    request
}

fn json(body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}
