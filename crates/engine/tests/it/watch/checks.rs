//! Checks that passed while others are not reported yet.

use jiff::SignedDuration;
use kugetsu_testkit::forge_server::check::CheckState;
use kugetsu_testkit::forge_server::issue::Subject;
use kugetsu_testkit::forge_server::pull_request::PrState;
use serde_json::json;

use super::stage::{KINDS, PROJECT, Stage};
use crate::world::Daemon;

/// Lets this time pass in short steps.
async fn seconds(stage: &Stage, daemon: &Daemon, seconds: i64) {
    for _ in 0..seconds / 10 {
        stage.pass(daemon, SignedDuration::from_secs(10)).await;
    }
    stage.settle(daemon).await;
}

fn set_check(stage: &Stage, number: u64, name: &str, state: CheckState) {
    let head = stage.forge.pull_request_of(PROJECT, number).sha;
    stage.forge.set_check(PROJECT, &head, name, state, None);
}

fn is_open(stage: &Stage, number: u64) -> bool {
    stage.forge.pull_request_of(PROJECT, number).state == PrState::Open
}

/// Waits until the agent has pushed so many heads.
async fn pushes(stage: &Stage, daemon: &Daemon, count: usize) {
    let has_pushed = async || (stage.pushed.lock().unwrap().len() == count).then_some(());
    stage.until(daemon, "the head", has_pushed).await;
    stage.settle(daemon).await;
}

#[tokio::test]
async fn first_check_that_passes_is_not_the_last_one() {
    for kind in KINDS {
        let stage = Stage::with(kind, json!({ "merge": "when-green", "checks_grace": "3m" })).await;
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        let number = stage.pull_request(&daemon, issue).await;
        // The first head, and the next one, long after the first was seen.
        for head in 1..=2 {
            set_check(&stage, number, "lint", CheckState::Success);
            seconds(&stage, &daemon, 120).await;
            assert!(is_open(&stage, number), "{kind:?}");
            set_check(&stage, number, "test", CheckState::Running);
            seconds(&stage, &daemon, 600).await;
            assert!(is_open(&stage, number), "{kind:?}");
            if head == 1 {
                set_check(&stage, number, "test", CheckState::Failure);
                pushes(&stage, &daemon, 2).await;
            }
        }
        set_check(&stage, number, "test", CheckState::Success);
        stage.merged(&daemon, number).await;
        daemon.kill().await;
    }
}

#[tokio::test]
async fn job_that_follows_another_one_is_waited_for() {
    for kind in KINDS {
        let stage = Stage::with(kind, json!({ "merge": "when-green", "checks_grace": "3m" })).await;
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        let number = stage.pull_request(&daemon, issue).await;
        set_check(&stage, number, "build", CheckState::Running);
        seconds(&stage, &daemon, 600).await;
        set_check(&stage, number, "build", CheckState::Success);
        // A poll finds the change, so kugetsu looks between the jobs.
        let body = stage.forge.pull_request_of(PROJECT, number).issue.body.unwrap();
        stage.forge.edit(PROJECT, Subject::PullRequest(number), "It is quick", &body);
        let follow = async || daemon.issue(issue).await.follow.unwrap().look_at;
        let before = follow().await;
        while follow().await == before {
            stage.pass(&daemon, SignedDuration::from_secs(5)).await;
        }
        stage.settle(&daemon).await;
        assert!(is_open(&stage, number), "{kind:?}");
        set_check(&stage, number, "test", CheckState::Running);
        seconds(&stage, &daemon, 600).await;
        assert!(is_open(&stage, number), "{kind:?}");
        set_check(&stage, number, "test", CheckState::Success);
        stage.merged(&daemon, number).await;
        daemon.kill().await;
    }
}

#[tokio::test]
async fn slow_checks_are_waited_for_as_long_as_the_watch_says() {
    for kind in KINDS {
        let stage = Stage::with(kind, json!({ "merge": "when-green", "checks_grace": "1h" })).await;
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        let number = stage.pull_request(&daemon, issue).await;
        set_check(&stage, number, "lint", CheckState::Success);
        seconds(&stage, &daemon, 3500).await;
        assert!(is_open(&stage, number), "{kind:?}");
        stage.merged(&daemon, number).await;
        daemon.kill().await;
    }
}
