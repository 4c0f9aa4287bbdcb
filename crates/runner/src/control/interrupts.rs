//! Everything outside of the agent that can end a run: its clocks, its use of the machine, the daemon, and records that cannot be
//! written.

use std::pin::pin;
use std::time::Duration;

use kugetsu_domain::reason::Reason;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::clocks::{Clocks, Expired};
use super::reporter::Control;
use crate::records::spool::Spool;
use crate::resources::exceeded::Exceeded;
use crate::resources::resource_watch::ResourceWatch;

/// How long the host may still inspect the work of a run that was canceled: the user waits.
const CANCEL_GRACE: Duration = Duration::from_secs(8);
/// The same for a run that reached its limit. With [`RESCUE_GRACE`] shorter than the grace of the daemon's watchdog, which kills
/// the runner.
const LIMIT_GRACE: Duration = Duration::from_secs(30);
/// How long the rescue may take, whatever the rest took. What is not rescued then stays in the worktree.
const RESCUE_GRACE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(crate) struct Interrupts {
    pub(crate) clocks: Clocks,
    /// Of the process tree that is running.
    pub(crate) resources: Option<ResourceWatch>,
    control: watch::Receiver<Control>,
    spool: Spool,
    /// When the grace of a canceled run ends; `None` until [`with_grace`](Self::with_grace) notices the cancel.
    canceled_until: Option<Instant>,
    /// The same for everything else that ends a run.
    expired_until: Option<Instant>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Interruption {
    Expired(Expired),
    Exceeded(Exceeded),
    Canceled,
    /// A budget is spent.
    Spent(Reason),
    Superseded,
    RecordsBroken(String),
}

impl Interrupts {
    pub(crate) fn new(clocks: Clocks, control: watch::Receiver<Control>, spool: Spool) -> Self {
        Self { clocks, resources: None, control, spool, canceled_until: None, expired_until: None }
    }

    /// Waits until something ends the run. Applies changed limits meanwhile.
    pub(crate) async fn interrupted(&mut self) -> Interruption {
        loop {
            if let Some(interruption) = self.check() {
                return interruption;
            }
            tokio::select! {
                expired = self.clocks.expired() => return Interruption::Expired(expired),
                exceeded = exceeded(&mut self.resources) => return Interruption::Exceeded(exceeded),
                changed = self.control.changed() => if changed.is_err() {
                    // The reporter ends by itself only after the daemon has taken the run for over.
                    return Interruption::Superseded;
                },
            }
        }
    }

    /// Whether the agent gets no time to end its turn.
    pub(crate) fn is_at_once(&self) -> bool {
        self.control.borrow().at_once
    }

    /// Waits until the agent gets no time to end its turn.
    pub(crate) async fn at_once(&self) {
        // Without a daemon, nothing changes any more.
        if self.control.clone().wait_for(|control| control.at_once).await.is_err() {
            std::future::pending().await
        }
    }

    fn check(&mut self) -> Option<Interruption> {
        let control = self.control.borrow_and_update().clone();
        if let Some(limits) = control.limits {
            self.clocks.set_limits(limits);
        }
        if control.superseded {
            return Some(Interruption::Superseded);
        }
        if control.cancel {
            return Some(Interruption::Canceled);
        }
        // Work that is done is still pushed.
        if let Some(reason) = control.spent.filter(|_| self.clocks.has_agent()) {
            return Some(Interruption::Spent(reason));
        }
        self.spool.broken().map(Interruption::RecordsBroken)
    }

    /// Runs `work` unless the run is interrupted first.
    pub(crate) async fn unless_interrupted<Output>(
        &mut self,
        work: impl Future<Output = Output>,
    ) -> Result<Output, Interruption> {
        tokio::select! {
            output = work => Ok(output),
            interruption = self.interrupted() => Err(interruption),
        }
    }

    /// Runs `work`, and lets it continue for a limited time once the run is interrupted. The time is shared by all calls. A
    /// cancel shortens the time of a run that reached its limit; a run that was superseded has none.
    pub(crate) async fn with_grace<Output>(
        &mut self,
        work: impl Future<Output = Output>,
    ) -> Result<Output, Interruption> {
        let (mut canceled, mut expired) = (self.canceled_until, self.expired_until);
        let result = self.until(work, &mut canceled, &mut expired, [CANCEL_GRACE, LIMIT_GRACE]).await;
        (self.canceled_until, self.expired_until) = (canceled, expired);
        result
    }

    /// Like [`with_grace`](Self::with_grace), with another time: what came before has not used it up.
    pub(crate) async fn with_rescue_grace<Output>(
        &mut self,
        work: impl Future<Output = Output>,
    ) -> Result<Output, Interruption> {
        self.until(work, &mut None, &mut None, [RESCUE_GRACE; 2]).await
    }

    /// Runs `work`, once the run is interrupted only until these times, which are set then if they are not.
    async fn until<Output>(
        &mut self,
        work: impl Future<Output = Output>,
        canceled_until: &mut Option<Instant>,
        expired_until: &mut Option<Instant>,
        [of_cancel, of_limit]: [Duration; 2],
    ) -> Result<Output, Interruption> {
        let mut work = pin!(work);
        let mut interruption = tokio::select! {
            biased;
            output = &mut work => return Ok(output),
            interruption = self.interrupted() => interruption,
        };
        loop {
            let until = match interruption {
                Interruption::Superseded => return Err(interruption),
                Interruption::Canceled => *canceled_until.get_or_insert_with(|| Instant::now() + of_cancel),
                Interruption::Expired(_)
                | Interruption::Exceeded(_)
                | Interruption::Spent(_)
                | Interruption::RecordsBroken(_) => *expired_until.get_or_insert_with(|| Instant::now() + of_limit),
            };
            tokio::select! {
                biased;
                output = &mut work => return Ok(output),
                () = sleep_until(until) => return Err(interruption),
                ending = ended_by_daemon(&mut self.control), if interruption != Interruption::Canceled => interruption = ending,
            }
        }
    }
}

/// Waits until a limit is exceeded, if there is something to watch.
async fn exceeded(resources: &mut Option<ResourceWatch>) -> Exceeded {
    match resources {
        Some(resources) => resources.exceeded().await,
        None => std::future::pending().await,
    }
}

/// Waits until the daemon ends the run.
async fn ended_by_daemon(control: &mut watch::Receiver<Control>) -> Interruption {
    match control.wait_for(|control| control.cancel || control.superseded).await.map(|control| control.clone()) {
        Ok(Control { superseded: false, .. }) => Interruption::Canceled,
        _ => Interruption::Superseded,
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use kugetsu_api::run_spec::Limits;
    use kugetsu_domain::redact::Redactor;

    use super::*;
    use crate::control::awake::AwakeClock;

    fn interrupts() -> (tempfile::TempDir, watch::Sender<Control>, Interrupts) {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::for_test(&dir.path().join("records.jsonl"), Redactor::new(Vec::<String>::new())).unwrap();
        let limits = Limits { timeout_seconds: 100, silence_seconds: 100, max_repeats: 0 };
        let (control, received) = watch::channel(Control::default());
        (dir, control, Interrupts::new(Clocks::start(limits, AwakeClock::plain()), received, spool))
    }

    #[tokio::test(start_paused = true)]
    async fn spent_budget_ends_the_agent_and_no_push() {
        let (_dir, control, mut interrupts) = interrupts();
        let reason = Reason::from("it is spent");
        control.send_modify(|control| control.spent = Some(reason.clone()));
        let push = tokio::time::sleep(Duration::from_secs(5));
        assert_eq!(interrupts.unless_interrupted(push).await, Ok(()));
        interrupts.clocks.heard();
        assert_eq!(interrupts.unless_interrupted(pending::<()>()).await, Err(Interruption::Spent(reason)));
    }

    #[tokio::test(start_paused = true)]
    async fn canceled_work_has_a_short_grace_that_all_calls_share() {
        let (_dir, control, mut interrupts) = interrupts();
        assert_eq!(interrupts.with_grace(async { 1 }).await, Ok(1));
        control.send_modify(|control| control.cancel = true);
        let began = Instant::now();
        let slow = tokio::time::sleep(Duration::from_secs(5));
        assert_eq!(interrupts.with_grace(slow).await, Ok(()));
        assert_eq!(interrupts.with_grace(pending::<()>()).await, Err(Interruption::Canceled));
        assert_eq!(began.elapsed(), CANCEL_GRACE);
        assert_eq!(interrupts.with_grace(async { 1 }).await, Ok(1), "what takes no time is still done");
        assert_eq!(interrupts.with_grace(pending::<()>()).await, Err(Interruption::Canceled));
        assert_eq!(began.elapsed(), CANCEL_GRACE);
        let rescue = tokio::time::sleep(RESCUE_GRACE / 2);
        assert_eq!(
            interrupts.with_rescue_grace(rescue).await,
            Ok(()),
            "what came before has not used up the rescue's time"
        );
        assert_eq!(interrupts.with_rescue_grace(pending::<()>()).await, Err(Interruption::Canceled));
        assert_eq!(began.elapsed(), CANCEL_GRACE + RESCUE_GRACE * 3 / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn cancel_shortens_the_grace_of_a_run_that_reached_its_limit() {
        let (_dir, control, mut interrupts) = interrupts();
        let began = Instant::now();
        assert!(matches!(interrupts.with_grace(pending::<()>()).await, Err(Interruption::Expired(_))));
        assert_eq!(began.elapsed(), Duration::from_secs(100) + LIMIT_GRACE);

        let (_dir, late, mut interrupts) = self::interrupts();
        drop(control);
        let began = Instant::now();
        let canceling = async {
            tokio::time::sleep(Duration::from_secs(110)).await;
            late.send_modify(|control| control.cancel = true);
        };
        let (result, ()) = tokio::join!(interrupts.with_grace(pending::<()>()), canceling);
        assert_eq!(result, Err(Interruption::Canceled));
        assert_eq!(began.elapsed(), Duration::from_secs(110) + CANCEL_GRACE);
        late.send_modify(|control| control.superseded = true);
        assert_eq!(interrupts.with_grace(async { 1 }).await, Ok(1));
        assert_eq!(interrupts.with_grace(pending::<()>()).await, Err(Interruption::Superseded));
    }
}
