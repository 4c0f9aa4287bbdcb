//! Serves the API until the daemon stops.

use std::future::Future;
use std::io;
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use kugetsu_api::home::Home;
use kugetsu_engine::Engine;
use kugetsu_engine::callers::Caller;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};

use crate::app_state::Control;
use crate::callers::Peer;
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
    let app = router(engine, control).into_make_service_with_connect_info::<Peer>();
    let serving = axum::serve(listener, app).with_graceful_shutdown(signal);
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
    /// The home whose runs' processes are recognized.
    pub home: Home,
    pub listener: UnixListener,
    pub next: mpsc::Receiver<UnixListener>,
}

impl Listener for Socket {
    type Io = UnixStream;
    /// The address of a client is not of interest, but which process it is.
    type Addr = Caller;

    async fn accept(&mut self) -> (UnixStream, Caller) {
        loop {
            let stream = tokio::select! {
                (stream, _) = Listener::accept(&mut self.listener) => stream,
                Some(next) = self.next.recv() => {
                    self.listener = next;
                    continue;
                }
            };
            // At once: the process may end, and its number become another one's. This reads a few small files.
            let pid = stream.peer_cred().ok().and_then(|peer| peer.pid());
            let caller = Caller::of(&self.home, pid);
            return (stream, caller);
        }
    }

    fn local_addr(&self) -> io::Result<Caller> {
        Ok(Caller::of(&self.home, None))
    }
}

impl Connected<IncomingStream<'_, Socket>> for Peer {
    fn connect_info(connection: IncomingStream<'_, Socket>) -> Self {
        Self(*connection.remote_addr())
    }
}
