//! The state of every handler: the engine, and requests to the daemon.

use std::fmt;
use std::sync::Arc;

use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_engine::Engine;
use tokio::sync::{mpsc, oneshot, watch};

#[derive(Clone, Debug)]
pub(crate) struct AppState {
    pub(crate) engine: Engine,
    pub(crate) control: Control,
}

/// Requests to the daemon about itself.
#[derive(Clone, Debug)]
pub struct Control {
    pub stop: mpsc::Sender<()>,
    /// Reads the settings again. The reply is the error in them, if there is one.
    pub reload: mpsc::Sender<oneshot::Sender<Result<(), String>>>,
    pub stale: Stale,
    /// Mistakes in the settings that were read last.
    pub diagnostics: watch::Receiver<SettingsDiagnostics>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingsDiagnostics {
    /// Invalid settings. The previous values stay in effect.
    pub error: Option<String>,
    /// Ignored settings.
    pub warnings: Vec<String>,
}

/// Whether a settings file has changed since it was read. The system reports a change with a delay, but a command that
/// follows the change at once has to see it.
#[derive(Clone)]
pub struct Stale(Arc<dyn Fn() -> bool + Send + Sync>);

impl Stale {
    /// `check` runs for every request that needs settings, so it must be quick.
    pub fn new(check: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(check))
    }
}

impl fmt::Debug for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stale")
    }
}

impl Control {
    /// Reads the settings again if they are stale. A mistake in them is not the caller's: the previous values stay in force.
    pub(crate) async fn refresh(&self) {
        if (self.stale.0)() {
            // A daemon that does not reply is stopping, and the caller learns that soon enough.
            let _ = self.reload().await;
        }
    }

    pub(crate) async fn reload(&self) -> Result<(), Problem> {
        let failed = |why: String| Problem::new(ProblemKind::Failed, why);
        let stopping = || failed("the daemon is stopping".to_owned());
        let (reply, result) = oneshot::channel();
        self.reload.send(reply).await.map_err(|_| stopping())?;
        let result = result.await.map_err(|_| stopping())?;
        result.map_err(|why| failed(format!("the settings were not changed: {why}")))
    }
}
