//! From a queued task to its end.

use kugetsu_api::task::QueueTarget;
use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::TaskId;
use kugetsu_domain::reason::Reason;
use kugetsu_domain::task::{MAX_ATTEMPTS, TaskKind, TaskState};
use kugetsu_engine::queries::{tasks, why};
use kugetsu_engine::queue;
use kugetsu_store::write::Precondition;
use uuid::Uuid;

use crate::world::{Daemon, World, counts};

#[tokio::test]
async fn task_runs_to_its_end() {
    let world = World::new(3).await;
    let daemon = world.daemon();
    daemon.start(1, "done").await;
    let events = daemon.settled(1).await;
    assert_eq!(events, ["task_queued", "task_claimed", "worktree_ready", "session_opened", "run_ended"]);
    assert_eq!(daemon.state(1).await, "done");
    assert_eq!(world.machine.started(), ["done"]);
}

#[tokio::test]
async fn paused_task_gives_up_its_slot_and_can_be_continued_or_canceled() {
    let world = World::new(1).await;
    let daemon = world.daemon();
    let paused = async |number: u64| {
        daemon.until("the pause", async || daemon.issue(number).await.tasks.first()?.not_before).await;
        daemon.issue(number).await
    };
    let first = daemon.start_with_model(1, "pause", "one/model").await;
    let issue = paused(1).await;
    let other = daemon.start_with_model(2, "done", "another/model").await;
    daemon.settled(2).await;
    assert_eq!(daemon.state(1).await, "queued");
    let why = why::why(&daemon.engine, &issue.reference.to_string(), "/".as_ref()).await.unwrap();
    assert!(why.because[0].starts_with("it waits until 2023-11-1"), "{why:?}");
    assert!(why.because[0].ends_with("the script is pause"), "{why:?}");
    assert_eq!(why.hint.as_deref(), Some("hint of pause"));
    assert!(why.next[0].contains("kugetsu queue retry"), "{why:?}");
    assert_eq!(tasks::position(&daemon.engine, &why.view).await.unwrap(), None);
    // A message waits behind it, and says so.
    daemon.enqueue(1, TaskKind::Continue, "done", Precondition::Continuable).await;
    let behind = why::why(&daemon.engine, &issue.reference.to_string(), "/".as_ref()).await.unwrap();
    assert!(behind.because[2].contains("waits until 2023-11-1"), "{behind:?}");

    daemon.set_time(daemon.engine.clock().now() + jiff::SignedDuration::from_secs(1));
    let changed = queue::retry(&daemon.engine, first).await.unwrap();
    assert_eq!((changed.view.task.not_before, changed.view.task.pauses), (None, 1));
    daemon.settled(1).await;
    assert_eq!(daemon.no_effects(issue.id).await, [], "nothing waits for the rest of the pause");
    assert_eq!(world.machine.started(), ["pause", "done", "pause", "done"]);
    assert!(queue::retry(&daemon.engine, other).await.is_err(), "it is done");

    let canceled = daemon.start(3, "pause").await;
    let issue = paused(3).await;
    queue::cancel(&daemon.engine, canceled).await.unwrap();
    daemon.settled(3).await;
    assert_eq!(daemon.state(3).await, "canceled");
    assert_eq!(daemon.no_effects(issue.id).await, []);
}

#[tokio::test]
async fn hint_of_a_run_is_apart_from_its_reason() {
    let world = World::new(3).await;
    let daemon = world.daemon();
    daemon.start(1, "fail").await;
    daemon.settled(1).await;
    let issue = daemon.issue(1).await.id;
    let reason = Reason::from("the script is fail").hint("hint of fail");
    let view = daemon.store.view(issue).await.unwrap().unwrap();
    assert_eq!(
        (view.task.reason.as_ref(), view.run.unwrap().outcome.map(|run| run.reason)),
        (Some(&reason), Some(reason.clone()))
    );
    let events = daemon.store.events_after(Some(issue), 0, 100).await.unwrap();
    let ended = &events.last().unwrap().data;
    assert_eq!((ended["reason"].as_str(), ended["hint"].as_str()), (Some("the script is fail"), Some("hint of fail")));
    let why = why::why(&daemon.engine, &daemon.reference(1).to_string(), world.home.path()).await.unwrap();
    assert_eq!((why.because, why.hint.as_deref()), (vec!["the script is fail".to_owned()], Some("hint of fail")));
}

#[tokio::test]
async fn slots_are_never_exceeded_and_all_tasks_run() {
    let world = World::new(2).await;
    let daemon = world.daemon();
    for number in 1..=3 {
        daemon.start(number, "wait").await;
    }
    let waiting = daemon.start(4, "done").await;
    let (mut running, mut queued) = (0, 0);
    while running < 2 {
        running = daemon.engine.store().queue(0).await.unwrap().slots_in_use;
        queued = daemon.engine.store().queue(0).await.unwrap().queued;
        tokio::task::yield_now().await;
    }
    assert_eq!((running, queued), (2, 2));
    assert_eq!(daemon.engine.store().queue_position(waiting).await.unwrap(), Some(1));
    for number in 1..=3 {
        let issue = daemon.issue(number).await;
        let task = issue.tasks[0].id;
        daemon.engine.apply(issue.id, Event::CancelRequested { task }).await.unwrap();
        daemon.settled(number).await;
        assert_eq!(daemon.state(number).await, "canceled");
    }
    daemon.settled(4).await;
    assert_eq!(daemon.state(4).await, "done");
}

#[tokio::test]
async fn earlier_task_of_the_issue_comes_first_whatever_was_retried_or_moved() {
    let world = World::new(0).await;
    let daemon = world.daemon();
    daemon.start(2, "other").await;
    let first = daemon.start(1, "first").await;
    let second = daemon.enqueue(1, TaskKind::Start, "second", Precondition::Any).await;
    let issue = daemon.issue(1).await.id;
    // It keeps its number when it is retried, but is queued later.
    let view = daemon.engine.apply(issue, Event::CancelRequested { task: first }).await.unwrap();
    assert_eq!(view.task(first).unwrap().state, TaskState::Canceled);
    daemon.set_time(daemon.engine.clock().now() + std::time::Duration::from_secs(60));
    queue::retry(&daemon.engine, first).await.unwrap();

    let moved = queue::move_task(&daemon.engine, second, QueueTarget::First).await;
    let moved = moved.unwrap();
    assert!(moved.notes[0].contains("an earlier task of"), "{:?}", moved.notes);
    let position = tasks::position(&daemon.engine, &moved.view).await.unwrap();
    assert_eq!(position, Some(2), "behind the other issue's, and behind the first");
    let because = why::why(&daemon.engine, &daemon.reference(1).to_string(), world.home.path()).await.unwrap().because;
    assert!(because.iter().any(|reason| reason.starts_with("1 task of ")), "{because:?}");

    let moved = queue::move_task(&daemon.engine, first, QueueTarget::First).await;
    let moved = moved.unwrap();
    assert_eq!(moved.notes, Vec::<String>::new());
    assert_eq!(tasks::position(&daemon.engine, &moved.view).await.unwrap(), Some(0));
}

#[tokio::test]
async fn runner_that_vanishes_is_retried_a_bounded_number_of_times() {
    let world = World::new(1).await;
    let daemon = world.daemon();
    daemon.start(1, "vanish").await;
    let events = daemon.settled(1).await;
    assert_eq!(counts(&events)["runner_lost"], MAX_ATTEMPTS as usize);
    assert_eq!(daemon.state(1).await, "failed");
    assert_eq!(world.machine.started().len(), MAX_ATTEMPTS as usize);
}

#[tokio::test]
async fn run_that_is_lost_before_the_agent_begins_is_no_attempt() {
    let world = World::new(1).await;
    let daemon = world.daemon();
    daemon.start(1, "vanish-early").await;
    let events = daemon.settled(1).await;
    assert_eq!(daemon.state(1).await, "failed");
    // Ten starts that do not count, and the attempts.
    assert_eq!(counts(&events)["runner_lost"], 10 + MAX_ATTEMPTS as usize);
}

#[tokio::test]
async fn push_needs_no_slot_and_is_there_after_a_restart() {
    let world = World::new(0).await;
    let daemon = world.daemon();
    daemon.enqueue(1, TaskKind::Push, "wait", Precondition::Any).await;
    daemon.until("the runner", async || world.machine.started().first().cloned()).await;
    daemon.enqueue(1, TaskKind::Push, "push", Precondition::Any).await;
    daemon.kill().await;

    let daemon = world.daemon();
    let issue = daemon.issue(1).await;
    let kinds: Vec<TaskKind> = issue.tasks.iter().map(|task| task.kind).collect();
    assert_eq!(kinds, [TaskKind::Push, TaskKind::Push]);
    daemon.engine.apply(issue.id, Event::CancelRequested { task: issue.tasks[0].id }).await.unwrap();
    let events = daemon.settled(1).await;
    assert_eq!(daemon.state(1).await, "done");
    assert_eq!(counts(&events).get("session_opened"), None);
    let view = daemon.store.view(issue.id).await.unwrap().unwrap();
    assert!(view.run.and_then(|run| run.outcome).is_some_and(|outcome| outcome.pushed));
}

#[tokio::test]
async fn cancel_says_what_stays_queued() {
    let world = World::new(0).await;
    let daemon = world.daemon();
    let first = daemon.start(1, "done").await;
    let mut waiting = world.request(TaskId::new(Uuid::now_v7()), 2, TaskKind::Start, "done", Precondition::Any);
    waiting.task.after = Some(daemon.issue(1).await.id);
    daemon.store.enqueue(waiting, daemon.engine.clock().now()).await.unwrap();
    let cancel = async |task: TaskId| queue::cancel(&daemon.engine, task).await.unwrap().notes;
    let notes = cancel(first).await;
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].contains("1 queued task waits for it") && notes[0].contains("acme/api#2`"), "{notes:?}");

    let first = daemon.enqueue(3, TaskKind::Start, "done", Precondition::Any).await;
    let second = daemon.enqueue(3, TaskKind::Start, "done", Precondition::Any).await;
    let notes = cancel(first).await;
    assert!(notes.len() == 1 && notes[0].contains(&second.to_string()), "{notes:?}");
    assert_eq!(cancel(second).await, Vec::<String>::new());
}

#[tokio::test]
async fn lost_push_is_tried_again_like_any_run() {
    let world = World::new(1).await;
    let daemon = world.daemon();
    daemon.enqueue(1, TaskKind::Push, "vanish", Precondition::Any).await;
    let events = daemon.settled(1).await;
    assert_eq!(counts(&events)["runner_lost"], MAX_ATTEMPTS as usize);
    assert_eq!(daemon.state(1).await, "failed");
}

#[tokio::test]
async fn end_of_a_lost_run_is_in_its_records() {
    let world = World::new(1).await;
    let daemon = world.daemon();
    daemon.start(1, "vanish").await;
    daemon.settled(1).await;
    for (run, _) in world.machine.started_runs() {
        let records = std::fs::read_to_string(world.home.run(run).records()).unwrap();
        let last: serde_json::Value = serde_json::from_str(records.lines().last().unwrap()).unwrap();
        assert_eq!((last["type"].as_str(), last["reason"].as_str()), (Some("lost"), Some("its runner ended")));
    }
}

/// Lets time pass, in steps that a runner's limits are looked at in.
async fn pass(daemon: &Daemon, seconds: i64) {
    for _ in 0..seconds / 10 {
        daemon.set_time(daemon.engine.clock().now() + jiff::SignedDuration::from_secs(10));
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

/// Lets far less time pass than a run may take, until the issue's task has ended.
async fn pass_until_the_end(daemon: &Daemon) {
    for _ in 0..300 {
        pass(daemon, 10).await;
        if daemon.issue(1).await.tasks.is_empty() {
            return;
        }
    }
    daemon.settled(1).await;
}

#[tokio::test]
async fn runner_that_does_not_end_its_run_is_killed() {
    let world = World::new(1).await;
    let daemon = world.daemon();
    daemon.start(1, "stuck").await;
    daemon.until("the runner", async || world.machine.started().first().cloned()).await;
    pass(&daemon, 3640).await;
    assert_eq!(daemon.state(1).await, "running");
    pass(&daemon, 60).await;
    daemon.settled(1).await;
    assert_eq!(daemon.state(1).await, "timeout");
    let events = daemon.settled(1).await;
    assert_eq!(events, ["task_queued", "task_claimed", "worktree_ready", "runner_lost"]);
    let reason = daemon.store.view(daemon.issue(1).await.id).await.unwrap().unwrap().task.reason.unwrap().text;
    assert!(reason.contains("time limit of 1h") && reason.contains("was killed"), "{reason}");
    assert!(daemon.no_effects(daemon.issue(1).await.id).await.is_empty(), "the rescue finds nothing");
    assert_eq!(daemon.engine.store().queue(1).await.unwrap().slots_in_use, 0);
}

#[tokio::test]
async fn runner_that_does_not_stop_is_killed() {
    let world = World::new(1).await;
    let daemon = world.daemon();
    let task = daemon.start(1, "stuck").await;
    daemon.until("the runner", async || world.machine.started().first().cloned()).await;
    daemon.engine.apply(daemon.issue(1).await.id, Event::CancelRequested { task }).await.unwrap();
    pass_until_the_end(&daemon).await;
    assert_eq!(daemon.state(1).await, "canceled");
    drop(daemon);

    // The same if an earlier daemon took the request.
    let world = World::new(1).await;
    let daemon = world.daemon();
    let task = daemon.start(1, "stuck").await;
    daemon.until("the runner", async || world.machine.started().first().cloned()).await;
    daemon.engine.apply(daemon.issue(1).await.id, Event::CancelRequested { task }).await.unwrap();
    daemon.kill().await;
    let daemon = world.daemon();
    daemon.until("the effect", async || daemon.issue(1).await.live_run().map(drop)).await;
    pass_until_the_end(&daemon).await;
    assert_eq!(daemon.state(1).await, "canceled");
}

#[tokio::test]
async fn impossible_numbers_of_a_runner_are_bounded() {
    let world = World::new(1).await;
    let daemon = world.daemon();
    daemon.start(1, "numbers").await;
    daemon.settled(1).await;
    assert_eq!(daemon.state(1).await, "done");
    let usage = daemon.store.view(daemon.issue(1).await.id).await.unwrap().unwrap().run.unwrap().outcome.unwrap().usage;
    assert_eq!(usage.cost_usd, None);
    assert!(usage.input_tokens.unwrap() < 1 << 50 && usage.output_tokens.unwrap() < 1 << 50, "{usage:?}");
}

#[tokio::test]
async fn interrupt_cancels_the_run_and_the_message_comes_next() {
    let world = World::new(1).await;
    let daemon = world.daemon();
    daemon.start(1, "wait").await;
    while daemon.issue(1).await.session.is_none() {
        tokio::task::yield_now().await;
    }
    let mut next = crate::world::request(
        kugetsu_domain::ids::TaskId::new(uuid::Uuid::now_v7()),
        1,
        TaskKind::Continue,
        "done",
        Precondition::Continuable,
    );
    next.interrupt = true;
    daemon.engine.store().enqueue(next, daemon.engine.clock().now()).await.unwrap();
    let events = daemon.settled(1).await;
    assert_eq!(counts(&events)["cancel_asked"], 1);
    assert_eq!(world.machine.started(), ["wait", "done"]);
    assert_eq!(daemon.state(1).await, "done");
}

#[tokio::test]
async fn effect_that_fails_is_retried_after_growing_delays_until_it_succeeds() {
    let world = World::new(1).await;
    let daemon = world.daemon();
    // Whether the runner is alive cannot be determined.
    std::fs::remove_dir_all(world.home.runs()).unwrap();
    std::fs::write(world.home.runs(), "in the way").unwrap();
    daemon.start(1, "done").await;
    let issue = daemon.issue(1).await.id;
    let mut delays = Vec::new();
    for attempt in 1..=4 {
        let failed = daemon.failed_effect(issue, attempt).await;
        assert!(failed.error.as_ref().is_some_and(|error| error.contains("lock")), "{failed:?}");
        let delay = failed.due_at.duration_since(daemon.engine.clock().now()).as_secs();
        delays.push(delay);
        daemon.set_time(failed.due_at);
    }
    assert!(delays.iter().zip([1, 2, 4, 8]).all(|(delay, least)| (least..=2 * least).contains(delay)), "{delays:?}");
    let because = why::why(&daemon.engine, &daemon.reference(1).to_string(), world.home.path()).await.unwrap().because;
    let failure = because.iter().find(|reason| reason.contains("tried again at"));
    assert!(failure.is_some_and(|reason| reason.contains(" attempts ") && reason.contains("lock")), "{because:?}");
    assert!(world.machine.started().is_empty());
    std::fs::remove_file(world.home.runs()).unwrap();
    std::fs::create_dir(world.home.runs()).unwrap();
    let events = daemon.settled(1).await;
    assert_eq!(events, ["task_queued", "task_claimed", "worktree_ready", "session_opened", "run_ended"]);
    assert_eq!(world.machine.started(), ["done"]);
    assert_eq!(daemon.no_effects(issue).await, []);
    let because = why::why(&daemon.engine, &daemon.reference(1).to_string(), world.home.path()).await.unwrap().because;
    assert!(because.iter().all(|reason| !reason.contains("tried again")), "{because:?}");
}

#[tokio::test]
async fn tasks_wait_while_the_machine_cannot_start_a_process() {
    let world = World::new(2).await;
    let daemon = world.daemon();
    world.machine.set_full(true);
    let first = daemon.start(1, "done").await;
    daemon.start(2, "done").await;
    let failed = [
        daemon.failed_effect(daemon.issue(1).await.id, 1).await,
        daemon.failed_effect(daemon.issue(2).await.id, 1).await,
    ];
    assert!(failed.iter().all(|effect| !effect.failed), "{failed:?}");
    assert_eq!((daemon.state(1).await, daemon.state(2).await), ("running", "running"));
    // A task that waits like this can be canceled.
    daemon.engine.apply(daemon.issue(1).await.id, Event::CancelRequested { task: first }).await.unwrap();
    let canceled = daemon.settled(1).await;
    assert_eq!(canceled, ["task_queued", "task_claimed", "cancel_asked", "run_ended"]);
    assert_eq!((daemon.state(1).await, daemon.state(2).await), ("canceled", "running"));
    world.machine.set_full(false);
    daemon.settled(2).await;
    assert_eq!((daemon.state(2).await, world.machine.started()), ("done", vec!["done".to_owned()]));
}
