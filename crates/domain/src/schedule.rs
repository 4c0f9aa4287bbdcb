//! The scheduling choice: which of the waiting tasks begin now. Pure, so that every rule can be tested as a table.

use crate::ids::{IssueId, TaskId};
use crate::task::TaskKind;

/// A queued task that could begin: its issue is free, and what it comes after is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The task.
    pub task: TaskId,
    /// The issue it belongs to.
    pub issue: IssueId,
    /// Whether it takes one of the limited places.
    pub kind: TaskKind,
}

/// Chooses which candidates begin, in their order (priority, then age, as the store lists them).
///
/// `running` is how many limited places are taken by runs that really go on; `max` is how many there are. A `continue`
/// takes no place, nor does the coordinator. Two tasks of one issue never begin together.
pub fn choose(candidates: &[Candidate], running: usize, max: usize) -> Vec<Candidate> {
    let mut free = max.saturating_sub(running);
    let mut chosen: Vec<Candidate> = Vec::new();
    for candidate in candidates {
        if chosen.iter().any(|other| other.issue == candidate.issue) {
            continue;
        }
        if candidate.kind.needs_place() {
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
    fn places_are_filled_in_order_and_never_more_than_there_are() {
        let waiting: Vec<_> = (0..5).map(|n| candidate(n, 100 + n, TaskKind::Start)).collect();
        assert_eq!(choose(&waiting, 0, 3), waiting[..3]);
        assert_eq!(choose(&waiting, 2, 3), waiting[..1]);
        assert_eq!(choose(&waiting, 3, 3), []);
        assert_eq!(choose(&waiting, 9, 3), [], "a lowered limit starts nothing and ends nothing");
    }

    #[test]
    fn a_continue_takes_no_place() {
        let waiting =
            [candidate(1, 1, TaskKind::Start), candidate(2, 2, TaskKind::Continue), candidate(3, 3, TaskKind::Start)];
        assert_eq!(tasks(&choose(&waiting, 3, 3)), [waiting[1].task]);
        assert_eq!(tasks(&choose(&waiting, 2, 3)), [waiting[0].task, waiting[1].task]);
    }

    #[test]
    fn one_issue_never_gets_two_runs() {
        let waiting = [candidate(1, 1, TaskKind::Start), candidate(2, 1, TaskKind::Continue)];
        assert_eq!(tasks(&choose(&waiting, 0, 9)), [waiting[0].task]);
    }

    #[test]
    fn a_full_queue_head_does_not_hold_back_what_needs_no_place() {
        let mut waiting: Vec<_> = (0..100).map(|n| candidate(n, 100 + n, TaskKind::Start)).collect();
        waiting.push(candidate(500, 500, TaskKind::Continue));
        assert_eq!(tasks(&choose(&waiting, 3, 3)), [waiting[100].task]);
    }
}
