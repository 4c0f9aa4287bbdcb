//! The rows that a batch of writes needs.

use std::collections::HashSet;

use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::{IssueId, RunId, TaskId};
use kugetsu_domain::reference::{IssueRef, RepoRef};

use crate::write::{Enqueue, Write};

/// Keys of the rows to load. The issues that `references` and `tasks` lead to are loaded as well.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) repos: HashSet<RepoRef>,
    pub(crate) references: HashSet<IssueRef>,
    pub(crate) issues: HashSet<IssueId>,
    /// Tasks that may be stored already.
    pub(crate) tasks: HashSet<TaskId>,
    /// Runs whose reports may have been stored already.
    pub(crate) runs: HashSet<RunId>,
}

impl Plan {
    pub(crate) fn of(writes: &[Write]) -> Self {
        let mut plan = Self::default();
        for write in writes {
            match write {
                Write::Enqueue { enqueue, .. } => plan.enqueue(enqueue),
                Write::Adopt { adopt, .. } => {
                    plan.issue(&adopt.repo.name, Some(adopt.number));
                    plan.tasks.extend(adopt.task());
                }
                Write::Apply { issue, event, .. } => plan.event(*issue, event),
                Write::Settle { settlement, .. } => {
                    settlement.events.iter().for_each(|(issue, event)| plan.event(*issue, event));
                    settlement.enqueue.iter().for_each(|enqueue| plan.enqueue(enqueue));
                    plan.issues.extend(settlement.look.map(|(issue, _)| issue));
                }
                Write::EffectFailed { .. } => {}
                Write::Report { lease, event, .. } => {
                    plan.event(lease.issue, event);
                    plan.runs.insert(lease.run);
                }
            }
        }
        plan
    }

    fn enqueue(&mut self, enqueue: &Enqueue) {
        self.issue(&enqueue.repo.name, enqueue.number);
        self.tasks.insert(enqueue.task.id);
    }

    fn issue(&mut self, repo: &RepoRef, number: Option<u64>) {
        self.repos.insert(repo.clone());
        if let Some(number) = number {
            self.references.insert(IssueRef { repo: repo.clone(), number });
        }
    }

    fn event(&mut self, issue: IssueId, event: &Event) {
        self.issues.insert(issue);
        // It has ended, so it is not among the issue's live tasks.
        if let Event::TaskRetried { task } = event {
            self.tasks.insert(task.id);
        }
    }
}
