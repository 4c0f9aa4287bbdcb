//! The scheduling policy: which of the queued tasks begin now.

use std::time::Duration;

use jiff::Timestamp;

use crate::budget::Start;
use crate::hold::Hold;
use crate::ids::{IssueId, TaskId};
use crate::reference::{IssueRef, RepoRef};
use crate::task::TaskKind;

/// A queued task that could begin: its issue has no run, and the issue it comes after is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub task: TaskId,
    pub issue: IssueId,
    /// Decides whether it takes a slot.
    pub kind: TaskKind,
    pub repo: RepoRef,
    /// The name of the agent profile.
    pub agent: String,
    pub model: Option<String>,
}

impl Candidate {
    /// Its start, as far as holds depend on it.
    pub fn start(&self) -> Start<'_> {
        Start {
            kind: self.kind,
            repo: &self.repo,
            issue: Some(self.issue),
            agent: &self.agent,
            model: self.model.as_deref(),
        }
    }
}

/// Chooses which candidates begin, in the given order (the store lists them by priority, then age).
///
/// `running` is the number of slots in use by live runs, `max` the number of slots. Only `start` takes a slot. Two tasks
/// of one issue never begin together. Of the candidates that a hold lets start one by one, the first is chosen.
pub fn choose(candidates: &[Candidate], holds: &[Hold], running: usize, max: usize) -> Vec<Candidate> {
    let mut free = max.saturating_sub(running);
    let mut chosen: Vec<Candidate> = Vec::new();
    let one_by_one: Vec<&Hold> = holds.iter().filter(|hold| hold.lets_one_start()).collect();
    for candidate in candidates {
        let is_second = |hold: &&Hold| {
            hold.concerns(&candidate.start()) && chosen.iter().any(|other| hold.concerns(&other.start()))
        };
        if one_by_one.iter().any(is_second) {
            continue;
        }
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

/// Work that could begin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Number of queued tasks that have a free slot.
    pub tasks: usize,
    /// Issues of watched repositories that meet every condition and have no task.
    pub issues: Vec<IssueRef>,
}

/// Work that could begin, while nothing has for some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stall {
    pub since: Timestamp,
    pub work: Work,
}

/// Notices that nothing begins although something could.
#[derive(Clone, Debug, Default)]
pub struct StallAlarm {
    /// Since when there was work all the time.
    since: Option<Timestamp>,
}

impl StallAlarm {
    /// Takes note of the work that there is now. `last_start` is when a task began the last time. Returns the stall once it lasts
    /// for `after`; zero is never.
    pub fn note(
        &mut self,
        work: Work,
        last_start: Option<Timestamp>,
        after: Duration,
        now: Timestamp,
    ) -> Option<Stall> {
        if work == Work::default() {
            self.since = None;
            return None;
        }
        // A clock that was set back makes nothing older.
        let since = self.since.map_or(now, |since| since.min(now)).max(last_start.unwrap_or(Timestamp::MIN));
        self.since = Some(since);
        let lasts = u128::try_from(now.duration_since(since).as_millis()).unwrap_or_default();
        (!after.is_zero() && lasts >= after.as_millis()).then_some(Stall { since, work })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn candidate(task: u128, issue: u128, kind: TaskKind) -> Candidate {
        let repo = IssueRef::coordinator().repo;
        Candidate {
            task: TaskId::new(Uuid::from_u128(task)),
            issue: IssueId::new(Uuid::from_u128(issue)),
            kind,
            repo,
            agent: "a".to_owned(),
            model: None,
        }
    }

    fn tasks(chosen: &[Candidate]) -> Vec<TaskId> {
        chosen.iter().map(|candidate| candidate.task).collect()
    }

    #[test]
    fn slots_are_filled_in_order_up_to_the_limit() {
        let waiting: Vec<_> = (0..5).map(|n| candidate(n, 100 + n, TaskKind::Start)).collect();
        assert_eq!(choose(&waiting, &[], 0, 3), waiting[..3]);
        assert_eq!(choose(&waiting, &[], 2, 3), waiting[..1]);
        assert_eq!(choose(&waiting, &[], 3, 3), []);
        assert_eq!(choose(&waiting, &[], 9, 3), [], "a lowered limit starts nothing and ends nothing");
    }

    #[test]
    fn a_continue_takes_no_slot() {
        let waiting =
            [candidate(1, 1, TaskKind::Start), candidate(2, 2, TaskKind::Continue), candidate(3, 3, TaskKind::Start)];
        assert_eq!(tasks(&choose(&waiting, &[], 3, 3)), [waiting[1].task]);
        assert_eq!(tasks(&choose(&waiting, &[], 2, 3)), [waiting[0].task, waiting[1].task]);
    }

    #[test]
    fn an_issue_gets_one_run_at_a_time() {
        let waiting = [candidate(1, 1, TaskKind::Start), candidate(2, 1, TaskKind::Continue)];
        assert_eq!(tasks(&choose(&waiting, &[], 0, 9)), [waiting[0].task]);
    }

    #[test]
    fn a_full_queue_does_not_hold_back_tasks_without_slots() {
        let mut waiting: Vec<_> = (0..100).map(|n| candidate(n, 100 + n, TaskKind::Start)).collect();
        waiting.push(candidate(500, 500, TaskKind::Continue));
        assert_eq!(tasks(&choose(&waiting, &[], 3, 3)), [waiting[100].task]);
    }

    #[test]
    fn stall_is_reported_when_it_has_lasted_and_ends_with_a_start() {
        let at = |minute: i64| Timestamp::from_second(minute * 60).unwrap();
        let half_hour = Duration::from_secs(1800);
        let work = || Work { tasks: 2, issues: Vec::new() };
        let mut alarm = StallAlarm::default();
        assert_eq!(alarm.note(work(), None, half_hour, at(0)), None);
        assert_eq!(alarm.note(work(), None, half_hour, at(29)), None);
        assert_eq!(alarm.note(work(), None, half_hour, at(30)), Some(Stall { since: at(0), work: work() }));
        assert_eq!(alarm.note(work(), None, Duration::ZERO, at(300)), None, "it is off");
        assert_eq!(alarm.note(work(), Some(at(299)), half_hour, at(301)), None, "a task began");
        assert_eq!(alarm.note(work(), Some(at(299)), half_hour, at(329)).unwrap().since, at(299));
        assert_eq!(alarm.note(Work::default(), Some(at(299)), half_hour, at(400)), None, "nothing could begin");
        assert_eq!(alarm.note(work(), Some(at(299)), half_hour, at(401)), None);
        assert_eq!(alarm.note(work(), Some(at(299)), half_hour, at(380)), None, "the clock was set back");
        assert_eq!(alarm.note(work(), Some(at(299)), half_hour, at(409)), None);
        assert!(alarm.note(work(), Some(at(299)), half_hour, at(410)).is_some());
    }
}
