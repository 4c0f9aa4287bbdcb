//! The daemon itself.

use std::fmt;
use std::sync::{Arc, LazyLock};

use axum::Json;
use axum::extract::State;
use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_api::status::StatusObject;
use kugetsu_engine::look;
use kugetsu_process::Means;
use tokio::sync::{mpsc, oneshot};

use crate::fault::Fault;
use crate::router::Shared;

/// What the daemon can be asked about itself.
#[derive(Clone, Debug)]
pub struct Control {
    /// Asks it to end.
    pub stop: mpsc::Sender<()>,
    /// Asks it to read the settings again; the answer says what is wrong with them.
    pub reload: mpsc::Sender<oneshot::Sender<Result<(), String>>>,
    /// Tells whether they are stale.
    pub stale: Stale,
}

/// Whether a file of the settings is another one than when they were read. The system tells of a change a moment later,
/// and a command that is typed right after it must find it.
#[derive(Clone)]
pub struct Stale(Arc<dyn Fn() -> bool + Send + Sync>);

impl Stale {
    /// By asking `look`, which must be quick.
    pub fn new(look: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(look))
    }
}

impl fmt::Debug for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stale")
    }
}

impl Control {
    /// Reads the settings again if they are stale. A mistake in them is no matter of the caller's: those from before hold.
    pub(crate) async fn refresh(&self) {
        if (self.stale.0)() {
            // Whoever does not answer is ending, and the caller learns that soon enough.
            let _ = self.read_again().await;
        }
    }

    async fn read_again(&self) -> Result<(), Problem> {
        let failed = |why: String| Problem::new(ProblemKind::Failed, why);
        let (reply, answer) = oneshot::channel();
        let stopping = || failed("the daemon is stopping".to_owned());
        self.reload.send(reply).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?.map_err(|why| failed(format!("the settings were not changed: {why}")))
    }
}

/// Found out by trying, which makes a cgroup and starts a process: once, and not for every question.
static MEANS: LazyLock<Means> = LazyLock::new(kugetsu_process::means);

pub(crate) async fn status(State(shared): State<Shared>) -> Result<Json<StatusObject>, Fault> {
    let standing = look::standing(&shared.engine).await?;
    let containment = tokio::task::spawn_blocking(|| *MEANS).await;
    Ok(Json(StatusObject {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        home: shared.engine.home().path().display().to_string(),
        started_at: shared.engine.started_at().to_string(),
        running: standing.running as u64,
        places_taken: standing.places_taken as u64,
        places: standing.places as u64,
        queued: standing.queued,
        containment: containment.map_or_else(|error| error.to_string(), |means| means.to_string()),
    }))
}

pub(crate) async fn check(State(shared): State<Shared>) -> Result<Json<Vec<String>>, Fault> {
    let store = shared.engine.store();
    let mut wrong = store.check().await?;
    wrong.extend(store.damaged().await?);
    Ok(Json(wrong))
}

pub(crate) async fn stop(State(shared): State<Shared>) -> Json<()> {
    // A full channel means that somebody asked already.
    let _ = shared.control.stop.try_send(());
    Json(())
}

pub(crate) async fn reload(State(shared): State<Shared>) -> Result<Json<()>, Fault> {
    shared.control.read_again().await?;
    Ok(Json(()))
}
