//! What can end a run from outside: its clocks, the daemon's word, and its own records.

use tokio::sync::watch;

use super::clocks::Clocks;
use super::reporter::Control;
use super::spool::Spool;
use super::verdict::End;

/// Watches over a run.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) clocks: Clocks,
    pub(crate) control: watch::Receiver<Control>,
    pub(crate) spool: Spool,
}

impl Watch {
    /// Waits until something ends the run. Changed limits are taken over on the way.
    pub(crate) async fn interrupted(&mut self) -> End {
        loop {
            if let Some(end) = self.end() {
                return end;
            }
            tokio::select! {
                expired = self.clocks.expired() => return End::Expired(expired),
                changed = self.control.changed() => if changed.is_err() {
                    // The line to the daemon has ended for good, which it does only after the run is over.
                    return End::Superseded;
                },
            }
        }
    }

    /// What has been ordered, and whether the records can still be written.
    fn end(&mut self) -> Option<End> {
        let control = *self.control.borrow_and_update();
        if let Some(limits) = control.limits {
            self.clocks.set(limits);
        }
        if control.superseded {
            return Some(End::Superseded);
        }
        if control.cancel {
            return Some(End::Canceled);
        }
        let why = self.spool.broken()?;
        Some(End::Failed(format!("the run's records cannot be written: {why}; is the disk full?")))
    }

    /// Carries something out unless the run is ended before.
    pub(crate) async fn unless_interrupted<Output>(
        &mut self,
        work: impl Future<Output = Output>,
    ) -> Result<Output, End> {
        tokio::select! {
            output = work => Ok(output),
            end = self.interrupted() => Err(end),
        }
    }
}
