//! Listens until it is told to stop.

use std::future::Future;
use std::io;
use std::time::Duration;

use kugetsu_engine::Engine;
use tokio::net::UnixListener;
use tokio::sync::watch;

use crate::control::Control;
use crate::router::router;

/// How long answers may take that are under way when the daemon stops. Streams would go on for ever.
const PARTING: Duration = Duration::from_millis(500);

/// Serves the API on a socket until `stop` comes true.
///
/// # Errors
/// The socket broke.
pub async fn serve(
    engine: Engine,
    control: Control,
    listener: UnixListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (stopping, mut stopped) = watch::channel(false);
    let signal = async move {
        stop.await;
        stopping.send_replace(true);
    };
    let serving = axum::serve(listener, router(engine, control)).with_graceful_shutdown(signal);
    let parting = async move {
        if stopped.wait_for(|stopped| *stopped).await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(PARTING).await;
    };
    tokio::select! {
        ended = serving.into_future() => ended,
        () = parting => Ok(()),
    }
}
