//! Settings of a watch that decide about a pull request and its end, and kinds of feedback that the story has not.

use std::sync::Arc;

use jiff::SignedDuration;
use kugetsu_domain::reference::ForgeKind;
use kugetsu_domain::watch::feedback::FeedbackKind;
use kugetsu_testkit::forge_server::issue::{Issue, Subject};
use kugetsu_testkit::forge_server::pull_request::PrState;
use serde_json::json;

use super::stage::{KINDS, PROJECT, Stage};
use crate::world::Daemon;

async fn runs(stage: &Stage, daemon: &Daemon, count: usize) {
    stage.until(daemon, "the run", async || (stage.pushed.lock().unwrap().len() == count).then_some(())).await;
}

async fn given(daemon: &Daemon, issue: u64, kind: FeedbackKind) -> u32 {
    daemon.issue(issue).await.follow.unwrap().record(kind).map_or(0, |record| record.given)
}

#[tokio::test]
async fn conflict_is_given_to_the_agent_once_for_each_head() {
    for kind in KINDS {
        let stage = Stage::with(kind, json!({ "merge": "when-green" })).await;
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        let number = stage.pull_request(&daemon, issue).await;
        // The agent resolves it.
        let (forge, pushed) = (Arc::clone(&stage.forge), Arc::clone(&stage.pushed));
        stage.world.machine.set_agent(move |branch| {
            let commit = format!("{:040x}", 0xdef_0000);
            forge.push(PROJECT, branch, &commit);
            forge.edit_pull_request(PROJECT, number, |pull| pull.state = PrState::Open);
            pushed.lock().unwrap().push(commit.clone());
            Some(commit)
        });
        stage.forge.edit_pull_request(PROJECT, number, |pull| pull.state = PrState::Conflict);
        runs(&stage, &daemon, 2).await;
        let message = stage.world.machine.started().pop().unwrap();
        assert!(message.contains("conflicts with main"), "{kind:?}: {message}");
        stage.pass_checks(number);
        stage.merged(&daemon, number).await;
        assert_eq!(given(&daemon, issue, FeedbackKind::Conflict).await, 1, "{kind:?}");
        assert_eq!(stage.pushed.lock().unwrap().len(), 2, "{kind:?}");
        daemon.kill().await;
    }
}

#[tokio::test]
async fn remark_of_a_program_is_given_without_waiting_for_more() {
    let stage = Stage::with(ForgeKind::GitHub, json!({ "trust": "kim,x[bot]" })).await;
    let daemon = stage.daemon();
    let issue = stage.hand_over();
    let number = stage.pull_request(&daemon, issue).await;
    stage.settle(&daemon).await;
    let before = daemon.engine.clock().now();
    stage.forge.comment(PROJECT, Subject::PullRequest(number), "x[bot]", "Line 3 is not covered.");
    runs(&stage, &daemon, 2).await;
    // A person's remark waits for a minute, after the poll that finds it.
    let waited = daemon.engine.clock().now().duration_since(before);
    assert!(waited <= SignedDuration::from_secs(60), "{waited:?}");
    assert_eq!(given(&daemon, issue, FeedbackKind::BotReview).await, 1);
    let message = stage.world.machine.started().pop().unwrap();
    assert!(message.contains("Review by programs") && message.contains("is not covered"), "{message}");
    daemon.kill().await;
}

#[tokio::test]
async fn issue_and_branch_are_kept_after_the_merge_if_the_watch_says_so() {
    for kind in KINDS {
        let entry = json!({ "merge": "when-green", "close_issue": false, "delete_branch": false });
        let stage = Stage::with(kind, entry).await;
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        let number = stage.pull_request(&daemon, issue).await;
        let text = stage.forge.pull_request_of(PROJECT, number).issue.body.unwrap();
        assert!(text.contains(&format!("For #{issue}.")), "{kind:?}: {text}");
        stage.pass_checks(number);
        stage
            .until(&daemon, "the end", async || {
                let is_merged = stage.forge.pull_request_of(PROJECT, number).state == PrState::Merged;
                (is_merged && stage.is_over(&daemon, issue).await).then_some(())
            })
            .await;
        assert!(!stage.forge.issue_of(PROJECT, Subject::Issue(issue)).closed, "{kind:?}");
        let changes = stage.once();
        assert_eq!((changes.get("delete_branch"), changes.get("edit_issue")), (None, None), "{kind:?}");
        daemon.kill().await;
    }
}

#[tokio::test]
async fn draft_is_merged_when_a_person_has_made_it_ready() {
    // The others keep it in the title.
    let kind = ForgeKind::GitHub;
    let stage = Stage::with(kind, json!({ "merge": "when-green", "draft": true })).await;
    let daemon = stage.daemon();
    let issue = stage.hand_over();
    let number = stage.pull_request(&daemon, issue).await;
    assert_eq!(stage.forge.pull_request_of(PROJECT, number).state, PrState::Draft, "{kind:?}");
    stage.pass_checks(number);
    stage.hours(&daemon, 1).await;
    assert_eq!(stage.forge.pull_request_of(PROJECT, number).state, PrState::Draft, "{kind:?}");
    stage.forge.edit_pull_request(PROJECT, number, |pull| pull.state = PrState::Open);
    stage.merged(&daemon, number).await;
    daemon.kill().await;
}

#[tokio::test]
async fn issues_of_a_rule_wait_for_its_limit_and_others_do_not() {
    for kind in KINDS {
        let rules = json!([{ "label": "slow", "max_running": 1 }]);
        let stage = Stage::with(kind, json!({ "rules": rules })).await;
        stage.world.machine.set_agent(|_| None);
        // What is handed over stays in the queue.
        stage.world.change_settings(|settings| settings.agents.max = 0);
        let daemon = stage.daemon();
        let labeled = |title: &str, labels: &[&str]| {
            let issue = labels.iter().fold(Issue::new(title).author("kim"), |issue, label| issue.label(label));
            stage.forge.issue(PROJECT, issue)
        };
        let [first, second] = ["First", "Second"].map(|title| labeled(title, &["agent", "slow"]));
        let other = labeled("Other", &["agent"]);
        let is_known = async |issue| daemon.store.issue(&daemon.reference(issue)).await.unwrap().is_some();
        let are_known = async || (is_known(first).await && is_known(other).await).then_some(());
        stage.until(&daemon, "the two that may begin", are_known).await;
        stage.pass(&daemon, SignedDuration::from_mins(10)).await;
        stage.settle(&daemon).await;
        assert!(!is_known(second).await, "{kind:?}");
        let why = stage.explain(&daemon, second).await;
        let rule = why.conditions.iter().find(|condition| condition.name == "rule").unwrap();
        assert_eq!((rule.met.as_str(), rule.fact.as_str()), ("no", "1 of at most 1"), "{kind:?}");
        stage.world.change_settings(|settings| settings.agents.max = 4);
        stage.until(&daemon, "the second one", async || is_known(second).await.then_some(())).await;
        daemon.kill().await;
    }
}
