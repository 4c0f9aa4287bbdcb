//! A run that has lost its lease changes nothing.

use kugetsu_domain::flow::{Event, Loss, Refused};
use kugetsu_domain::ids::RunId;
use kugetsu_domain::run::Verdict;
use kugetsu_store::error::StoreError;
use kugetsu_store::query::RunQuery;
use uuid::Uuid;

use crate::world::{World, ended, now, worktree};

#[tokio::test]
async fn a_write_with_an_old_fence_is_refused_and_changes_nothing() {
    let mut world = World::new().await;
    let (issue, task) = world.queued(1).await;
    let old = world.work(issue.id, task).await;
    let lost = Event::RunnerLost { lease: old, loss: Loss::Disappeared, reason: "killed".to_owned() };
    world.store().apply(issue.id, lost, now()).await.unwrap();
    let new = world.claim(issue.id, task).await;
    assert!(new.fence > old.fence);
    world.reopen().await;

    let before = world.store().issue_by_id(issue.id).await.unwrap();
    let events = world.store().last_event(None, None).await.unwrap();
    for event in [ended(old, Verdict::Done), Event::WorktreeReady { lease: old, worktree: worktree() }] {
        let refused = world.store().apply(issue.id, event.clone(), now()).await.unwrap_err();
        assert!(matches!(refused, StoreError::Refused(Refused::Stale { run }) if run == old.run), "{refused}");
        let refused = world.store().apply_report(old, event, 10, now()).await.unwrap_err();
        assert!(matches!(refused, StoreError::Refused(Refused::Stale { .. })), "{refused}");
    }
    assert_eq!(world.store().issue_by_id(issue.id).await.unwrap(), before);
    assert_eq!(world.store().last_event(None, None).await.unwrap(), events);
    world.finish(new, Verdict::Failed).await;
}

#[tokio::test]
async fn a_repeated_report_is_stored_once() {
    let mut world = World::new().await;
    let (issue, task) = world.queued(1).await;
    let lease = world.claim(issue.id, task).await;
    let ready = Event::WorktreeReady { lease, worktree: worktree() };
    let opened = Event::SessionOpened { lease, session: "ses_1".to_owned(), model: None };
    let first = world.store().apply_report(lease, ready.clone(), 100, now()).await.unwrap();
    assert!(!first.repeated);
    world.store().apply_report(lease, opened.clone(), 200, now()).await.unwrap();
    let events = world.store().last_event(None, None).await.unwrap();

    // The daemon died before it answered, so the runner reports everything again.
    world.reopen().await;
    for (event, end) in [(ready, 100), (opened, 200)] {
        assert!(world.store().apply_report(lease, event, end, now()).await.unwrap().repeated);
    }
    assert_eq!(world.store().last_event(None, None).await.unwrap(), events);

    let end = ended(lease, Verdict::Done);
    let store = world.store();
    let (one, other) = tokio::join!(
        store.apply_report(lease, end.clone(), 300, now()),
        store.apply_report(lease, end.clone(), 300, now()),
    );
    assert_ne!(one.unwrap().repeated, other.unwrap().repeated);
    assert_eq!(store.last_event(None, None).await.unwrap(), events + 1);
    assert!(store.apply_report(lease, end, 300, now()).await.unwrap().repeated, "after the run's end too");
    assert_eq!(store.view(task).await.unwrap().unwrap().run.unwrap().acknowledged, 300);
}

#[tokio::test]
async fn two_concurrent_claims_of_an_issue_create_one_run() {
    let world = World::new().await;
    let (issue, task) = world.queued(1).await;
    let claim = || Event::TaskClaimed { task, run: RunId::new(Uuid::now_v7()) };
    let store = world.store();
    let (one, other) = tokio::join!(store.apply(issue.id, claim(), now()), store.apply(issue.id, claim(), now()));
    assert!(one.is_ok() != other.is_ok());
    assert_eq!(world.running().await.len(), 1);
    assert_eq!(store.runs(RunQuery::new(issue.id)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn key_of_a_run_is_kept_by_later_changes_and_replaced_only_while_it_is_live() {
    let mut world = World::new().await;
    let (issue, task) = world.queued(1).await;
    let lease = world.claim(issue.id, task).await;
    let key = async |world: &World| world.store().run_key(lease.run).await.unwrap();
    assert_eq!(key(&world).await, None);
    for text in ["earlier", "one"] {
        world.store().set_run_key(lease.run, text.to_owned()).await.unwrap();
    }
    let ready = Event::WorktreeReady { lease, worktree: worktree() };
    world.store().apply_report(lease, ready, 100, now()).await.unwrap();
    world.reopen().await;
    assert_eq!(key(&world).await.as_deref(), Some("one"));
    world.store().apply_report(lease, ended(lease, Verdict::Failed), 200, now()).await.unwrap();
    world.store().set_run_key(lease.run, "too late".to_owned()).await.unwrap();
    assert_eq!(key(&world).await.as_deref(), Some("one"));
    assert_eq!(world.store().run_key(RunId::new(Uuid::now_v7())).await.unwrap(), None);
}
