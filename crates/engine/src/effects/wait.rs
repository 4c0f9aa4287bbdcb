//! Waits for a time or for a change of an issue, whichever comes first.

use std::pin::pin;

use kugetsu_domain::ids::IssueId;
use kugetsu_domain::issue::Issue;
use kugetsu_store::error::StoreError;
use tokio::sync::broadcast::error::RecvError;

use crate::engine::Engine;

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    /// The awaited has happened.
    Over,
    /// The issue changed, so that the wait is pointless.
    Pointless,
}

/// Waits until `over` resolves, for as long as `is_wanted` holds for the issue. After each event of the issue it is read again.
pub(super) async fn while_wanted(
    engine: &Engine,
    issue: IssueId,
    over: impl Future<Output = ()>,
    is_wanted: impl Fn(&Issue) -> bool,
) -> Result<Waited, StoreError> {
    // Before the issue is read: a change after that is noticed.
    let mut events = engine.store().listen();
    let mut over = pin!(over);
    loop {
        if !is_wanted(&engine.store().issue_by_id(issue).await?) {
            return Ok(Waited::Pointless);
        }
        loop {
            tokio::select! {
                () = &mut over => return Ok(Waited::Over),
                event = events.recv() => match event {
                    Ok(event) if event.issue != issue => {}
                    Ok(_) | Err(RecvError::Lagged(_)) => break,
                    // The daemon stops; the next one waits for the rest.
                    Err(RecvError::Closed) => std::future::pending().await,
                },
            }
        }
    }
}
