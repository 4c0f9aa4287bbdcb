//! One HTTP exchange with a server on this machine.

use std::net::SocketAddr;

use axum::body::Body;
use axum::http::{Request, Response};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Sends a request whose URI is a path, on a new connection.
pub(super) async fn exchange(address: SocketAddr, request: Request<Body>) -> std::io::Result<Response<Body>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
    // Ends with the response.
    tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(std::io::Error::other)?;
    Ok(response.map(Body::new))
}
