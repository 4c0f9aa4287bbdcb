//! The holds of this moment: what keeps queued tasks from starting, from facts of the store and the settings.

use jiff::tz::TimeZone;
use kugetsu_domain::hold::{Brakes, Hold, HoldKind, Start, hold_of, holds};
use kugetsu_domain::reason::Reason;
use kugetsu_domain::reference::RepoRef;
use kugetsu_domain::task::TaskKind;
use kugetsu_store::error::StoreError;

use crate::clock::local_time;
use crate::engine::Engine;

/// Returns every hold.
///
/// # Errors
/// The database failed.
pub async fn current(engine: &Engine) -> Result<Vec<Hold>, StoreError> {
    let quiet_hours = engine.settings().queue.quiet_hours.clone();
    let quiet_hours = quiet_hours.and_then(|hours| hours.around(engine.now(), &TimeZone::system()));
    Ok(holds(&Brakes { pauses: engine.store().pauses().await?, quiet_hours }))
}

/// Returns the hold that concerns a task of this kind in this repository.
///
/// # Errors
/// The database failed.
pub(crate) async fn of(engine: &Engine, kind: TaskKind, repo: &RepoRef) -> Result<Option<Hold>, StoreError> {
    Ok(hold_of(&current(engine).await?, &Start { kind, repo }).cloned())
}

/// Returns the hold by which `kugetsu pause` concerns this repository.
///
/// # Errors
/// The database failed.
pub(crate) async fn pause_of(engine: &Engine, repo: &RepoRef) -> Result<Option<Hold>, StoreError> {
    let mut holds = current(engine).await?;
    holds.retain(|hold| matches!(hold.kind, HoldKind::Paused { .. }));
    Ok(hold_of(&holds, &Start { kind: TaskKind::Start, repo }).cloned())
}

/// The hold as a message, with what to type as the hint.
pub fn describe(hold: &Hold) -> Reason {
    hold.describe(local_time)
}
