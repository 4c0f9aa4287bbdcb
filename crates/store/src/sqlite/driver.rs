//! The driver: hands requests to the threads.

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use kugetsu_domain::hold::{Hold, Pause};
use kugetsu_domain::ids::{IssueId, RunId, TaskId};
use kugetsu_domain::issue::Issue;
use kugetsu_domain::model_limit::ModelLimit;
use kugetsu_domain::reference::{IssueRef, RepoRef};
use kugetsu_domain::run::Run;
use rusqlite::Connection;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::backup::copy_to;
use super::clean::{ended_runs, expire_runs, expired_runs, forget_expired};
use super::home::{directories, home, set_home, unknown_runs};
use super::load::run_key;
use super::readers::Readers;
use super::recover::add_missing_effects;
use super::save::{add_pause, remove_pause, resume_agent, set_run_key, set_source};
use super::writer::{Request, Writer};
use super::{connection, error, read, schema, watches};
use crate::driver::{Driver, Reply, Rows};
use crate::effect::{ClaimedEffect, Commits, EffectId, EffectView};
use crate::error::{OpenError, StoreError};
use crate::query::{IssueFilter, Queue, RunQuery, ShownAs, ViewQuery};
use crate::view::{
    AgentRuns, Candidate, HookNews, LiveUsage, Poll, RecentUsage, Repo, RunView, StoredEvent, UsageSum, WatchLoad,
    WatchState,
};
use crate::write::{Answer, Cleaned, Write};

/// Threads that read. With two, a long list delays no other read.
const READERS: usize = 2;
/// Writes that may wait for the writer; a further caller waits until there is room.
const WAITING_WRITES: usize = 1024;
/// Events that a listener may lag behind; a slower one has to read them from the log.
const LIVE_EVENTS: usize = 1024;

#[derive(Debug)]
pub(crate) struct Sqlite {
    requests: mpsc::Sender<Request>,
    readers: Readers,
    events: broadcast::Sender<Arc<StoredEvent>>,
    commits: Commits,
    /// Effects that are being executed. Their claims are in no row: after a crash there are none.
    claimed: Arc<Mutex<HashSet<EffectId>>>,
}

/// Opens the database at `path`. Creates and migrates it where needed. The receiver resolves when the file is closed, after
/// the driver was dropped.
pub(crate) fn open(path: &Path) -> Result<(Sqlite, oneshot::Receiver<()>), OpenError> {
    make_private(path)?;
    let mut connection = connection::read_write(path).map_err(|error| error::unwritable(path, &error))?;
    schema::migrate(path, &mut connection)?;
    match add_missing_effects(&connection) {
        Ok(added) if added.is_empty() => {}
        Ok(added) => tracing::warn!(?added, "work in progress had no effect; it is continued"),
        // The rest can be used without.
        Err(error) => tracing::error!(%error, "work in progress may have no effect"),
    }
    start(path, connection)
}

/// Starts the threads. `connection` is the one that writes.
fn start(path: &Path, connection: Connection) -> Result<(Sqlite, oneshot::Receiver<()>), OpenError> {
    let (events, _) = broadcast::channel(LIVE_EVENTS);
    let commits = Commits::default();
    let writer = Writer::new(path, connection, events.clone(), commits.clone())
        .map_err(|error| OpenError::Invalid { path: path.to_owned(), reason: error.to_string() })?;
    let (readers, threads) =
        Readers::start(path, connection::read_only, READERS).map_err(|error| error::unwritable(path, &error))?;
    let (sender, requests) = mpsc::channel(WAITING_WRITES);
    let readers = readers.checking(writer.file());
    Ok((
        Sqlite { requests: sender, readers, events, commits, claimed: Arc::default() },
        writer.start(requests, threads),
    ))
}

/// Opens the database at `path` without writing to it, also while a daemon uses it.
pub(crate) fn open_read_only(path: &Path) -> Result<Sqlite, OpenError> {
    open_with(path, connection::read_only)
}

/// As [`open_read_only`], for a database that no process uses.
pub(crate) fn open_unused(path: &Path) -> Result<Sqlite, OpenError> {
    open_with(path, connection::unused)
}

fn open_with(path: &Path, connect: fn(&Path) -> rusqlite::Result<Connection>) -> Result<Sqlite, OpenError> {
    let connection = connect(path).map_err(|error| error::unreadable(path, &error))?;
    schema::compare(path, &connection)?;
    let (readers, _) = Readers::start(path, connect, 1).map_err(|error| error::unreadable(path, &error))?;
    let (requests, _) = mpsc::channel(1);
    let (events, _) = broadcast::channel(1);
    Ok(Sqlite { requests, readers, events, commits: Commits::default(), claimed: Arc::default() })
}

/// Creates the file with access for its owner only. SQLite gives the files beside it the same mode.
fn make_private(path: &Path) -> Result<(), OpenError> {
    match OpenOptions::new().create_new(true).write(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(OpenError::Unwritable { path: path.to_owned(), reason: error.to_string() }),
    }
}

impl Sqlite {
    fn claimed(&self) -> MutexGuard<'_, HashSet<EffectId>> {
        // Every change is one call, so a panic cannot have left one half done.
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn request<T: Send + 'static>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Request,
    ) -> Reply<'_, T> {
        let (reply, answer) = oneshot::channel();
        let request = request(reply);
        Box::pin(async move {
            self.requests.send(request).await.map_err(|_| StoreError::Closed)?;
            answer.await.map_err(|_| StoreError::Closed)?
        })
    }
}

impl Sqlite {
    /// Makes a change that is not one of an issue.
    fn change(&self, change: impl FnOnce(&Connection) -> Result<(), StoreError> + Send + 'static) -> Reply<'_, ()> {
        self.request(|reply| Request::Change(Box::new(change), reply))
    }
}

impl Driver for Sqlite {
    fn transact(&self, write: Write) -> Reply<'_, Answer> {
        let effect = match &write {
            Write::Settle { effect, .. } | Write::EffectFailed { effect, .. } => Some(*effect),
            _ => None,
        };
        let answer = self.request(|reply| Request::Write(write, reply));
        Box::pin(async move {
            let answer = answer.await?;
            if let Some(effect) = effect {
                self.claimed().remove(&effect);
            }
            Ok(answer)
        })
    }

    fn claim_effects(&self, now: Timestamp, limit: usize) -> Reply<'_, Vec<ClaimedEffect>> {
        let claimed = Arc::clone(&self.claimed);
        self.readers.query(move |connection| {
            let mut claimed = claimed.lock().unwrap_or_else(PoisonError::into_inner);
            let due = read::due_effects(connection, &claimed, now, limit)?;
            claimed.extend(due.iter().map(|effect| effect.id));
            Ok(due)
        })
    }

    fn next_effect_due(&self, now: Timestamp) -> Reply<'_, Option<Timestamp>> {
        let claimed = self.claimed().clone();
        self.readers.query(move |connection| read::next_effect_due(connection, &claimed, now))
    }

    fn effects_of(&self, issue: IssueId) -> Reply<'_, Vec<EffectView>> {
        self.readers.query(move |connection| read::effects_of(connection, issue))
    }

    fn commits(&self) -> Commits {
        self.commits.clone()
    }

    fn close(&self) -> Reply<'_, ()> {
        self.readers.close();
        self.request(Request::Close)
    }

    fn clean(&self, before: Timestamp) -> Reply<'_, Cleaned> {
        self.request(|reply| Request::Clean(before, reply))
    }

    fn ended_runs(&self) -> Reply<'_, Vec<(RunId, Timestamp)>> {
        self.readers.query(ended_runs)
    }

    fn expire_runs(&self, runs: Vec<RunId>) -> Reply<'_, ()> {
        self.change(move |connection| expire_runs(connection, &runs))
    }

    fn expired_runs(&self) -> Reply<'_, Vec<RunId>> {
        self.readers.query(expired_runs)
    }

    fn runs_removed(&self, runs: Vec<RunId>) -> Reply<'_, ()> {
        self.change(move |connection| forget_expired(connection, &runs))
    }

    fn unknown_runs(&self, runs: Vec<RunId>) -> Reply<'_, Vec<RunId>> {
        self.readers.query(move |connection| unknown_runs(connection, runs))
    }

    fn directories(&self) -> Reply<'_, Vec<(IssueRef, Option<String>)>> {
        self.readers.query(directories)
    }

    fn back_up(&self, to: PathBuf) -> Reply<'_, ()> {
        self.readers.query(move |connection| copy_to(connection, &to))
    }

    fn home(&self) -> Reply<'_, Option<String>> {
        self.readers.query(home)
    }

    fn set_source(&self, repo: RepoRef, source: String) -> Reply<'_, ()> {
        self.change(move |connection| set_source(connection, &repo, &source))
    }

    fn watch(&self, repo: RepoRef) -> Reply<'_, WatchState> {
        self.readers.query(move |connection| watches::watch(connection, &repo))
    }

    fn set_poll(&self, repo: RepoRef, poll: Poll) -> Reply<'_, ()> {
        self.change(move |connection| watches::set_poll(connection, &repo, &poll))
    }

    fn set_hook(&self, repo: RepoRef, news: HookNews, at: Timestamp) -> Reply<'_, ()> {
        self.change(move |connection| watches::set_hook(connection, &repo, news, at))
    }

    fn candidates(&self, repo: RepoRef, issue: Option<u64>) -> Reply<'_, Vec<(u64, Candidate)>> {
        self.readers.query(move |connection| watches::candidates(connection, &repo, issue))
    }

    fn watch_load(&self, repo: RepoRef) -> Reply<'_, WatchLoad> {
        self.readers.query(move |connection| watches::load(connection, &repo))
    }

    fn set_candidate(&self, repo: RepoRef, issue: u64, candidate: Option<Candidate>) -> Reply<'_, ()> {
        self.change(move |connection| match candidate {
            Some(candidate) => watches::set_candidate(connection, &repo, issue, &candidate),
            None => watches::remove_candidate(connection, &repo, issue),
        })
    }

    fn is_handled(&self, server: String, id: String) -> Reply<'_, bool> {
        self.readers.query(move |connection| watches::is_handled(connection, &server, &id))
    }

    fn add_handled(&self, server: String, id: String, at: Option<Timestamp>, forget: Timestamp) -> Reply<'_, ()> {
        self.change(move |connection| watches::add_handled(connection, &server, &id, at, forget))
    }

    fn set_home(&self, id: String) -> Reply<'_, ()> {
        self.change(move |connection| set_home(connection, &id))
    }

    fn run_key(&self, run: RunId) -> Reply<'_, Option<String>> {
        self.readers.query(move |connection| run_key(connection, run))
    }

    fn set_run_key(&self, run: RunId, key: String) -> Reply<'_, ()> {
        self.change(move |connection| set_run_key(connection, run, &key))
    }

    fn issues(&self, filter: IssueFilter, limit: usize) -> Reply<'_, Rows<Issue, usize>> {
        self.readers.query(move |connection| read::issues(connection, &filter, limit))
    }

    fn views(&self, query: ViewQuery) -> Reply<'_, Rows<RunView, Option<i64>>> {
        self.readers.query(move |connection| read::views(connection, &query))
    }

    fn shown(&self) -> Reply<'_, Vec<(ShownAs, u64)>> {
        self.readers.query(read::shown)
    }

    fn runs(&self, query: RunQuery) -> Reply<'_, Vec<Run>> {
        self.readers.query(move |connection| read::runs(connection, &query))
    }

    fn queue(&self, slots: usize, holds: Vec<Hold>) -> Reply<'_, Queue> {
        self.readers.query(move |connection| read::queue(connection, slots, &holds))
    }

    fn agent_runs(&self, limit: u32) -> Reply<'_, Vec<AgentRuns>> {
        self.readers.query(move |connection| read::agent_runs(connection, limit))
    }

    fn pauses(&self) -> Reply<'_, Vec<Pause>> {
        self.readers.query(read::pauses)
    }

    fn model_limits(&self) -> Reply<'_, Vec<ModelLimit>> {
        self.readers.query(read::model_limits)
    }

    fn resumed_at(&self, agent: String) -> Reply<'_, Option<Timestamp>> {
        self.readers.query(move |connection| read::resumed_at(connection, &agent))
    }

    fn resume_agent(&self, agent: String, at: Timestamp) -> Reply<'_, ()> {
        self.change(move |connection| resume_agent(connection, &agent, at))
    }

    fn usage_since(&self, since: Timestamp) -> Reply<'_, UsageSum> {
        self.readers.query(move |connection| read::usage_since(connection, since))
    }

    fn usage_of_repos(&self) -> Reply<'_, Vec<(RepoRef, UsageSum)>> {
        self.readers.query(read::usage_of_repos)
    }

    fn usage_of_issues(&self) -> Reply<'_, Vec<(IssueId, UsageSum)>> {
        self.readers.query(read::usage_of_issues)
    }

    fn live_usage(&self) -> Reply<'_, Vec<LiveUsage>> {
        self.readers.query(read::live_usage)
    }

    fn recent_usage(&self, limit: u32) -> Reply<'_, Vec<RecentUsage>> {
        self.readers.query(move |connection| read::recent_usage(connection, limit))
    }

    fn add_pause(&self, pause: Pause) -> Reply<'_, ()> {
        self.change(move |connection| add_pause(connection, &pause))
    }

    fn remove_pause(&self, repo: Option<RepoRef>) -> Reply<'_, ()> {
        self.change(move |connection| remove_pause(connection, repo.as_ref()))
    }

    fn queue_position(&self, task: TaskId) -> Reply<'_, Option<u64>> {
        self.readers.query(move |connection| read::queue_position(connection, task))
    }

    fn reports_due(&self, coordinator: IssueId) -> Reply<'_, Vec<(TaskId, Timestamp)>> {
        self.readers.query(move |connection| read::reports_due(connection, coordinator))
    }

    fn settled(&self, delegated_by: TaskId) -> Reply<'_, HashSet<TaskId>> {
        self.readers.query(move |connection| read::settled(connection, delegated_by))
    }

    fn repos(&self) -> Reply<'_, Vec<Repo>> {
        self.readers.query(read::repos)
    }

    fn events_after(&self, issue: Option<IssueId>, after: i64, limit: u32) -> Reply<'_, Vec<StoredEvent>> {
        self.readers.query(move |connection| read::events_after(connection, issue, after, limit))
    }

    fn last_event(&self, issue: Option<IssueId>, before: Option<Timestamp>) -> Reply<'_, i64> {
        self.readers.query(move |connection| read::last_event(connection, issue, before))
    }

    fn listen(&self) -> broadcast::Receiver<Arc<StoredEvent>> {
        self.events.subscribe()
    }

    fn check(&self) -> Reply<'_, Vec<String>> {
        self.readers.query(read::check)
    }
}

#[cfg(test)]
mod tests {
    use kugetsu_domain::reference::{ProjectPath, RepoRef, ServerBase};
    use kugetsu_domain::task::{Task, TaskKind};
    use uuid::Uuid;

    use super::*;
    use crate::store::Store;
    use crate::write::{Enqueue, Precondition};

    fn enqueue(number: u64, message: String) -> Enqueue {
        let base = ServerBase::new("https://h").unwrap();
        let (id, now) = (TaskId::new(Uuid::now_v7()), Timestamp::UNIX_EPOCH);
        Enqueue {
            repo: Repo {
                name: RepoRef { base, project: ProjectPath::new("a/b").unwrap() },
                kind: None,
                source: "https://h/a/b".to_owned(),
            },
            number: Some(number),
            used_numbers: 0,
            new_issue: IssueId::new(Uuid::now_v7()),
            title: String::new(),
            pr_url: None,
            watch: None,
            task: Task::queued(id, TaskKind::Start, "a".to_owned(), message, now),
            precondition: Precondition::Idle,
            interrupt: false,
        }
    }

    /// A store whose disk has room for `pages` more pages.
    fn small(path: &Path, pages: i64) -> (Store, oneshot::Receiver<()>) {
        let mut connection = connection::read_write(path).unwrap();
        schema::migrate(path, &mut connection).unwrap();
        let count: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        connection.pragma_update(None, "max_page_count", count + pages).unwrap();
        let (driver, closed) = start(path, connection).unwrap();
        (Store::new(driver), closed)
    }

    #[tokio::test]
    async fn a_full_disk_refuses_only_the_writes_that_do_not_fit() {
        let directory = tempfile::tempdir().unwrap();
        let (store, closed) = small(&directory.path().join("small.db"), 20);
        let now = Timestamp::UNIX_EPOCH;
        let long = "x".repeat(200_000);
        // In one batch.
        let (first, second) =
            tokio::join!(store.enqueue(enqueue(1, String::new()), now), store.enqueue(enqueue(2, long.clone()), now));
        assert!(!first.unwrap().repeated);
        let refused = second.unwrap_err();
        assert!(matches!(refused, StoreError::DiskFull), "{refused}");
        assert!(refused.hint().is_some_and(|hint| hint.contains("free some space")), "{refused}");

        assert!(store.enqueue(enqueue(3, long), now).await.is_err());
        store.enqueue(enqueue(4, String::new()), now).await.unwrap();
        assert_eq!(store.queue(0).await.unwrap().queued, 2);
        let events = store.events_after(None, 0, 9).await.unwrap();
        let seqs: Vec<i64> = events.iter().map(|event| event.seq).collect();
        assert_eq!(seqs, [1, 2], "a refused write leaves no trace");
        assert_eq!(store.check().await.unwrap(), Vec::<String>::new());

        drop(store);
        closed.await.unwrap();
    }
}
