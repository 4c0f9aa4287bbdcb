//! Requests for reviews, and commands in reviews.

use jiff::SignedDuration;
use kugetsu_domain::reference::ForgeKind;
use kugetsu_testkit::forge_server::check::CheckState;
use kugetsu_testkit::forge_server::comment::Verdict;
use kugetsu_testkit::forge_server::issue::Subject;
use kugetsu_testkit::forge_server::permission::Permission;
use serde_json::json;

use super::stage::{KINDS, PROJECT, Stage};
use crate::world::Daemon;

fn own_comments(stage: &Stage, number: u64) -> Vec<String> {
    let comments = stage.forge.comments_of(PROJECT, Subject::PullRequest(number)).into_iter();
    comments.filter(|comment| comment.author == "robot").map(|comment| comment.body).collect()
}

fn requests(stage: &Stage) -> usize {
    stage.forge.changes().get("request_review").copied().unwrap_or_default()
}

/// Lets ten minutes pass, in which looks find nothing new.
async fn wait(stage: &Stage, daemon: &Daemon) {
    for _ in 0..20 {
        stage.pass(daemon, SignedDuration::from_secs(30)).await;
    }
}

#[tokio::test]
async fn review_is_requested_once_for_each_pull_request() {
    for kind in KINDS {
        let stage = Stage::with(kind, json!({ "reviewers": ["kim", "lee"] })).await;
        stage.forge.set_permission(PROJECT, "lee", Permission::Write);
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        let number = stage.pull_request(&daemon, issue).await;
        let reviewers = || stage.forge.pull_request_of(PROJECT, number).reviewers;
        stage.until(&daemon, "the request", async || (reviewers() == ["kim", "lee"]).then_some(())).await;
        // Neither another daemon nor further work repeats it, also after the review.
        stage.settle(&daemon).await;
        daemon.kill().await;
        let daemon = stage.daemon();
        let head = stage.forge.pull_request_of(PROJECT, number).sha;
        stage.forge.set_check(PROJECT, &head, "test", CheckState::Failure, Some("error: it broke"));
        stage.forge.approve(PROJECT, number, "kim");
        stage.until(&daemon, "the second run", async || (stage.pushed.lock().unwrap().len() == 2).then_some(())).await;
        wait(&stage, &daemon).await;
        assert_eq!(requests(&stage), 1, "{kind:?}");
        assert_eq!(own_comments(&stage, number), Vec::<String>::new(), "{kind:?}");
        daemon.kill().await;
    }
}

#[tokio::test]
async fn review_is_requested_when_a_draft_is_ready() {
    let stage = Stage::with(ForgeKind::GitHub, json!({ "reviewers": ["kim"], "draft": true })).await;
    let daemon = stage.daemon();
    let issue = stage.hand_over();
    let number = stage.pull_request(&daemon, issue).await;
    wait(&stage, &daemon).await;
    assert_eq!(requests(&stage), 0);
    stage.forge.edit_pull_request(PROJECT, number, |pull| {
        pull.state = kugetsu_testkit::forge_server::pull_request::PrState::Open;
    });
    stage.until(&daemon, "the request", async || (requests(&stage) == 1).then_some(())).await;
    daemon.kill().await;
}

#[tokio::test]
async fn refused_request_for_a_review_is_shown_once_and_blocks_nothing() {
    for kind in [ForgeKind::GitHub, ForgeKind::Gitea, ForgeKind::Forgejo] {
        // The author of the pull request may not review it.
        let stage = Stage::with(kind, json!({ "reviewers": ["robot", "kim"] })).await;
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        let number = stage.pull_request(&daemon, issue).await;
        let shown = async || (!own_comments(&stage, number).is_empty()).then_some(());
        stage.until(&daemon, "the comment", shown).await;
        wait(&stage, &daemon).await;
        let comments = own_comments(&stage, number);
        assert!(comments.len() == 1 && comments[0].contains("- robot: "), "{kind:?}: {comments:?}");
        assert!(!comments[0].contains("kim"), "{kind:?}: {comments:?}");
        assert_eq!(stage.forge.pull_request_of(PROJECT, number).reviewers, ["kim"], "{kind:?}");
        stage.pass_checks(number);
        stage.forge.approve(PROJECT, number, "kim");
        stage.until(&daemon, "the end", async || stage.is_over(&daemon, issue).await.then_some(())).await;
        daemon.kill().await;
    }
}

#[tokio::test]
async fn command_in_a_review_or_below_a_line_is_carried_out_once_and_answered() {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        let number = stage.pull_request(&daemon, issue).await;
        stage.pass_checks(number);
        let at = ("src/lib.rs", Some(1));
        stage.forge.review_thread(PROJECT, number, "eve", at, "/kugetsu stop");
        wait(&stage, &daemon).await;
        let is_stopped = async || daemon.issue(issue).await.follow.unwrap().is_stopped;
        assert!(!is_stopped().await, "{kind:?}: a stranger's command");
        stage.forge.review_thread(PROJECT, number, "kim", at, "Wait.\n/kugetsu stop");
        stage.until(&daemon, "the stop", async || is_stopped().await.then_some(())).await;
        // The discussions of a merge request are its threads, and its reviews have no text of their own.
        if kind == ForgeKind::GitLab {
            stage.forge.review_thread(PROJECT, number, "kim", at, "/kugetsu retry");
        } else {
            stage.forge.review(PROJECT, number, "kim", Verdict::Commented, "/kugetsu retry");
        }
        stage.until(&daemon, "the retry", async || (!is_stopped().await).then_some(())).await;
        wait(&stage, &daemon).await;
        let comments = own_comments(&stage, number);
        assert_eq!(comments.len(), 2, "{kind:?}: {comments:?}");
        assert!(comments.iter().all(|text| text.contains("what kim wrote in a review")), "{kind:?}: {comments:?}");
        assert_eq!(stage.pushed.lock().unwrap().len(), 1, "{kind:?}: no command is for the agent");
        stage.forge.review_thread(PROJECT, number, "kim", at, "/kugetsu merge");
        let refused =
            async || own_comments(&stage, number).iter().any(|text| text.contains("no command")).then_some(());
        stage.until(&daemon, "the refusal", refused).await;
        daemon.kill().await;
    }
}
