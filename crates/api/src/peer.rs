//! The daemon at the other end of a connection, and whether it is alive.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HOST;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use crate::client::ClientError;
use crate::endpoints;
use crate::problem::Problem;

/// How long the answer may take whether the daemon is alive.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub(crate) struct Peer {
    socket: PathBuf,
    pid: Option<i32>,
}

impl Peer {
    pub(crate) fn new(socket: &Path, pid: Option<i32>) -> Self {
        Self { socket: socket.to_owned(), pid }
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Waits for something from the daemon while it is alive: whenever nothing has come for `patience`, it has to show that.
    /// A request may take long, but a daemon that hangs must not make a command hang.
    pub(crate) async fn while_alive<T>(
        &self,
        patience: Duration,
        work: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                result = &mut work => return result,
                () = tokio::time::sleep(patience) => {}
            }
            tokio::select! {
                result = &mut work => return result,
                alive = self.check() => alive?,
            }
        }
    }

    /// Fails if the daemon does not answer at once, or answers that it cannot work.
    async fn check(&self) -> Result<(), ClientError> {
        let ask = async {
            let (mut sender, _) = open(&self.socket).await?;
            let request = Request::get(endpoints::HEALTH.route.path).header(HOST, "kugetsu").body(Full::default());
            let request = request.map_err(broken)?;
            let response = sender.send_request(request).await.map_err(broken)?;
            match response.status() {
                StatusCode::INTERNAL_SERVER_ERROR => Err(refusal(response).await),
                // An older daemon does not know the request, but answers.
                _ => Ok(()),
            }
        };
        match tokio::time::timeout(HEALTH_TIMEOUT, ask).await {
            // It ended or was replaced; the request itself fails, too.
            Ok(Err(ClientError::NotRunning { .. } | ClientError::Broken(_))) => Ok(()),
            Ok(result) => result,
            Err(_) => Err(ClientError::Unresponsive { pid: self.pid }),
        }
    }
}

/// Connects. Returns the process at the other end, if the system tells.
pub(crate) async fn open(socket: &Path) -> Result<(SendRequest<Full<Bytes>>, Option<i32>), ClientError> {
    let stream = UnixStream::connect(socket).await.map_err(|error| match error.kind() {
        // The queue of connections is full: nothing accepts them.
        io::ErrorKind::WouldBlock => ClientError::Unresponsive { pid: None },
        // Reset: the daemon was killed before it accepted the connection.
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => {
            ClientError::NotRunning { socket: socket.to_owned() }
        }
        _ => ClientError::Broken(format!("{}: {error}", socket.display())),
    })?;
    let pid = stream.peer_cred().ok().and_then(|peer| peer.pid());
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // Ends with the sender; its error reaches the caller through the request that it breaks.
    tokio::spawn(connection);
    Ok((sender, pid))
}

fn broken(error: impl std::fmt::Display) -> ClientError {
    ClientError::Broken(error.to_string())
}

/// Returns the error of a response that reports one.
pub(crate) async fn refusal(response: Response<Incoming>) -> ClientError {
    let status = response.status();
    match response.into_body().collect().await {
        Ok(body) => match serde_json::from_slice::<Problem>(&body.to_bytes()) {
            Ok(problem) => ClientError::Problem(problem),
            Err(_) => ClientError::NotUnderstood(format!("status {status}")),
        },
        Err(error) => ClientError::Broken(error.to_string()),
    }
}
