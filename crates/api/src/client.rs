//! A client of the daemon, over its unix socket.

use std::io;
use std::path::{Path, PathBuf};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::net::UnixStream;

use crate::endpoint::{Encoded, Endpoint, ListEndpoint, Method, Route, StreamEndpoint};
use crate::problem::Problem;
use crate::stream::{LineReader, List, Stream};

#[derive(Debug, Error)]
pub enum ClientError {
    #[error("no daemon listens on {}", socket.display())]
    NotRunning { socket: PathBuf },
    /// The daemon refused the request.
    #[error(transparent)]
    Problem(#[from] Problem),
    #[error("the connection to the daemon broke: {0}")]
    Broken(String),
    /// The response violates the protocol.
    #[error("could not understand the daemon's response: {0}")]
    NotUnderstood(String),
}

impl ClientError {
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::NotRunning { .. } => Some("start it with `kugetsu daemon start`"),
            Self::Problem(problem) => problem.hint.as_deref(),
            Self::Broken(_) => Some("running agents are not affected; `kugetsu status` lists them"),
            Self::NotUnderstood(_) => {
                Some("it may be of another version; stop it with `kugetsu daemon stop` and try again")
            }
        }
    }
}

/// A connection to the daemon, for one request at a time.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    /// # Errors
    /// [`ClientError::NotRunning`] if no daemon listens, otherwise [`ClientError::Broken`].
    pub async fn connect(socket: &Path) -> Result<Self, ClientError> {
        Ok(Self { socket: socket.to_owned(), sender: open(socket).await? })
    }

    /// Sends a request and returns the response.
    pub async fn call<Request: Serialize, Response: DeserializeOwned>(
        &mut self,
        endpoint: &Endpoint<Request, Response>,
        request: &Request,
    ) -> Result<Response, ClientError> {
        let response = self.send(&endpoint.route, request).await?;
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        let body = response.into_body().collect().await.map_err(|error| ClientError::Broken(error.to_string()))?;
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
        let response = self.send(route, request).await?;
        if response.status() != StatusCode::OK {
            return Err(refusal(response).await);
        }
        Ok(LineReader::new(self.sender, response.into_body()))
    }

    async fn send<Fields: Serialize>(
        &mut self,
        route: &Route<Fields>,
        request: &Fields,
    ) -> Result<Response<Incoming>, ClientError> {
        let Encoded { target, body } = route.encode(request).map_err(|error| ClientError::Broken(error.to_string()))?;
        if self.sender.ready().await.is_err() {
            self.sender = open(&self.socket).await?;
        }
        let request = Request::builder()
            .method(match route.method {
                Method::Get => hyper::Method::GET,
                Method::Post => hyper::Method::POST,
            })
            .uri(target)
            .header(HOST, "kugetsu")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body.into()))
            .map_err(|error| ClientError::Broken(error.to_string()))?;
        self.sender.send_request(request).await.map_err(|error| ClientError::Broken(error.to_string()))
    }
}

async fn open(socket: &Path) -> Result<SendRequest<Full<Bytes>>, ClientError> {
    let stream = UnixStream::connect(socket).await.map_err(|error| match error.kind() {
        // Reset: the daemon was killed before it accepted the connection.
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => {
            ClientError::NotRunning { socket: socket.to_owned() }
        }
        _ => ClientError::Broken(format!("{}: {error}", socket.display())),
    })?;
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| ClientError::Broken(error.to_string()))?;
    // Ends with the sender; its error reaches the caller through the request that it breaks.
    tokio::spawn(connection);
    Ok(sender)
}

async fn refusal(response: Response<Incoming>) -> ClientError {
    let status = response.status();
    match response.into_body().collect().await {
        Ok(body) => match serde_json::from_slice::<Problem>(&body.to_bytes()) {
            Ok(problem) => ClientError::Problem(problem),
            Err(_) => ClientError::NotUnderstood(format!("status {status}")),
        },
        Err(error) => ClientError::Broken(error.to_string()),
    }
}
