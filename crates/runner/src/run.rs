//! A run as a whole.

use std::fs;
use std::os::fd::{BorrowedFd, RawFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kugetsu_agent::environment::secrets;
use kugetsu_api::discard::discard_temporary;
use kugetsu_api::home::{Home, RunHome};
use kugetsu_api::order::{IssueOrder, RunOrder, Work};
use kugetsu_api::record::Body;
use kugetsu_api::run::Usage as WireUsage;
use kugetsu_domain::redact::Redactor;
use kugetsu_git::worktree::lock::hold;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use tokio::sync::watch;

use super::asked::Asked;
use super::at_hand::{Agent, Run, Stage};
use super::clocks::Clocks;
use super::coordinate::coordinate;
use super::ending::{Ending, nothing_done, used};
use super::files::prepare;
use super::finish::finish;
use super::reporter::{Orders, Reporter};
use super::spool::Spool;
use super::talk::{Talk, talk};
use super::verdict::End;
use super::watch::Watch;
use crate::settings::RunSettings;

/// How long a runner that is through waits for a daemon to take its report. A daemon that comes later reads the records.
const DELIVERY: Duration = Duration::from_secs(5);

/// Reads the order of the run that has this directory.
///
/// # Errors
/// In words: it is not there, or is none.
pub fn read_order(directory: &Path) -> Result<RunOrder, String> {
    let path = RunHome::new(directory.to_owned()).order();
    let text = fs::read(&path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    serde_json::from_slice(&text).map_err(|error| format!("{} is not a run's order: {error}", path.display()))
}

/// Carries out the run that has this directory. `lock` is the open file whose lock says that this run has a runner; it is
/// held until this process ends.
///
/// # Errors
/// What kept the run from being begun or recorded, for the runner's log; the daemon tells the person.
pub async fn run_runner(
    home: Home,
    directory: PathBuf,
    order: RunOrder,
    lock: RawFd,
    settings: RunSettings,
) -> Result<(), String> {
    keep_lock(lock)?;
    kugetsu_process::adopt_orphans().map_err(|error| format!("orphans cannot be adopted: {error}"))?;
    let place = RunHome::new(directory);
    let redactor = Redactor::new(secrets(std::env::vars_os(), &settings.variables));
    let spool =
        Spool::create(&place.records(), redactor).map_err(|error| format!("{}: {error}", place.records().display()))?;
    spool.step(match order.attempt {
        1 => "the runner begins".to_owned(),
        more => format!("the runner begins, attempt {more}"),
    });
    let (orders, heard) = watch::channel(Orders::default());
    let acknowledged = watch::Sender::new(0);
    let reporter = Reporter {
        socket: home.socket().map_err(|error| error.to_string())?,
        run: order.run.clone(),
        records: place.records(),
        length: spool.length(),
        orders: orders.clone(),
        acknowledged: acknowledged.clone(),
    };
    let reporting = tokio::spawn(reporter.run());

    let watch = Watch { clocks: Clocks::start(order.limits), orders: heard, spool: spool.clone() };
    let (ending, usage) =
        Run { order, home, place: place.clone(), settings, spool: spool.clone() }.carry_out(watch).await;
    spool.write(Body::Ended {
        state: ending.verdict.name().to_owned(),
        reason: ending.reason,
        head_sha: ending.head.map(|head| head.to_string()),
        commits: ending.commits,
        pushed: ending.pushed,
        usage,
    });
    spool.sync();
    remove_temporary(&place).await;
    if let Some(why) = spool.broken() {
        return Err(format!("the run's records cannot be written: {why}"));
    }
    deliver(&spool, acknowledged.subscribe(), orders.subscribe()).await;
    reporting.abort();
    Ok(())
}

/// Nothing that this process starts may inherit the lock: it says that the runner lives, not its agent.
fn keep_lock(lock: RawFd) -> Result<(), String> {
    if lock < 3 {
        return Err(format!("{lock} is not the lock that the daemon hands over; the runner is not started by hand"));
    }
    // SAFETY: the daemon opened it for this process; it stays open until the process ends.
    #[expect(unsafe_code, reason = "an inherited descriptor is a number until it is borrowed")]
    let lock = unsafe { BorrowedFd::borrow_raw(lock) };
    fcntl(lock, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))
        .map(drop)
        .map_err(|error| format!("the lock cannot be kept: {error}"))
}

/// Waits until the daemon has everything, or has had its time.
async fn deliver(spool: &Spool, mut acknowledged: watch::Receiver<u64>, mut orders: watch::Receiver<Orders>) {
    let end = *spool.length().borrow();
    let delivered = async {
        tokio::select! {
            _ = acknowledged.wait_for(|reported| *reported >= end) => {}
            _ = orders.wait_for(|orders| orders.over) => {}
        }
    };
    if tokio::time::timeout(DELIVERY, delivered).await.is_err() {
        tracing::info!("no daemon took the report; the next one reads it from the records");
    }
}

/// The agent's temporary files go with the run, but only after its end is written down: to remove many takes long, and
/// whoever is killed meanwhile must not have the task done a second time. The daemon removes what is left.
async fn remove_temporary(place: &RunHome) {
    if let Err(error) = discard_temporary(place).await {
        tracing::warn!(path = %place.temporary().display(), %error, "the run's temporary directory could not be removed");
    }
}

impl Run {
    async fn carry_out(&self, watch: Watch) -> (Ending, WireUsage) {
        match &self.order.work {
            Work::Issue(issue) => self.work_on(issue, watch).await,
            Work::Coordination => coordinate(self, watch).await,
        }
    }

    async fn work_on(&self, issue: &IssueOrder, mut watch: Watch) -> (Ending, WireUsage) {
        let prepared = watch.unless_interrupted(prepare(issue, &self.home, &self.settings, &self.spool)).await;
        let files = match prepared {
            Ok(Ok(files)) => files,
            Ok(Err(error)) => return (nothing_done(&End::Failed(error.to_string())), WireUsage::default()),
            Err(end) => return (nothing_done(&end), WireUsage::default()),
        };
        // Kept to the end of the run: nobody else may use the worktree and the session meanwhile.
        let _held = match hold(files.worktree.dir()) {
            Ok(Some(held)) => held,
            Ok(None) => return (nothing_done(&End::Attached), WireUsage::default()),
            Err(error) => {
                let why = format!("{} cannot be used: {error}", files.worktree.dir().display());
                return (nothing_done(&End::Failed(why)), WireUsage::default());
            }
        };
        let stage = Stage {
            directory: files.worktree.dir().to_owned(),
            env: vec![],
            sandbox: None,
            notes: self.home.agents(),
            tools: vec![],
        };
        let Talk { end, usage, .. } = match Agent::of(self) {
            Ok(agent) => talk(self, &agent, &stage, &Asked::Issue(issue, &files), &mut watch).await,
            Err(why) => Talk::failed(why),
        };
        watch.clocks.agent_is_gone();
        let usage = used(&usage);
        if matches!(end, End::Superseded) {
            // Somebody else holds the issue now: nothing of it may be touched.
            return (nothing_done(&end), usage);
        }
        (finish(end, issue, &files, self, &mut watch).await, usage)
    }
}
