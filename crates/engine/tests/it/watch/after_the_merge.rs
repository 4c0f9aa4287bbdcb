//! A pull request that was merged while its issue, or its branch, was still worked on.

use kugetsu_domain::task::TaskKind;
use kugetsu_store::write::Precondition;
use kugetsu_testkit::forge_server::issue::Subject;
use kugetsu_testkit::forge_server::pull_request::PrState;

use super::stage::{KINDS, PROJECT, Stage};
use crate::world::Daemon;

/// A pull request that a person has merged while a task of the issue waits in the queue. Returns the number of the issue.
async fn merged_before_a_task(stage: &Stage, daemon: &Daemon) -> u64 {
    let issue = stage.hand_over();
    let number = stage.pull_request(daemon, issue).await;
    stage.settle(daemon).await;
    stage.world.change_settings(|settings| settings.agents.max = 0);
    stage.settle(daemon).await;
    daemon.enqueue(issue, TaskKind::Start, "more", Precondition::Any).await;
    stage.forge.set_pr_state(PROJECT, number, PrState::Merged);
    stage.until(daemon, "the look", async || daemon.issue(issue).await.follow?.ending).await;
    issue
}

/// Waits until kugetsu has shown that something of the issue is kept, and checks that nothing of it is removed.
async fn is_kept(stage: &Stage, daemon: &Daemon, issue: u64) {
    let kind = stage.kind;
    stage
        .until(daemon, "the comment", async || {
            stage.own_comments(issue).iter().any(|comment| comment.contains("were not merged")).then_some(())
        })
        .await;
    stage.hours(daemon, 1).await;
    let own = stage.own_comments(issue);
    assert!(own.len() == 1 && own[0].contains("is merged") && own[0].contains("has to decide"), "{kind:?}: {own:?}");
    let labels = stage.forge.labels_of(PROJECT, Subject::Issue(issue));
    assert!(labels.iter().any(|name| name == "kugetsu/needs-person"), "{kind:?}: {labels:?}");
    assert_eq!((stage.once().get("delete_branch"), stage.once().get("edit_issue")), (None, None), "{kind:?}");
    assert!(daemon.issue(issue).await.worktree.is_some(), "{kind:?}: the files are kept");
}

async fn is_removed(stage: &Stage, daemon: &Daemon, issue: u64) {
    stage.until(daemon, "the removal", async || daemon.issue(issue).await.worktree.is_none().then_some(())).await;
    assert!(stage.forge.issue_of(PROJECT, Subject::Issue(issue)).closed, "{:?}", stage.kind);
}

#[tokio::test]
async fn pull_request_that_a_person_merges_before_a_task_ends_is_cleaned_up_afterwards() {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        let daemon = stage.daemon();
        let issue = merged_before_a_task(&stage, &daemon).await;
        stage.hours(&daemon, 1).await;
        assert_eq!(stage.once().get("delete_branch"), None, "{kind:?}: the task may push");
        stage.world.machine.set_agent(|_| None);
        stage.world.change_settings(|settings| settings.agents.max = 1);
        is_removed(&stage, &daemon, issue).await;
        assert_eq!((stage.once()["delete_branch"], stage.once()["edit_issue"]), (1, 1), "{kind:?}");
        assert_eq!(stage.once()["open_pull_request"], 1, "{kind:?}");
        daemon.kill().await;
    }
}

#[tokio::test]
async fn work_that_an_agent_pushes_after_the_merge_is_kept_and_shown() {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        let daemon = stage.daemon();
        let issue = merged_before_a_task(&stage, &daemon).await;
        stage.world.change_settings(|settings| settings.agents.max = 1);
        is_kept(&stage, &daemon, issue).await;
        assert_eq!(stage.pushed.lock().unwrap().len(), 2, "{kind:?}");
        daemon.kill().await;
    }
}

#[tokio::test]
async fn branch_that_a_person_pushed_to_after_the_merge_is_kept_until_it_is_deleted() {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        let number = stage.pull_request(&daemon, issue).await;
        stage.settle(&daemon).await;
        let branch = stage.forge.pull_request_of(PROJECT, number).head;
        stage.forge.set_pr_state(PROJECT, number, PrState::Merged);
        stage.forge.push(PROJECT, &branch, "00000000000000000000000000000000000ea7ed");
        is_kept(&stage, &daemon, issue).await;
        let retry = || stage.forge.comment(PROJECT, Subject::Issue(issue), "kim", "/kugetsu retry");
        retry();
        is_kept(&stage, &daemon, issue).await;
        stage.forge.remove_branch(PROJECT, &branch);
        stage.forge.edit_pull_request(PROJECT, number, |pull| pull.branch_gone = true);
        retry();
        is_removed(&stage, &daemon, issue).await;
        let own = stage.own_comments(issue);
        assert!(!own[0].contains("has to decide"), "{kind:?}: {own:?}");
        daemon.kill().await;
    }
}
