//! Limits of model providers: no task of the account starts before the reset, then one tries it first.

use jiff::{SignedDuration, Timestamp};
use kugetsu_domain::task::{MAX_PAUSES, TaskKind};
use kugetsu_engine::pauses::{pause, resume, resume_agent};
use kugetsu_engine::queries::{tasks, why};
use kugetsu_engine::queue::{cancel, retry};
use kugetsu_store::write::Precondition;

use crate::runner::PAUSED_UNTIL;
use crate::world::{Daemon, World};

/// Lets a push run to its end. What could start before it has started then.
async fn push(daemon: &Daemon) {
    daemon.enqueue(900, TaskKind::Push, "push", Precondition::Any).await;
    daemon.settled(900).await;
}

/// The messages of the runs that were started, without pushes.
fn started(world: &World) -> Vec<String> {
    world.machine.started().into_iter().filter(|message| message != "push").collect()
}

async fn paused(daemon: &Daemon, number: u64) -> Timestamp {
    daemon.until("the pause", async || daemon.issue(number).await.tasks.first()?.not_before).await
}

fn pass(daemon: &Daemon, time: SignedDuration) {
    daemon.set_time(daemon.engine.clock().now() + time);
}

async fn is_running(daemon: &Daemon, number: u64) {
    daemon.until("the run", async || (daemon.state(number).await == "running").then_some(())).await;
}

async fn reasons(daemon: &Daemon, number: u64) -> (String, String) {
    let reference = daemon.reference(number).to_string();
    let why = why::why(&daemon.engine, &reference, "/".as_ref()).await.unwrap();
    (why.because.join("\n"), why.next.join("\n"))
}

#[tokio::test]
async fn account_waits_for_the_reset_over_restarts_and_one_task_tries_it_first() {
    let world = World::new(9).await;
    let daemon = world.daemon();
    daemon.start(1, "wait").await;
    is_running(&daemon, 1).await;
    daemon.start(2, "pause").await;
    assert_eq!(paused(&daemon, 2).await, PAUSED_UNTIL);
    pass(&daemon, SignedDuration::from_secs(1));
    daemon.start(3, "answer").await;
    daemon.start(4, "done").await;
    daemon.start(5, "done").await;
    push(&daemon).await;
    assert_eq!(started(&world).len(), 2, "the run in progress continues");
    daemon.kill().await;

    let daemon = world.daemon();
    push(&daemon).await;
    let (because, next) = reasons(&daemon, 3).await;
    assert!(because.contains("scripted is limited by its provider since 2023-11-14"), "{because}");
    assert!(because.contains(", until 2023-11-15") && because.contains("the script is pause"), "{because}");
    assert!(next.contains("`kugetsu resume --agent scripted`"), "{next}");
    let holds = tasks::status(&daemon.engine).await.unwrap().holds;
    assert_eq!((holds.len(), holds[0].name(), holds[0].until), (1, "model_limit", Some(PAUSED_UNTIL)));
    daemon.set_time(PAUSED_UNTIL - SignedDuration::from_millis(1));
    push(&daemon).await;
    assert_eq!(started(&world).len(), 2);

    // No more slots than one: the first of the queue.
    world.change_settings(|settings| settings.agents.max = 2);
    daemon.set_time(PAUSED_UNTIL);
    daemon.until("the first try", async || (started(&world).len() == 3).then_some(())).await;
    push(&daemon).await;
    assert_eq!(started(&world).len(), 3, "one at a time");
    for number in [2, 4, 5] {
        daemon.settled(number).await;
    }
    assert!(tasks::status(&daemon.engine).await.unwrap().holds.is_empty());
}

#[tokio::test]
async fn first_answer_of_the_model_releases_all_and_ends_pauses_that_last_longer() {
    let world = World::new(9).await;
    let daemon = world.daemon();
    daemon.start(1, "pause").await;
    paused(&daemon, 1).await;
    for number in 2..=4 {
        daemon.start(number, "answer").await;
    }
    push(&daemon).await;
    pass(&daemon, SignedDuration::from_secs(1));
    assert!(resume_agent(&daemon.engine, "scripted").await.unwrap().has_changed);
    // The paused task as well, which is the oldest: nothing waits until tomorrow.
    daemon.settled(1).await;
    for number in 2..=4 {
        is_running(&daemon, number).await;
    }
    assert!(daemon.engine.clock().now() < PAUSED_UNTIL);
    for number in 2..=4 {
        cancel(&daemon.engine, daemon.issue(number).await.running_task().unwrap().id).await.unwrap();
        daemon.settled(number).await;
    }
    assert!(!resume_agent(&daemon.engine, "claude").await.unwrap().has_changed);
    assert!(resume_agent(&daemon.engine, "nothing").await.is_err());
}

#[tokio::test]
async fn tasks_wait_while_one_tries_the_account_until_the_model_answers_it() {
    let world = World::new(9).await;
    let daemon = world.daemon();
    daemon.start(1, "limit").await;
    paused(&daemon, 1).await;
    cancel(&daemon.engine, daemon.issue(1).await.tasks[0].id).await.unwrap();
    daemon.start(2, "wait").await;
    daemon.start(3, "answer").await;
    daemon.start(4, "answer").await;
    pass(&daemon, SignedDuration::from_mins(1));
    is_running(&daemon, 2).await;
    push(&daemon).await;
    let (because, _) = reasons(&daemon, 3).await;
    assert!(because.contains("forge.test/acme/api#2 tries it now"), "{because}");
    assert_eq!(started(&world), ["limit", "wait"]);
    // It shows nothing, so that the next one tries.
    cancel(&daemon.engine, daemon.issue(2).await.running_task().unwrap().id).await.unwrap();
    is_running(&daemon, 3).await;
    // While that one runs.
    is_running(&daemon, 4).await;
    assert!(tasks::status(&daemon.engine).await.unwrap().holds.is_empty());
}

#[tokio::test]
async fn wait_without_a_reset_grows_and_never_needs_a_person() {
    let world = World::new(9).await;
    let daemon = world.daemon();
    daemon.start(1, "limit").await;
    daemon.start(2, "done").await;
    let mut last = daemon.engine.clock().now();
    for (number, minutes) in [1, 2, 4, 8, 16, 32, 60, 60].into_iter().chain([60; MAX_PAUSES as usize]).enumerate() {
        let until = daemon
            .until("the next pause", async || {
                let until = daemon.issue(1).await.tasks.first()?.not_before;
                until.filter(|until| *until > last)
            })
            .await;
        // The first two started together.
        assert_eq!(until, last + SignedDuration::from_mins(minutes), "wait {number}");
        last = until;
        daemon.set_time(until);
    }
    assert_eq!(daemon.state(2).await, "done");
    let runs = started(&world).iter().filter(|message| *message == "limit").count();
    assert!(runs > MAX_PAUSES as usize, "{runs}");
}

#[tokio::test]
async fn providers_of_one_agent_are_different_accounts() {
    let world = World::new(9).await;
    let daemon = world.daemon();
    daemon.start_with_model(1, "pause", "anthropic/opus").await;
    paused(&daemon, 1).await;
    pass(&daemon, SignedDuration::from_secs(1));
    daemon.start_with_model(2, "done", "anthropic/sonnet").await;
    daemon.start(3, "done").await;
    daemon.start_with_model(4, "done", "openai/gpt").await;
    daemon.settled(4).await;
    push(&daemon).await;
    assert_eq!(started(&world), ["pause", "done"]);
    for number in [2, 3] {
        let (because, _) = reasons(&daemon, number).await;
        assert!(because.contains("scripted (anthropic) is limited by its provider"), "{because}");
    }
}

#[tokio::test]
async fn retry_of_a_paused_task_tries_the_account_and_a_resume_of_everything_does_not() {
    let world = World::new(9).await;
    let daemon = world.daemon();
    daemon.start(1, "pause").await;
    paused(&daemon, 1).await;
    daemon.start(2, "done").await;
    pass(&daemon, SignedDuration::from_secs(1));
    pause(&daemon.engine, None).await.unwrap();
    resume(&daemon.engine, None).await.unwrap();
    push(&daemon).await;
    assert_eq!(started(&world), ["pause"]);
    retry(&daemon.engine, daemon.issue(1).await.tasks[0].id).await.unwrap();
    daemon.settled(1).await;
    daemon.settled(2).await;
    assert!(daemon.engine.clock().now() < PAUSED_UNTIL);
}

#[tokio::test]
async fn person_who_resumed_an_agent_is_not_forgotten_by_a_restart() {
    let world = World::new(9).await;
    let daemon = world.daemon();
    daemon.start(1, "pause").await;
    paused(&daemon, 1).await;
    pass(&daemon, SignedDuration::from_secs(1));
    pause(&daemon.engine, None).await.unwrap();
    assert!(resume_agent(&daemon.engine, "scripted").await.unwrap().has_changed);
    daemon.kill().await;
    let daemon = world.daemon();
    resume(&daemon.engine, None).await.unwrap();
    daemon.settled(1).await;
    assert!(daemon.engine.clock().now() < PAUSED_UNTIL);
}
