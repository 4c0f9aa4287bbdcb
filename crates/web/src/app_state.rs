//! The state of every handler: the engine, and requests to the daemon.

use std::fmt;
use std::sync::{Arc, Weak};

use axum::http::HeaderValue;
use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_engine::Engine;
use tokio::sync::{mpsc, oneshot, watch};

#[derive(Clone, Debug)]
pub(crate) struct AppState {
    pub(crate) engine: Engine,
    pub(crate) control: Control,
}

/// Longest header with warnings, in bytes.
const WARNINGS_MAX: usize = 4096;

impl AppState {
    /// Returns the problems of the daemon, for [`WARNINGS_HEADER`](kugetsu_api::endpoints::WARNINGS_HEADER).
    pub(crate) fn warnings(&self) -> Option<HeaderValue> {
        let mut warnings = Vec::new();
        if let Some(error) = &self.control.diagnostics.borrow().error {
            warnings.push(format!("{error}; the last valid settings stay in effect"));
        }
        warnings.extend(self.control.hooks.borrow().clone());
        if let Some(trouble) = self.engine.trouble() {
            warnings.push(format!("the daemon cannot store anything, so what is shown may have changed: {trouble}"));
        }
        if warnings.is_empty() {
            return None;
        }
        // Non-ASCII characters are escaped: a header has none.
        let mut text = String::new();
        for c in serde_json::to_string(&warnings).ok()?.chars() {
            match c.is_ascii() {
                true => text.push(c),
                false => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| text.push_str(&format!("\\u{unit:04x}"))),
            }
        }
        (text.len() <= WARNINGS_MAX).then(|| HeaderValue::from_str(&text).ok()).flatten()
    }
}

/// Requests to the daemon about itself.
#[derive(Clone, Debug)]
pub struct Control {
    pub stop: mpsc::Sender<()>,
    /// Reads the settings again. The reply is the error in them, if there is one.
    pub reload: mpsc::Sender<oneshot::Sender<Result<(), String>>>,
    pub stale: Stale,
    /// The requests in progress.
    pub requests: Requests,
    /// Mistakes in the settings that were read last.
    pub diagnostics: watch::Receiver<SettingsDiagnostics>,
    /// Why webhooks are not accepted, although they should be.
    pub hooks: watch::Receiver<Option<String>>,
}

/// Counts the requests in progress that change something. Clones share the count.
#[derive(Clone, Debug, Default)]
pub struct Requests(Arc<()>);

impl Requests {
    /// Counts a request until the returned value is dropped.
    pub(crate) fn begin(&self) -> RequestInProgress {
        RequestInProgress { _count: Arc::downgrade(&self.0) }
    }

    pub(crate) fn count(&self) -> u64 {
        Arc::weak_count(&self.0) as u64
    }
}

#[derive(Debug)]
pub(crate) struct RequestInProgress {
    _count: Weak<()>,
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
