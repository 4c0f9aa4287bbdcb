//! Users who keep a pull request from being merged while its merge is about to be requested.

use std::sync::atomic::{AtomicU32, Ordering};

use kugetsu_domain::flow::Event;
use kugetsu_domain::issue::Issue;
use kugetsu_domain::reference::ForgeKind;
use kugetsu_domain::watch::follow::FollowEvent;
use kugetsu_engine::watches::MERGE_ATTEMPTS;
use kugetsu_testkit::forge_server::issue::Subject;
use kugetsu_testkit::forge_server::pull_request::PrState;
use serde_json::json;

use super::stage::{KINDS, PROJECT, Stage};
use crate::world::Daemon;

fn is_merge(request: &str) -> bool {
    !request.starts_with("GET") && request.contains("/merge") && !request.ends_with("/merge_requests")
}

async fn is_decided(daemon: &Daemon, issue: &Issue) -> bool {
    daemon.events(issue.id).await.iter().any(|event| event == "merge_decided")
}

#[tokio::test]
async fn stop_during_the_merge_of_another_pull_request_prevents_the_merge() {
    for kind in KINDS {
        let stage = Stage::with(kind, json!({ "merge": "when-green" })).await;
        let daemon = stage.daemon();
        let issues = [stage.hand_over(), stage.hand_over()];
        let mut numbers = Vec::new();
        for issue in issues {
            numbers.push(stage.pull_request(&daemon, issue).await);
        }
        let (release, has_arrived) = stage.hold(is_merge);
        for number in &numbers {
            stage.pass_checks(*number);
        }
        let both = [daemon.issue(issues[0]).await, daemon.issue(issues[1]).await];
        stage
            .until(&daemon, "the decisions", async || {
                let are_decided = is_decided(&daemon, &both[0]).await && is_decided(&daemon, &both[1]).await;
                (are_decided && has_arrived.load(Ordering::SeqCst)).then_some(())
            })
            .await;
        let is_first = stage.forge.requests().iter().rev().any(|request| {
            let merges = is_merge(&format!("{} {}", request.method, request.target));
            merges && request.target.contains(&format!("/{}/merge", numbers[0]))
        });
        let waiting = usize::from(is_first);
        stage.forge.comment(PROJECT, Subject::Issue(issues[waiting]), "kim", "/kugetsu stop");
        let is_stopped = async || daemon.issue(issues[waiting]).await.follow?.is_stopped.then_some(());
        stage.until(&daemon, "the stop", is_stopped).await;
        release.send(()).unwrap();
        stage.merged(&daemon, numbers[1 - waiting]).await;
        stage.hours(&daemon, 1).await;
        assert_eq!(stage.forge.pull_request_of(PROJECT, numbers[waiting]).state, PrState::Open, "{kind:?}");
        stage.forge.comment(PROJECT, Subject::Issue(issues[waiting]), "kim", "/kugetsu retry");
        stage.merged(&daemon, numbers[waiting]).await;
        daemon.kill().await;
    }
}

/// Lets something happen between the look that precedes a merge and its request.
async fn prevents_the_merge(act: impl AsyncFn(&Stage, &Daemon, u64)) {
    // Only a merge asks for the queue.
    let stage = Stage::with(ForgeKind::GitHub, json!({ "merge": "when-green" })).await;
    let daemon = stage.daemon();
    let issue = stage.hand_over();
    let number = stage.pull_request(&daemon, issue).await;
    let (release, has_arrived) = stage.hold(|request| request.contains("/rules/branches/"));
    stage.pass_checks(number);
    stage.until(&daemon, "the request", async || has_arrived.load(Ordering::SeqCst).then_some(())).await;
    act(&stage, &daemon, issue).await;
    release.send(()).unwrap();
    stage.hours(&daemon, 1).await;
    assert_eq!(stage.forge.pull_request_of(PROJECT, number).state, PrState::Open);
    daemon.kill().await;
}

async fn apply(daemon: &Daemon, issue: u64, event: Event) {
    let id = daemon.issue(issue).await.id;
    daemon.engine.store().apply(id, event, daemon.engine.clock().now()).await.unwrap();
}

#[tokio::test]
async fn stop_directly_before_the_merge_prevents_it() {
    prevents_the_merge(async |_, daemon, issue| {
        apply(daemon, issue, Event::Followed(FollowEvent::Stopped)).await;
    })
    .await;
}

#[tokio::test]
async fn removal_of_the_files_directly_before_the_merge_prevents_it() {
    prevents_the_merge(async |_, daemon, issue| apply(daemon, issue, Event::DestroyRequested).await).await;
}

#[tokio::test]
async fn policy_that_is_changed_directly_before_the_merge_prevents_it() {
    prevents_the_merge(async |stage, _, _| {
        stage.set_watches(&[("api", json!({ "merge": "never" }))]);
    })
    .await;
}

#[tokio::test]
async fn merge_that_is_left_to_the_server_during_the_removal_is_canceled() {
    // The others get that request at the address of a direct merge.
    for kind in KINDS.into_iter().filter(|kind| *kind != ForgeKind::GitHub) {
        let stage = Stage::with(kind, json!({ "merge": "when-green" })).await;
        stage.forge.hold_merges(PROJECT, true);
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        let number = stage.pull_request(&daemon, issue).await;
        let merges = AtomicU32::new(0);
        let (release, has_arrived) =
            stage.hold(move |request| is_merge(request) && merges.fetch_add(1, Ordering::SeqCst) == MERGE_ATTEMPTS);
        stage.pass_checks(number);
        stage.until(&daemon, "the request", async || has_arrived.load(Ordering::SeqCst).then_some(())).await;
        apply(&daemon, issue, Event::DestroyRequested).await;
        stage.until(&daemon, "the removal", async || daemon.issue(issue).await.worktree.is_none().then_some(())).await;
        assert!(!stage.forge.is_scheduled(PROJECT, number), "{kind:?}");
        release.send(()).unwrap();
        stage.until(&daemon, "the end", async || stage.is_over(&daemon, issue).await.then_some(())).await;
        assert_eq!(stage.once().get("merge_when_ready"), Some(&1), "{kind:?}");
        assert!(!stage.forge.is_scheduled(PROJECT, number), "{kind:?}");
        daemon.kill().await;
    }
}
