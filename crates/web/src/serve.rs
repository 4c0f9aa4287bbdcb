//! Serves the API until the daemon stops.

use std::future::Future;
use std::io;
use std::time::Duration;

use axum::serve::Listener;
use kugetsu_engine::Engine;
use tokio::net::unix::SocketAddr;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};

use crate::app_state::Control;
use crate::router::router;

/// How long unfinished responses may take when the daemon stops. Streams do not end by themselves.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(500);

/// Serves the API on a socket until `stop` resolves. Fails if the socket breaks.
pub async fn serve(
    engine: Engine,
    control: Control,
    listener: Socket,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (stopping, mut stopped) = watch::channel(false);
    let signal = async move {
        stop.await;
        stopping.send_replace(true);
    };
    let serving = axum::serve(listener, router(engine, control)).with_graceful_shutdown(signal);
    let grace_is_over = async move {
        if stopped.wait_for(|stopped| *stopped).await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(SHUTDOWN_GRACE).await;
    };
    tokio::select! {
        ended = serving.into_future() => ended,
        () = grace_is_over => Ok(()),
    }
}

/// Accepts connections on a socket, and on the next one once there is one: a socket whose file was deleted can no longer be
/// found by anyone.
#[derive(Debug)]
pub struct Socket {
    pub listener: UnixListener,
    pub next: mpsc::Receiver<UnixListener>,
}

impl Listener for Socket {
    type Io = UnixStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (UnixStream, SocketAddr) {
        loop {
            tokio::select! {
                accepted = Listener::accept(&mut self.listener) => return accepted,
                Some(next) = self.next.recv() => self.listener = next,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}
