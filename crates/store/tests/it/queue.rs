//! Which tasks can start, in which order, and how they are read back.

use jiff::{SignedDuration, Timestamp};
use kugetsu_domain::effect::EffectKind;
use kugetsu_domain::flow::Event;
use kugetsu_domain::reason::Reason;
use kugetsu_domain::run::{Outcome, RunState, Usage, Verdict};
use kugetsu_domain::task::{Task, TaskState};
use kugetsu_store::error::StoreError;
use kugetsu_store::query::{IssueFilter, ViewFilter, ViewQuery};
use kugetsu_store::write::{Adopt, Enqueue};

use crate::world::{World, continue_work, later, now, start, worktree};

fn with(enqueue: Enqueue, change: impl FnOnce(&mut Task)) -> Enqueue {
    let mut enqueue = enqueue;
    change(&mut enqueue.task);
    enqueue
}

#[tokio::test]
async fn candidates_are_ordered_by_priority_then_age_and_limited_by_slots() {
    let world = World::new().await;
    let mut issues = Vec::new();
    for (number, priority) in [(1, 0), (2, 5), (3, 0), (4, 5), (5, -1)] {
        let enqueue = with(start(number), |task| task.priority = priority);
        issues.push(world.enqueue(enqueue).await.issue);
    }
    let best: Vec<_> = [2, 4, 1, 3, 5].iter().map(|number: &usize| issues[number - 1].id).collect();
    assert_eq!(world.next(10).await, best);
    assert_eq!(world.next(2).await, best[..2]);
    assert_eq!(world.next(0).await, []);
    for (position, id) in best.iter().enumerate() {
        let issue = world.store().issue_by_id(*id).await.unwrap();
        assert_eq!(world.store().queue_position(issue.tasks[0].id).await.unwrap(), Some(position as u64));
    }
}

#[tokio::test]
async fn a_task_waits_for_its_issue_for_the_one_it_comes_after_and_for_a_removal() {
    let world = World::new().await;
    let (first, task) = world.queued(1).await;
    let after = world.enqueue(with(start(2), |task| task.after = Some(first.id))).await.issue;
    let same = world.enqueue(continue_work(1)).await.issue;
    assert_eq!(same.id, first.id);
    assert_eq!(world.next(10).await, [first.id]);

    let lease = world.work(first.id, task).await;
    assert_eq!(world.next(10).await, [], "its issue has a live run");
    assert_eq!(world.store().queue(0).await.unwrap().slots_in_use, 1);
    world.finish(lease, Verdict::Done).await;
    assert_eq!(world.next(10).await, [first.id], "the latest task of the other one is not done");

    let second = world.store().issue_by_id(first.id).await.unwrap().tasks[0].id;
    let lease = world.work(first.id, second).await;
    assert_eq!(world.store().queue(0).await.unwrap().slots_in_use, 0, "a continue needs no slot");
    world.finish(lease, Verdict::Done).await;
    assert_eq!(world.next(10).await, [after.id]);
    assert_eq!(world.store().queue_position(second).await.unwrap(), None);

    world.store().apply(first.id, Event::DestroyRequested, now()).await.unwrap();
    assert_eq!(world.store().issues(IssueFilter::Destroying, 9).await.unwrap().issues[0].id, first.id);
    let refused = world.store().enqueue(continue_work(1), now()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Refused(_)), "{refused}");
    world.store().apply(first.id, Event::Destroyed { rescue: None, notes: vec![] }, now()).await.unwrap();
    let refused = world.store().enqueue(continue_work(1), now()).await.unwrap_err();
    assert!(matches!(refused, StoreError::NothingToContinue(_)), "{refused}");
}

#[tokio::test]
async fn paused_task_begins_only_after_its_pause() {
    let world = World::new().await;
    let (issue, task) = world.queued(1).await;
    let (other, other_task) = world.queued(2).await;
    let lease = world.work(issue.id, task).await;
    let until = now() + SignedDuration::from_hours(5);
    let reason = Reason::from("too many requests").hint("wait");
    let outcome = paused(reason.clone());
    world.store().apply(issue.id, Event::RunPaused { lease, outcome, until }, now()).await.unwrap();
    assert_eq!(world.next(10).await, [other.id]);
    assert_eq!(world.store().queue_position(other_task).await.unwrap(), Some(0), "a paused task is ahead of none");
    let queue = world.store().queue(0).await.unwrap();
    assert_eq!((queue.queued, queue.slots_in_use), (2, 0));
    let view = world.store().view(task).await.unwrap().unwrap();
    assert_eq!((view.task.not_before, view.task.pauses, view.task.reason), (Some(until), 1, Some(reason)));
    let run = view.run.unwrap();
    assert_eq!((run.state, run.outcome.unwrap().usage.input_tokens), (RunState::Paused, Some(7)));
    let effects = world.store().effects_of(issue.id).await.unwrap();
    assert!(effects.iter().any(|effect| effect.kind == Some(EffectKind::EndPause)), "{effects:?}");
    world.store().apply(issue.id, Event::PauseEnded { task, until }, now()).await.unwrap();
    assert_eq!(world.next(10).await, [issue.id, other.id]);
}

#[tokio::test]
async fn pause_of_a_canceled_task_is_logged_as_its_end() {
    let world = World::new().await;
    let (issue, task) = world.queued(1).await;
    let lease = world.work(issue.id, task).await;
    world.store().apply(issue.id, Event::CancelRequested { task }, now()).await.unwrap();
    let until = now() + SignedDuration::from_hours(5);
    let event = Event::RunPaused { lease, outcome: paused("too many requests".into()), until };
    world.store().apply(issue.id, event, now()).await.unwrap();
    let events = world.store().events_after(Some(issue.id), 0, 100).await.unwrap();
    let last = events.last().unwrap();
    assert_eq!((last.kind.as_str(), &last.data["state"]), ("run_ended", &"canceled".into()), "{events:?}");
}

fn paused(reason: Reason) -> Outcome {
    Outcome {
        verdict: Verdict::Paused,
        reason,
        head_sha: None,
        commits: 0,
        pushed: false,
        usage: Usage { input_tokens: Some(7), ..Usage::default() },
    }
}

#[tokio::test]
async fn a_task_after_a_failed_one_stays_queued() {
    let world = World::new().await;
    let (first, task) = world.queued(1).await;
    world.enqueue(with(start(2), |task| task.after = Some(first.id))).await;
    let lease = world.work(first.id, task).await;
    world.finish(lease, Verdict::Failed).await;
    assert_eq!(world.next(10).await, []);
    assert_eq!(world.queued_count().await, 1);
}

#[tokio::test]
async fn a_run_reads_back_as_stored() {
    let mut world = World::new().await;
    let (issue, task) = world.queued(1).await;
    let lease = world.work(issue.id, task).await;
    world.reopen().await;
    let store = world.store();
    assert_eq!(world.running().await.len(), 1);
    assert_eq!(store.issue(lease.run).await.unwrap().map(|found| found.id), Some(issue.id));
    let session = format!("ses_{task}");
    assert_eq!(store.issue(IssueFilter::Session(session)).await.unwrap().map(|found| found.id), Some(issue.id));
    world.finish(lease, Verdict::Blocked).await;
    world.reopen().await;
    let store = world.store();
    assert_eq!(world.running().await, []);
    let view = store.view(issue.id).await.unwrap().unwrap();
    let run = view.run.clone().unwrap();
    let outcome = run.outcome.unwrap();
    assert_eq!((outcome.verdict, outcome.commits), (Verdict::Blocked, 2));
    assert_eq!(outcome.reason, Reason::from("because").hint("type this"));
    assert_eq!((view.usage().cost_usd, view.usage().input_tokens), (Some(0.25), Some(1000)));
    assert_eq!((run.fence, view.task.state), (1, TaskState::Blocked));
    assert_eq!(view.task.reason, Some(Reason::from("because").hint("type this")));
    assert_eq!(store.view(task).await.unwrap().as_ref(), Some(&view));
    let mut listed = store.views(ViewQuery::new(ViewFilter::all_issues())).await.unwrap().views;
    assert_eq!(listed[0].task.message, "", "a list holds no messages");
    listed[0].task.message.clone_from(&view.task.message);
    assert_eq!(listed, [view]);
    assert_eq!(store.issue_by_id(issue.id).await.unwrap().pushed, Some("1".repeat(40)));
    assert_eq!(store.view(task).await.unwrap().map(|view| (view.issue, view.task.attempt)), Some((issue.id, 1)));
    assert_eq!(store.issue(&issue.reference).await.unwrap().map(|found| found.id), Some(issue.id));
}

#[tokio::test]
async fn clean_keeps_what_was_pushed_and_when_the_session_was_used() {
    let mut world = World::new().await;
    let (issue, task) = world.queued(1).await;
    let lease = world.work(issue.id, task).await;
    world.finish(lease, Verdict::Done).await;
    let before = world.store().issue_by_id(issue.id).await.unwrap();
    let next = world.enqueue(continue_work(1)).await.issue.tasks[0].id;
    let cancel = Event::CancelRequested { task: next };
    world.store().apply(issue.id, cancel, now()).await.unwrap();
    assert_eq!(world.store().clean(later(60)).await.unwrap().tasks, 1);
    world.reopen().await;
    let after = world.store().issue_by_id(issue.id).await.unwrap();
    assert_eq!(after.pushed, Some("1".repeat(40)));
    let began = after.session.as_ref().and_then(|session| session.run_started_at);
    assert!(began.is_some_and(|began| began <= now()), "{began:?}");
    assert_eq!(after.session, before.session);
}

#[tokio::test]
async fn clean_deletes_old_tasks_and_events_but_not_the_latest() {
    let world = World::new().await;
    let (issue, task) = world.queued(1).await;
    let old = world.work(issue.id, task).await;
    world.finish(old, Verdict::Failed).await;
    let next = world.enqueue(continue_work(1)).await.issue.tasks[0].id;
    let lease = world.work(issue.id, next).await;
    world.finish(lease, Verdict::Done).await;
    let (waiting, _) = world.queued(2).await;
    let events = world.store().last_event(None, None).await.unwrap();

    let nothing = world.store().clean(Timestamp::from_second(0).unwrap()).await.unwrap();
    assert_eq!((nothing.tasks, nothing.runs.len()), (0, 0));
    let cleaned = world.store().clean(later(60)).await.unwrap();
    assert_eq!((cleaned.tasks, cleaned.runs.len()), (1, 2), "the directory of the latest run goes, too");
    let mut expired = vec![old.run, lease.run];
    expired.sort();
    assert_eq!(world.store().expired_runs().await.unwrap(), expired);
    world.store().runs_removed(vec![old.run]).await.unwrap();
    assert_eq!(world.store().clean(later(60)).await.unwrap().runs, [], "a run expires once");
    assert_eq!(world.store().expired_runs().await.unwrap(), [lease.run]);
    assert!(world.store().has_run(lease.run).await.unwrap(), "the row of the latest run stays");
    let left: Vec<_> = world.tasks(ViewFilter::All).await.iter().map(|view| view.task.id).collect();
    assert_eq!(left[0], next);
    assert_eq!(world.next(9).await, [waiting.id]);
    assert_eq!(world.store().last_event(None, None).await.unwrap(), events);
    let left = world.store().events_after(None, 0, 99).await.unwrap();
    let of: Vec<_> = left.iter().map(|event| event.issue).collect();
    assert_eq!(of, [waiting.id], "the events of a live task stay");
}

#[tokio::test]
async fn expiring_runs_keeps_their_tasks_and_events_and_the_files_of_live_tasks() {
    let world = World::new().await;
    let (issue, task) = world.queued(1).await;
    let ended = world.work(issue.id, task).await;
    world.finish(ended, Verdict::Failed).await;
    let next = world.enqueue(continue_work(1)).await.issue.tasks[0].id;
    let live = world.work(issue.id, next).await;
    let store = world.store();
    let (tasks, events) = (world.tasks(ViewFilter::All).await, store.events_after(None, 0, 99).await.unwrap());

    let found = store.ended_runs().await.unwrap();
    assert_eq!(found.iter().map(|(run, _)| *run).collect::<Vec<_>>(), [ended.run]);
    store.expire_runs(vec![ended.run, live.run]).await.unwrap();
    assert_eq!(store.expired_runs().await.unwrap(), [ended.run]);
    assert_eq!(store.ended_runs().await.unwrap(), []);
    assert_eq!(world.tasks(ViewFilter::All).await, tasks);
    assert_eq!(store.events_after(None, 0, 99).await.unwrap(), events);
    assert!(store.has_run(ended.run).await.unwrap());
}

#[tokio::test]
async fn clean_shrinks_the_file_and_numbers_continue() {
    let mut world = World::new().await;
    for number in 1..=40 {
        let mut start = start(number);
        start.task.message = "x".repeat(60_000);
        let task = start.task.id;
        let issue = world.enqueue(start).await.issue.id;
        let lease = world.work(issue, task).await;
        world.finish(lease, Verdict::Done).await;
        let next = world.enqueue(continue_work(number)).await.issue.tasks[0].id;
        let lease = world.work(issue, next).await;
        world.finish(lease, Verdict::Done).await;
    }
    let last = world.store().last_event(None, None).await.unwrap();
    world.reopen().await;
    let before = std::fs::metadata(world.path()).unwrap().len();
    let cleaned = world.store().clean(later(60)).await.unwrap();
    assert_eq!((cleaned.tasks, cleaned.runs.len()), (40, 80));
    let after = std::fs::metadata(world.path()).unwrap().len();
    assert!(after < before / 4, "{before} -> {after}");
    world.reopen().await;
    assert_eq!(world.store().check().await.unwrap(), Vec::<String>::new());
    world.queued(41).await;
    assert_eq!(world.store().last_event(None, None).await.unwrap(), last + 1);
}

#[tokio::test]
async fn adopted_work_is_stored_once_and_can_be_continued() {
    let mut world = World::new().await;
    let adopt = |number: u64| {
        let start = start(number);
        let event = Event::Adopted {
            task: start.task,
            worktree: worktree(),
            session: Some("ses_old".to_owned()),
            resumable: true,
            pr_url: None,
        };
        Adopt { repo: start.repo, number, new_issue: start.new_issue, title: start.title, event }
    };
    let first = world.store().adopt(adopt(1), now()).await.unwrap();
    assert!(!first.repeated);
    let again = world.store().adopt(adopt(1), now()).await.unwrap();
    assert!(again.repeated && again.issue.id == first.issue.id);
    let (known, _) = world.queued(2).await;
    assert!(world.store().adopt(adopt(2), now()).await.unwrap().repeated, "a known issue stays as it is");
    assert_eq!(world.store().issue_by_id(known.id).await.unwrap().worktree, None);

    world.reopen().await;
    let view = world.store().view(first.issue.id).await.unwrap().unwrap();
    assert_eq!((view.task.state, view.worktree), (TaskState::Blocked, Some(worktree())));
    assert_eq!(view.session.as_deref(), Some("ses_old"));
    assert_eq!(world.next(10).await, [known.id], "adopted work does not start by itself");
    world.enqueue(continue_work(1)).await;
    assert!(world.next(10).await.contains(&first.issue.id));
    assert_eq!(world.store().check().await.unwrap(), Vec::<String>::new());
}
