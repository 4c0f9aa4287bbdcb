//! Damaged rows are skipped and reported, and everything else keeps working.

use kugetsu_domain::effect::Effect;
use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::{IssueId, RunId, TaskId};
use kugetsu_domain::run::Verdict;
use kugetsu_store::error::StoreError;
use kugetsu_store::query::{RunQuery, ViewFilter};
use kugetsu_store::write::Settlement;
use uuid::Uuid;

use crate::world::{World, later, now, start};

/// Three issues: two with a queued task, of which `damage` damages the first one, and one with a live run.
async fn damaged(damage: impl Fn(IssueId, TaskId) -> String) -> (World, [IssueId; 3], TaskId) {
    let mut world = World::new().await;
    let (first, task) = world.queued(1).await;
    let (second, _) = world.queued(2).await;
    let (third, third_task) = world.queued(3).await;
    world.work(third.id, third_task).await;
    world.tamper(&damage(first.id, task)).await;
    (world, [first.id, second.id, third.id], task)
}

/// The damaged row is reported with these texts, and the other issues are unaffected.
async fn others_are_unaffected(world: &World, healthy: [IssueId; 2], texts: &[&str]) {
    let store = world.store();
    let reported = store.check().await.unwrap();
    assert!(texts.iter().all(|text| reported.iter().any(|line| line.contains(text))), "{reported:?}");

    // With a single slot, a damaged task must not block the queue.
    let mut skipped = 0;
    let candidate = loop {
        let candidates = store.queue(1 + skipped).await.unwrap().candidates;
        let candidate = candidates.get(skipped).expect("no healthy task is a candidate").clone();
        let claimed = Event::TaskClaimed { task: candidate.task, run: RunId::new(Uuid::now_v7()) };
        match store.apply(candidate.issue, claimed, now()).await {
            Ok(_) => break candidate,
            Err(StoreError::Damaged { what }) => assert!(!what.is_empty()),
            Err(other) => panic!("{other}"),
        }
        skipped += 1;
    };
    assert_eq!(candidate.issue, healthy[0]);

    let running: Vec<_> = world.running().await.iter().map(|issue| issue.id).collect();
    assert_eq!(running.len(), 2, "{running:?}");
    assert!(healthy.iter().all(|id| running.contains(id)));
    for list in [world.tasks(ViewFilter::All).await, world.tasks(ViewFilter::all_issues()).await] {
        assert!(healthy.iter().all(|id| list.iter().any(|view| view.issue == *id)), "{list:?}");
    }
    let lease = store.issue_by_id(healthy[0]).await.unwrap().lease().unwrap();
    world
        .store()
        .apply(healthy[0], Event::SessionOpened { lease, session: "s".to_owned(), model: None }, now())
        .await
        .unwrap();
    world.finish(lease, Verdict::Done).await;
    world.queued(9).await;
}

#[tokio::test]
async fn a_damaged_task_identifier() {
    let (world, [_, second, third], _) =
        damaged(|_, task| format!("UPDATE tasks SET id = 'not an id' WHERE id = '{task}'")).await;
    others_are_unaffected(&world, [second, third], &["task not an id", "id:"]).await;
}

#[tokio::test]
async fn a_damaged_task_kind_or_state() {
    for column in ["kind", "state"] {
        let damage = |_, task: TaskId| format!("UPDATE tasks SET {column} = 'nonsense' WHERE id = '{task}'");
        let (world, [_, second, third], task) = damaged(damage).await;
        let texts = [format!("task {task}"), format!("{column}:"), "nonsense".to_owned()];
        others_are_unaffected(&world, [second, third], &texts.each_ref().map(String::as_str)).await;
    }
}

#[tokio::test]
async fn damaged_task_numbers() {
    for (column, value) in [("attempt", "-1"), ("queued_at", "9223372036854775807"), ("after", "'x'")] {
        let damage = |_, task: TaskId| format!("UPDATE tasks SET {column} = {value} WHERE id = '{task}'");
        let (world, [first, second, third], task) = damaged(damage).await;
        let error = world.store().issue_by_id(first).await.unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("everything else keeps working")), "{error}");
        others_are_unaffected(&world, [second, third], &[&format!("task {task}"), &format!("{column}:")]).await;
    }
}

#[tokio::test]
async fn a_damaged_issue() {
    for (column, value) in [("state", "'nonsense'"), ("version", "-1"), ("created_at", "9223372036854775807")] {
        let damage = |issue: IssueId, _| format!("UPDATE issues SET {column} = {value} WHERE id = '{issue}'");
        let (world, [first, second, third], _) = damaged(damage).await;
        let error = world.store().enqueue(start(1), now()).await.unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{column}: {error}");
        others_are_unaffected(&world, [second, third], &[&format!("issue {first}"), &format!("{column}:")]).await;
    }
}

#[tokio::test]
async fn a_damaged_run() {
    let mut world = World::new().await;
    let (first, task) = world.queued(1).await;
    let lease = world.work(first.id, task).await;
    let (second, _) = world.queued(2).await;
    let (third, third_task) = world.queued(3).await;
    world.work(third.id, third_task).await;
    world.tamper(&format!("UPDATE runs SET started_at = 9223372036854775807 WHERE id = '{}'", lease.run)).await;
    others_are_unaffected(&world, [second.id, third.id], &[&format!("run {}", lease.run), "started_at:"]).await;
}

#[tokio::test]
async fn many_damaged_tasks_at_the_head_of_the_queue() {
    let mut world = World::new().await;
    for number in 1..=20 {
        world.queued(number).await;
    }
    world.tamper("UPDATE tasks SET id = 'damaged-' || seq").await;
    let (last, _) = world.queued(21).await;
    assert_eq!(world.next(3).await, [last.id]);
    assert_eq!(world.store().check().await.unwrap().len(), 20);
}

#[tokio::test]
async fn a_damaged_effect() {
    let mut world = World::new().await;
    let (first, task) = world.queued(1).await;
    let lease = world.work(first.id, task).await;
    world.finish(lease, Verdict::Done).await;
    let (second, task) = world.queued(2).await;
    world.claim(second.id, task).await;
    world.tamper(&format!("UPDATE effects SET data = '{{}}' WHERE issue = '{}'", first.id)).await;
    let store = world.store();
    let claimed = store.claim_effects(now(), 9).await.unwrap();
    assert_eq!(claimed.iter().map(|effect| effect.issue).collect::<Vec<_>>(), [second.id]);
    assert_eq!(store.next_effect_due(now()).await.unwrap(), None, "the loop does not wait for the damaged one");
    let reported = store.check().await.unwrap();
    assert!(reported[0].contains("effect 1") && reported.iter().all(|line| line.contains("data")), "{reported:?}");

    store.reschedule_effect(claimed[0].id, later(60), "why".to_owned()).await.unwrap();
    let due = store.next_effect_due(now()).await.unwrap().unwrap();
    assert!(due > now() && due <= later(60), "{due}");
    assert!(store.claim_effects(now(), 9).await.unwrap().is_empty(), "it is not due yet");
}

#[tokio::test]
async fn a_damaged_repository() {
    let mut world = World::new().await;
    world.queued(1).await;
    let repos = world.store().repos().await.unwrap();
    world.tamper("INSERT INTO repos (base, project, source, created_at) VALUES ('nonsense', 'a/b', 'x', 1)").await;
    assert_eq!(world.store().repos().await.unwrap(), repos);
    let reported = world.store().check().await.unwrap();
    assert!(reported.len() == 1 && reported[0].contains("nonsense"), "{reported:?}");
}

#[tokio::test]
async fn a_damaged_earlier_run() {
    let mut world = World::new().await;
    let (issue, task) = world.queued(1).await;
    let lease = world.work(issue.id, task).await;
    world.finish(lease, Verdict::Done).await;
    world.tamper("UPDATE runs SET state = 'nonsense'").await;
    assert_eq!(world.store().runs(RunQuery::new(issue.id)).await.unwrap(), []);
    assert_eq!(world.store().check().await.unwrap().len(), 1);
}

#[tokio::test]
async fn effects_are_due_although_the_clock_was_set_back() {
    let world = World::new().await;
    let (issue, task) = world.queued(1).await;
    world.claim(issue.id, task).await;
    let claimed = world.store().claim_effects(later(-7200), 9).await.unwrap();
    assert_eq!(claimed.iter().map(|effect| effect.issue).collect::<Vec<_>>(), [issue.id]);
}

#[tokio::test]
async fn effects_that_are_tried_again_do_not_wait_for_a_clock_that_was_set_back() {
    let world = World::new().await;
    let (issue, task) = world.queued(1).await;
    world.claim(issue.id, task).await;
    let (store, now, due) = (world.store(), later(7200), later(7260));
    let claimed = store.claim_effects(now, 9).await.unwrap()[0].id;
    store.reschedule_effect(claimed, due, "x".to_owned()).await.unwrap();
    assert_eq!(store.claim_effects(now, 9).await.unwrap(), []);
    assert_eq!(store.next_effect_due(now).await.unwrap(), Some(due));
    assert_eq!(store.claim_effects(later(0), 9).await.unwrap().len(), 1, "two hours before");
}

#[tokio::test]
async fn a_damaged_event_does_not_hide_the_later_ones() {
    let mut world = World::new().await;
    for number in 1..=4 {
        world.queued(number).await;
    }
    world.tamper("UPDATE events SET data = '{' WHERE seq IN (2, 3)").await;
    let store = world.store();
    let seqs = async |after, limit| -> Vec<i64> {
        store.events_after(None, after, limit).await.unwrap().iter().map(|event| event.seq).collect()
    };
    assert_eq!(seqs(0, 9).await, [1, 4]);
    assert_eq!(seqs(1, 1).await, [4], "a page of damaged events is not the end");
    let reported = store.check().await.unwrap();
    assert_eq!(reported.len(), 2, "{reported:?}");
    assert!(reported[0].contains("event 2: data"), "{reported:?}");
}

#[tokio::test]
async fn work_in_progress_without_a_readable_effect_gets_one() {
    for damage in [
        "DELETE FROM effects",
        "UPDATE effects SET data = 'x'",
        "UPDATE effects SET data = '{}', attempt = 3",
        "UPDATE effects SET kind = 'nonsense'",
        "UPDATE effects SET key = key || '/x'",
        "UPDATE effects SET state = 'nonsense'",
        "UPDATE effects SET attempt = -1",
        "UPDATE effects SET issue = 'x'",
    ] {
        let mut world = World::new().await;
        let (running, task) = world.queued(1).await;
        let lease = world.work(running.id, task).await;
        let (removed, task) = world.queued(2).await;
        let ended = world.work(removed.id, task).await;
        world.finish(ended, Verdict::Done).await;
        world.store().apply(removed.id, Event::DestroyRequested, now()).await.unwrap();
        // The effects of the run that has ended.
        for effect in world.store().claim_effects(now(), 9).await.unwrap() {
            if effect.issue == removed.id && !matches!(effect.effect, Effect::RemoveFiles { .. }) {
                world.store().settle_effect(effect.id, Settlement::default(), now()).await.unwrap();
            }
        }
        world.tamper(damage).await;
        let effects = world.store().claim_effects(now(), 9).await.unwrap();
        let found: Vec<_> = effects.iter().map(|effect| (effect.issue, effect.effect)).collect();
        assert_eq!(found.len(), 2, "{damage}: {found:?}");
        assert!(found.contains(&(running.id, Effect::Run(lease))), "{damage}: {found:?}");
        assert!(
            found.iter().any(|(issue, effect)| *issue == removed.id && matches!(effect, Effect::RemoveFiles { .. }))
        );
        world.reopen().await;
        assert_eq!(world.store().claim_effects(now(), 9).await.unwrap(), effects, "{damage}: nothing is added twice");
    }
}
