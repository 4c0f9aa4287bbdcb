//! What can end a run from outside the agent: its clocks, the daemon, and records that cannot be written.

use tokio::sync::watch;

use super::clocks::{Clocks, Expired};
use super::reporter::Control;
use crate::records::spool::Spool;

#[derive(Debug)]
pub(crate) struct Interrupts {
    pub(crate) clocks: Clocks,
    pub(crate) control: watch::Receiver<Control>,
    pub(crate) spool: Spool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Interruption {
    Expired(Expired),
    Canceled,
    Superseded,
    RecordsBroken(String),
}

impl Interrupts {
    /// Waits until something ends the run. Applies changed limits meanwhile.
    pub(crate) async fn interrupted(&mut self) -> Interruption {
        loop {
            if let Some(interruption) = self.check() {
                return interruption;
            }
            tokio::select! {
                expired = self.clocks.expired() => return Interruption::Expired(expired),
                changed = self.control.changed() => if changed.is_err() {
                    // The reporter ends by itself only after the daemon has taken the run for over.
                    return Interruption::Superseded;
                },
            }
        }
    }

    fn check(&mut self) -> Option<Interruption> {
        let control = *self.control.borrow_and_update();
        if let Some(limits) = control.limits {
            self.clocks.set_limits(limits);
        }
        if control.superseded {
            return Some(Interruption::Superseded);
        }
        if control.cancel {
            return Some(Interruption::Canceled);
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
}
