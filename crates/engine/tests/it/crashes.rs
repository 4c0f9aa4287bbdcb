//! The daemon dies at any point: nothing is lost, and nothing visible happens twice.

use kugetsu_store::open::{self, Opened};

use crate::world::{Daemon, World, counts};

/// Checks an issue whose only task ran to its end.
async fn ran_once(world: &World, daemon: &Daemon, message: &str) {
    let events = daemon.settled(1).await;
    let counts = counts(&events);
    for event in ["task_queued", "task_claimed", "worktree_ready", "session_opened", "run_ended"] {
        assert_eq!(counts.get(event), Some(&1), "{event} in {events:?}");
    }
    assert_eq!(world.machine.started(), [message], "the runner is started once");
    daemon.no_effects(1).await;
}

#[tokio::test]
async fn daemon_that_dies_before_it_starts_a_run_loses_nothing() {
    let world = World::new(1).await;
    let daemon = world.daemon();
    let issue = {
        // The task is claimed, and no daemon executes the effect.
        daemon.kill().await;
        let Opened { store, closed } = open::open(&world.home.database()).unwrap();
        let task = store
            .enqueue(
                crate::world::request(
                    kugetsu_domain::ids::TaskId::new(uuid::Uuid::now_v7()),
                    1,
                    kugetsu_domain::task::TaskKind::Start,
                    "done",
                    kugetsu_store::write::Precondition::Idle,
                ),
                jiff::Timestamp::UNIX_EPOCH,
            )
            .await
            .unwrap()
            .issue;
        let run = kugetsu_domain::ids::RunId::new(uuid::Uuid::now_v7());
        let event = kugetsu_domain::flow::Event::TaskClaimed { task: task.tasks[0].id, run };
        let issue = store.apply(task.id, event, jiff::Timestamp::UNIX_EPOCH).await.unwrap().issue;
        drop(store);
        closed.await.unwrap();
        issue
    };
    assert!(issue.live_run().is_some());
    assert!(world.machine.started().is_empty());
    let daemon = world.daemon();
    ran_once(&world, &daemon, "done").await;
}

#[tokio::test]
async fn run_continues_without_a_daemon_and_is_reported_to_the_next_one() {
    let world = World::new(1).await;
    let daemon = world.daemon();
    daemon.start(1, "done").await;
    while world.machine.started().is_empty() {
        tokio::task::yield_now().await;
    }
    daemon.kill().await;
    let daemon = world.daemon();
    ran_once(&world, &daemon, "done").await;
}
