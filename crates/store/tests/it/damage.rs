//! Rows that somebody's hand or disk has damaged: set aside, told, and in nobody's way.

use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::{IssueId, RunId, TaskId};
use kugetsu_domain::run::Verdict;
use kugetsu_store::error::StoreError;
use uuid::Uuid;

use crate::world::{World, now, start};

/// Three issues with a queued task each, and one with a run; the first is damaged by `hurt`, given issue and task.
async fn damaged(hurt: impl Fn(IssueId, TaskId) -> String) -> (World, [IssueId; 3], TaskId) {
    let mut world = World::new().await;
    let (first, task) = world.queued(1).await;
    let (second, _) = world.queued(2).await;
    let (third, third_task) = world.queued(3).await;
    world.work(third.id, third_task).await;
    world.by_hand(&hurt(first.id, task)).await;
    (world, [first.id, second.id, third.id], task)
}

/// The rest goes on, and a person is told what is wrong: with which words.
async fn rest_goes_on(world: &World, healthy: [IssueId; 2], words: &[&str]) {
    let store = world.store();
    let told = store.damaged().await.unwrap();
    assert!(!told.is_empty() && words.iter().all(|word| told.iter().any(|line| line.contains(word))), "{told:?}");

    // With a single place: what is damaged must not stand before it.
    let mut passed_over = 0;
    let candidate = loop {
        let candidates = store.candidates(1 + passed_over).await.unwrap();
        let candidate = candidates.get(passed_over).expect("a healthy task is never out of reach").clone();
        let claimed = Event::TaskClaimed { task: candidate.task, run: RunId::new(Uuid::now_v7()) };
        match store.apply(candidate.issue, claimed, now()).await {
            Ok(_) => break candidate,
            Err(StoreError::Damaged { what }) => assert!(!what.is_empty()),
            Err(other) => panic!("{other}"),
        }
        passed_over += 1;
    };
    assert_eq!(candidate.issue, healthy[0]);

    let running: Vec<_> = store.running().await.unwrap().iter().map(|issue| issue.id).collect();
    assert_eq!(running.len(), 2, "{running:?}");
    assert!(healthy.iter().all(|id| running.contains(id)));
    for list in [store.queue(true).await.unwrap(), store.latest_runs().await.unwrap()] {
        assert!(healthy.iter().all(|id| list.iter().any(|view| view.issue == *id)), "{list:?}");
    }
    let lease = store.issue_by_id(healthy[0]).await.unwrap().lease().unwrap();
    world.store().apply(healthy[0], Event::SessionOpened { lease, session: "s".to_owned() }, now()).await.unwrap();
    world.finish(lease, Verdict::Done).await;
    world.queued(9).await;
}

#[tokio::test]
async fn a_task_whose_identifier_is_damaged() {
    let (world, [_, second, third], _) =
        damaged(|_, task| format!("UPDATE tasks SET id = 'not an id' WHERE id = '{task}'")).await;
    rest_goes_on(&world, [second, third], &["task not an id", "t_id"]).await;
}

#[tokio::test]
async fn a_task_whose_kind_or_state_is_damaged() {
    for column in ["kind", "state"] {
        let hurt = |_, task: TaskId| format!("UPDATE tasks SET {column} = 'nonsense' WHERE id = '{task}'");
        let (world, [_, second, third], task) = damaged(hurt).await;
        let words = [format!("task {task}"), format!("t_{column}"), "nonsense".to_owned()];
        rest_goes_on(&world, [second, third], &words.each_ref().map(String::as_str)).await;
    }
}

#[tokio::test]
async fn a_task_whose_numbers_are_damaged() {
    for (column, value) in [("attempt", "-1"), ("queued_at", "9223372036854775807"), ("after", "'x'")] {
        let hurt = |_, task: TaskId| format!("UPDATE tasks SET {column} = {value} WHERE id = '{task}'");
        let (world, [first, second, third], task) = damaged(hurt).await;
        let error = world.store().issue_by_id(first).await.unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("everything else goes on"), "{error}");
        rest_goes_on(&world, [second, third], &[&format!("task {task}"), &format!("t_{column}")]).await;
    }
}

#[tokio::test]
async fn an_issue_that_is_damaged() {
    for (column, value) in [("state", "'nonsense'"), ("version", "-1"), ("created_at", "9223372036854775807")] {
        let hurt = |issue: IssueId, _| format!("UPDATE issues SET {column} = {value} WHERE id = '{issue}'");
        let (world, [first, second, third], _) = damaged(hurt).await;
        let error = world.store().enqueue(start(1), now()).await.unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{column}: {error}");
        rest_goes_on(&world, [second, third], &[&format!("issue {first}"), &format!("i_{column}")]).await;
    }
}

#[tokio::test]
async fn a_run_that_is_damaged() {
    let mut world = World::new().await;
    let (first, task) = world.queued(1).await;
    let lease = world.work(first.id, task).await;
    let (second, _) = world.queued(2).await;
    let (third, third_task) = world.queued(3).await;
    world.work(third.id, third_task).await;
    world.by_hand(&format!("UPDATE runs SET started_at = 9223372036854775807 WHERE id = '{}'", lease.run)).await;
    rest_goes_on(&world, [second.id, third.id], &[&format!("run {}", lease.run), "r_started_at"]).await;
}

#[tokio::test]
async fn many_damaged_tasks_at_the_head_of_the_line() {
    let mut world = World::new().await;
    for number in 1..=20 {
        world.queued(number).await;
    }
    world.by_hand("UPDATE tasks SET id = 'damaged-' || seq").await;
    let (last, _) = world.queued(21).await;
    assert_eq!(world.next(3).await, [last.id]);
    assert_eq!(world.store().damaged().await.unwrap().len(), 20);
}
