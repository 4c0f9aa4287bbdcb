//! Holds: reasons why queued tasks do not start.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use kugetsu_domain::hold::{Headroom, Resource};
use kugetsu_domain::ids::TaskId;
use kugetsu_domain::reference::{ProjectPath, RepoRef};
use kugetsu_domain::task::TaskKind;
use kugetsu_engine::headroom::Unmeasured;
use kugetsu_engine::pauses::{pause, resume};
use kugetsu_engine::queries::{tasks, why};
use kugetsu_engine::queue::cancel;
use kugetsu_store::write::Precondition;
use uuid::Uuid;

use crate::world::{Daemon, World, repo};

/// Waits until the runs of these messages have started.
async fn started(world: &World, daemon: &Daemon, messages: &[&str]) {
    let is_started = async || (world.machine.started() == messages).then_some(());
    daemon.until(&format!("the start of {messages:?}"), is_started).await;
}

/// Lets a push run to its end. What could start before it has started then.
async fn push(daemon: &Daemon, number: u64) {
    daemon.enqueue(number, TaskKind::Push, "push", Precondition::Any).await;
    daemon.settled(number).await;
}

async fn why_not(daemon: &Daemon, number: u64) -> why::Why {
    let reference = daemon.reference(number).to_string();
    why::why(&daemon.engine, &reference, "/".as_ref()).await.unwrap()
}

#[tokio::test]
async fn paused_queue_starts_no_agent_and_keeps_its_order_over_restarts() {
    // A slot is free all the time.
    let world = World::new(2).await;
    let daemon = world.daemon();
    daemon.start(1, "wait").await;
    started(&world, &daemon, &["wait"]).await;
    assert!(pause(&daemon.engine, None).await.unwrap().has_changed);
    let again = pause(&daemon.engine, None).await.unwrap();
    assert!(!again.has_changed && again.pause.is_some(), "{again:?}");
    let message = ["done 2", "done 3", "done 4"];
    for (number, message) in (2..).zip(message) {
        daemon.start(number, message).await;
    }
    daemon.enqueue(1, TaskKind::Continue, "done 1", Precondition::Continuable).await;
    push(&daemon, 9).await;
    assert_eq!(world.machine.started(), ["wait", "push"], "a run in progress continues, and a push needs no agent");
    daemon.kill().await;

    let daemon = world.daemon();
    push(&daemon, 9).await;
    assert_eq!(world.machine.started(), ["wait", "push", "push"]);
    let why = why_not(&daemon, 3).await;
    assert!(why.because[0].starts_with("everything is paused since 2023-11-"), "{why:?}");
    assert_eq!(why.next[0], "resume with `kugetsu resume`");
    let status = tasks::status(&daemon.engine).await.unwrap();
    assert_eq!((status.running, status.queued, status.holds.len()), (1, 4, 1));
    let task = daemon.issue(1).await.running_task().unwrap().id;
    cancel(&daemon.engine, task).await.unwrap();
    daemon.until("the end of the run", async || daemon.issue(1).await.live_run().is_none().then_some(())).await;
    push(&daemon, 8).await;
    for number in 1..=4 {
        assert_eq!(daemon.state(number).await, "queued", "{number}");
    }
    assert_eq!(world.machine.started().len(), 4, "neither the free slot nor the free issue starts an agent");

    world.change_settings(|settings| settings.agents.max = 1);
    let resumed = resume(&daemon.engine, None).await.unwrap();
    assert!(resumed.has_changed && resumed.holds.is_empty(), "{resumed:?}");
    assert!(!resume(&daemon.engine, None).await.unwrap().has_changed);
    for number in 1..=4 {
        daemon.settled(number).await;
    }
    let later = world.machine.started().split_off(4);
    let starts: Vec<&String> = later.iter().filter(|message| *message != "done 1").collect();
    assert_eq!((starts, later.len()), (message.map(str::to_owned).iter().collect(), 4));
}

#[tokio::test]
async fn paused_repository_holds_back_no_other_however_long_its_queue_is() {
    let world = World::new(2).await;
    let daemon = world.daemon();
    pause(&daemon.engine, Some(repo().name)).await.unwrap();
    for number in 1..=20 {
        daemon.start(number, "done held").await;
    }
    let other = RepoRef { project: ProjectPath::new("acme/web").unwrap(), ..repo().name };
    let id = TaskId::new(Uuid::now_v7());
    let mut elsewhere = world.request(id, 1, TaskKind::Start, "done", Precondition::Idle);
    elsewhere.repo.name = other;
    daemon.engine.store().enqueue(elsewhere, daemon.engine.clock().now()).await.unwrap();
    started(&world, &daemon, &["done"]).await;
    let why = why_not(&daemon, 20).await;
    assert!(why.because[0].starts_with("forge.test/acme/api is paused since "), "{why:?}");
    assert_eq!(why.next[0], "resume with `kugetsu resume forge.test/acme/api`");
    // Everything else is not what was paused.
    assert!(!resume(&daemon.engine, None).await.unwrap().has_changed);
    push(&daemon, 30).await;
    assert_eq!(world.machine.started(), ["done", "push"]);
    resume(&daemon.engine, Some(repo().name)).await.unwrap();
    for number in 1..=20 {
        daemon.settled(number).await;
    }
}

#[tokio::test]
async fn quiet_hours_start_no_agent_and_end_on_time() {
    let world = World::new(1).await;
    let now = Timestamp::from_second(1_700_000_000).unwrap().to_zoned(TimeZone::system());
    let time = |hours: i64| now.saturating_add(hours.hours()).strftime("%H:%M").to_string();
    let hours = format!("{}-{}", time(-1), time(2)).parse().unwrap();
    world.change_settings(|settings| settings.queue.quiet_hours = Some(hours));
    let daemon = world.daemon();
    daemon.start(1, "done").await;
    push(&daemon, 9).await;
    let why = why_not(&daemon, 1).await;
    assert!(why.because[0].starts_with("quiet hours until 2023-11-"), "{why:?}");
    assert!(why.next[0].contains("kugetsu config unset queue.quiet_hours"), "{why:?}");
    let until = tasks::status(&daemon.engine).await.unwrap().holds[0].until.unwrap();
    daemon.set_time(until - SignedDuration::from_millis(1));
    push(&daemon, 9).await;
    assert_eq!(world.machine.started(), ["push", "push"]);
    // Nothing else happens then.
    daemon.set_time(until);
    started(&world, &daemon, &["push", "push", "done"]).await;
    assert_eq!(daemon.engine.clock().now(), until);
}

#[tokio::test]
async fn no_agent_starts_below_a_floor_and_it_does_as_soon_as_there_is_enough() {
    let world = World::new(2).await;
    let daemon = world.daemon();
    let left = |memory, pressure, disk| {
        let headroom = Headroom { memory: Some(memory), pressure: Some(pressure), disk: Some(disk) };
        *world.headroom.lock().unwrap() = (headroom, Vec::new());
    };
    let mut number = 0;
    for (headroom, setting) in [
        ((511, 0, 9999), "MiB are available (setting queue.min_memory: 512)"),
        ((9999, 61, 9999), "processes waited for it 61% of the last 10 s"),
        ((9999, 0, 1023), "1023 MiB are free in the home (setting queue.min_disk: 1024)"),
    ] {
        number += 1;
        left(headroom.0, headroom.1, headroom.2);
        // A pass in progress has measured before.
        push(&daemon, 90).await;
        let before = world.machine.started().len();
        daemon.start(number, "done").await;
        push(&daemon, 90).await;
        assert_eq!(world.machine.started().len(), before + 1, "{setting}");
        let why = why_not(&daemon, number).await;
        assert!(why.because[0].starts_with("since 2023-11-") && why.because[0].contains(setting), "{why:?}");
        assert!(why.next[0].contains("kugetsu config set queue.min_"), "{why:?}");
        left(9999, 0, 9999);
        // A pass in progress has measured before, and measures again later.
        let is_done = async || {
            daemon.set_time(daemon.engine.clock().now() + SignedDuration::from_secs(15));
            (daemon.state(number).await == "done").then_some(())
        };
        daemon.until("the start", is_done).await;
    }
    world.change_settings(|settings| (settings.queue.min_memory, settings.queue.min_disk) = (0, 0));
    left(0, 99, 0);
    daemon.start(4, "done").await;
    daemon.settled(4).await;
}

#[tokio::test]
async fn end_of_a_run_is_a_reason_to_measure_again() {
    let world = World::new(2).await;
    let daemon = world.daemon();
    daemon.start(1, "wait").await;
    started(&world, &daemon, &["wait"]).await;
    *world.headroom.lock().unwrap() = (Headroom { memory: Some(1), ..Headroom::default() }, Vec::new());
    push(&daemon, 90).await;
    daemon.start(2, "done").await;
    push(&daemon, 90).await;
    assert_eq!((daemon.state(2).await, world.machine.started().len()), ("queued", 3));
    *world.headroom.lock().unwrap() = (Headroom { memory: Some(9999), ..Headroom::default() }, Vec::new());
    let task = daemon.issue(1).await.running_task().unwrap().id;
    let now = daemon.engine.clock().now();
    cancel(&daemon.engine, task).await.unwrap();
    daemon.settled(2).await;
    assert_eq!(daemon.engine.clock().now(), now);
}

#[tokio::test]
async fn what_cannot_be_measured_is_reported() {
    let world = World::new(2).await;
    let unmeasured = Unmeasured { resource: Resource::Memory, error: "no such file".to_owned() };
    *world.headroom.lock().unwrap() = (Headroom::default(), vec![unmeasured.clone()]);
    let daemon = world.daemon();
    daemon.start(1, "done").await;
    daemon.settled(1).await;
    assert_eq!(daemon.engine.unmeasured(), [unmeasured]);
    world.change_settings(|settings| settings.queue.min_memory = 0);
    push(&daemon, 90).await;
    assert_eq!(daemon.engine.unmeasured(), [], "it has no floor");
}

/// The first three issues.
async fn fail_three_starts(daemon: &Daemon) {
    for number in 1..=3 {
        daemon.start(number, "broken").await;
        daemon.settled(number).await;
    }
    // A pass in progress has read the runs before.
    push(daemon, 90).await;
}

#[tokio::test]
async fn agent_that_fails_at_its_start_is_tried_by_one_task_after_the_other() {
    let world = World::new(3).await;
    let daemon = world.daemon();
    fail_three_starts(&daemon).await;
    for (number, message) in (4..).zip(["wait", "done", "done"]) {
        daemon.start(number, message).await;
    }
    push(&daemon, 90).await;
    assert_eq!(world.machine.started().len(), 5, "three runs and the pushes");
    let why = why_not(&daemon, 5).await;
    assert!(
        why.because[0].contains("the last 3 runs of scripted failed before its model answered, one task tries it at "),
        "{why:?}"
    );
    assert!(why.because[0].ends_with(": the script is broken"), "{why:?}");
    assert!(why.next[0].contains("hint of broken; then test it with `kugetsu agents try scripted`"), "{why:?}");
    let until = daemon.engine.clock().now() + SignedDuration::from_mins(1);
    daemon.set_time(until - SignedDuration::from_millis(1));
    push(&daemon, 90).await;
    assert_eq!(world.machine.started().len(), 6);
    daemon.set_time(until);
    daemon.until("the first try", async || (daemon.state(4).await == "running").then_some(())).await;
    push(&daemon, 90).await;
    assert_eq!((daemon.state(5).await, daemon.state(6).await), ("queued", "queued"), "one at a time");
    // That it was canceled shows nothing, and the next one that it works.
    let task = daemon.issue(4).await.running_task().unwrap().id;
    cancel(&daemon.engine, task).await.unwrap();
    daemon.settled(5).await;
    daemon.settled(6).await;
    assert!(tasks::status(&daemon.engine).await.unwrap().holds.is_empty());
}

#[tokio::test]
async fn agent_that_fails_just_after_it_opened_a_session_is_tried_by_one_task_after_the_other() {
    let world = World::new(9).await;
    let daemon = world.daemon();
    for number in 1..=3 {
        daemon.start(number, "fail").await;
        daemon.settled(number).await;
    }
    push(&daemon, 90).await;
    for (number, message) in (4..).zip(["answer", "wait", "fail"]) {
        daemon.start(number, message).await;
    }
    push(&daemon, 90).await;
    assert_eq!((daemon.state(4).await, daemon.state(5).await), ("queued", "queued"));
    daemon.set_time(daemon.engine.clock().now() + SignedDuration::from_mins(1));
    // The first answer of the model is enough: that run continues.
    daemon.until("the second start", async || (daemon.state(5).await == "running").then_some(())).await;
    assert_eq!(daemon.state(4).await, "running");
    daemon.settled(6).await;
    daemon.start(7, "done").await;
    daemon.settled(7).await;
}

#[tokio::test]
async fn person_who_resumes_lets_an_agent_start_that_failed() {
    let world = World::new(3).await;
    let daemon = world.daemon();
    fail_three_starts(&daemon).await;
    daemon.start(4, "done").await;
    push(&daemon, 90).await;
    assert_eq!(daemon.state(4).await, "queued");
    assert!(resume(&daemon.engine, None).await.unwrap().has_changed);
    daemon.settled(4).await;
}
