//! Invariants after any sequence of events, sensible or not.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use kugetsu_domain::effect::Effect;
use kugetsu_domain::flow::{Event, Loss};
use kugetsu_domain::ids::{RunId, TaskId};
use kugetsu_domain::issue::{Issue, IssueState, Lease};
use kugetsu_domain::machine::Machine;
use kugetsu_domain::run::Verdict;
use kugetsu_domain::task::{MAX_ATTEMPTS, Task, TaskState};
use proptest::prelude::*;

use crate::world::{World, destroyed, outcome, worktree};

const LOSSES: [Loss; 3] = [Loss::Disappeared, Loss::BeforeTheAgent, Loss::Overdue];

/// One action. Numbers pick one of the known tasks or leases, current or stale.
#[derive(Clone, Debug)]
enum Act {
    Queue,
    Claim(usize),
    Worktree(usize),
    Session(usize),
    SessionLost(usize),
    End(usize, Verdict),
    Pause(usize),
    EndPause(usize),
    Lost(usize),
    Cancel(usize),
    /// With the copy of the task from this long ago.
    Retry(usize),
    Destroy,
    DestroyFailed,
    Destroyed,
}

fn act() -> impl Strategy<Value = Act> {
    let verdict = prop::sample::select(vec![
        Verdict::Done,
        Verdict::Blocked,
        Verdict::Failed,
        Verdict::Timeout,
        Verdict::Canceled,
    ]);
    // Of the leases mostly the newest, which is number 0.
    let lease = || prop_oneof![4 => Just(0_usize), 1 => 0_usize..4];
    prop_oneof![
        3 => Just(Act::Queue),
        4 => (0_usize..4).prop_map(Act::Claim),
        2 => lease().prop_map(Act::Worktree),
        3 => lease().prop_map(Act::Session),
        1 => lease().prop_map(Act::SessionLost),
        4 => (lease(), verdict).prop_map(|(lease, verdict)| Act::End(lease, verdict)),
        3 => lease().prop_map(Act::Pause),
        2 => (0_usize..6).prop_map(Act::EndPause),
        3 => lease().prop_map(Act::Lost),
        2 => (0_usize..6).prop_map(Act::Cancel),
        2 => (0_usize..6).prop_map(Act::Retry),
        2 => Just(Act::Destroy),
        1 => Just(Act::DestroyFailed),
        2 => Just(Act::Destroyed),
    ]
}

/// A world that remembers, to be able to come back with old news.
struct Story {
    world: World,
    queued: Vec<TaskId>,
    leases: Vec<Lease>,
    /// Every copy of a task that had ended.
    copies: Vec<Task>,
}

impl Story {
    fn new() -> Self {
        Self { world: World::new(), queued: Vec::new(), leases: Vec::new(), copies: Vec::new() }
    }

    fn event(&mut self, act: &Act) -> Option<Event> {
        let lease = |number: &usize| self.leases.iter().rev().nth(*number).copied();
        Some(match act {
            Act::Queue => Event::TaskQueued { task: self.world.task() },
            Act::Claim(number) => {
                let task = *self.queued.iter().rev().nth(*number)?;
                Event::TaskClaimed { task, run: RunId::new(self.world.id()) }
            }
            Act::Worktree(number) => Event::WorktreeReady { lease: lease(number)?, worktree: worktree() },
            Act::Session(number) => Event::SessionOpened {
                lease: lease(number)?,
                session: format!("ses_{}", self.leases.len()),
                model: None,
            },
            Act::SessionLost(number) => Event::SessionLost { lease: lease(number)? },
            Act::End(number, verdict) => Event::RunEnded { lease: lease(number)?, outcome: outcome(*verdict) },
            Act::Pause(number) => Event::RunPaused {
                lease: lease(number)?,
                outcome: outcome(Verdict::Paused),
                until: self.world.now + SignedDuration::from_hours(1),
            },
            Act::EndPause(number) => {
                let task = *self.queued.iter().rev().nth(*number)?;
                let paused = self.world.issue.task(task).and_then(|task| task.not_before);
                Event::PauseEnded { task, until: paused.unwrap_or(self.world.now) }
            }
            Act::Lost(number) => Event::RunnerLost {
                lease: lease(number)?,
                loss: LOSSES[number % LOSSES.len()],
                reason: "killed".to_owned(),
            },
            Act::Cancel(number) => Event::CancelRequested { task: *self.queued.iter().rev().nth(*number)? },
            Act::Retry(number) => Event::TaskRetried { task: self.copies.iter().rev().nth(*number)?.clone() },
            Act::Destroy => Event::DestroyRequested,
            Act::DestroyFailed => Event::DestroyFailed { reason: "busy".into() },
            Act::Destroyed => destroyed(),
        })
    }

    fn play(&mut self, act: &Act) {
        let Some(event) = self.event(act) else { return };
        // The store gives a copy of what it has; only between two requests at the same moment is it an older one, and
        // then it is a copy of a task that is alive again.
        if let Event::TaskRetried { task } = &event
            && !self.world.ended.contains(task)
            && self.world.issue.task(task.id).is_none()
        {
            return;
        }
        let before = self.world.issue.clone();
        let Ok((whole, effects)) = self.world.step(event.clone()) else {
            assert_eq!(self.world.issue, before, "a refused step changes nothing");
            return;
        };
        if let Event::TaskQueued { task } = &event {
            self.queued.push(task.id);
        }
        self.leases.extend(effects.iter().filter_map(|effect| match effect {
            Effect::Run(lease) => Some(*lease),
            _ => None,
        }));
        self.copies.extend(whole.tasks.iter().filter(|task| task.state.is_final()).cloned());
        self.check(&event, &before, &whole, &effects);
    }

    fn check(&self, event: &Event, before: &Issue, whole: &Issue, effects: &[Effect]) {
        let issue = &self.world.issue;

        let running: Vec<_> = issue.tasks.iter().filter(|task| task.state == TaskState::Running).collect();
        let worked_on: Vec<_> = issue.live_run().into_iter().map(|run| run.task).collect();
        assert_eq!(running.iter().map(|task| task.id).collect::<Vec<_>>(), worked_on, "a running task <=> a live run");

        assert!(issue.fence >= before.fence, "fences only grow");
        let mut fences = BTreeSet::new();
        assert!(self.leases.iter().all(|lease| fences.insert(lease.fence)), "no two leases have one fence");
        assert!(issue.lease().is_none_or(|lease| lease.fence == issue.fence), "the newest lease holds the issue");

        let alive: Vec<_> = issue.tasks.iter().map(|task| task.id).collect();
        let ended: Vec<_> = self.world.ended.iter().map(|task| task.id).collect();
        let mut all: Vec<_> = alive.iter().chain(&ended).copied().collect();
        all.sort();
        let mut asked = self.queued.clone();
        asked.sort();
        assert_eq!(all, asked, "every task is live or ended, exactly once");

        for task in issue.tasks.iter().chain(&self.world.ended) {
            let attempts = task.attempt.checked_sub(task.pauses).expect("a pause is an attempt");
            assert!(attempts <= MAX_ATTEMPTS, "{task:?}");
            assert!(task.not_before.is_none() || task.state == TaskState::Queued, "{task:?}");
            assert_eq!(task.ended_at.is_some(), task.state.is_final(), "{task:?}");
            assert!(!task.state.is_final() || task.reason.is_some(), "an ended task has a reason: {task:?}");
        }
        if !issue.tasks.is_empty() {
            assert_eq!(issue.state, IssueState::Open, "no task waits on an issue that is being removed");
        }
        if issue.state == IssueState::Destroyed {
            assert!(issue.worktree.is_none());
        }

        let started = effects.iter().filter(|effect| matches!(effect, Effect::Run(_))).count();
        assert_eq!(started == 1, before.lease() != whole.lease() && whole.lease().is_some(), "a new run has a runner");
        let freed = before.live_run().is_some() && issue.live_run().is_none();
        assert!(!freed || event.may_let_a_task_begin(), "a freed slot is used");
        for effect in effects {
            if let Effect::CancelRun { run } = effect {
                assert_eq!(issue.live_run().map(|live| live.id), Some(*run), "only a live run is stopped");
            }
        }
    }

    /// From any state, everything can be brought to an end.
    fn finish(&mut self) {
        if self.world.issue.state == IssueState::Destroying {
            self.world.step(Event::DestroyFailed { reason: "busy".into() }).expect("a removal can fail");
        }
        for _ in 0..self.queued.len() * MAX_ATTEMPTS as usize + 1 {
            if let Some(lease) = self.world.issue.lease() {
                let ended = Event::RunEnded { lease, outcome: outcome(Verdict::Failed) };
                self.world.step(ended).expect("a live run can fail");
            } else if let Some(task) = self.world.issue.tasks.first() {
                let id = task.id;
                self.world.claim(id);
            }
        }
        assert_eq!(self.world.issue.tasks, [], "every task ends");
        if self.world.issue.state == IssueState::Open {
            self.world.step(Event::DestroyRequested).expect("an idle issue can be destroyed");
            self.world.step(destroyed()).expect("a removal can succeed");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_events_loses_a_task_or_a_slot(acts in prop::collection::vec(act(), 1..60)) {
        let mut story = Story::new();
        for act in &acts {
            story.play(act);
        }
        story.finish();
    }
}
