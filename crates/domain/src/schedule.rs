//! The scheduling policy: which of the queued tasks begin now.

use crate::ids::{IssueId, TaskId};
use crate::task::TaskKind;

/// A queued task that could begin: its issue has no run, and the issue it comes after is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub task: TaskId,
    pub issue: IssueId,
    /// Decides whether it takes a slot.
    pub kind: TaskKind,
}

/// Chooses which candidates begin, in the given order (the store lists them by priority, then age).
///
/// `running` is the number of slots in use by live runs, `max` the number of slots. Only `start` takes a slot. Two tasks
/// of one issue never begin together.
pub fn choose(candidates: &[Candidate], running: usize, max: usize) -> Vec<Candidate> {
    let mut free = max.saturating_sub(running);
    let mut chosen: Vec<Candidate> = Vec::new();
    for candidate in candidates {
        if chosen.iter().any(|other| other.issue == candidate.issue) {
            continue;
        }
        if candidate.kind.needs_slot() {
            if free == 0 {
                continue;
            }
            free -= 1;
        }
        chosen.push(candidate.clone());
    }
    chosen
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn candidate(task: u128, issue: u128, kind: TaskKind) -> Candidate {
        Candidate { task: TaskId::new(Uuid::from_u128(task)), issue: IssueId::new(Uuid::from_u128(issue)), kind }
    }

    fn tasks(chosen: &[Candidate]) -> Vec<TaskId> {
        chosen.iter().map(|candidate| candidate.task).collect()
    }

    #[test]
    fn slots_are_filled_in_order_up_to_the_limit() {
        let waiting: Vec<_> = (0..5).map(|n| candidate(n, 100 + n, TaskKind::Start)).collect();
        assert_eq!(choose(&waiting, 0, 3), waiting[..3]);
        assert_eq!(choose(&waiting, 2, 3), waiting[..1]);
        assert_eq!(choose(&waiting, 3, 3), []);
        assert_eq!(choose(&waiting, 9, 3), [], "a lowered limit starts nothing and ends nothing");
    }

    #[test]
    fn a_continue_takes_no_slot() {
        let waiting =
            [candidate(1, 1, TaskKind::Start), candidate(2, 2, TaskKind::Continue), candidate(3, 3, TaskKind::Start)];
        assert_eq!(tasks(&choose(&waiting, 3, 3)), [waiting[1].task]);
        assert_eq!(tasks(&choose(&waiting, 2, 3)), [waiting[0].task, waiting[1].task]);
    }

    #[test]
    fn an_issue_gets_one_run_at_a_time() {
        let waiting = [candidate(1, 1, TaskKind::Start), candidate(2, 1, TaskKind::Continue)];
        assert_eq!(tasks(&choose(&waiting, 0, 9)), [waiting[0].task]);
    }

    #[test]
    fn a_full_queue_does_not_hold_back_tasks_without_slots() {
        let mut waiting: Vec<_> = (0..100).map(|n| candidate(n, 100 + n, TaskKind::Start)).collect();
        waiting.push(candidate(500, 500, TaskKind::Continue));
        assert_eq!(tasks(&choose(&waiting, 3, 3)), [waiting[100].task]);
    }
}
