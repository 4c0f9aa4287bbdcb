//! Watches that are removed, added again, and changed to another repository.

use kugetsu_domain::reference::{IssueRef, ProjectPath, RepoRef};
use kugetsu_testkit::forge_server::issue::{Issue, Subject};
use kugetsu_testkit::forge_server::permission::Permission;
use kugetsu_testkit::forge_server::pull_request::PrState;
use serde_json::{Value, json};

use super::stage::{KINDS, PROJECT, Stage};
use crate::world::Daemon;

const OTHER: &str = "acme/web";

/// An entry that has another repository.
fn watching(stage: &Stage, project: &str) -> Value {
    json!({ "repo": format!("{}/{project}", stage.forge.base_url()) })
}

/// Removes the watch. Nothing about the issue is over.
async fn remove_watch(stage: &Stage, daemon: &Daemon, issue: u64) {
    stage.set_watches(&[]);
    stage.hours(daemon, 1).await;
    assert!(!stage.is_over(daemon, issue).await, "{:?}", stage.kind);
}

/// Adds it again, under another name.
fn add_watch(stage: &Stage) {
    stage.set_watches(&[("other", json!({ "merge": "when-green" }))]);
}

#[tokio::test]
async fn watch_that_is_added_again_continues_with_its_pull_requests() {
    for kind in KINDS {
        let stage = Stage::with(kind, json!({ "merge": "when-green" })).await;
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        let number = stage.pull_request(&daemon, issue).await;
        remove_watch(&stage, &daemon, issue).await;
        stage.pass_checks(number);
        let requests = stage.hours(&daemon, 1).await;
        assert!(requests.is_empty(), "{kind:?}: {requests:?}");
        add_watch(&stage);
        stage.merged(&daemon, number).await;
        daemon.kill().await;
    }
}

#[tokio::test]
async fn watch_that_is_added_again_opens_the_pull_request_of_what_was_pushed_meanwhile() {
    for kind in KINDS {
        let stage = Stage::with(kind, json!({ "merge": "when-green" })).await;
        stage.world.change_settings(|settings| settings.agents.max = 0);
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        stage.known(&daemon, &daemon.reference(issue)).await;
        stage.set_watches(&[]);
        stage.world.change_settings(|settings| settings.agents.max = 1);
        stage.until(&daemon, "the push", async || daemon.issue(issue).await.pushed).await;
        remove_watch(&stage, &daemon, issue).await;
        assert_eq!(stage.pulls(issue).len(), 0, "{kind:?}");
        // Another daemon has the same to wait for.
        daemon.kill().await;
        let daemon = stage.daemon();
        stage.settle(&daemon).await;
        add_watch(&stage);
        let number = stage.pull_request(&daemon, issue).await;
        stage.pass_checks(number);
        stage.merged(&daemon, number).await;
        daemon.kill().await;
    }
}

#[tokio::test]
async fn watch_that_is_added_again_cleans_up_after_a_merge_meanwhile() {
    for kind in KINDS {
        let stage = Stage::with(kind, json!({ "merge": "when-green" })).await;
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        let number = stage.pull_request(&daemon, issue).await;
        remove_watch(&stage, &daemon, issue).await;
        stage.forge.set_pr_state(PROJECT, number, PrState::Merged);
        add_watch(&stage);
        stage.until(&daemon, "the removal", async || daemon.issue(issue).await.worktree.is_none().then_some(())).await;
        assert_eq!(stage.once().get("delete_branch"), Some(&1), "{kind:?}");
        daemon.kill().await;
    }
}

#[tokio::test]
async fn commands_on_the_former_repository_of_a_watch_do_not_reach_the_other_one() {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        let number = stage.pull_request(&daemon, issue).await;
        stage.settle(&daemon).await;
        for user in ["robot", "kim"] {
            stage.forge.set_permission(OTHER, user, Permission::Admin);
        }
        stage.world.machine.set_agent(|_| None);
        assert_eq!(stage.forge.issue(OTHER, Issue::new("Another").author("kim").label("agent")), issue);
        stage.set_watches(&[("api", watching(&stage, OTHER))]);
        let repo = RepoRef { project: ProjectPath::new(OTHER).unwrap(), ..stage.world.repo.name.clone() };
        let other = IssueRef { repo, number: issue };
        stage.known(&daemon, &other).await;
        stage.forge.comment(PROJECT, Subject::PullRequest(number), "kim", "/kugetsu stop");
        stage.hours(&daemon, 1).await;
        let is_stopped = async |reference: &IssueRef| {
            let found = daemon.store.issue(reference).await.unwrap().unwrap();
            found.follow.unwrap().is_stopped
        };
        let own = daemon.reference(issue);
        assert!(!is_stopped(&other).await && !is_stopped(&own).await, "{kind:?}");
        stage.set_watches(&[("web", watching(&stage, OTHER)), ("api", json!({}))]);
        stage.until(&daemon, "the stop", async || is_stopped(&own).await.then_some(())).await;
        assert!(!is_stopped(&other).await, "{kind:?}");
        daemon.kill().await;
    }
}

#[tokio::test]
async fn issue_of_a_renamed_repository_is_not_started_twice() {
    for kind in KINDS {
        let stage = Stage::with(kind, json!({ "merge": "when-green" })).await;
        stage.world.change_settings(|settings| settings.agents.max = 0);
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        stage.known(&daemon, &daemon.reference(issue)).await;
        stage.rename("acme/new");
        stage.set_watches(&[("api", watching(&stage, "acme/new"))]);
        let repo = RepoRef { project: ProjectPath::new("acme/new").unwrap(), ..stage.world.repo.name.clone() };
        let renamed = IssueRef { repo, number: issue };
        stage.hours(&daemon, 1).await;
        assert!(daemon.store.issue(&renamed).await.unwrap().is_none(), "{kind:?}");
        let candidate = daemon.store.candidate(renamed.repo.clone(), issue).await.unwrap().unwrap();
        let new = candidate.conditions.iter().find(|condition| condition.kind.name() == "new").unwrap();
        assert!(new.fact.contains(&format!("queued, as {}", daemon.reference(issue))), "{kind:?}: {new:?}");
        // The former name continues.
        stage.set_watches(&[("api", json!({ "merge": "when-green" }))]);
        stage.world.change_settings(|settings| settings.agents.max = 1);
        let number = stage.pull_request(&daemon, issue).await;
        let head = stage.forge.pull_request_of("acme/new", number).sha;
        stage.forge.set_check(
            "acme/new",
            &head,
            "test",
            kugetsu_testkit::forge_server::check::CheckState::Success,
            None,
        );
        stage.merged(&daemon, number).await;
        daemon.kill().await;
    }
}
