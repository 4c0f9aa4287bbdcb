//! Reads the issues of watched repositories from their servers. Polls repair what webhooks lost.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kugetsu_domain::issue::Issue as Stored;
use kugetsu_domain::watch::follow::Follow;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::forge::Forge;
use kugetsu_forge::issue::{Issue, IssueQuery, IssueState, Listed};
use kugetsu_store::view::{HookNews, Poll, StoredEvent, WatchState};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::{AbortHandle, JoinSet};

use super::candidates::{is_due, remove};
use super::comments::take_comments;
use super::followed::pull_request_number;
use super::handover::{Considered, consider, with_rule};
use super::notices::notify;
use super::task::HandoverError;
use crate::backoff;
use crate::engine::Engine;
use crate::forges::background;
use crate::holds;
use crate::repo_file::{RepoFileError, with_current_file, with_file};
use crate::watches::{REFUSED_AGAIN, Watch};

/// How far a poll reads back behind the last change that was read: servers list changes some seconds late.
const OVERLAP: SignedDuration = SignedDuration::from_secs(60);
/// How far the times of issues may be behind the server's time, or this machine's if the server sends none, and how far a poll reads
/// back in addition after the clock of a server was set back.
const SKEW: SignedDuration = SignedDuration::from_hours(1);
/// The precision of the time of a server.
const TICK: SignedDuration = SignedDuration::from_secs(1);
/// Time after a change during which its issue is read again with each poll.
const RECENT: SignedDuration = SignedDuration::from_mins(2);
/// Shortest time between two polls, also after a failure.
const SHORTEST: Duration = Duration::from_secs(1);
/// Issues of one poll that may fail because the server does not work. After that, it is given up.
const FAILURES_MAX: usize = 3;
/// Candidates that one poll asks the server about, so that many that wait cost little.
const CANDIDATES_MAX: usize = 5;

/// Polls the watched repositories until it is dropped. A server that does not answer holds up none of the others.
pub(crate) async fn poll(engine: Engine) {
    let mut settings = engine.settings_changes();
    let (mut loops, mut running) = (JoinSet::new(), Vec::<(Watch, AbortHandle)>::new());
    loop {
        let watches = engine.settings().watches.clone();
        running.retain(|(watch, polls)| {
            let stays = watches.contains(watch);
            if !stays {
                polls.abort();
            }
            stays
        });
        for watch in watches {
            if !running.iter().any(|(other, _)| *other == watch) {
                let polls = loops.spawn(poll_one(engine.clone(), watch.clone()));
                running.push((watch, polls));
            }
        }
        loop {
            tokio::select! {
                changed = settings.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                Some(ended) = loops.join_next() => if let Err(error) = ended && error.is_panic() {
                    tracing::error!(%error, "the polls of a watched repository ended; restart the daemon");
                },
            }
        }
    }
}

async fn poll_one(engine: Engine, watch: Watch) {
    let mut events = engine.store().listen();
    consider_all(&engine, &watch).await;
    // A watch whose settings changed may be free for issues that wait.
    reconsider_waiting(&engine, &watch).await;
    // One that was removed and added again finds its pull requests waiting.
    if let Err(error) = notify(&engine, &watch, |_| true).await {
        tracing::warn!(watch = watch.name, %error, "pull requests of a watch are looked at when they change");
    }
    let (mut settings, mut holds, mut refusals) = (engine.settings_changes(), engine.hold_changes(), 0);
    loop {
        let left = match poll_if_due(&engine, &watch).await {
            Polled::Early { left } => left,
            Polled::Now { interval, is_refused } => {
                refusals = if is_refused { refusals + 1 } else { 0 };
                interval.max(pause(refusals))
            }
        };
        let wait = engine.clock().sleep(left.max(SHORTEST));
        tokio::pin!(wait);
        loop {
            tokio::select! {
                () = &mut wait => break,
                // The user may have corrected it.
                Ok(()) = settings.changed(), if refusals > 0 => break,
                Ok(()) = holds.changed() => reconsider_waiting(&engine, &watch).await,
                event = events.recv() => match event {
                    Ok(event) if may_free(&event) => reconsider_waiting(&engine, &watch).await,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => reconsider_waiting(&engine, &watch).await,
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }
}

/// Considers all issues that are handed over, however old they are. The watch is new or its settings were changed, so that issues
/// count which did not when they changed.
async fn consider_all(engine: &Engine, watch: &Watch) {
    let considering = async {
        let state = engine.store().watch(watch.repo.clone()).await?;
        if state.polled_at.is_none() {
            // The first poll does the same.
            return Ok(());
        }
        let forge = background(engine, &watch.repo.base)?;
        let watch = &with_current_file(engine, watch, forge.as_ref()).await?;
        let query = IssueQuery { open: true, label: watch.policy.label.clone(), ..IssueQuery::default() };
        for issue in forge.issues(&watch.repo.project, &query).await?.entries {
            one(engine, watch, forge.as_ref(), &issue, false).await?;
        }
        Ok::<_, HandoverError>(())
    };
    if let Err(error) = considering.await {
        tracing::warn!(watch = watch.name, %error, "the issues of a watch whose settings changed could not be read");
    }
}

/// The pause after so many refusals in a row that a person has to end.
fn pause(refusals: u32) -> Duration {
    match refusals {
        0 => Duration::ZERO,
        refusals => backoff::delay(refusals, backoff::LONGEST_FOR_PEOPLE),
    }
}

/// Whether a waiting issue may meet its conditions now.
fn may_free(event: &StoredEvent) -> bool {
    matches!(event.kind.as_str(), "run_ended" | "runner_lost" | "change_seen" | "follow_ended")
        || event.kind.starts_with("cancel")
}

/// Considers issues that waited for something in kugetsu.
async fn reconsider_waiting(engine: &Engine, watch: &Watch) {
    let considered = match background(engine, &watch.repo.base) {
        Ok(forge) => match with_file(engine, watch, forge.as_ref()).await {
            Ok(watch) => reconsider(engine, &watch, forge.as_ref(), &BTreeSet::new(), false).await,
            Err(error) => Err(error.into()),
        },
        Err(error) => Err(error.into()),
    };
    // The next poll reports it.
    if let Err(error) = considered {
        tracing::debug!(watch = watch.name, %error, "waiting issues are considered again with the next poll");
    }
}

/// How a poll ended.
enum Polled {
    /// Not before `left`.
    Early { left: Duration },
    /// `is_refused` is whether a person has to correct something.
    Now { interval: Duration, is_refused: bool },
}

async fn poll_if_due(engine: &Engine, watch: &Watch) -> Polled {
    let state = match engine.store().watch(watch.repo.clone()).await {
        Ok(state) => state,
        Err(error) => {
            tracing::warn!(watch = watch.name, %error, "the state of a watch cannot be read");
            return Polled::Early { left: watch.poll(false) };
        }
    };
    let interval = watch.poll(state.has_hook());
    let now = engine.now();
    let since = state.polled_at.map(|polled| now.duration_since(polled).unsigned_abs());
    if let Some(left) = since.and_then(|since| interval.checked_sub(since)).filter(|left| !left.is_zero()) {
        return Polled::Early { left };
    }
    let read = read(engine, watch, &state).await;
    let is_refused = read.is_refused;
    let error = read.error.map(|error| error.to_string());
    // The same error again is no news.
    if let Some(error) = error.as_ref().filter(|error| state.error.as_ref() != Some(error)) {
        tracing::warn!(watch = watch.name, repo = %watch.repo, error, "a watched repository could not be read");
    }
    let stored = engine.store().set_poll(watch.repo.clone(), Poll { since: read.since, at: now, error }).await;
    let stored = match stored {
        Ok(()) if read.found_unreported && state.hooked_at.is_some() => {
            tracing::info!(watch = watch.name, "a poll found a change that no webhook reported");
            engine.store().set_hook(watch.repo.clone(), HookNews::Missed, now).await
        }
        stored => stored,
    };
    if let Err(error) = stored {
        tracing::warn!(watch = watch.name, %error, "the state of a watch could not be stored; its issues are read again");
    }
    Polled::Now { interval, is_refused }
}

/// The result of a poll.
struct Read {
    /// Every change up to this time was considered.
    since: Option<Timestamp>,
    /// Whether a changed issue was started, or a followed pull request has changed, that a webhook which works would have reported
    /// before.
    found_unreported: bool,
    error: Option<HandoverError>,
    /// Whether nothing could be read before a person corrects something.
    is_refused: bool,
}

/// The issues that changed.
struct Changed {
    listed: Listed<Issue>,
    /// Those with a later time are news.
    since: Option<Timestamp>,
    clock: ServerClock,
}

async fn changed(
    engine: &Engine,
    watch: &Watch,
    forge: &dyn Forge,
    query: IssueQuery,
    state: &WatchState,
) -> Result<Changed, ForgeError> {
    let listed = forge.issues(&watch.repo.project, &query).await?;
    let clock = ServerClock { date: listed.date, now: engine.now() };
    let Some(since) = clock.set_back(state) else { return Ok(Changed { listed, since: state.since, clock }) };
    tracing::info!(watch = watch.name, %since, "the clock of the server was set back, so changes are read again");
    let query = IssueQuery { since: Some(since), ..query };
    let listed = forge.issues(&watch.repo.project, &query).await?;
    Ok(Changed { listed, since: Some(since), clock })
}

/// The clock of a server, to which the times of its issues refer.
struct ServerClock {
    /// Its time; `None` if it did not say.
    date: Option<Timestamp>,
    /// That of this machine.
    now: Timestamp,
}

impl ServerClock {
    fn time(&self) -> Timestamp {
        self.date.unwrap_or(self.now)
    }

    /// The time from which changes count that follow the first poll. A proxy may date the responses, and not by the clock to which
    /// the times of issues refer.
    fn beginning(&self) -> Timestamp {
        earlier(self.time(), SKEW)
    }

    /// Returns the time from which changes are read again, if the clock was set back after changes were read. What was changed since
    /// the last poll has a time that is not later than it by more than what has passed.
    fn set_back(&self, state: &WatchState) -> Option<Timestamp> {
        let (date, since) = (self.date?, state.since?);
        if since <= date.saturating_add(OVERLAP).unwrap_or(date) {
            return None;
        }
        let passed = state.polled_at.map(|polled| self.now.duration_since(polled)).unwrap_or_default();
        Some(earlier(earlier(date, passed.max(SignedDuration::ZERO)), SKEW))
    }

    /// A time until which changes were read. Entries with a later one than the server's are from before its clock was set back, and must
    /// not hide what follows.
    fn limit(&self, latest: Option<Timestamp>) -> Option<Timestamp> {
        match self.date.and_then(|date| date.checked_add(TICK).ok()) {
            Some(limit) => latest.map(|latest| latest.min(limit)),
            None => latest,
        }
    }
}

fn earlier(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.saturating_sub(by).unwrap_or(time)
}

/// Considers every issue that changed, and those that waited for something else.
async fn read(engine: &Engine, watch: &Watch, state: &WatchState) -> Read {
    let mut read = Read { since: state.since, found_unreported: false, error: None, is_refused: false };
    let forge = match background(engine, &watch.repo.base) {
        Ok(forge) => forge,
        Err(error) => return Read { error: Some(error.into()), is_refused: true, ..read },
    };
    let load = match engine.store().watch_load(watch.repo.clone()).await {
        Ok(load) => load,
        Err(error) => return Read { error: Some(error.into()), ..read },
    };
    let watch = match with_file(engine, watch, forge.as_ref()).await {
        Ok(watch) => watch,
        Err(error) => {
            let is_refused = matches!(&error, RepoFileError::Forge(error) if !error.is_transient());
            return Read { error: Some(error.into()), is_refused, ..read };
        }
    };
    let watch = &watch;
    let query = IssueQuery {
        // Once they were read, issues that were closed or lost the label have to be seen, too.
        open: state.since.is_none(),
        label: watch.policy.label.clone().filter(|_| state.since.is_none()),
        // What people write there is a reason to look.
        pull_requests: state.since.is_some() && load.open_pull_requests + load.closed_pull_requests > 0,
        since: state.since.map(|since| since.saturating_sub(OVERLAP).unwrap_or(since)),
    };
    let Changed { listed, since, clock } = match changed(engine, watch, forge.as_ref(), query, state).await {
        Ok(changed) => changed,
        Err(error) => return Read { is_refused: !error.is_transient(), error: Some(error.into()), ..read },
    };
    let (mut latest, mut has_news) = (since, false);
    let candidates = match engine.store().candidates(watch.repo.clone()).await {
        Ok(candidates) => candidates.into_iter().map(|(number, _)| number).collect::<BTreeSet<_>>(),
        Err(error) => return Read { error: Some(error.into()), ..read },
    };
    let (mut considered, mut unread, mut failures) = (BTreeSet::new(), None::<Timestamp>, 0);
    for issue in &listed.entries {
        let is_news = since.is_none_or(|since| issue.updated > Some(since));
        // A comment may have come in the same second as the change that was read last.
        let is_recent = issue.updated.is_some_and(|updated| clock.time().duration_since(updated) < RECENT);
        // It was read before, and may wait for something else.
        let is_known = issue.is_pull_request || !is_recent && candidates.contains(&issue.number);
        if !is_news && is_known {
            continue;
        }
        has_news |= is_news;
        considered.insert(issue.number);
        // The report of a change that was just made may be on its way.
        let was_reported = is_recent || was_reported(engine, watch, state, issue.number);
        let read_one = match one(engine, watch, forge.as_ref(), issue, state.since.is_some()).await {
            // The server may fail for this one only.
            Err(error @ HandoverError::Forge(_)) if error.is_transient() => {
                Ok(One { has_started: false, is_followed: false, error: None, unread: Some(error) })
            }
            read_one => read_one,
        };
        match read_one {
            Ok(One { has_started, is_followed, error, unread: failed }) => {
                latest = latest.max(issue.updated);
                read.found_unreported |= has_started && state.since.is_some() || is_followed && !was_reported;
                if let Some(error) = error {
                    read.error.get_or_insert(error.into());
                }
                let Some(error) = failed else { continue };
                let is_transient = error.is_transient();
                read.error.get_or_insert(error);
                let stays = |changed: &Timestamp| is_transient || clock.time().duration_since(*changed) < REFUSED_AGAIN;
                if let Some(changed) = issue.updated.filter(stays) {
                    unread = Some(unread.map_or(changed, |other| other.min(changed)));
                }
                failures += usize::from(is_transient);
                if failures == FAILURES_MAX {
                    return Read { since: before(clock.limit(latest), unread), ..read };
                }
            }
            // A clock that was set back is noticed again.
            Err(error) if since != state.since => return Read { error: Some(error), ..read },
            Err(error) => return Read { since: before(clock.limit(latest), unread), error: Some(error), ..read },
        }
    }
    if state.since.is_none() && listed.is_complete {
        // All issues that were handed over are read now, however old they are; other changes count from now on.
        latest = latest.max(Some(clock.beginning()));
    }
    read.since = before(clock.limit(latest), unread);
    if let Err(error) = reconsider(engine, watch, forge.as_ref(), &considered, has_news).await {
        read.error.get_or_insert(error);
    }
    read
}

/// Whether a webhook has reported the pull request since the last poll, as far as this daemon could notice.
fn was_reported(engine: &Engine, watch: &Watch, state: &WatchState, pull_request: u64) -> bool {
    match state.polled_at.filter(|polled| *polled >= engine.started_at()) {
        // After a failure, changes from before the last poll are read again.
        Some(_) if state.error.is_some() => true,
        // A server may list a change after it has reported it.
        Some(polled) => engine.report_times().is_later(&watch.repo, pull_request, earlier(polled, RECENT)),
        None => true,
    }
}

/// The time up to which everything was read, if the comments of an issue that was changed at `unread` were not.
fn before(latest: Option<Timestamp>, unread: Option<Timestamp>) -> Option<Timestamp> {
    match unread.and_then(|unread| unread.checked_sub(TICK).ok()) {
        Some(unread) => latest.map(|latest| latest.min(unread)),
        None => latest,
    }
}

/// The result of reading one issue or pull request.
struct One {
    has_started: bool,
    /// Whether it is the pull request of a followed issue.
    is_followed: bool,
    /// It concerns this issue alone, which is read again later.
    error: Option<ForgeError>,
    /// Why it, its comments, or commands in them, have to be read again.
    unread: Option<HandoverError>,
}

/// Considers an issue that changed, with the commands in its comments unless this is the first poll. Pull requests are looked at by
/// those who follow them.
async fn one(
    engine: &Engine,
    watch: &Watch,
    forge: &dyn Forge,
    issue: &Issue,
    with_commands: bool,
) -> Result<One, HandoverError> {
    if issue.is_pull_request {
        let is_its = |followed: &Stored| pull_request_number(engine, followed) == Some(issue.number);
        let is_followed = notify(engine, watch, is_its).await?;
        return Ok(One { has_started: false, is_followed, error: None, unread: None });
    }
    if issue.state == IssueState::Open {
        // A person who opens it again may have opened its pull request, too.
        let is_closed = |followed: &Stored| followed.follow.as_ref().is_some_and(Follow::is_closed);
        notify(engine, watch, |followed| followed.reference.number == issue.number && is_closed(followed)).await?;
    }
    let Considered { conditions, has_started, error } = consider(engine, watch, forge, issue).await?;
    tracing::debug!(watch = watch.name, issue = issue.number, ?conditions, "considered");
    // Comments from before the first poll were not for this kugetsu.
    let commanded = match with_commands {
        true => take_comments(engine, watch, forge, issue.number).await,
        false => Ok(()),
    };
    match commanded {
        Ok(()) => Ok(One { has_started, is_followed: false, error, unread: None }),
        Err(error @ HandoverError::Store(_)) => Err(error),
        Err(unread) => Ok(One { has_started, is_followed: false, error, unread: Some(unread) }),
    }
}

/// Considers issues that did not change, but what they wait for may have. Those that were not read for the longest time come first.
async fn reconsider(
    engine: &Engine,
    watch: &Watch,
    forge: &dyn Forge,
    considered: &BTreeSet<u64>,
    has_news: bool,
) -> Result<(), HandoverError> {
    if holds::pause_of(engine, &watch.repo).await?.is_some() {
        return Ok(());
    }
    let mut waiting = engine.store().candidates(watch.repo.clone()).await?;
    waiting.retain(|(number, _)| !considered.contains(number));
    waiting.sort_by_key(|(_, candidate)| candidate.read_at);
    let now_running = async || engine.store().watch_load(watch.repo.clone()).await;
    let (mut running, mut read_again, mut failed, mut failures) = (now_running().await?, 0, None, 0);
    for (number, candidate) in waiting {
        let load = with_rule(watch, &running, candidate.rule.as_deref());
        if !is_due(&candidate, &watch.policy, load, has_news, engine.now()) {
            continue;
        }
        if read_again == CANDIDATES_MAX {
            break;
        }
        read_again += 1;
        let considered = match forge.issue(&watch.repo.project, number).await {
            Ok(issue) => consider(engine, watch, forge, &issue).await.map(|considered| considered.error),
            // It was deleted or moved.
            Err(ForgeError::NotFound { authenticated: true, .. }) => {
                remove(engine, watch, number).await?;
                continue;
            }
            Err(error) => Err(error.into()),
        };
        match considered {
            Ok(error) => {
                failed = failed.or(error.map(HandoverError::from));
                running = now_running().await?;
            }
            Err(error @ HandoverError::Forge(_)) if error.is_transient() && failures + 1 < FAILURES_MAX => {
                failures += 1;
                failed = failed.or(Some(error));
            }
            Err(error) => return Err(error),
        }
    }
    failed.map_or(Ok(()), Err)
}
