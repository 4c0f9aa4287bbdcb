//! Reads the issues of watched repositories from their servers. Polls repair what webhooks lost.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::forge::Forge;
use kugetsu_forge::issue::IssueQuery;
use kugetsu_store::view::WatchState;

use super::candidates::{is_due, remove};
use super::handover::{HandoverError, consider, load};
use crate::engine::Engine;
use crate::forges::forge;
use crate::watches::Watch;

/// How far a poll reads back behind the last change that was read: servers list changes some seconds late.
const OVERLAP: SignedDuration = SignedDuration::from_secs(60);
/// Time between two looks at the list of watches, if none is due before.
const IDLE: Duration = Duration::from_secs(3600);
/// Shortest time between two polls, also after a failure.
const SHORTEST: Duration = Duration::from_secs(1);
/// Candidates that one poll asks the server about, so that many that wait cost little.
const CANDIDATES_MAX: usize = 5;

/// Polls the watched repositories. It never ends before the settings do.
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
    let read = read(engine, watch, &state).await;
    let error = read.error.map(|error| error.to_string());
    // The same error again is no news.
    if let Some(error) = error.as_ref().filter(|error| state.error.as_ref() != Some(error)) {
        tracing::warn!(watch = watch.name, repo = %watch.repo, error, "a watched repository could not be read");
    }
    let state = WatchState { since: read.since, polled_at: Some(now), error };
    if let Err(error) = engine.store().set_watch(watch.repo.clone(), state).await {
        tracing::warn!(watch = watch.name, %error, "the state of a watch could not be stored; its issues are read again");
    }
    interval
}

/// The result of a poll.
struct Read {
    /// Every change up to this time was considered.
    since: Option<Timestamp>,
    error: Option<HandoverError>,
}

/// Considers every issue that changed, and those that waited for something else.
async fn read(engine: &Engine, watch: &Watch, state: &WatchState) -> Read {
    let mut read = Read { since: state.since, error: None };
    let forge = match forge(engine, &watch.repo.base) {
        Ok(Some(forge)) => forge,
        Ok(None) => {
            let reason = format!("the kind of server at {} is not known", watch.repo.base);
            return Read { error: Some(HandoverError::Source(reason)), ..read };
        }
        Err(error) => return Read { error: Some(error.into()), ..read },
    };
    let query = IssueQuery {
        // Once they were read, issues that were closed or lost the label have to be seen, too.
        open: state.since.is_none(),
        label: watch.policy.label.clone().filter(|_| state.since.is_none()),
        since: state.since.map(|since| since.saturating_sub(OVERLAP).unwrap_or(since)),
    };
    let listed = match forge.issues(&watch.repo.project, &query).await {
        Ok(listed) => listed.entries,
        Err(error) => return Read { error: Some(error.into()), ..read },
    };
    let (mut latest, mut earliest_failure) = (state.since, None);
    let mut has_news = false;
    for issue in &listed {
        has_news |= state.since.is_none_or(|since| issue.updated > Some(since));
        match consider(engine, watch, forge.as_ref(), issue).await {
            Ok(conditions) => {
                tracing::debug!(watch = watch.name, issue = issue.number, ?conditions, "considered");
                latest = latest.max(issue.updated);
            }
            Err(error) if concerns_one(&error) => {
                earliest_failure = [earliest_failure, issue.updated].into_iter().flatten().min();
                read.error.get_or_insert(error);
            }
            Err(error) => return Read { error: Some(error), ..read },
        }
    }
    // What failed is listed again.
    read.since = [latest, earliest_failure].into_iter().flatten().min();
    let numbers: Vec<u64> = listed.iter().map(|issue| issue.number).collect();
    if let Err(error) = reconsider(engine, watch, forge.as_ref(), &numbers, has_news).await {
        read.error.get_or_insert(error);
    }
    read
}

/// Considers issues that did not change, but what they wait for may have.
async fn reconsider(
    engine: &Engine,
    watch: &Watch,
    forge: &dyn Forge,
    considered: &[u64],
    has_news: bool,
) -> Result<(), HandoverError> {
    let mut read_again = 0;
    for (number, candidate) in engine.store().candidates(watch.repo.clone()).await? {
        let load = load(engine, watch).await?;
        if considered.contains(&number) || !is_due(&candidate, &watch.policy, load, has_news, engine.now()) {
            continue;
        }
        if read_again == CANDIDATES_MAX {
            break;
        }
        read_again += 1;
        match forge.issue(&watch.repo.project, number).await {
            Ok(issue) => consider(engine, watch, forge, &issue).await.map(drop)?,
            // It was deleted or moved.
            Err(ForgeError::NotFound { authenticated: true, .. }) => remove(engine, watch, number).await?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Whether the other issues can be read all the same.
fn concerns_one(error: &HandoverError) -> bool {
    matches!(
        error,
        HandoverError::Forge(
            ForgeError::NotFound { .. }
                | ForgeError::Forbidden { .. }
                | ForgeError::Refused { .. }
                | ForgeError::Unexpected { .. }
                | ForgeError::TooLarge { .. }
        )
    )
}
