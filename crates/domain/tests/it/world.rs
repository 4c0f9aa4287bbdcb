//! Moves an issue as the store does: ended tasks and runs are dropped after each step.

use jiff::{SignedDuration, Timestamp};
use kugetsu_domain::effect::Effect;
use kugetsu_domain::flow::{Event, Refused, step};
use kugetsu_domain::ids::{IssueId, RunId, TaskId};
use kugetsu_domain::issue::{Issue, Lease, Worktree};
use kugetsu_domain::machine::Machine;
use kugetsu_domain::reference::{IssueRef, ProjectPath, RepoRef, ServerBase};
use kugetsu_domain::run::{Outcome, Usage, Verdict};
use kugetsu_domain::task::{Task, TaskKind};
use uuid::Uuid;

pub(crate) struct World {
    /// Live tasks and run only.
    pub(crate) issue: Issue,
    /// Ended tasks, newest last; a retried one is removed again.
    pub(crate) ended: Vec<Task>,
    pub(crate) now: Timestamp,
    ids: u128,
}

impl World {
    pub(crate) fn new() -> Self {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let issue = Issue::new(IssueId::new(Uuid::from_u128(1)), reference("acme/api", 7), "title".to_owned(), now);
        Self { issue, ended: Vec::new(), now, ids: 1 }
    }

    /// Moves the issue. Returns it with the tasks and the run that the step ended, and the effects.
    pub(crate) fn step(&mut self, event: Event) -> Result<(Issue, Vec<Effect>), Refused> {
        self.now += SignedDuration::from_secs(1);
        let (whole, effects) = step(self.issue.clone(), event.clone(), self.now)?;
        if let Event::TaskRetried { task } = &event {
            self.ended.retain(|ended| ended.id != task.id);
        }
        self.issue = whole.clone();
        self.issue.tasks.retain(|task| !task.state.is_final());
        self.issue.run = self.issue.run.take().filter(|run| !run.state.is_final());
        self.ended.extend(whole.tasks.iter().filter(|task| task.state.is_final()).cloned());
        Ok((whole, effects))
    }

    pub(crate) fn queue(&mut self) -> TaskId {
        let task = self.task();
        self.step(Event::TaskQueued { task: task.clone() }).unwrap();
        task.id
    }

    pub(crate) fn claim(&mut self, task: TaskId) -> Lease {
        let run = RunId::new(self.id());
        self.step(Event::TaskClaimed { task, run }).unwrap();
        self.issue.lease().unwrap()
    }

    /// Claims the task and opens its session.
    pub(crate) fn work(&mut self, task: TaskId) -> Lease {
        let lease = self.claim(task);
        self.step(Event::WorktreeReady { lease, worktree: worktree() }).unwrap();
        self.step(Event::SessionOpened { lease, session: "ses_1".to_owned(), model: None }).unwrap();
        lease
    }

    /// Returns a task that is not queued yet.
    pub(crate) fn task(&mut self) -> Task {
        let id = TaskId::new(self.id());
        Task::queued(id, TaskKind::Start, "opencode".to_owned(), "do it".to_owned(), self.now)
    }

    pub(crate) fn id(&mut self) -> Uuid {
        self.ids += 1;
        Uuid::from_u128(self.ids)
    }
}

pub(crate) fn reference(project: &str, number: u64) -> IssueRef {
    let base = ServerBase::new("https://github.com").unwrap();
    IssueRef { repo: RepoRef { base, project: ProjectPath::new(project).unwrap() }, number }
}

pub(crate) fn worktree() -> Worktree {
    Worktree {
        directory: "github.com-acme-api-7".to_owned(),
        branch: "kugetsu/7-title".to_owned(),
        base_branch: Some("main".to_owned()),
        base_sha: None,
    }
}

pub(crate) fn outcome(verdict: Verdict) -> Outcome {
    Outcome {
        verdict,
        reason: format!("it is {}", verdict.name()).into(),
        head_sha: None,
        commits: 0,
        pushed: false,
        usage: Usage::default(),
    }
}

pub(crate) fn destroyed() -> Event {
    Event::Destroyed { rescue: None, notes: vec![] }
}
