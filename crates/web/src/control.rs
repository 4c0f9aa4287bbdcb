//! What the daemon can be asked to do to itself.

use std::fmt;
use std::sync::Arc;

use kugetsu_api::problem::{Problem, ProblemKind};
use tokio::sync::{mpsc, oneshot, watch};

/// What the daemon can be asked about itself.
#[derive(Clone, Debug)]
pub struct Control {
    /// Asks it to end.
    pub stop: mpsc::Sender<()>,
    /// Asks it to read the settings again; the answer says what is wrong with them.
    pub reload: mpsc::Sender<oneshot::Sender<Result<(), String>>>,
    /// Tells whether they are stale.
    pub stale: Stale,
    /// What was wrong with them when they were last read.
    pub faults: watch::Receiver<Faults>,
}

/// What is wrong with the settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Mistakes; what was set before them holds.
    pub error: Option<String>,
    /// What is passed over.
    pub warnings: Vec<String>,
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

    /// Reads them again.
    pub(crate) async fn read_again(&self) -> Result<(), Problem> {
        let failed = |why: String| Problem::new(ProblemKind::Failed, why);
        let (reply, answer) = oneshot::channel();
        let stopping = || failed("the daemon is stopping".to_owned());
        self.reload.send(reply).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?.map_err(|why| failed(format!("the settings were not changed: {why}")))
    }
}
