//! Accepts webhooks, and nothing else, on the address that `hooks.listen` sets. It may be reachable from everywhere, so connections, their lifetimes
//! and bodies are bounded, and a body is only looked at once its signature is right.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::serve::Listener;
use kugetsu_engine::Engine;
use kugetsu_engine::hooks::{Delivered, deliver};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Sleep, sleep};

/// Bytes of a body. GitHub sends up to 25 MiB, but bodies about issues and checks are small; a poll finds what larger ones are
/// about.
const BODY_MAX: usize = 4 * 1024 * 1024;
/// Connections at once.
const CONNECTIONS_MAX: usize = 64;
/// How long a connection may last.
const LIFETIME: Duration = Duration::from_secs(30);
/// Time until an address that cannot be used is tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// Accepts webhooks until it is dropped, and follows the setting. `trouble` gets the reason while the address cannot be used.
pub async fn serve_hooks(engine: Engine, trouble: watch::Sender<Option<String>>) {
    let mut settings = engine.settings_changes();
    loop {
        let address = settings.borrow_and_update().hooks.listen;
        let moved = async {
            // The settings end with the daemon.
            while settings.changed().await.is_ok() {
                if settings.borrow_and_update().hooks.listen != address {
                    return;
                }
            }
            std::future::pending().await
        };
        tokio::select! {
            () = serve_at(&engine, address, &trouble) => {}
            () = moved => {}
        }
    }
}

async fn serve_at(engine: &Engine, address: Option<SocketAddr>, trouble: &watch::Sender<Option<String>>) {
    let Some(address) = address else {
        trouble.send_replace(None);
        return std::future::pending().await;
    };
    let error = match TcpListener::bind(address).await {
        Ok(listener) => {
            trouble.send_replace(None);
            tracing::info!(%address, "accepting webhooks");
            let listener = Bounded { listener, permits: Arc::new(Semaphore::new(CONNECTIONS_MAX)) };
            let Err(error) = axum::serve(listener, router(engine.clone())).await else { return };
            error
        }
        Err(error) => error,
    };
    let reason = format!("webhooks are not accepted: cannot listen on {address}: {error}");
    if trouble.borrow().as_ref() != Some(&reason) {
        tracing::error!("{reason}");
    }
    trouble.send_replace(Some(reason));
    sleep(AGAIN).await;
}

fn router(engine: Engine) -> Router {
    Router::new().route("/hooks/{server}", post(receive)).layer(DefaultBodyLimit::max(BODY_MAX)).with_state(engine)
}

async fn receive(
    State(engine): State<Engine>,
    Path(server): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (status, text) = match deliver(&engine, &server, header, &body).await {
        Delivered::Accepted => (StatusCode::ACCEPTED, "accepted".to_owned()),
        Delivered::Repeated => (StatusCode::OK, "this delivery came before".to_owned()),
        Delivered::Rejected(reason) => {
            (StatusCode::UNAUTHORIZED, format!("{reason}; compare the secret with `kugetsu hook show`"))
        }
        Delivered::NoServer => (StatusCode::NOT_FOUND, "no server of this name is configured".to_owned()),
        Delivered::Busy => (StatusCode::SERVICE_UNAVAILABLE, "too many deliveries wait".to_owned()),
        Delivered::Failed(error) => {
            tracing::error!(error, "a webhook was not accepted");
            (StatusCode::INTERNAL_SERVER_ERROR, "it could not be stored".to_owned())
        }
    };
    tracing::debug!(%status, text, "a webhook");
    (status, text + "\n")
}

/// Accepts a bounded number of connections, each of which ends in time.
struct Bounded {
    listener: TcpListener,
    permits: Arc<Semaphore>,
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // The semaphore is never closed.
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        let (stream, address) = Listener::accept(&mut self.listener).await;
        (Connection { stream, end: Box::pin(sleep(LIFETIME)), _permit: permit }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

struct Connection {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Connection {
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.end.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
