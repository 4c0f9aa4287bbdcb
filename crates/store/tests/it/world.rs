//! A store in a temporary directory, and values to write to it.

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::{IssueId, RunId, TaskId};
use kugetsu_domain::issue::{Issue, Lease, Worktree};
use kugetsu_domain::reason::Reason;
use kugetsu_domain::reference::{ForgeKind, ProjectPath, RepoRef, ServerBase};
use kugetsu_domain::run::{Outcome, Usage, Verdict};
use kugetsu_domain::task::{Task, TaskKind};
use kugetsu_store::open::{Opened, open};
use kugetsu_store::query::{IssueFilter, ViewFilter, ViewQuery};
use kugetsu_store::store::Store;
use kugetsu_store::view::{Repo, RunView};
use kugetsu_store::write::{Applied, Enqueue, Precondition};
use rusqlite::Connection;
use uuid::Uuid;

pub(crate) struct World {
    dir: tempfile::TempDir,
    opened: Option<Opened>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let mut world = Self { dir: tempfile::tempdir().unwrap(), opened: None };
        world.open().await;
        world
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("kugetsu.db")
    }

    pub(crate) fn store(&self) -> &Store {
        &self.opened.as_ref().expect("the store is open").store
    }

    pub(crate) async fn open(&mut self) {
        self.opened = Some(open(&self.path()).unwrap());
    }

    pub(crate) async fn close(&mut self) {
        let opened = self.opened.take().unwrap();
        drop(opened.store);
        opened.closed.await.unwrap();
    }

    /// Closes the file although handles may be left.
    pub(crate) async fn close_explicitly(&mut self) {
        let opened = self.opened.take().unwrap();
        opened.store.close().await.unwrap();
        opened.closed.await.unwrap();
    }

    pub(crate) async fn reopen(&mut self) {
        self.close().await;
        self.open().await;
    }

    /// Changes the closed file with another program.
    pub(crate) async fn tamper(&mut self, statements: &str) {
        self.close().await;
        let connection = Connection::open(self.path()).unwrap();
        connection.pragma_update(None, "foreign_keys", false).unwrap();
        connection.execute_batch(statements).unwrap();
        connection.close().unwrap();
        self.open().await;
    }

    pub(crate) async fn enqueue(&self, enqueue: Enqueue) -> Applied {
        self.store().enqueue(enqueue, now()).await.unwrap()
    }

    /// Queues a task for this issue of `acme/api`.
    pub(crate) async fn queued(&self, number: u64) -> (Issue, TaskId) {
        let enqueue = start(number);
        let task = enqueue.task.id;
        (self.enqueue(enqueue).await.issue, task)
    }

    pub(crate) async fn claim(&self, issue: IssueId, task: TaskId) -> Lease {
        let run = RunId::new(Uuid::now_v7());
        let applied = self.store().apply(issue, Event::TaskClaimed { task, run }, now()).await.unwrap();
        applied.issue.lease().unwrap()
    }

    /// Starts a run and opens its session.
    pub(crate) async fn work(&self, issue: IssueId, task: TaskId) -> Lease {
        let lease = self.claim(issue, task).await;
        let session = format!("ses_{task}");
        self.store().apply(issue, Event::WorktreeReady { lease, worktree: worktree() }, now()).await.unwrap();
        self.store().apply(issue, Event::SessionOpened { lease, session, model: None }, now()).await.unwrap();
        lease
    }

    pub(crate) async fn queued_count(&self) -> u64 {
        self.store().queue(0).await.unwrap().queued
    }

    /// The issues with a live run.
    pub(crate) async fn running(&self) -> Vec<Issue> {
        self.store().issues(IssueFilter::Running, usize::MAX).await.unwrap().issues
    }

    /// All tasks, oldest first.
    pub(crate) async fn tasks(&self, filter: ViewFilter) -> Vec<RunView> {
        let mut views = self.store().views(ViewQuery::new(filter).with_messages()).await.unwrap().views;
        views.reverse();
        views
    }

    pub(crate) async fn finish(&self, lease: Lease, verdict: Verdict) {
        self.store().apply(lease.issue, ended(lease, verdict), now()).await.unwrap();
    }

    /// The issues of the candidates, in order.
    pub(crate) async fn next(&self, slots: usize) -> Vec<IssueId> {
        self.store().queue(slots).await.unwrap().candidates.into_iter().map(|candidate| candidate.issue).collect()
    }
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_millisecond(Timestamp::now().as_millisecond()).unwrap()
}

pub(crate) fn later(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

pub(crate) fn repo(project: &str) -> Repo {
    let base = ServerBase::new("https://github.com").unwrap();
    Repo {
        name: RepoRef { base, project: ProjectPath::new(project).unwrap() },
        kind: Some(ForgeKind::GitHub),
        source: format!("https://github.com/{project}.git"),
    }
}

pub(crate) fn local_repo() -> Repo {
    Repo {
        name: RepoRef { base: ServerBase::local(), project: ProjectPath::new("demo").unwrap() },
        kind: Some(ForgeKind::Local),
        source: "/tmp/demo".to_owned(),
    }
}

/// The task of `kugetsu start`.
pub(crate) fn start(number: u64) -> Enqueue {
    Enqueue {
        repo: repo("acme/api"),
        number: Some(number),
        used_numbers: 0,
        new_issue: IssueId::new(Uuid::now_v7()),
        title: format!("issue {number}"),
        pr_url: None,
        watch: None,
        task: task(TaskKind::Start),
        precondition: Precondition::Idle,
        interrupt: false,
    }
}

/// The task of `kugetsu continue`.
pub(crate) fn continue_work(number: u64) -> Enqueue {
    Enqueue { task: task(TaskKind::Continue), precondition: Precondition::Continuable, ..start(number) }
}

pub(crate) fn task(kind: TaskKind) -> Task {
    let message = "Ünïcode, \"quotes\", 'quotes'\n\0and a {brace}".to_owned();
    Task {
        model: Some("mock/model".to_owned()),
        base: Some("main".to_owned()),
        ..Task::queued(TaskId::new(Uuid::now_v7()), kind, "opencode".to_owned(), message, now())
    }
}

pub(crate) fn worktree() -> Worktree {
    Worktree {
        directory: "github.com-acme-api-1".to_owned(),
        branch: "kugetsu/1-issue".to_owned(),
        base_branch: None,
        base_sha: Some("0".repeat(40)),
    }
}

pub(crate) fn ended(lease: Lease, verdict: Verdict) -> Event {
    let outcome = Outcome {
        verdict,
        reason: Reason::from("because").hint("type this"),
        head_sha: Some("1".repeat(40)),
        commits: 2,
        pushed: true,
        usage: Usage { cost_usd: Some(0.25), input_tokens: Some(1000), output_tokens: Some(10) },
    };
    Event::RunEnded { lease, outcome }
}
