//! A client of the daemon, over its unix socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Request, Response, StatusCode};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::endpoint::{Encoded, Endpoint, ListEndpoint, Method, Route, StreamEndpoint};
use crate::endpoints::WARNINGS_HEADER;
use crate::peer::{Peer, open, refusal};
use crate::problem::Problem;
use crate::run_key::{RUN_KEY_HEADER, RunKey};
use crate::stream::{LineReader, List, Stream};

/// How long the daemon may take to respond before it has to show that it is alive.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Error)]
pub enum ClientError {
    #[error("no daemon listens on {}", socket.display())]
    NotRunning { socket: PathBuf },
    /// The daemon refused the request.
    #[error(transparent)]
    Problem(#[from] Problem),
    #[error("the connection to the daemon broke: {0}")]
    Broken(String),
    /// It accepts connections, but it does not answer, not even that it is alive.
    #[error("the daemon{} does not respond", process(*pid))]
    Unresponsive { pid: Option<i32> },
    /// The response violates the protocol.
    #[error("could not understand the daemon's response: {0}")]
    NotUnderstood(String),
}

impl ClientError {
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotRunning { .. } => "start it with `kugetsu daemon start`",
            Self::Problem(problem) => return problem.hint.clone(),
            Self::Broken(_) => "running agents are not affected; `kugetsu status` lists them",
            Self::Unresponsive { pid: Some(pid) } => {
                return Some(format!(
                    "if it was paused, `kill -CONT {pid}` continues it, and it may still carry out this request; else end it \
                     with `kill -9 {pid}` and try again: running agents are not affected, and the next command starts a new daemon"
                ));
            }
            Self::Unresponsive { pid: None } => "end the process `kugetsu daemon run` and try again",
            Self::NotUnderstood(_) => "it may be of another version; run `kugetsu daemon restart` and try again",
        };
        Some(hint.to_owned())
    }
}

fn process(pid: Option<i32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (process {pid})"))
}

/// A connection to the daemon, for one request at a time.
#[derive(Debug)]
pub struct Client {
    peer: Peer,
    sender: SendRequest<Full<Bytes>>,
    on_warning: fn(&str),
    key: Option<RunKey>,
}

impl Client {
    /// # Errors
    /// [`ClientError::NotRunning`] if no daemon listens, otherwise [`ClientError::Broken`].
    pub async fn connect(socket: &Path) -> Result<Self, ClientError> {
        let (sender, pid) = open(socket).await?;
        Ok(Self { peer: Peer::new(socket, pid), sender, on_warning: |_| (), key: None })
    }

    /// Calls `show` for each warning of the daemon that comes with a response.
    #[must_use]
    pub fn on_warning(self, show: fn(&str)) -> Self {
        Self { on_warning: show, ..self }
    }

    /// Sends the key of a run with each request.
    #[must_use]
    pub fn with_key(self, key: &RunKey) -> Self {
        Self { key: Some(key.clone()), ..self }
    }

    /// Sends a request and returns the response.
    pub async fn call<Request: Serialize, Response: DeserializeOwned>(
        &mut self,
        endpoint: &Endpoint<Request, Response>,
        request: &Request,
    ) -> Result<Response, ClientError> {
        let peer = self.peer.clone();
        let response = async {
            let response = self.send(&endpoint.route, request).await?;
            if !response.status().is_success() {
                return Err(refusal(response).await);
            }
            response.into_body().collect().await.map_err(|error| ClientError::Broken(error.to_string()))
        };
        let body = peer.while_alive(PATIENCE, response).await?;
        serde_json::from_slice(&body.to_bytes()).map_err(|error| ClientError::NotUnderstood(error.to_string()))
    }

    /// Requests a stream. It uses up the connection.
    pub async fn stream<Request: Serialize, Item: DeserializeOwned>(
        self,
        endpoint: &StreamEndpoint<Request, Item>,
        request: &Request,
    ) -> Result<Stream<Item>, ClientError> {
        self.lines(&endpoint.route, request).await.map(Stream::new)
    }

    /// Requests a list. It uses up the connection.
    pub async fn list<Request: Serialize, Item: DeserializeOwned>(
        self,
        endpoint: &ListEndpoint<Request, Item>,
        request: &Request,
    ) -> Result<List<Item>, ClientError> {
        self.lines(&endpoint.route, request).await.map(List::new)
    }

    async fn lines<Request: Serialize>(
        mut self,
        route: &Route<Request>,
        request: &Request,
    ) -> Result<LineReader, ClientError> {
        let peer = self.peer.clone();
        let response = async {
            match self.send(route, request).await? {
                response if response.status() == StatusCode::OK => Ok(response),
                response => Err(refusal(response).await),
            }
        };
        let response = peer.while_alive(PATIENCE, response).await?;
        Ok(LineReader::new(self.sender, peer, response.into_body()))
    }

    async fn send<Fields: Serialize>(
        &mut self,
        route: &Route<Fields>,
        request: &Fields,
    ) -> Result<Response<Incoming>, ClientError> {
        let Encoded { target, body } = route.encode(request).map_err(|error| ClientError::Broken(error.to_string()))?;
        if self.sender.ready().await.is_err() {
            self.sender = open(self.peer.socket()).await?.0;
        }
        let mut request = Request::builder()
            .method(match route.method {
                Method::Get => hyper::Method::GET,
                Method::Post => hyper::Method::POST,
            })
            .uri(target)
            .header(HOST, "kugetsu")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body.into()))
            .map_err(|error| ClientError::Broken(error.to_string()))?;
        if let Some(key) = &self.key {
            let mut key = HeaderValue::from_str(key.text().expose_secret())
                .map_err(|error| ClientError::Broken(error.to_string()))?;
            key.set_sensitive(true);
            request.headers_mut().insert(RUN_KEY_HEADER, key);
        }
        let response =
            self.sender.send_request(request).await.map_err(|error| ClientError::Broken(error.to_string()))?;
        let warnings = response.headers().get(WARNINGS_HEADER);
        let warnings = warnings.and_then(|header| serde_json::from_slice::<Vec<String>>(header.as_bytes()).ok());
        warnings.iter().flatten().for_each(|warning| (self.on_warning)(warning));
        Ok(response)
    }
}
