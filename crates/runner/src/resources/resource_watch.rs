//! Watches what a process tree of a run uses, and notices when it exceeds a limit.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kugetsu_process::{Meter, Reading, Tree};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tracing::Instrument as _;

use super::exceeded::{Exceeded, Size};
use super::growth;
use crate::records::spool::Spool;
use crate::run_context::RunContext;

/// Time between two looks. Many runs share the machine, so they are rare while a run uses little.
const INTERVAL: Duration = Duration::from_secs(2);
const INTERVAL_WHEN_HIGH: Duration = Duration::from_millis(500);
/// The kernel is taken for the killer of a process if it killed one of the run not longer ago than this.
const RECENT: Duration = Duration::from_secs(10);

/// Ends with its value.
#[derive(Debug)]
pub(crate) struct ResourceWatch {
    exceeded: watch::Receiver<Option<Exceeded>>,
    measured: Arc<Mutex<Measured>>,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Measured {
    meter: Meter,
    /// When the kernel last killed a process of the tree for its memory, as far as it was noticed.
    killed: Option<Instant>,
}

impl ResourceWatch {
    /// Watches a tree that was started with the limits of the run, and the files in `directories`.
    pub(crate) fn start(run: &RunContext, tree: &Tree, directories: Vec<PathBuf>) -> Self {
        let (sender, exceeded) = watch::channel(None);
        let sender = Arc::new(sender);
        let measured = Arc::new(Mutex::new(Measured { meter: tree.meter(), killed: None }));
        let mut tasks = JoinSet::new();
        let looking = look_until_exceeded(measured.clone(), run.spool.clone(), sender.clone());
        tasks.spawn(looking.in_current_span());
        let limit = run.spec.resources.growth;
        if limit > 0 {
            tasks.spawn(async move {
                sender.send_replace(Some(growth::exceeded(directories, limit).await));
            });
        }
        Self { exceeded, measured, _tasks: tasks }
    }

    /// Waits until a limit is exceeded.
    pub(crate) async fn exceeded(&mut self) -> Exceeded {
        match self.exceeded.wait_for(Option::is_some).await.map(|exceeded| *exceeded) {
            Ok(Some(exceeded)) => exceeded,
            _ => std::future::pending().await,
        }
    }

    /// The limit that explains why the first process of the tree has ended, after a last look. `None` if there is no sign of
    /// one. `was_killed` is whether it was ended by SIGKILL.
    pub(crate) async fn why_ended(&self, was_killed: bool) -> Option<Exceeded> {
        let mut measured = self.measured.lock().await;
        let reading = measured.look().await.unwrap_or_else(|error| {
            tracing::debug!(%error, "could not measure the run's processes at their end");
            Reading::default()
        });
        let was_recent = measured.killed.is_some_and(|killed| killed.elapsed() < RECENT);
        if was_killed && was_recent {
            return Some(Exceeded::Memory { used: None, limit: measured.meter.limits().memory });
        }
        reading.excess.map(Exceeded::from).or(*self.exceeded.borrow())
    }
}

impl Measured {
    async fn look(&mut self) -> std::io::Result<Reading> {
        let reading = self.meter.look().await?;
        if reading.killed > 0 {
            self.killed = Some(Instant::now());
        }
        Ok(reading)
    }
}

async fn look_until_exceeded(
    measured: Arc<Mutex<Measured>>,
    spool: Spool,
    exceeded: Arc<watch::Sender<Option<Exceeded>>>,
) {
    let limit = Size(measured.lock().await.meter.limits().memory);
    loop {
        let reading = measured.lock().await.look().await.unwrap_or_else(|error| {
            tracing::debug!(%error, "could not measure the run's processes");
            Reading::default()
        });
        if reading.killed > 0 {
            let count = reading.killed;
            let processes = if count == 1 { "a process".to_owned() } else { format!("{count} processes") };
            spool.notice(format!(
                "the kernel killed {processes} of the run, because it used more memory than run.memory allows ({limit})"
            ));
        }
        if let Some(excess) = reading.excess {
            exceeded.send_replace(Some(excess.into()));
            return;
        }
        sleep(if reading.is_high { INTERVAL_WHEN_HIGH } else { INTERVAL }).await;
    }
}
