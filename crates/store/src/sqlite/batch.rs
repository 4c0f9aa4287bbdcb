//! One commit: loads the issues that the writes are about, moves each by its event, saves what changed.
//!
//! However many writes there are, the statements stay the same few: sets of rows travel as one JSON parameter.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use kugetsu_domain::flow::{self, Event};
use kugetsu_domain::ids::{IssueId, RunId, TaskId};
use kugetsu_domain::issue::{Issue, IssueState};
use kugetsu_domain::machine::Machine;
use kugetsu_domain::pull_request::PrLink;
use kugetsu_domain::reference::{ForgeKind, IssueRef, RepoRef};
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use super::transaction::Transaction;
use super::{read, result_code, row};
use crate::error::StoreError;
use crate::store::{Adopt, Applied, Enqueue, Precondition, Write};
use crate::view::{Repo, StoredEvent};

/// What a commit did.
pub(crate) struct Committed {
    /// An answer for each write, in order.
    pub(crate) answers: Vec<Result<Applied, StoreError>>,
    /// The events that were stored, in order.
    pub(crate) events: Vec<StoredEvent>,
}

/// The repositories as they are stored: nobody else writes, so what was committed once need not be asked for again.
pub(crate) type Repos = HashMap<RepoRef, RepoRow>;

/// Carries out all writes in one transaction.
///
/// # Errors
/// The database refused the transaction as a whole; nothing was stored. What a single write was refused for is in its
/// own answer.
pub(crate) async fn commit(
    connection: &mut SqliteConnection,
    repos: &mut Repos,
    writes: &[Write],
    last_event: i64,
) -> Result<Committed, StoreError> {
    let mut transaction = Transaction::new(connection);
    let committed = carry_out(&mut transaction, repos, writes, last_event).await;
    if committed.is_err() {
        transaction.roll_back().await;
    }
    committed
}

async fn carry_out(
    transaction: &mut Transaction<'_>,
    repos: &mut Repos,
    writes: &[Write],
    last_event: i64,
) -> Result<Committed, StoreError> {
    let mut work = Work::load(transaction, repos, writes, last_event).await?;
    let answers = writes.iter().map(|write| work.carry_out(write)).collect();
    work.save(transaction).await.map_err(|error| result_code::explain(&error))?;
    transaction.commit().await.map_err(|error| result_code::explain(&error))?;
    repos.extend(work.repos);
    Ok(Committed { answers, events: work.events })
}

/// A repository's row.
#[derive(Clone, Debug)]
pub(crate) struct RepoRow {
    id: i64,
    last_number: u64,
    kind: Option<ForgeKind>,
    source: String,
    /// Numbers were given in this transaction.
    numbered: bool,
}

/// An issue in the transaction.
struct Slot {
    issue: Issue,
    repo: i64,
    /// The version that is stored; `None` for a new issue.
    was: Option<u64>,
}

/// Everything that the transaction touches.
struct Work {
    repos: HashMap<RepoRef, RepoRow>,
    slots: HashMap<IssueId, Slot>,
    numbers: HashMap<IssueRef, IssueId>,
    damaged: HashMap<IssueId, StoreError>,
    acknowledged: HashMap<RunId, u64>,
    tasks: BTreeMap<TaskId, Value>,
    new_tasks: Vec<TaskId>,
    runs: BTreeMap<RunId, Value>,
    events: Vec<StoredEvent>,
    last_event: i64,
}

impl Work {
    async fn load(
        transaction: &mut Transaction<'_>,
        known: &Repos,
        writes: &[Write],
        last_event: i64,
    ) -> Result<Self, StoreError> {
        let mut work = Self {
            repos: HashMap::new(),
            slots: HashMap::new(),
            numbers: HashMap::new(),
            damaged: HashMap::new(),
            acknowledged: HashMap::new(),
            tasks: BTreeMap::new(),
            new_tasks: Vec::new(),
            runs: BTreeMap::new(),
            events: Vec::new(),
            last_event,
        };
        let mut wanted: Vec<IssueId> = Vec::new();
        let mut reports: Vec<String> = Vec::new();
        let mut numbers: HashMap<i64, (&RepoRef, Vec<u64>)> = HashMap::new();
        for write in writes {
            match write {
                Write::Apply { issue, event, acknowledged, .. } => {
                    wanted.push(*issue);
                    if acknowledged.is_some()
                        && let Some(lease) = event.lease()
                    {
                        reports.push(lease.run.to_string());
                    }
                }
                Write::Enqueue(enqueue, now) => {
                    let repo = work
                        .repo(transaction, known, &enqueue.repo, *now)
                        .await
                        .map_err(|error| result_code::explain(&error))?;
                    if let Some(number) = enqueue.number {
                        numbers.entry(repo).or_insert_with(|| (&enqueue.repo.name, Vec::new())).1.push(number);
                    }
                }
                Write::Adopt(adopt, now) => {
                    let repo = work
                        .repo(transaction, known, &adopt.repo, *now)
                        .await
                        .map_err(|error| result_code::explain(&error))?;
                    numbers.entry(repo).or_insert_with(|| (&adopt.repo.name, Vec::new())).1.push(adopt.number);
                }
            }
        }
        let connection = &mut *transaction.connection;
        for (row, (repo, numbers)) in numbers {
            for (number, id) in read::issue_ids(connection, row, &numbers).await? {
                work.numbers.insert(IssueRef { repo: repo.clone(), number }, id);
                wanted.push(id);
            }
        }
        if !reports.is_empty() {
            work.acknowledged = read::acknowledged(connection, &reports).await?;
        }
        for (id, loaded) in read::load(connection, &wanted).await? {
            match loaded {
                Ok((issue, repo)) => {
                    work.numbers.insert(issue.reference.clone(), id);
                    let was = Some(issue.version);
                    work.slots.insert(id, Slot { issue, repo, was });
                }
                Err(error) => {
                    tracing::error!(issue = %id, %error, "an issue's stored state is damaged; it is left alone");
                    work.damaged.insert(id, error);
                }
            }
        }
        Ok(work)
    }

    /// The repository's row, made if it is new.
    async fn repo(
        &mut self,
        transaction: &mut Transaction<'_>,
        known: &Repos,
        repo: &Repo,
        now: Timestamp,
    ) -> Result<i64, sqlx::Error> {
        if let Some(loaded) = self.repos.get(&repo.name) {
            return Ok(loaded.id);
        }
        let same = |known: &&RepoRow| known.source == repo.source && (repo.kind.is_none() || known.kind == repo.kind);
        if let Some(same) = known.get(&repo.name).filter(same) {
            self.repos.insert(repo.name.clone(), same.clone());
            return Ok(same.id);
        }
        transaction.begin().await?;
        let row = sqlx::query(
            "INSERT INTO repos (base, project, kind, source, created_at) VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT (base, project) DO UPDATE SET kind = coalesce(excluded.kind, kind), source = excluded.source \
             RETURNING id, last_number, kind",
        )
        .bind(repo.name.base.as_str())
        .bind(repo.name.project.as_str())
        .bind(repo.kind.map(|kind| kind.name()))
        .bind(&repo.source)
        .bind(now.as_millisecond())
        .fetch_one(&mut *transaction.connection)
        .await?;
        let id = row.try_get("id")?;
        let last_number = u64::try_from(row.try_get::<i64, _>("last_number")?).unwrap_or_default();
        let kind = row.try_get::<Option<String>, _>("kind")?.and_then(|kind| ForgeKind::from_name(&kind));
        let stored = RepoRow { id, last_number, kind, source: repo.source.clone(), numbered: false };
        self.repos.insert(repo.name.clone(), stored);
        Ok(id)
    }

    fn carry_out(&mut self, write: &Write) -> Result<Applied, StoreError> {
        match write {
            Write::Enqueue(enqueue, now) => self.enqueue(enqueue, *now),
            Write::Adopt(adopt, now) => self.adopt(adopt, *now),
            Write::Apply { issue, event, acknowledged, now } => self.apply(*issue, event, *acknowledged, *now),
        }
    }

    fn enqueue(&mut self, enqueue: &Enqueue, now: Timestamp) -> Result<Applied, StoreError> {
        let repo = self
            .repos
            .get_mut(&enqueue.repo.name)
            .ok_or_else(|| StoreError::Database("a repository was not loaded".to_owned()))?;
        let number = enqueue.number.unwrap_or_else(|| {
            repo.last_number += 1;
            repo.numbered = true;
            repo.last_number
        });
        let reference = IssueRef { repo: enqueue.repo.name.clone(), number };
        let id = match self.numbers.get(&reference) {
            Some(id) => *id,
            None => {
                if enqueue.precondition == Precondition::Continuable {
                    return Err(StoreError::NoSuchIssue);
                }
                let issue = Issue::new(enqueue.new_issue, reference.clone(), enqueue.title.clone(), now);
                self.numbers.insert(reference, issue.id);
                self.slots.insert(issue.id, Slot { issue, repo: repo.id, was: None });
                enqueue.new_issue
            }
        };
        if let Some(slot) = self.slots.get_mut(&id) {
            if slot.issue.task(enqueue.task.id).is_some() {
                return Ok(Applied {
                    issue: slot.issue.clone(),
                    effects: vec![],
                    wakes_scheduler: false,
                    repeated: true,
                });
            }
            check(enqueue.precondition, &slot.issue)?;
            if let Some(url) = &enqueue.pr_url {
                slot.issue.pr = Some(PrLink::replacing(slot.issue.pr.take(), url.clone()));
            }
        }
        let event = Event::TaskQueued { task: enqueue.task.clone() };
        self.new_tasks.push(enqueue.task.id);
        self.apply(id, &event, None, now)
    }

    fn adopt(&mut self, adopt: &Adopt, now: Timestamp) -> Result<Applied, StoreError> {
        let repo = self.repos.get(&adopt.repo.name).map(|repo| repo.id);
        let repo = repo.ok_or_else(|| StoreError::Database("a repository was not loaded".to_owned()))?;
        let reference = IssueRef { repo: adopt.repo.name.clone(), number: adopt.number };
        if let Some(id) = self.numbers.get(&reference) {
            if let Some(error) = self.damaged.get(id) {
                return Err(error.clone());
            }
            let slot = self.slots.get(id).ok_or(StoreError::NoSuchIssue)?;
            return Ok(Applied { issue: slot.issue.clone(), effects: vec![], wakes_scheduler: false, repeated: true });
        }
        let issue = Issue::new(adopt.new_issue, reference.clone(), adopt.title.clone(), now);
        self.numbers.insert(reference, issue.id);
        self.slots.insert(issue.id, Slot { issue, repo, was: None });
        if let Event::Adopted { task, .. } = &adopt.event {
            self.new_tasks.push(task.id);
        }
        self.apply(adopt.new_issue, &adopt.event, None, now)
    }

    fn apply(
        &mut self,
        id: IssueId,
        event: &Event,
        acknowledged: Option<u64>,
        now: Timestamp,
    ) -> Result<Applied, StoreError> {
        if let Some(error) = self.damaged.get(&id) {
            return Err(error.clone());
        }
        let slot = self.slots.get_mut(&id).ok_or(StoreError::NoSuchIssue)?;
        if let (Some(end), Some(lease)) = (acknowledged, event.lease())
            && self.acknowledged.get(&lease.run).is_some_and(|stored| *stored >= end)
        {
            return Ok(Applied { issue: slot.issue.clone(), effects: vec![], wakes_scheduler: false, repeated: true });
        }
        let before = slot.issue.clone();
        let (mut issue, effects) = flow::step(before.clone(), event.clone(), now)?;
        issue.version += 1;
        if let (Some(end), Some(run)) = (acknowledged, &mut issue.run) {
            run.acknowledged = end;
            self.acknowledged.insert(run.id, end);
        }
        for task in issue.tasks.iter().filter(|task| before.task(task.id) != Some(*task)) {
            self.tasks.insert(task.id, row::task_json(&issue, task));
        }
        if let Some(run) = issue.run.as_ref().filter(|run| before.run.as_ref() != Some(*run)) {
            self.runs.insert(run.id, row::run_json(&issue, run));
        }
        let (task, run) = row::event_subject(event, &issue);
        self.last_event += 1;
        self.events.push(StoredEvent {
            seq: self.last_event,
            at: now,
            issue: id,
            task,
            run,
            kind: event.name().to_owned(),
            data: row::event_data(event),
        });
        slot.issue = issue.clone();
        slot.issue.tasks.retain(|task| !task.state.is_final());
        slot.issue.run = slot.issue.run.take().filter(|run| !run.state.is_final());
        Ok(Applied { issue, effects, wakes_scheduler: event.may_let_a_task_begin(), repeated: false })
    }

    async fn save(&mut self, transaction: &mut Transaction<'_>) -> Result<(), sqlx::Error> {
        let mut numbered = Vec::new();
        for repo in self.repos.values_mut().filter(|repo| repo.numbered) {
            repo.numbered = false;
            numbered.push(json!({ "id": repo.id, "last_number": repo.last_number }));
        }
        let changed = self.slots.values().filter(|slot| slot.was != Some(slot.issue.version) && slot.issue.version > 0);
        let (new, old): (Vec<_>, Vec<_>) = changed
            .map(|slot| (slot.was, row::issue_json(&slot.issue, slot.repo, slot.was)))
            .partition(|(was, _)| was.is_none());
        // New tasks go in as they came: their row numbers are their order in the queue.
        let new_tasks = self.new_tasks.iter().filter_map(|id| self.tasks.get(id).cloned()).collect();
        let old_tasks = self.tasks.iter().filter(|(id, _)| !self.new_tasks.contains(id)).map(|(_, row)| row.clone());
        let events = self.events.iter().map(|event| {
            json!({
                "seq": event.seq,
                "at": event.at.as_millisecond(),
                "issue": event.issue.to_string(),
                "task": event.task.map(|id| id.to_string()),
                "run": event.run.map(|id| id.to_string()),
                "kind": event.kind,
                "data": event.data.to_string(),
            })
        });
        transaction
            .put_all([
                (NUMBER_REPOS, numbered),
                (INSERT_ISSUES, new.into_iter().map(|(_, row)| row).collect()),
                (UPDATE_ISSUES, old.into_iter().map(|(_, row)| row).collect()),
                (INSERT_TASKS, new_tasks),
                (UPDATE_TASKS, old_tasks.collect()),
                (PUT_RUNS, self.runs.values().cloned().collect()),
                (INSERT_EVENTS, events.collect()),
            ])
            .await
    }
}

/// Whether a task may be queued for the issue.
fn check(precondition: Precondition, issue: &Issue) -> Result<(), StoreError> {
    match precondition {
        Precondition::Idle => match issue.tasks.first() {
            Some(task) => Err(StoreError::IssueBusy { state: task.state.name() }),
            None => Ok(()),
        },
        Precondition::Continuable if issue.state == IssueState::Destroyed => {
            Err(StoreError::NothingToContinue("it was destroyed"))
        }
        Precondition::Continuable | Precondition::Any => Ok(()),
    }
}

const NUMBER_REPOS: &str = "\
    UPDATE repos SET last_number = j.value ->> 'last_number' FROM json_each(?) AS j WHERE repos.id = j.value ->> 'id'";

const INSERT_ISSUES: &str = "\
    INSERT INTO issues (id, repo, number, state, title, directory, branch, base_branch, base_sha, session, \
        session_agent, session_state, change_url, change_by, change_state, change_seen_at, fence, version, \
        created_at) \
    SELECT value ->> 'id', value ->> 'repo', value ->> 'number', value ->> 'state', value ->> 'title', \
        value ->> 'directory', value ->> 'branch', value ->> 'base_branch', value ->> 'base_sha', \
        value ->> 'session', value ->> 'session_agent', value ->> 'session_state', value ->> 'change_url', \
        value ->> 'change_by', value ->> 'change_state', value ->> 'change_seen_at', \
        value ->> 'fence', value ->> 'version', value ->> 'created_at' FROM json_each(?)";

const UPDATE_ISSUES: &str = "\
    UPDATE issues SET state = j.value ->> 'state', title = j.value ->> 'title', \
        directory = j.value ->> 'directory', branch = j.value ->> 'branch', \
        base_branch = j.value ->> 'base_branch', base_sha = j.value ->> 'base_sha', \
        session = j.value ->> 'session', session_agent = j.value ->> 'session_agent', \
        session_state = j.value ->> 'session_state', change_url = j.value ->> 'change_url', \
        change_by = j.value ->> 'change_by', change_state = j.value ->> 'change_state', \
        change_seen_at = j.value ->> 'change_seen_at', fence = j.value ->> 'fence', \
        version = j.value ->> 'version' \
    FROM json_each(?) AS j WHERE issues.id = j.value ->> 'id' AND issues.version = j.value ->> 'was'";

const INSERT_TASKS: &str = "\
    INSERT INTO tasks (id, issue, kind, state, message, agent, model, base, priority, after, asked_by, attempt, \
        cancel_asked, queued_at, ended_at, reason) \
    SELECT value ->> 'id', value ->> 'issue', value ->> 'kind', value ->> 'state', value ->> 'message', \
        value ->> 'agent', value ->> 'model', value ->> 'base', value ->> 'priority', value ->> 'after', \
        value ->> 'asked_by', value ->> 'attempt', value ->> 'cancel_asked', value ->> 'queued_at', value ->> 'ended_at', \
        value ->> 'reason' FROM json_each(?)";

const UPDATE_TASKS: &str = "\
    UPDATE tasks SET state = j.value ->> 'state', attempt = j.value ->> 'attempt', \
        cancel_asked = j.value ->> 'cancel_asked', queued_at = j.value ->> 'queued_at', \
        ended_at = j.value ->> 'ended_at', reason = j.value ->> 'reason' \
    FROM json_each(?) AS j WHERE tasks.id = j.value ->> 'id'";

const PUT_RUNS: &str = "\
    INSERT INTO runs (id, task, issue, state, fence, agent, session, started_at, ended_at, verdict, reason, \
        head_sha, commits, pushed, cost_usd, input_tokens, output_tokens, acknowledged) \
    SELECT value ->> 'id', value ->> 'task', value ->> 'issue', value ->> 'state', value ->> 'fence', \
        value ->> 'agent', value ->> 'session', value ->> 'started_at', value ->> 'ended_at', value ->> 'verdict', \
        value ->> 'reason', value ->> 'head_sha', value ->> 'commits', value ->> 'pushed', value ->> 'cost_usd', \
        value ->> 'input_tokens', value ->> 'output_tokens', value ->> 'acknowledged' FROM json_each(?) WHERE true \
    ON CONFLICT (id) DO UPDATE SET state = excluded.state, session = excluded.session, \
        ended_at = excluded.ended_at, verdict = excluded.verdict, reason = excluded.reason, \
        head_sha = excluded.head_sha, commits = excluded.commits, pushed = excluded.pushed, \
        cost_usd = excluded.cost_usd, input_tokens = excluded.input_tokens, \
        output_tokens = excluded.output_tokens, acknowledged = excluded.acknowledged";

const INSERT_EVENTS: &str = "\
    INSERT INTO events (seq, at, issue, task, run, kind, data) \
    SELECT value ->> 'seq', value ->> 'at', value ->> 'issue', value ->> 'task', value ->> 'run', value ->> 'kind', \
        value ->> 'data' FROM json_each(?)";
