//! Reads the issues of watched repositories from their servers. Polls repair what webhooks lost.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kugetsu_forge::issue::IssueQuery;
use kugetsu_store::view::WatchState;

use super::handover::{HandoverError, consider};
use super::settings::Watch;
use crate::engine::Engine;
use crate::forges::forge;

/// How far a poll reads back behind the last change that was read: servers list changes some seconds late.
const OVERLAP: SignedDuration = SignedDuration::from_secs(60);
/// Time between two looks at the list of watches, if none is due before.
const IDLE: Duration = Duration::from_secs(3600);
/// Shortest time between two polls, also after a failure.
const SHORTEST: Duration = Duration::from_secs(1);

/// Polls the watched repositories for as long as it is polled itself.
pub(crate) async fn poll(engine: Engine) {
    let mut settings = engine.settings_changes();
    loop {
        let mut next = IDLE;
        for watch in engine.settings().watches.clone() {
            next = next.min(poll_if_due(&engine, &watch).await);
        }
        tokio::select! {
            () = engine.clock().sleep(next.max(SHORTEST)) => {}
            changed = settings.changed() => if changed.is_err() {
                return;
            },
        }
    }
}

/// Returns the time until the next poll of the repository.
async fn poll_if_due(engine: &Engine, watch: &Watch) -> Duration {
    let interval = watch.poll(false);
    let state = match engine.store().watch(watch.repo.clone()).await {
        Ok(state) => state,
        Err(error) => {
            tracing::warn!(watch = watch.name, %error, "the state of a watch cannot be read");
            return interval;
        }
    };
    let now = engine.now();
    let since = state.polled_at.map(|polled| now.duration_since(polled).unsigned_abs());
    if let Some(left) = since.and_then(|since| interval.checked_sub(since)).filter(|left| !left.is_zero()) {
        return left;
    }
    let state = match read(engine, watch, &state).await {
        Ok(since) => WatchState { since, polled_at: Some(now), error: None },
        Err(error) => {
            tracing::warn!(watch = watch.name, repo = %watch.repo, %error, "a watched repository could not be read");
            WatchState { polled_at: Some(now), error: Some(error.to_string()), ..state }
        }
    };
    if let Err(error) = engine.store().set_watch(watch.repo.clone(), state).await {
        tracing::warn!(watch = watch.name, %error, "the state of a watch could not be stored; its issues are read again");
    }
    interval
}

/// Considers every issue that changed. Returns the time up to which changes were read.
async fn read(engine: &Engine, watch: &Watch, state: &WatchState) -> Result<Option<Timestamp>, HandoverError> {
    let Some(forge) = forge(engine, &watch.repo.base)? else {
        return Err(HandoverError::Source(format!("the kind of server at {} is not known", watch.repo.base)));
    };
    let query = IssueQuery {
        open: true,
        // An issue that lost the label has to be seen, too, once it was read.
        label: watch.policy.label.clone().filter(|_| state.since.is_none()),
        since: state.since.map(|since| since.saturating_sub(OVERLAP).unwrap_or(since)),
    };
    let listed = forge.issues(&watch.repo.project, &query).await?;
    let mut since = state.since;
    for issue in &listed.entries {
        let conditions = consider(engine, watch, forge.as_ref(), issue).await?;
        tracing::debug!(watch = watch.name, issue = issue.number, ?conditions, "considered");
        since = since.max(issue.updated);
    }
    Ok(since)
}
