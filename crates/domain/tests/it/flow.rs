//! Single steps: the result of each event in each state.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use kugetsu_domain::effect::Effect;
use kugetsu_domain::flow::{Event, Loss, Refused};
use kugetsu_domain::ids::{RunId, TaskId};
use kugetsu_domain::issue::{Issue, IssueState, Lease};
use kugetsu_domain::machine::Machine;
use kugetsu_domain::pull_request::{PrOrigin, PrState};
use kugetsu_domain::run::{Outcome, RunState, Usage, Verdict};
use kugetsu_domain::session::SessionState;
use kugetsu_domain::task::{MAX_ATTEMPTS, MAX_PAUSES, PAUSE_MAX, Task, TaskKind, TaskState};
use uuid::Uuid;

use crate::world::{World, destroyed, outcome, worktree};

#[test]
fn task_runs_to_its_end() {
    let mut world = World::new();
    let task = world.queue();
    let run = RunId::new(world.id());

    let (issue, effects) = world.step(Event::TaskClaimed { task, run }).unwrap();
    let lease = Lease { issue: issue.id, run, fence: 1 };
    assert_eq!(effects, [Effect::Run(lease)]);
    assert_eq!(issue.lease(), Some(lease));
    assert_eq!((issue.tasks[0].state, issue.tasks[0].attempt), (TaskState::Running, 1));
    assert_eq!(issue.running_task().map(|task| task.id), Some(task));

    let (issue, effects) = world.step(Event::WorktreeReady { lease, worktree: worktree() }).unwrap();
    assert_eq!((issue.worktree, effects), (Some(worktree()), vec![]));

    let (issue, effects) =
        world.step(Event::SessionOpened { lease, session: "ses_1".to_owned(), model: None }).unwrap();
    assert_eq!(effects, []);
    assert_eq!(
        issue.session.as_ref().map(|session| (session.id.as_str(), session.state)),
        Some(("ses_1", SessionState::Open))
    );
    assert_eq!(issue.live_run().map(|run| run.state), Some(RunState::Working));

    let (issue, effects) = world.step(Event::RunEnded { lease, outcome: outcome(Verdict::Done) }).unwrap();
    assert_eq!(effects, [Effect::Report { task, version: 0 }]);
    let ended = &issue.tasks[0];
    assert_eq!(
        (ended.state, ended.reason.clone(), ended.ended_at),
        (TaskState::Done, Some("it is done".into()), Some(world.now))
    );
    assert_eq!(issue.run.map(|run| (run.state, run.ended_at)), Some((RunState::Done, Some(world.now))));
    assert_eq!((world.issue.lease(), world.issue.tasks.len()), (None, 0));
}

#[test]
fn only_a_push_is_done_without_a_session() {
    let mut world = World::new();
    for (kind, is_done) in [(TaskKind::Start, false), (TaskKind::Continue, false), (TaskKind::Push, true)] {
        let task = Task { kind, ..world.task() };
        world.step(Event::TaskQueued { task: task.clone() }).unwrap();
        let lease = world.claim(task.id);
        let ended = world.step(Event::RunEnded { lease, outcome: outcome(Verdict::Done) });
        assert_eq!(ended.is_ok(), is_done, "{kind:?}");
        if !is_done {
            world.step(Event::RunEnded { lease, outcome: outcome(Verdict::Failed) }).unwrap();
        }
    }
    assert_eq!(world.issue.session, None);
    assert!(!TaskKind::Push.needs_slot());
}

#[test]
fn only_a_queued_task_is_moved() {
    let mut world = World::new();
    let task = world.task();
    world.step(Event::TaskQueued { task: task.clone() }).unwrap();
    let (issue, effects) = world.step(Event::TaskMoved { task: task.id, priority: 7 }).unwrap();
    assert_eq!((issue.tasks[0].priority, effects.len()), (7, 0));
    world.claim(task.id);
    let refused = world.step(Event::TaskMoved { task: task.id, priority: 8 }).unwrap_err();
    assert!(refused.to_string().ends_with("is not queued"), "{refused}");
}

#[test]
fn issue_has_one_run_at_a_time() {
    let mut world = World::new();
    let (first, second) = (world.queue(), world.queue());
    let lease = world.work(first);
    let run = RunId::new(world.id());
    assert_eq!(world.step(Event::TaskClaimed { task: second, run }).unwrap_err(), Refused::Busy);
    world.step(Event::RunEnded { lease, outcome: outcome(Verdict::Done) }).unwrap();
    assert_eq!(world.claim(second).fence, 2);
}

fn lost(lease: Lease, loss: Loss) -> Event {
    Event::RunnerLost { lease, loss, reason: "it was killed".to_owned() }
}

#[test]
fn report_with_another_lease_is_stale() {
    let mut world = World::new();
    let task = world.queue();
    let old = world.work(task);
    world.step(Event::RunnerLost { lease: old, loss: Loss::Disappeared, reason: "killed".to_owned() }).unwrap();
    let new = world.claim(task);
    assert!(new.fence > old.fence);
    for lease in [old, Lease { fence: old.fence, ..new }, Lease { fence: new.fence + 1, ..new }] {
        let before = world.issue.clone();
        for event in [
            Event::WorktreeReady { lease, worktree: worktree() },
            Event::SessionOpened { lease, session: "ses_2".to_owned(), model: None },
            Event::SessionLost { lease },
            Event::RunEnded { lease, outcome: outcome(Verdict::Done) },
            Event::RunnerLost { lease, loss: Loss::Disappeared, reason: String::new() },
        ] {
            assert_eq!(world.step(event).unwrap_err(), Refused::Stale { run: lease.run });
        }
        assert_eq!(world.issue, before);
    }
}

#[test]
fn lost_runner_is_retried_a_bounded_number_of_times() {
    let mut world = World::new();
    let task = world.queue();
    for attempt in 1..=MAX_ATTEMPTS {
        let lease = world.work(task);
        let (issue, effects) = world.step(lost(lease, Loss::Disappeared)).unwrap();
        let task = &issue.tasks[0];
        let given_up = vec![Effect::Rescue { run: lease.run }, Effect::Report { task: task.id, version: 0 }];
        assert_eq!((task.attempt, effects), (attempt, if attempt < MAX_ATTEMPTS { vec![] } else { given_up }));
        assert_eq!(issue.run.map(|run| run.state), Some(RunState::Lost));
        let reason = task.reason.as_ref().unwrap().to_string();
        assert!(reason.contains("it was killed"), "{reason}");
        assert_eq!(task.state, if attempt < MAX_ATTEMPTS { TaskState::Queued } else { TaskState::Failed });
    }
    let mut again = world.ended[0].clone();
    again.cancel_requested = true;
    let (issue, _) = world.step(Event::TaskRetried { task: again }).unwrap();
    let task = &issue.tasks[0];
    assert_eq!((task.state, task.attempt, task.cancel_requested), (TaskState::Queued, 0, false));
    assert_eq!((task.ended_at, task.reason.as_ref(), task.queued_at), (None, None, world.now));
}

#[test]
fn run_that_was_lost_before_the_agent_is_no_attempt() {
    let mut world = World::new();
    let task = world.queue();
    for _ in 0..2 * MAX_ATTEMPTS {
        let lease = world.claim(task);
        let (issue, effects) = world.step(lost(lease, Loss::BeforeTheAgent)).unwrap();
        assert_eq!((issue.tasks[0].state, issue.tasks[0].attempt, effects), (TaskState::Queued, 0, vec![]));
    }
    let lease = world.work(task);
    let (issue, _) = world.step(lost(lease, Loss::Disappeared)).unwrap();
    assert_eq!((issue.tasks[0].state, issue.tasks[0].attempt), (TaskState::Queued, 1));
}

fn paused(lease: Lease, until: Timestamp) -> Event {
    Event::RunPaused { lease, outcome: outcome(Verdict::Paused), until }
}

#[test]
fn task_whose_model_is_not_available_waits_and_continues() {
    let mut world = World::new();
    let task = world.queue();
    let lease = world.work(task);
    let until = Timestamp::from_millisecond((world.now + SignedDuration::from_hours(3)).as_millisecond()).unwrap();
    let (issue, effects) = world.step(paused(lease, until)).unwrap();
    assert_eq!(effects, [Effect::EndPause { task, until }]);
    let run = issue.run.unwrap();
    assert_eq!((run.state, run.outcome.unwrap().verdict), (RunState::Paused, Verdict::Paused));
    let waiting = &issue.tasks[0];
    assert_eq!((waiting.state, waiting.not_before, waiting.ended_at), (TaskState::Queued, Some(until), None));
    assert_eq!(waiting.reason, Some("it is paused".into()));
    assert_eq!(issue.session.unwrap().state, SessionState::Open);

    let other = until + SignedDuration::from_secs(1);
    assert_eq!(world.step(Event::PauseEnded { task, until: other }), Err(Refused::NotPaused(task)));
    let (issue, effects) = world.step(Event::PauseEnded { task, until }).unwrap();
    assert_eq!((issue.tasks[0].not_before, issue.tasks[0].reason.clone(), effects), (None, None, vec![]));
    assert_eq!(world.step(Event::PauseEnded { task, until }), Err(Refused::NotPaused(task)));
    let lease = world.work(task);
    world.step(Event::RunEnded { lease, outcome: outcome(Verdict::Done) }).unwrap();
    assert_eq!(world.ended[0].state, TaskState::Done);
}

#[test]
fn pauses_are_bounded_and_are_no_losses() {
    let mut world = World::new();
    let task = world.queue();
    let ages = world.now + SignedDuration::from_hours(24 * 1000);
    for number in 1..=MAX_PAUSES {
        let lease = world.work(task);
        let (issue, _) = world.step(paused(lease, ages)).unwrap();
        let until = issue.tasks[0].not_before.unwrap();
        assert!(until.duration_since(world.now) <= PAUSE_MAX, "{until}");
        assert_eq!(issue.tasks[0].pauses, number);
    }
    let lease = world.work(task);
    let (issue, _) = world.step(lost(lease, Loss::Disappeared)).unwrap();
    assert_eq!(issue.tasks[0].state, TaskState::Queued, "it is the first loss");
    let lease = world.work(task);
    let (issue, effects) = world.step(paused(lease, ages)).unwrap();
    assert!(matches!(effects[..], [Effect::EndPause { .. }]), "the limit of a model's provider ends: {effects:?}");
    assert_eq!(issue.run.unwrap().limited_until, issue.tasks[0].not_before);
    let lease = world.claim(task);
    let (_, effects) = world.step(paused(lease, ages)).unwrap();
    assert_eq!(effects, [Effect::Report { task, version: 0 }]);
    let ended = world.ended[0].clone();
    assert_eq!((ended.state, ended.not_before), (TaskState::Failed, None));
    let reason = ended.reason.as_ref().unwrap().to_string();
    assert!(reason.contains("49 pauses") && reason.contains("it is paused"), "{reason}");
    let (issue, _) = world.step(Event::TaskRetried { task: ended }).unwrap();
    assert_eq!((issue.tasks[0].pauses, issue.tasks[0].attempt), (0, 0));
}

#[test]
fn paused_task_can_be_canceled_and_a_canceled_one_is_not_paused() {
    let mut world = World::new();
    let task = world.queue();
    let lease = world.work(task);
    let until = world.now + SignedDuration::from_hours(1);
    world.step(paused(lease, until)).unwrap();
    world.step(Event::CancelRequested { task }).unwrap();
    assert_eq!((world.ended[0].state, world.ended[0].not_before), (TaskState::Canceled, None));

    let task = world.queue();
    let lease = world.work(task);
    world.step(Event::CancelRequested { task }).unwrap();
    world.step(paused(lease, until)).unwrap();
    assert_eq!(world.ended[1].state, TaskState::Canceled);
}

#[test]
fn overdue_run_is_rescued_and_not_tried_again() {
    let mut world = World::new();
    let task = world.queue();
    let lease = world.work(task);
    let (issue, effects) = world.step(lost(lease, Loss::Overdue)).unwrap();
    assert_eq!(effects, [Effect::Rescue { run: lease.run }, Effect::Report { task, version: 0 }]);
    assert_eq!(issue.run.map(|run| run.state), Some(RunState::Lost));
    assert_eq!(
        (world.ended[0].state, world.ended[0].reason.clone()),
        (TaskState::Timeout, Some("it was killed".into()))
    );
}

#[test]
fn task_can_be_canceled_while_queued_running_or_lost() {
    let mut world = World::new();
    let waiting = world.queue();
    let (_, effects) = world.step(Event::CancelRequested { task: waiting }).unwrap();
    assert_eq!(
        (world.ended[0].state, effects),
        (TaskState::Canceled, vec![Effect::Report { task: waiting, version: 0 }])
    );

    let task = world.queue();
    let lease = world.work(task);
    let (issue, effects) = world.step(Event::CancelRequested { task }).unwrap();
    assert_eq!(effects, [Effect::CancelRun { run: lease.run }]);
    assert!(issue.tasks[0].cancel_requested && issue.tasks[0].state == TaskState::Running);
    world.step(Event::RunEnded { lease, outcome: outcome(Verdict::Canceled) }).unwrap();
    assert_eq!(world.ended[1].state, TaskState::Canceled);

    let task = world.queue();
    let lease = world.work(task);
    world.step(Event::CancelRequested { task }).unwrap();
    let (_, effects) = world.step(lost(lease, Loss::Disappeared)).unwrap();
    assert_eq!(effects, [Effect::Rescue { run: lease.run }, Effect::Report { task, version: 0 }]);
    assert_eq!(world.ended[2].state, TaskState::Canceled, "it is not tried again");

    let unknown = TaskId::new(Uuid::from_u128(999));
    assert_eq!(world.step(Event::CancelRequested { task: unknown }).unwrap_err(), Refused::NoSuchTask(unknown));
}

#[test]
fn run_without_a_session_cannot_be_done() {
    let mut world = World::new();
    let task = world.queue();
    let lease = world.claim(task);
    let refused = world.step(Event::RunEnded { lease, outcome: outcome(Verdict::Done) }).unwrap_err();
    assert_eq!(refused.to_string(), "a starting run cannot be done");
    for verdict in [Verdict::Blocked, Verdict::Failed, Verdict::Timeout, Verdict::Canceled] {
        let mut world = World::new();
        let task = world.queue();
        let lease = world.claim(task);
        world.step(Event::RunEnded { lease, outcome: outcome(verdict) }).unwrap();
        assert_eq!(world.ended[0].state.name(), verdict.name());
    }
}

#[test]
fn session_keeps_what_its_runs_have_used() {
    let mut world = World::new();
    let usage = |cost_usd, tokens: Option<u64>| Usage { cost_usd, input_tokens: tokens, output_tokens: tokens };
    let mut used_after = |usage, session: &str| {
        let task = world.queue();
        let lease = world.claim(task);
        world.step(Event::SessionOpened { lease, session: session.to_owned(), model: None }).unwrap();
        let outcome = Outcome { usage, ..outcome(Verdict::Done) };
        world.step(Event::RunEnded { lease, outcome }).unwrap().0.session.unwrap().used
    };
    assert_eq!(used_after(usage(Some(0.5), Some(10)), "ses_1"), usage(Some(0.5), Some(10)));
    assert_eq!(used_after(usage(None, Some(5)), "ses_1"), usage(Some(0.5), Some(15)), "the next run reports that cost");
    assert_eq!(used_after(usage(Some(0.25), None), "ses_1"), usage(Some(0.75), Some(15)));
    assert_eq!(used_after(usage(Some(0.125), Some(1)), "ses_2"), usage(Some(0.125), Some(1)), "another session");
    assert_eq!(Usage::default().and(usage(Some(1.0), Some(1))), Usage::default(), "what began unknown stays so");
    let task = world.queue();
    let lease = world.claim(task);
    let outcome = Outcome { usage: Usage::ZERO, ..outcome(Verdict::Failed) };
    let (issue, _) = world.step(Event::RunEnded { lease, outcome }).unwrap();
    assert_eq!(issue.session.unwrap().used, usage(Some(0.125), Some(1)), "the run did not open it");
}

#[test]
fn lost_session_is_replaced() {
    let mut world = World::new();
    let task = world.queue();
    let lease = world.work(task);
    world.step(Event::RunEnded { lease, outcome: outcome(Verdict::Done) }).unwrap();
    let task = world.queue();
    let lease = world.claim(task);
    world.step(Event::SessionLost { lease }).unwrap();
    assert_eq!(world.issue.session.as_ref().map(|session| session.state), Some(SessionState::Lost));
    world.step(Event::SessionOpened { lease, session: "ses_2".to_owned(), model: None }).unwrap();
    let session = world.issue.session.clone().unwrap();
    assert_eq!((session.id.as_str(), session.state), ("ses_2", SessionState::Open));
}

#[test]
fn issue_with_live_tasks_cannot_be_destroyed() {
    let mut world = World::new();
    let task = world.queue();
    assert_eq!(world.step(Event::DestroyRequested).unwrap_err(), Refused::TasksWaiting(1));
    let lease = world.work(task);
    assert_eq!(world.step(Event::DestroyRequested).unwrap_err(), Refused::Busy);
    world.step(Event::RunEnded { lease, outcome: outcome(Verdict::Done) }).unwrap();

    let (issue, effects) = world.step(Event::DestroyRequested).unwrap();
    assert_eq!((issue.state, effects), (IssueState::Destroying, vec![Effect::RemoveFiles { version: 0 }]));
    let task = world.task();
    assert_eq!(world.step(Event::TaskQueued { task }).unwrap_err(), Refused::BeingDestroyed);

    let (issue, effects) = world.step(Event::DestroyFailed { reason: "a file is busy".into() }).unwrap();
    assert_eq!((issue.state, effects), (IssueState::Open, vec![]));
    assert_eq!(issue.worktree, Some(worktree()), "what is left stays known");

    world.step(Event::DestroyRequested).unwrap();
    let (issue, _) = world.step(destroyed()).unwrap();
    assert_eq!((issue.state, issue.worktree), (IssueState::Destroyed, None));
    assert_eq!(issue.session.map(|session| session.state), Some(SessionState::Deleted));
    world.queue();
    assert_eq!(world.issue.state, IssueState::Open, "it is started afresh");
}

#[test]
fn restarted_issue_can_be_destroyed_again() {
    let mut world = World::new();
    let task = world.queue();
    let lease = world.work(task);
    world.step(Event::RunEnded { lease, outcome: outcome(Verdict::Done) }).unwrap();
    for _ in 0..2 {
        world.step(Event::DestroyRequested).unwrap();
        world.step(destroyed()).unwrap();
        assert_eq!(world.issue.state, IssueState::Destroyed);
        let task = world.queue();
        world.step(Event::CancelRequested { task }).unwrap();
    }
}

#[test]
fn live_task_cannot_be_retried() {
    let mut world = World::new();
    let id = world.queue();
    let lease = world.work(id);
    world.step(Event::RunEnded { lease, outcome: outcome(Verdict::Failed) }).unwrap();
    let failed = world.ended[0].clone();
    world.step(Event::TaskRetried { task: failed.clone() }).unwrap();
    // Somebody else asked at the same moment, and still holds the failed copy.
    let refused = world.step(Event::TaskRetried { task: failed.clone() }).unwrap_err();
    assert_eq!(refused.to_string(), "a queued task cannot be retried");
    world.claim(id);
    let refused = world.step(Event::TaskRetried { task: failed }).unwrap_err();
    assert_eq!(refused.to_string(), "a running task cannot be retried");
    assert_eq!(world.issue.tasks.len(), 1);
}

#[test]
fn done_task_cannot_be_retried() {
    let mut world = World::new();
    let id = world.queue();
    let lease = world.work(id);
    world.step(Event::RunEnded { lease, outcome: outcome(Verdict::Done) }).unwrap();
    let done = world.ended[0].clone();
    assert_eq!(world.step(Event::TaskRetried { task: done }).unwrap_err().to_string(), "a done task cannot be retried");
}

#[test]
fn adopted_work_is_blocked_and_adopted_once() {
    let mut world = World::new();
    let adopted = |world: &mut World, resumable| Event::Adopted {
        task: world.task(),
        worktree: worktree(),
        session: Some("ses_old".to_owned()),
        resumable,
        pr_url: Some("https://github.com/acme/api/pull/3".to_owned()),
    };
    let event = adopted(&mut world, true);
    let (issue, effects) = world.step(event).unwrap();
    assert_eq!((effects, issue.state), (vec![], IssueState::Open));
    assert_eq!((issue.tasks[0].state, issue.tasks[0].ended_at), (TaskState::Blocked, Some(world.now)));
    assert!(issue.tasks[0].reason.is_some());
    assert_eq!(issue.worktree, Some(worktree()));
    assert_eq!(issue.pr.as_ref().map(|pr| pr.url.as_str()), Some("https://github.com/acme/api/pull/3"));
    assert_eq!(issue.session.map(|session| session.state), Some(SessionState::Open));
    let again = adopted(&mut world, true);
    assert_eq!(world.step(again).unwrap_err(), Refused::Known);
    let next = world.queue();
    world.work(next);

    let mut moved = World::new();
    let event = adopted(&mut moved, false);
    let (issue, _) = moved.step(event).unwrap();
    assert_eq!(issue.session.map(|session| session.state), Some(SessionState::Lost));
}

#[test]
fn named_pull_request_is_never_replaced_by_a_found_one() {
    let mut world = World::new();
    let task = world.queue();
    let lease = world.work(task);
    world.step(Event::RunEnded { lease, outcome: outcome(Verdict::Done) }).unwrap();
    let seen = |url: &str, state| Event::PrChecked { url: url.to_owned(), state };
    let is = |issue: &Issue| issue.pr.as_ref().map(|pr| (pr.url.clone(), pr.origin, pr.state()));
    let (issue, _) = world.step(seen("one", PrState::Merged)).unwrap();
    assert_eq!(is(&issue), Some(("one".to_owned(), PrOrigin::Detected, Some(PrState::Merged))));
    let (issue, _) = world.step(seen("two", PrState::Open)).unwrap();
    assert_eq!(is(&issue), Some(("two".to_owned(), PrOrigin::Detected, Some(PrState::Open))));

    world.step(Event::PrSet { url: "two".to_owned() }).unwrap();
    let (issue, _) = world.step(seen("three", PrState::Open)).unwrap();
    assert_eq!(is(&issue), Some(("two".to_owned(), PrOrigin::Set, Some(PrState::Open))));
    let (issue, _) = world.step(seen("two", PrState::Closed)).unwrap();
    assert_eq!(is(&issue), Some(("two".to_owned(), PrOrigin::Set, Some(PrState::Closed))));
    let (issue, _) = world.step(Event::PrCleared).unwrap();
    assert_eq!(is(&issue), None);

    world.step(seen("four", PrState::Merged)).unwrap();
    world.step(Event::DestroyRequested).unwrap();
    let (issue, _) = world.step(destroyed()).unwrap();
    assert_eq!(is(&issue), None);
    let (issue, _) = world.step(seen("four", PrState::Merged)).unwrap();
    assert_eq!(is(&issue), None, "an answer that comes late");
}

#[test]
fn pushed_run_looks_up_its_pull_request() {
    let mut world = World::new();
    let task = world.queue();
    let lease = world.work(task);
    let outcome = Outcome { pushed: true, ..outcome(Verdict::Done) };
    let (_, effects) = world.step(Event::RunEnded { lease, outcome }).unwrap();
    assert_eq!(effects, [Effect::Report { task, version: 0 }, Effect::FindPullRequest { run: lease.run }]);
}

#[test]
fn effect_keys_are_distinct() {
    let (issue, task) = (World::new().issue.id, TaskId::new(Uuid::from_u128(7)));
    let run = RunId::new(Uuid::from_u128(8));
    let effects = [
        Effect::Run(Lease { issue, run, fence: 1 }),
        Effect::CancelRun { run },
        Effect::FindPullRequest { run },
        Effect::RemoveFiles { version: 1 },
        Effect::RemoveFiles { version: 2 },
        Effect::Report { task, version: 1 },
        Effect::Report { task, version: 2 },
    ];
    let keys: BTreeSet<_> = effects.iter().map(|effect| effect.key(issue)).collect();
    assert_eq!(keys.len(), effects.len());
    assert!(effects.iter().all(|effect| effect.key(issue).starts_with(effect.kind().name())));
}
