//! The beginning of a TLS connection, which names the host (RFC 6066, section 3). A server of many hosts goes by that name, so it has to be
//! the one that was allowed.

use std::io;
use std::time::Duration;

use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// How long a client may take.
const LIMIT: Duration = Duration::from_secs(30);
/// Bytes of a message, with room for large keys.
const LENGTH_MAX: usize = 64 * 1024;

/// The bytes that were read, and the host that they name.
#[derive(Debug)]
pub(super) struct ClientHello {
    pub(super) bytes: Vec<u8>,
    pub(super) host: Option<String>,
}

impl ClientHello {
    /// # Errors
    /// The connection does not begin as TLS does, or not in time.
    pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        timeout(LIMIT, read(stream)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<ClientHello> {
    let mut acceptor = Acceptor::default();
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    while bytes.len() < LENGTH_MAX {
        let length = stream.read(&mut buffer).await?;
        let mut new = &buffer[..length];
        if new.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(new);
        while !new.is_empty() {
            acceptor.read_tls(&mut new)?;
            match acceptor.accept() {
                Ok(Some(accepted)) => {
                    let host = accepted.client_hello().server_name().map(str::to_ascii_lowercase);
                    return Ok(ClientHello { bytes, host });
                }
                Ok(None) => {}
                Err((error, _)) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "its first message is too long"))
}
