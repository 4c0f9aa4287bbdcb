//! Concurrent and repeated writes.

use std::collections::BTreeSet;

use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::IssueId;
use kugetsu_domain::run::Verdict;
use kugetsu_store::error::StoreError;
use kugetsu_store::query::{RunQuery, ViewFilter};
use kugetsu_store::write::Enqueue;
use uuid::Uuid;

use crate::world::{World, continue_work, local_repo, now, start};

#[tokio::test]
async fn concurrent_writes_survive_a_restart() {
    const COUNT: u64 = 300;
    let mut world = World::new().await;
    let tasks: Vec<Enqueue> = (1..=COUNT).map(start).collect();
    let calls = tasks.iter().map(|one| world.store().enqueue(one.clone(), now()));
    let answers = futures::future::join_all(calls).await;
    for (task, answer) in tasks.iter().zip(&answers) {
        let answer = answer.as_ref().unwrap();
        assert!(!answer.repeated);
        assert_eq!(answer.issue.tasks[0].id, task.task.id);
    }
    world.reopen().await;
    let mut stored = world.tasks(ViewFilter::Live).await;
    stored.sort_by_key(|view| view.reference.number);
    assert_eq!(stored.len() as u64, COUNT);
    for (task, stored) in tasks.iter().zip(&stored) {
        assert_eq!((&stored.task, stored.reference.number), (&task.task, task.number.unwrap()));
    }
    let events = world.store().events_after(None, 0, 1000).await.unwrap();
    let numbers: Vec<i64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=COUNT as i64).collect::<Vec<_>>());
    assert_eq!(world.store().last_event(None, None).await.unwrap(), COUNT as i64);
    assert_eq!(world.store().check().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_refused_write_does_not_affect_the_others() {
    let world = World::new().await;
    world.queued(1).await;
    let unknown = IssueId::new(Uuid::now_v7());
    let store = world.store();
    let (first, busy, unknown, second) = tokio::join!(
        store.enqueue(start(2), now()),
        store.enqueue(start(1), now()),
        store.apply(unknown, Event::DestroyRequested, now()),
        store.enqueue(start(3), now()),
    );
    assert!(first.is_ok() && second.is_ok());
    assert!(matches!(busy, Err(StoreError::IssueBusy { state: "queued" })), "{busy:?}");
    assert!(matches!(unknown, Err(StoreError::NoSuchIssue)), "{unknown:?}");
    assert_eq!(world.queued_count().await, 3);
}

#[tokio::test]
async fn enqueueing_a_task_twice_queues_it_once() {
    let mut world = World::new().await;
    let first = start(1);
    let issue = world.enqueue(first.clone()).await.issue;
    let again = |enqueue: &Enqueue| Enqueue { new_issue: IssueId::new(Uuid::now_v7()), ..enqueue.clone() };

    let answer = world.enqueue(again(&first)).await;
    assert!(answer.repeated);
    assert_eq!(answer.issue, issue);

    let lease = world.work(issue.id, first.task.id).await;
    assert!(world.enqueue(again(&first)).await.repeated, "while it is running");
    world.finish(lease, Verdict::Done).await;
    assert!(world.enqueue(again(&first)).await.repeated, "when it has ended");
    world.reopen().await;
    assert!(world.enqueue(again(&first)).await.repeated, "after a restart");

    let next = continue_work(1);
    let store = world.store();
    let (one, other) = tokio::join!(store.enqueue(next.clone(), now()), store.enqueue(again(&next), now()));
    assert_ne!(one.unwrap().repeated, other.unwrap().repeated, "concurrently");

    let local = Enqueue { repo: local_repo(), number: None, ..start(1) };
    let (one, other) = tokio::join!(store.enqueue(local.clone(), now()), store.enqueue(again(&local), now()));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_ne!(one.repeated, other.repeated);
    assert_eq!(one.issue.reference, other.issue.reference, "without a number");

    assert_eq!(world.tasks(ViewFilter::All).await.len(), 3);
    assert_eq!(store.runs(RunQuery::new(issue.id)).await.unwrap()[0].id, lease.run);
}

#[tokio::test]
async fn local_issues_are_numbered_without_gaps_or_duplicates() {
    let mut world = World::new().await;
    let local = |_| Enqueue { repo: local_repo(), number: None, ..start(1) };
    for _ in 0..2 {
        let issues: Vec<_> = (0..20).map(local).collect();
        let calls = issues.into_iter().map(|one| world.store().enqueue(one, now()));
        for answer in futures::future::join_all(calls).await {
            answer.unwrap();
        }
        world.reopen().await;
    }
    let numbers: BTreeSet<u64> = world.tasks(ViewFilter::Live).await.iter().map(|view| view.reference.number).collect();
    assert_eq!(numbers, (1..=40).collect());
    assert_eq!(world.store().local_repos().await.unwrap(), [local_repo()]);
}

#[tokio::test]
async fn two_concurrent_starts_of_an_issue_queue_one_task() {
    let world = World::new().await;
    let store = world.store();
    let answers = tokio::join!(store.enqueue(start(1), now()), store.enqueue(start(1), now()));
    let busy = |answer: &Result<_, StoreError>| matches!(answer, Err(StoreError::IssueBusy { .. }));
    assert!(answers.0.is_ok() != answers.1.is_ok() && busy(&answers.0) != busy(&answers.1));
    assert_eq!(world.queued_count().await, 1);
}

#[tokio::test]
async fn a_listener_gets_every_event_once_and_in_order() {
    let world = World::new().await;
    let mut live = world.store().listen();
    let calls = (1..=50).map(|number| world.store().enqueue(start(number), now()));
    futures::future::join_all(calls).await;
    let (issue, task) = world.queued(51).await;
    world.work(issue.id, task).await;
    let log = world.store().events_after(None, 0, 1000).await.unwrap();
    for stored in &log {
        assert_eq!(live.recv().await.unwrap().as_ref(), stored);
    }
    assert!(live.is_empty());
    let kinds: Vec<_> = world
        .store()
        .events_after(Some(issue.id), 0, 1000)
        .await
        .unwrap()
        .into_iter()
        .map(|event| event.kind)
        .collect();
    assert_eq!(kinds, ["task_queued", "task_claimed", "worktree_ready", "session_opened"]);
}
