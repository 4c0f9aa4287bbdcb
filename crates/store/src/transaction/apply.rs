//! Applies writes to loaded rows.
//!
//! Each write either succeeds as a whole or changes nothing: a step is computed on a copy of the issue, and only then
//! becomes part of the transaction.

use jiff::Timestamp;
use kugetsu_domain::effect::Effect;
use kugetsu_domain::flow::{self, Event, Refused};
use kugetsu_domain::ids::IssueId;
use kugetsu_domain::issue::{Issue, IssueState, Lease};
use kugetsu_domain::machine::Machine;
use kugetsu_domain::pull_request::PrLink;
use kugetsu_domain::reference::IssueRef;
use kugetsu_domain::task::Task;
use kugetsu_domain::watch::follow::Follow;

use super::changes::{Changes, EffectChange, IssueChange, RepoChange, Shown, TaskChange};
use super::event_log::EventEntry;
use super::loaded::{LatestTask, Loaded, StoredRepo, StoredTask};
use crate::effect::{EffectId, Wakes};
use crate::error::StoreError;
use crate::query::ShownAs;
use crate::view::Repo;
use crate::write::{Adopt, Answer, Applied, Enqueue, HandedOver, Precondition, Write};

/// Applies the writes in order. Returns an answer for each and the rows to save.
pub(crate) fn apply(loaded: Loaded, writes: &[Write]) -> (Vec<Result<Answer, StoreError>>, Changes) {
    let mut transaction = Transaction { changes: Changes { numbers: loaded.numbers, ..Changes::default() }, loaded };
    let answers = writes.iter().map(|write| transaction.write(write)).collect();
    (answers, transaction.changes)
}

/// The rows as the writes so far have left them.
struct Transaction {
    loaded: Loaded,
    changes: Changes,
}

/// An issue after an event, with everything that the event leads to.
struct Step {
    issue: Issue,
    effects: Vec<Effect>,
    entry: EventEntry,
    wakes: Wakes,
}

impl Step {
    fn new(issue: Issue, event: &Event, now: Timestamp) -> Result<Self, Refused> {
        let (mut issue, effects) = flow::step(issue, event.clone(), now)?;
        issue.version += 1;
        let entry = EventEntry::new(&issue, event);
        let mut wakes = Wakes::default();
        wakes.add(event, !effects.is_empty());
        Ok(Self { issue, effects, entry, wakes })
    }
}

impl Transaction {
    fn write(&mut self, write: &Write) -> Result<Answer, StoreError> {
        let applied = match write {
            Write::Enqueue { enqueue, now } => self.enqueue(enqueue, *now),
            Write::Adopt { adopt, now } => self.adopt(adopt, *now),
            Write::Apply { issue, event, now } => self.event(*issue, event, *now),
            Write::Report { lease, event, end, now } => self.report(*lease, event, *end, *now),
            Write::Settle { effect, settlement, now } => {
                // A result that cannot be stored now must not be lost: the effect stays.
                for (issue, _) in &settlement.events {
                    if let Some(Err(error)) = self.loaded.issues.get(issue) {
                        return Err(error.clone());
                    }
                }
                settlement.enqueue.iter().try_for_each(|enqueue| self.accepts_tasks(enqueue))?;
                self.changes.effects.push(EffectChange::Settle(*effect));
                if settlement.look.is_some_and(|(issue, at)| !self.is_due_look(issue, at)) {
                    return Ok(Answer::Settled(vec![]));
                }
                let events = settlement.events.iter().map(|(issue, event)| self.event(*issue, event, *now).err());
                let mut refused: Vec<StoreError> = events.collect::<Vec<_>>().into_iter().flatten().collect();
                refused.extend(settlement.enqueue.iter().filter_map(|enqueue| self.enqueue(enqueue, *now).err()));
                return Ok(Answer::Settled(refused));
            }
            Write::EffectFailed { effect, due_at, error } => {
                let (id, due_at, error) = (*effect, *due_at, error.clone());
                self.changes.effects.push(EffectChange::Fail { id, due_at, error });
                return Ok(Answer::Settled(vec![]));
            }
        };
        applied.map(|applied| Answer::Applied(Box::new(applied)))
    }

    fn is_due_look(&self, issue: IssueId, at: Timestamp) -> bool {
        let follow = self.issue(issue).ok().and_then(|issue| issue.follow.as_ref());
        follow.is_some_and(|follow| follow.look_at == Some(at))
    }

    /// # Errors
    /// The issue of a new task cannot be read, or accepts tasks only after its files have been removed.
    fn accepts_tasks(&self, enqueue: &Enqueue) -> Result<(), StoreError> {
        let Some(number) = enqueue.number.filter(|_| !self.loaded.tasks.contains_key(&enqueue.task.id)) else {
            return Ok(());
        };
        let reference = IssueRef { repo: enqueue.repo.name.clone(), number };
        match self.loaded.references.get(&reference) {
            Some(id) if self.issue(*id)?.state == IssueState::Destroying => {
                Err(StoreError::Refused(Refused::BeingDestroyed))
            }
            _ => Ok(()),
        }
    }

    fn enqueue(&mut self, enqueue: &Enqueue, now: Timestamp) -> Result<Applied, StoreError> {
        if let Some(stored) = self.loaded.tasks.get(&enqueue.task.id) {
            return self.repeated(stored.issue);
        }
        let mut repo = self.repo(&enqueue.repo);
        let number = enqueue.number.unwrap_or(repo.last_number.max(enqueue.used_numbers) + 1);
        let reference = IssueRef { repo: enqueue.repo.name.clone(), number };
        let mut issue = match self.loaded.references.get(&reference) {
            Some(id) => self.issue(*id)?.clone(),
            None if enqueue.precondition == Precondition::Continuable => return Err(StoreError::NoSuchIssue),
            None => Issue::new(enqueue.new_issue, reference, enqueue.title.clone(), now),
        };
        check(enqueue.precondition, &issue)?;
        if issue.version == 0 {
            let follow = |HandedOver { watch, rule }| Follow { rule, ..Follow::new(watch) };
            issue.follow = enqueue.watch.clone().map(follow);
        }
        if let Some(url) = &enqueue.pr_url {
            issue.pr = Some(PrLink::replacing(issue.pr.take(), url.clone()));
        }
        let step = Step::new(issue, &Event::TaskQueued { task: enqueue.task.clone() }, now)?;
        raise_last_number(&mut repo, &step.issue.reference);
        self.save_repo(&enqueue.repo, repo, now);
        let running = step.issue.live_run().map(|run| run.task);
        let applied = self.save(step, now);
        let Some(task) = running.filter(|_| enqueue.interrupt) else { return Ok(applied) };
        let interrupted = Step::new(self.issue(applied.issue.id)?.clone(), &Event::CancelRequested { task }, now)?;
        Ok(self.save(interrupted, now))
    }

    fn adopt(&mut self, adopt: &Adopt, now: Timestamp) -> Result<Applied, StoreError> {
        let reference = IssueRef { repo: adopt.repo.name.clone(), number: adopt.number };
        let stored = adopt.task().and_then(|task| self.loaded.tasks.get(&task)).map(|task| task.issue);
        if let Some(id) = stored.or_else(|| self.loaded.references.get(&reference).copied()) {
            return self.repeated(id);
        }
        let mut repo = self.repo(&adopt.repo);
        let issue = Issue::new(adopt.new_issue, reference, adopt.title.clone(), now);
        let step = Step::new(issue, &adopt.event, now)?;
        raise_last_number(&mut repo, &step.issue.reference);
        self.save_repo(&adopt.repo, repo, now);
        Ok(self.save(step, now))
    }

    fn event(&mut self, issue: IssueId, event: &Event, now: Timestamp) -> Result<Applied, StoreError> {
        let step = Step::new(self.issue(issue)?.clone(), event, now)?;
        Ok(self.save(step, now))
    }

    /// A report that ends at or before the acknowledged offset was stored before, also if its run is over since.
    fn report(&mut self, lease: Lease, event: &Event, end: u64, now: Timestamp) -> Result<Applied, StoreError> {
        let issue = self.issue(lease.issue)?;
        if self.loaded.acknowledged.get(&lease.run).is_some_and(|stored| *stored >= end) {
            return self.repeated(lease.issue);
        }
        let mut step = Step::new(issue.clone(), event, now)?;
        if let Some(run) = &mut step.issue.run {
            run.acknowledged = end;
            self.loaded.acknowledged.insert(run.id, end);
        }
        Ok(self.save(step, now))
    }

    fn repeated(&self, issue: IssueId) -> Result<Applied, StoreError> {
        let issue = self.issue(issue)?.clone();
        Ok(Applied { issue, repeated: true })
    }

    fn issue(&self, id: IssueId) -> Result<&Issue, StoreError> {
        match self.loaded.issues.get(&id) {
            Some(Ok(issue)) => Ok(issue),
            Some(Err(error)) => Err(error.clone()),
            None => Err(StoreError::NoSuchIssue),
        }
    }

    /// The repository as it will be stored. A write that does not know the kind of the forge keeps the stored one.
    fn repo(&self, repo: &Repo) -> StoredRepo {
        let stored = self.loaded.repos.get(&repo.name);
        StoredRepo {
            kind: repo.kind.or(stored.and_then(|stored| stored.kind)),
            source: repo.source.clone(),
            last_number: stored.map_or(0, |stored| stored.last_number),
        }
    }

    fn save_repo(&mut self, repo: &Repo, row: StoredRepo, now: Timestamp) {
        if self.loaded.repos.get(&repo.name) == Some(&row) {
            return;
        }
        self.loaded.repos.insert(repo.name.clone(), row.clone());
        match self.changes.repos.iter_mut().find(|change| change.name == repo.name) {
            Some(change) => change.row = row,
            None => self.changes.repos.push(RepoChange { name: repo.name.clone(), row, now }),
        }
    }

    /// Makes a step part of the transaction.
    fn save(&mut self, step: Step, now: Timestamp) -> Applied {
        let Step { mut issue, effects, entry, wakes } = step;
        self.number(&mut issue);
        let Self { loaded, changes } = self;
        let before = loaded.issues.get(&issue.id).and_then(|stored| stored.as_ref().ok());
        let stored_version = before.map(|before| before.version);
        for task in issue.tasks.iter().filter(|task| before.and_then(|before| before.task(task.id)) != Some(*task)) {
            let Some(StoredTask { seq, .. }) = loaded.tasks.get(&task.id) else { continue };
            let is_new = *seq > loaded.numbers.task;
            changes.tasks.insert(*seq, TaskChange { issue: issue.id, task: task.clone(), is_new });
        }
        if let Some(run) = &issue.run
            && before.and_then(|before| before.run.as_ref()) != Some(run)
        {
            changes.runs.insert(run.id, (issue.id, run.clone()));
        }
        let shown = shown(loaded, &issue);
        changes.numbers.event += 1;
        changes.events.push(entry.stored(changes.numbers.event, now));
        let live = live(&issue);
        match changes.issues.get_mut(&issue.id) {
            Some(change) => (change.issue, change.shown) = (live.clone(), shown),
            None => {
                changes.issues.insert(issue.id, IssueChange { issue: live.clone(), stored_version, shown });
            }
        }
        loaded.references.insert(issue.reference.clone(), issue.id);
        loaded.issues.insert(issue.id, Ok(live));
        for effect in effects {
            changes.numbers.effect += 1;
            let id = EffectId(changes.numbers.effect);
            changes.effects.push(EffectChange::Add { id, issue: issue.id, effect, now });
        }
        changes.wakes.merge(wakes);
        Applied { issue, repeated: false }
    }

    /// Gives new tasks their position and sorts by it, as a reloaded issue is. A retried task keeps its position.
    fn number(&mut self, issue: &mut Issue) {
        let numbers = &mut self.changes.numbers;
        for task in &issue.tasks {
            self.loaded.tasks.entry(task.id).or_insert_with(|| {
                numbers.task += 1;
                StoredTask { issue: issue.id, seq: numbers.task }
            });
        }
        issue.tasks.sort_by_key(|task| self.loaded.tasks.get(&task.id).map(|stored| stored.seq));
    }
}

/// How lists show the issue after a step: by its running or else its latest task.
fn shown(loaded: &mut Loaded, issue: &Issue) -> Shown {
    let position = |task: &Task| loaded.tasks.get(&task.id).map_or(0, |stored| stored.seq);
    // The latest task is in the issue if it is live, or if the step ended it.
    let newest = issue.tasks.iter().map(|task| LatestTask { seq: position(task), state: Some(task.state) });
    let newest = newest.max_by_key(|task| task.seq);
    let running = issue.running_task().map(|task| LatestTask { seq: position(task), state: Some(task.state) });
    let stored = loaded.latest.get(&issue.id).copied();
    let latest = match (stored, newest) {
        (Some(stored), Some(newest)) if newest.seq < stored.seq => stored,
        (_, Some(newest)) => newest,
        (Some(stored), None) => stored,
        // Every stored issue has had a task.
        (None, None) => LatestTask { seq: 0, state: None },
    };
    loaded.latest.insert(issue.id, latest);
    let shown = running.unwrap_or(latest);
    let shown_as = shown.state.and_then(|state| ShownAs::of(issue, state));
    Shown { latest_task: latest.seq, task: shown.seq, shown_as }
}

/// The issue without the tasks and the run that its last step ended.
fn live(issue: &Issue) -> Issue {
    let mut live = issue.clone();
    live.tasks.retain(|task| !task.state.is_final());
    live.run = live.run.take().filter(|run| !run.state.is_final());
    live
}

/// The number of a local issue is not given to another one, also if the caller chose it.
fn raise_last_number(repo: &mut StoredRepo, issue: &IssueRef) {
    if issue.repo.base.is_local() {
        repo.last_number = repo.last_number.max(issue.number);
    }
}

fn check(precondition: Precondition, issue: &Issue) -> Result<(), StoreError> {
    match precondition {
        Precondition::Idle => match issue.tasks.first() {
            Some(task) => Err(StoreError::IssueBusy { state: task.state.name() }),
            None => Ok(()),
        },
        Precondition::Continuable if issue.state == IssueState::Destroyed => {
            Err(StoreError::NothingToContinue("it was destroyed"))
        }
        Precondition::New if issue.version > 0 => Err(StoreError::Known),
        Precondition::Continuable | Precondition::Any | Precondition::New => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use kugetsu_domain::flow::Loss;
    use kugetsu_domain::ids::{RunId, TaskId};
    use kugetsu_domain::issue::Worktree;
    use kugetsu_domain::reference::{ForgeKind, ProjectPath, RepoRef, ServerBase};
    use kugetsu_domain::run::{Outcome, Run, Usage, Verdict};
    use kugetsu_domain::task::{Task, TaskKind, TaskState};
    use kugetsu_domain::watch::feedback::FeedbackKind;
    use kugetsu_domain::watch::follow::FollowEvent;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::transaction::Plan;
    use crate::view::StoredEvent;
    use crate::write::Settlement;

    /// The tables of a database.
    #[derive(Clone, Debug, Default, PartialEq)]
    struct Tables {
        repos: BTreeMap<RepoRef, StoredRepo>,
        /// Without tasks and runs.
        issues: BTreeMap<IssueId, Issue>,
        tasks: BTreeMap<i64, (IssueId, Task)>,
        runs: BTreeMap<RunId, (IssueId, Run)>,
        events: Vec<StoredEvent>,
        /// By key: with the number of failed executions, `None` if given up.
        effects: BTreeMap<String, (EffectId, Option<u32>)>,
        last_effect: i64,
        shown: BTreeMap<IssueId, Shown>,
    }

    impl Tables {
        fn issue(&self, id: IssueId) -> Option<Issue> {
            let mut issue = self.issues.get(&id)?.clone();
            let tasks = self.tasks.values().filter(|(issue, task)| *issue == id && !task.state.is_final());
            issue.tasks = tasks.map(|(_, task)| task.clone()).collect();
            issue.run =
                self.runs.values().find(|(of, run)| *of == id && !run.state.is_final()).map(|(_, run)| run.clone());
            Some(issue)
        }

        fn load(&self, plan: Plan) -> Loaded {
            let numbers = crate::transaction::Numbers {
                event: self.events.last().map_or(0, |event| event.seq),
                task: self.tasks.keys().last().copied().unwrap_or(0),
                effect: self.last_effect,
            };
            let mut loaded = Loaded { numbers, ..Loaded::default() };
            let repos = plan.repos.into_iter().filter_map(|name| Some((name.clone(), self.repos.get(&name)?.clone())));
            loaded.repos = repos.collect();
            let mut issues = plan.issues;
            for issue in self.issues.values().filter(|issue| plan.references.contains(&issue.reference)) {
                loaded.references.insert(issue.reference.clone(), issue.id);
                issues.insert(issue.id);
            }
            for (seq, (issue, task)) in &self.tasks {
                if plan.tasks.contains(&task.id) {
                    loaded.tasks.insert(task.id, StoredTask { issue: *issue, seq: *seq });
                    issues.insert(*issue);
                }
            }
            let live = self.tasks.iter().filter(|(_, (issue, task))| issues.contains(issue) && !task.state.is_final());
            loaded.tasks.extend(live.map(|(seq, (issue, task))| (task.id, StoredTask { issue: *issue, seq: *seq })));
            loaded.issues = issues.into_iter().filter_map(|id| Some((id, Ok(self.issue(id)?)))).collect();
            for id in loaded.issues.keys() {
                let seq = self.shown[id].latest_task;
                loaded.latest.insert(*id, LatestTask { seq, state: Some(self.tasks[&seq].1.state) });
            }
            let runs = self.runs.values().filter(|(_, run)| plan.runs.contains(&run.id));
            loaded.acknowledged = runs.map(|(_, run)| (run.id, run.acknowledged)).collect();
            loaded
        }

        fn save(&mut self, changes: Changes) {
            for change in changes.repos {
                self.repos.insert(change.name, change.row);
            }
            for (id, change) in changes.issues {
                let stored = self.issues.get(&id).map(|issue| issue.version);
                assert_eq!(stored, change.stored_version, "the row that was loaded");
                self.issues.insert(id, Issue { tasks: vec![], run: None, ..change.issue });
                self.shown.insert(id, change.shown);
            }
            for (seq, change) in changes.tasks {
                let stored = self.tasks.insert(seq, (change.issue, change.task));
                assert_eq!(stored.is_none(), change.is_new);
            }
            self.runs.extend(changes.runs);
            self.events.extend(changes.events);
            self.last_effect = changes.numbers.effect;
            for change in changes.effects {
                match change {
                    EffectChange::Add { id, issue, effect, .. } => {
                        let stored = self.effects.entry(effect.key(issue)).or_insert((id, Some(0)));
                        stored.1 = stored.1.or(Some(0));
                    }
                    EffectChange::Settle(settled) => self.effects.retain(|_, (id, _)| *id != settled),
                    EffectChange::Fail { id: failed, due_at, .. } => {
                        for (_, attempt) in self.effects.values_mut().filter(|(id, _)| *id == failed) {
                            *attempt = due_at.and(attempt.map(|attempt| attempt + 1));
                        }
                    }
                }
            }
        }

        /// How lists show an issue, by reading all its tasks.
        fn scan(&self, issue: &Issue) -> Shown {
            let tasks = || self.tasks.iter().filter(|(_, (of, _))| *of == issue.id);
            let (latest, _) = tasks().next_back().unwrap();
            let running = tasks().find(|(_, (_, task))| task.state == TaskState::Running);
            let (task, (_, shown)) = running.unwrap_or_else(|| tasks().next_back().unwrap());
            let shown_as = match issue.state {
                IssueState::Destroyed => ShownAs::Destroyed,
                _ => ShownAs::Task(shown.state),
            };
            Shown { latest_task: *latest, task: *task, shown_as: Some(shown_as) }
        }

        fn write(&mut self, writes: &[Write]) -> Vec<Result<Answer, StoreError>> {
            let (answers, changes) = apply(self.load(Plan::of(writes)), writes);
            self.save(changes);
            answers
        }

        fn one(&mut self, write: Write) -> Result<Applied, StoreError> {
            match self.write(&[write]).pop().unwrap()? {
                Answer::Applied(applied) => Ok(*applied),
                Answer::Settled(_) => panic!("the write settles an effect"),
            }
        }
    }

    fn uuid(kind: u128, number: u64) -> Uuid {
        Uuid::from_u128(kind << 64 | u128::from(number))
    }

    fn now() -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn repo(name: &str) -> Repo {
        let base = if name == "local" { ServerBase::local() } else { ServerBase::new("https://h").unwrap() };
        Repo {
            name: RepoRef { base, project: ProjectPath::new("a/b").unwrap() },
            kind: None,
            source: format!("/{name}"),
        }
    }

    fn task(number: u64, kind: TaskKind) -> Task {
        Task::queued(TaskId::new(uuid(2, number)), kind, "agent".to_owned(), format!("message {number}"), now())
    }

    /// A different one for every write.
    fn new_issue(repo: &Repo, number: Option<u64>, task: &Task) -> IssueId {
        let number = number.unwrap_or_default() * 2 + u64::from(repo.name.base.is_local());
        IssueId::new(Uuid::from_u128(
            u128::from(number) << 120 | u128::from(task.id.to_string().bytes().map(u64::from).sum::<u64>()),
        ))
    }

    fn enqueue(repo: Repo, number: Option<u64>, task: Task, precondition: Precondition) -> Write {
        let new_issue = new_issue(&repo, number, &task);
        let (title, interrupt) = (String::new(), false);
        let enqueue = Enqueue {
            repo,
            number,
            used_numbers: 0,
            new_issue,
            title,
            pr_url: None,
            watch: None,
            task,
            precondition,
            interrupt,
        };
        Write::Enqueue { enqueue: Box::new(enqueue), now: now() }
    }

    fn event(issue: IssueId, event: Event) -> Write {
        Write::Apply { issue, event: Box::new(event), now: now() }
    }

    fn adopt(repo: Repo, number: u64, task: Task) -> Write {
        let worktree =
            Worktree { directory: "d".to_owned(), branch: "b".to_owned(), base_branch: None, base_sha: None };
        let new_issue = new_issue(&repo, Some(number), &task);
        let event = Event::Adopted { task, worktree, session: None, resumable: false, pr_url: None };
        let adopt = Adopt { repo, number, new_issue, title: String::new(), event };
        Write::Adopt { adopt: Box::new(adopt), now: now() }
    }

    fn outcome(verdict: Verdict) -> Outcome {
        let usage = Usage { cost_usd: Some(0.5), input_tokens: Some(1), output_tokens: Some(2) };
        Outcome { verdict, reason: "r".into(), head_sha: None, commits: 0, pushed: true, usage }
    }

    #[test]
    fn preconditions() {
        let mut tables = Tables::default();
        let start = |number, precondition| enqueue(repo("h"), Some(1), task(number, TaskKind::Start), precondition);
        let unknown = tables.one(start(1, Precondition::Continuable));
        assert!(matches!(unknown, Err(StoreError::NoSuchIssue)), "{unknown:?}");
        let issue = tables.one(start(2, Precondition::Idle)).unwrap().issue.id;
        let busy = tables.one(start(3, Precondition::Idle));
        assert!(matches!(busy, Err(StoreError::IssueBusy { state: "queued" })), "{busy:?}");
        tables.one(start(4, Precondition::Continuable)).unwrap();
        tables.one(start(5, Precondition::Any)).unwrap();
        for number in [2, 4, 5] {
            tables.one(event(issue, Event::CancelRequested { task: TaskId::new(uuid(2, number)) })).unwrap();
        }
        tables.one(event(issue, Event::DestroyRequested)).unwrap();
        tables.one(event(issue, Event::Destroyed { rescue: None, notes: vec![] })).unwrap();
        let destroyed = tables.one(start(6, Precondition::Continuable));
        assert!(matches!(destroyed, Err(StoreError::NothingToContinue(_))), "{destroyed:?}");
        tables.one(start(7, Precondition::Idle)).unwrap();
    }

    #[test]
    fn a_refused_write_changes_nothing() {
        let mut tables = Tables::default();
        let first = enqueue(repo("h"), Some(1), task(1, TaskKind::Start), Precondition::Idle);
        let issue = tables.one(first).unwrap().issue.id;
        tables.one(event(issue, Event::CancelRequested { task: TaskId::new(uuid(2, 1)) })).unwrap();
        tables.one(event(issue, Event::DestroyRequested)).unwrap();
        let before = tables.clone();
        // The repository would be renamed, and the issue be given a pull request.
        let moved = Repo { source: "/elsewhere".to_owned(), kind: Some(ForgeKind::Gitea), ..repo("h") };
        let mut refused = enqueue(moved, Some(1), task(2, TaskKind::Start), Precondition::Any);
        if let Write::Enqueue { enqueue, .. } = &mut refused {
            enqueue.pr_url = Some("https://h/a/b/pulls/1".to_owned());
        }
        assert!(matches!(tables.one(refused.clone()), Err(StoreError::Refused(Refused::BeingDestroyed))));
        assert_eq!(tables, before);
        // As a result of an effect it is not lost: the effect stays.
        let Write::Enqueue { enqueue, .. } = refused else { unreachable!("it is an enqueue") };
        let settlement = Box::new(Settlement { enqueue: vec![*enqueue], ..Settlement::default() });
        let settled = tables.one(Write::Settle { effect: EffectId(1), settlement, now: now() });
        assert!(matches!(settled, Err(StoreError::Refused(Refused::BeingDestroyed))), "{settled:?}");
        assert_eq!(tables, before);
    }

    #[test]
    fn results_of_a_look_that_is_not_the_latest_are_void() {
        let mut tables = Tables::default();
        let mut start = enqueue(repo("h"), Some(1), task(1, TaskKind::Start), Precondition::New);
        if let Write::Enqueue { enqueue, .. } = &mut start {
            enqueue.watch = Some(HandedOver { watch: "api".to_owned(), rule: None });
        }
        let issue = tables.one(start).unwrap().issue.id;
        let look = |tables: &mut Tables| {
            let noticed = event(issue, Event::Followed(FollowEvent::Noticed));
            tables.one(noticed).unwrap().issue.follow.and_then(|follow| follow.look_at).unwrap()
        };
        let (first, second) = (look(&mut tables), look(&mut tables));
        let mut settle = |at, number: u64| {
            let given = task(number, TaskKind::Continue);
            let event = FollowEvent::Given { kind: FeedbackKind::Ci, fingerprint: "c1".to_owned(), task: given.id };
            let Write::Enqueue { enqueue, .. } = enqueue(repo("h"), Some(1), given, Precondition::Continuable) else {
                unreachable!("it is one");
            };
            let events = vec![(issue, Event::Followed(event))];
            let settlement = Box::new(Settlement { events, enqueue: vec![*enqueue], look: Some((issue, at)) });
            let answers = tables.write(&[Write::Settle { effect: EffectId(1), settlement, now: now() }]);
            assert_eq!(answers, [Ok(Answer::Settled(vec![]))]);
            tables.issue(issue).unwrap().tasks.len()
        };
        assert_eq!([settle(first, 2), settle(second, 3), settle(second, 4)], [1, 2, 2]);
    }

    #[test]
    fn local_numbers_skip_adopted_issues() {
        let mut tables = Tables::default();
        tables.one(adopt(repo("local"), 3, task(1, TaskKind::Start))).unwrap();
        let next = enqueue(repo("local"), None, task(2, TaskKind::Start), Precondition::Idle);
        assert_eq!(tables.one(next.clone()).unwrap().issue.reference.number, 4);
        assert!(tables.one(next).unwrap().repeated);
        let next = enqueue(repo("local"), None, task(3, TaskKind::Start), Precondition::Idle);
        assert_eq!(tables.one(next).unwrap().issue.reference.number, 5);
    }

    #[test]
    fn a_damaged_issue_refuses_every_write() {
        let mut tables = Tables::default();
        let first = enqueue(repo("h"), Some(1), task(1, TaskKind::Start), Precondition::Idle);
        let id = tables.one(first.clone()).unwrap().issue.id;
        let writes = [
            first,
            enqueue(repo("h"), Some(1), task(2, TaskKind::Start), Precondition::Any),
            adopt(repo("h"), 1, task(3, TaskKind::Start)),
            event(id, Event::DestroyRequested),
            enqueue(repo("h"), Some(2), task(4, TaskKind::Start), Precondition::Any),
        ];
        let mut loaded = tables.load(Plan::of(&writes));
        loaded.issues.insert(id, Err(StoreError::Damaged { what: "state".to_owned() }));
        let (answers, changes) = apply(loaded, &writes);
        let (last, damaged) = answers.split_last().unwrap();
        assert!(damaged.iter().all(|answer| matches!(answer, Err(StoreError::Damaged { .. }))), "{damaged:?}");
        assert!(last.is_ok());
        assert_eq!(changes.issues.len(), 1);
    }

    /// A write, described by what it is about. [`Story`] turns it into one that fits the state, or nearly so.
    #[derive(Clone, Debug)]
    enum Act {
        Enqueue {
            issue: u64,
            is_local: bool,
            task: u64,
            precondition: Precondition,
            kind: TaskKind,
        },
        EnqueueLocal {
            task: u64,
        },
        Adopt {
            issue: u64,
            is_local: bool,
            task: u64,
        },
        Claim {
            issue: usize,
        },
        Open {
            issue: usize,
            end: u64,
        },
        End {
            issue: usize,
            verdict: Verdict,
            end: u64,
        },
        Lose {
            issue: usize,
        },
        Cancel {
            issue: usize,
        },
        Retry {
            task: u64,
        },
        Destroy {
            issue: usize,
        },
        Destroyed {
            issue: usize,
        },
        /// An earlier write again.
        Repeat {
            back: usize,
        },
        Settle {
            effect: usize,
            ends_run: bool,
            enqueues: Option<u64>,
        },
        Fail {
            effect: usize,
            is_given_up: bool,
        },
    }

    fn act() -> impl Strategy<Value = Act> {
        let preconditions =
            prop::sample::select(vec![Precondition::Idle, Precondition::Continuable, Precondition::Any]);
        let verdicts = prop::sample::select(vec![Verdict::Done, Verdict::Failed, Verdict::Canceled]);
        let kinds = prop::sample::select(vec![TaskKind::Start, TaskKind::Continue]);
        let (issue, task) = (0_usize..4, 0_u64..12);
        prop_oneof![
            4 => (1_u64..4, any::<bool>(), task.clone(), preconditions, kinds).prop_map(
                |(issue, is_local, task, precondition, kind)| Act::Enqueue { issue, is_local, task, precondition, kind }
            ),
            2 => task.clone().prop_map(|task| Act::EnqueueLocal { task }),
            1 => (1_u64..4, any::<bool>(), task.clone()).prop_map(
                |(issue, is_local, task)| Act::Adopt { issue, is_local, task }
            ),
            4 => issue.clone().prop_map(|issue| Act::Claim { issue }),
            2 => (issue.clone(), 1_u64..5).prop_map(|(issue, end)| Act::Open { issue, end }),
            3 => (issue.clone(), verdicts, 1_u64..9).prop_map(|(issue, verdict, end)| Act::End { issue, verdict, end }),
            1 => issue.clone().prop_map(|issue| Act::Lose { issue }),
            1 => issue.clone().prop_map(|issue| Act::Cancel { issue }),
            2 => task.prop_map(|task| Act::Retry { task }),
            1 => issue.clone().prop_map(|issue| Act::Destroy { issue }),
            1 => issue.prop_map(|issue| Act::Destroyed { issue }),
            1 => (0_usize..6).prop_map(|back| Act::Repeat { back }),
            3 => (0_usize..4, any::<bool>(), prop::option::of(0_u64..12))
                .prop_map(|(effect, ends_run, enqueues)| Act::Settle { effect, ends_run, enqueues }),
            1 => (0_usize..4, any::<bool>()).prop_map(|(effect, is_given_up)| Act::Fail { effect, is_given_up }),
        ]
    }

    /// Writes one by one.
    #[derive(Default)]
    struct Story {
        tables: Tables,
        writes: Vec<Write>,
        answers: Vec<Result<Answer, StoreError>>,
    }

    impl Story {
        fn play(&mut self, act: &Act) {
            let Some(write) = self.write(act) else { return };
            self.answers.extend(self.tables.write(std::slice::from_ref(&write)));
            self.writes.push(write);
        }

        fn write(&self, act: &Act) -> Option<Write> {
            let nth = |number: &usize| self.tables.issues.keys().nth(*number).and_then(|id| self.tables.issue(*id));
            let named = |is_local: &bool| repo(if *is_local { "local" } else { "h" });
            let report = |issue: &Issue, event: Event, end: u64| {
                let lease = issue.lease()?;
                Some(Write::Report { lease, event: Box::new(event), end, now: now() })
            };
            Some(match act {
                Act::Enqueue { issue, is_local, task: number, precondition, kind } => {
                    enqueue(named(is_local), Some(*issue), task(*number, *kind), *precondition)
                }
                Act::EnqueueLocal { task: number } => {
                    enqueue(repo("local"), None, task(*number, TaskKind::Start), Precondition::Idle)
                }
                Act::Adopt { issue, is_local, task: number } => {
                    adopt(named(is_local), *issue, task(*number, TaskKind::Start))
                }
                Act::Claim { issue } => {
                    let issue = nth(issue)?;
                    let run = RunId::new(uuid(4, self.writes.len() as u64));
                    event(issue.id, Event::TaskClaimed { task: issue.tasks.first()?.id, run })
                }
                Act::Open { issue, end } => {
                    let issue = nth(issue)?;
                    report(
                        &issue,
                        Event::SessionOpened { lease: issue.lease()?, session: "s".to_owned(), model: None },
                        *end,
                    )?
                }
                Act::End { issue, verdict, end } => {
                    let issue = nth(issue)?;
                    report(&issue, Event::RunEnded { lease: issue.lease()?, outcome: outcome(*verdict) }, *end)?
                }
                Act::Lose { issue } => {
                    let issue = nth(issue)?;
                    event(
                        issue.id,
                        Event::RunnerLost {
                            lease: issue.lease()?,
                            loss: Loss::Disappeared,
                            reason: "killed".to_owned(),
                        },
                    )
                }
                Act::Cancel { issue } => {
                    let issue = nth(issue)?;
                    event(issue.id, Event::CancelRequested { task: issue.tasks.last()?.id })
                }
                Act::Retry { task: number } => {
                    let id = TaskId::new(uuid(2, *number));
                    let (issue, task) = self.tables.tasks.values().find(|(_, task)| task.id == id)?;
                    event(*issue, Event::TaskRetried { task: task.clone() })
                }
                Act::Destroy { issue } => event(nth(issue)?.id, Event::DestroyRequested),
                Act::Destroyed { issue } => event(nth(issue)?.id, Event::Destroyed { rescue: None, notes: vec![] }),
                Act::Settle { effect, ends_run, enqueues } => {
                    let (effect, _) = *self.tables.effects.values().nth(*effect)?;
                    let mut settlement = Settlement::default();
                    if *ends_run {
                        let leases = self.tables.issues.keys().filter_map(|id| self.tables.issue(*id)?.lease());
                        settlement.events = leases
                            .map(|lease| (lease.issue, Event::RunEnded { lease, outcome: outcome(Verdict::Done) }))
                            .collect();
                    }
                    if let Some(number) = enqueues {
                        let report = enqueue(repo("h"), Some(1), task(*number, TaskKind::Start), Precondition::Any);
                        let Write::Enqueue { enqueue, .. } = report else { return None };
                        settlement.enqueue.push(*enqueue);
                    }
                    Write::Settle { effect, settlement: Box::new(settlement), now: now() }
                }
                Act::Fail { effect, is_given_up } => {
                    let (effect, _) = *self.tables.effects.values().nth(*effect)?;
                    Write::EffectFailed { effect, due_at: (!is_given_up).then(now), error: "why".to_owned() }
                }
                Act::Repeat { back } => self.writes.iter().rev().nth(*back)?.clone(),
            })
        }
    }

    proptest! {
        #[test]
        fn any_batching_gives_the_same_result(
            acts in prop::collection::vec(act(), 1..60),
            sizes in prop::collection::vec(1_usize..9, 1..9),
        ) {
            let mut story = Story::default();
            acts.iter().for_each(|act| story.play(act));
            let (mut tables, mut answers, mut rest) = (Tables::default(), Vec::new(), story.writes.as_slice());
            for size in sizes.iter().cycle().take(acts.len()) {
                let (batch, later) = rest.split_at(rest.len().min(*size));
                answers.extend(tables.write(batch));
                rest = later;
            }
            for (index, (batched, alone)) in answers.iter().zip(&story.answers).enumerate() {
                prop_assert_eq!(batched, alone, "write {}: {:?}", index, story.writes[index]);
            }
            prop_assert_eq!(tables, story.tables);
        }

        #[test]
        fn lists_show_what_a_scan_of_the_tasks_shows(
            acts in prop::collection::vec(act(), 1..60),
            sizes in prop::collection::vec(1_usize..9, 1..9),
        ) {
            let mut story = Story::default();
            acts.iter().for_each(|act| story.play(act));
            let (mut tables, mut rest) = (Tables::default(), story.writes.as_slice());
            for size in sizes.iter().cycle().take(acts.len()) {
                let (batch, later) = rest.split_at(rest.len().min(*size));
                tables.write(batch);
                for issue in tables.issues.values() {
                    prop_assert_eq!(tables.shown[&issue.id], tables.scan(issue), "{}", issue.reference);
                }
                rest = later;
            }
        }

        #[test]
        fn seqs_have_no_gaps_and_an_issue_has_one_live_run(acts in prop::collection::vec(act(), 1..60)) {
            let mut story = Story::default();
            acts.iter().for_each(|act| story.play(act));
            let events: Vec<i64> = story.tables.events.iter().map(|event| event.seq).collect();
            prop_assert_eq!(events, (1..=story.tables.events.len() as i64).collect::<Vec<_>>());
            let tasks: Vec<i64> = story.tables.tasks.keys().copied().collect();
            prop_assert_eq!(tasks, (1..=story.tables.tasks.len() as i64).collect::<Vec<_>>());
            let mut live: HashMap<IssueId, usize> = HashMap::new();
            for (issue, _) in story.tables.runs.values().filter(|(_, run)| !run.state.is_final()) {
                *live.entry(*issue).or_default() += 1;
            }
            prop_assert!(live.values().all(|count| *count == 1));
        }
    }
}
