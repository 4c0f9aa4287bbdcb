//! An issue from its label to its merge.

use jiff::{SignedDuration, Timestamp};
use kugetsu_domain::reference::ForgeKind;

use super::stage::{KINDS, Stage};

#[tokio::test]
async fn labeled_issue_is_merged_after_red_checks_and_a_review() {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        stage.play(&daemon, issue).await;
        stage.check(&daemon, issue).await;
        daemon.kill().await;
    }
}

#[tokio::test]
async fn pull_request_is_looked_at_until_the_time_that_why_names() {
    let stage = Stage::new(ForgeKind::GitHub).await;
    let daemon = stage.daemon();
    let issue = stage.hand_over();
    let number = stage.pull_request(&daemon, issue).await;
    stage.pass_checks(number);
    // Looks become rare while nothing changes.
    for _ in 0..2 {
        stage.pass(&daemon, SignedDuration::from_hours(4)).await;
    }
    stage.settle(&daemon).await;
    let next = stage.explain(&daemon, issue).await.follow.unwrap().next_look.unwrap();
    let next: Timestamp = next.parse().unwrap();
    let before = stage.forge.request_count();
    stage.pass(&daemon, next.duration_since(daemon.engine.clock().now())).await;
    stage.settle(&daemon).await;
    let requests = stage.forge.requests().split_off(before);
    assert!(
        requests.iter().any(|request| request.target.contains(&format!("/pulls/{number}"))),
        "{next}: {requests:?}"
    );
    daemon.kill().await;
}
