//! The alarm for work that could start while nothing does.

use std::time::Duration;

use jiff::SignedDuration;
use kugetsu_domain::reference::IssueRef;
use kugetsu_domain::schedule::Stall;
use kugetsu_domain::watch::conditions::{Condition, ConditionKind, Met};
use kugetsu_engine::pauses::pause;
use kugetsu_engine::watches::Watch;
use kugetsu_store::view::{Candidate, Poll};
use serde_json::json;

use crate::world::{Daemon, World, repo};

/// Lets an issue be ready that is not started.
async fn ready_issue(world: &World, daemon: &Daemon) -> IssueRef {
    // Nothing listens there, so the candidate is not read again.
    let entry = json!({"repo": "http://127.0.0.1:9/acme/api", "label": "agent", "poll": "365d"});
    let watch = Watch::new("api", serde_json::from_value(entry).unwrap(), &[]).unwrap();
    let now = daemon.engine.clock().now();
    let met = |kind: &ConditionKind| Condition { kind: *kind, met: Met::Yes, fact: String::new() };
    let conditions: Vec<Condition> = ConditionKind::ALL.iter().map(met).collect();
    let ready = Candidate { text_hash: String::new(), seen_at: now, conditions, rule: None, read_at: now };
    daemon.store.set_candidate(watch.repo.clone(), 7, Some(ready)).await.unwrap();
    daemon.store.set_poll(watch.repo.clone(), Poll { since: None, at: now, error: None }).await.unwrap();
    let issue = IssueRef { repo: watch.repo.clone(), number: 7 };
    world.change_settings(|settings| {
        settings.watches = vec![watch];
        settings.queue.stall_alarm = Duration::from_secs(1800);
    });
    issue
}

async fn stalled(daemon: &Daemon) -> Stall {
    assert_eq!(daemon.engine.stall(), None);
    let stall = daemon.until("the alarm", async || {
        daemon.set_time(daemon.engine.clock().now() + SignedDuration::from_mins(1));
        daemon.engine.stall()
    });
    stall.await
}

#[tokio::test]
async fn paused_task_is_not_stalled() {
    let world = World::new(3).await;
    let daemon = world.daemon();
    pause(&daemon.engine, Some(repo().name)).await.unwrap();
    daemon.start(1, "done").await;
    ready_issue(&world, &daemon).await;
    assert_eq!(stalled(&daemon).await.work.tasks, 0);
    assert_eq!(daemon.state(1).await, "queued");
}

#[tokio::test]
async fn issue_that_is_ready_and_not_started_raises_one_alarm_until_it_is_off() {
    let world = World::new(3).await;
    let daemon = world.daemon();
    let issue = ready_issue(&world, &daemon).await;
    let stall = stalled(&daemon).await;
    assert_eq!((stall.work.tasks, stall.work.issues), (0, vec![issue]));
    assert!(daemon.engine.clock().now().duration_since(stall.since) >= SignedDuration::from_mins(30));
    world.change_settings(|settings| settings.queue.stall_alarm = Duration::ZERO);
    daemon.until("the end of the alarm", async || daemon.engine.stall().is_none().then_some(())).await;
}
