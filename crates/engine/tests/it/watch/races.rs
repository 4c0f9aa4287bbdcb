//! People and servers act at the same moment as kugetsu.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use kugetsu_domain::flow::Event;
use kugetsu_domain::reference::ForgeKind;
use kugetsu_testkit::forge_server::check::CheckState;
use kugetsu_testkit::forge_server::comment::Verdict;
use kugetsu_testkit::forge_server::issue::Subject;
use kugetsu_testkit::forge_server::pull_request::PrState;
use kugetsu_testkit::forge_server::request::ForgeRequest;
use serde_json::json;

use super::stage::{Failure, KINDS, PROJECT, Stage};
use crate::world::Daemon;

/// Whether a request merges.
fn is_merge(request: &str) -> bool {
    !request.starts_with("GET") && request.contains("/merge") && !request.ends_with("/merge_requests")
}

fn merges(requests: &[ForgeRequest]) -> usize {
    requests.iter().filter(|request| is_merge(&format!("{} {}", request.method, request.target))).count()
}

/// Does something once, directly before a merge is carried out.
fn before_the_merge(stage: &Stage, act: impl Fn() + Send + Sync + 'static) {
    let done = AtomicBool::new(false);
    stage.forge.fail_when(move |request| {
        if is_merge(request) && !done.swap(true, Ordering::SeqCst) {
            act();
        }
        None
    });
}

#[tokio::test]
async fn merge_by_a_person_at_the_same_moment_ends_the_story() {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        let number = stage.pull_request(&daemon, issue).await;
        let forge = Arc::clone(&stage.forge);
        before_the_merge(&stage, move || forge.set_pr_state(PROJECT, number, PrState::Merged));
        stage.play(&daemon, issue).await;
        assert_eq!(stage.once().get("merge"), None, "{kind:?}");
        let own = stage.own_comments(issue);
        assert!(
            own.len() == 1 && own[0].contains("is merged") && !own[0].contains("has to decide"),
            "{kind:?}: {own:?}"
        );
        daemon.kill().await;
    }
}

#[tokio::test]
async fn pull_request_that_a_person_closes_at_the_moment_of_the_merge_is_kept() {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        let number = stage.pull_request(&daemon, issue).await;
        let forge = Arc::clone(&stage.forge);
        before_the_merge(&stage, move || forge.set_closed(PROJECT, Subject::PullRequest(number), true));
        stage
            .until(&daemon, "the end", async || {
                stage.review(number);
                let is_closed = stage.own_comments(issue).iter().any(|comment| comment.contains("was closed"));
                (is_closed && stage.is_over(&daemon, issue).await).then_some(())
            })
            .await;
        assert_eq!((stage.once().get("merge"), stage.once().get("delete_branch")), (None, None), "{kind:?}");
        assert!(!stage.forge.issue_of(PROJECT, Subject::Issue(issue)).closed, "{kind:?}");
        assert!(daemon.issue(issue).await.worktree.is_some(), "{kind:?}: the work is kept");
        daemon.kill().await;
    }
}

#[tokio::test]
async fn head_that_a_person_pushes_at_the_moment_of_the_merge_is_not_merged_before_it_is_approved() {
    const PUSHED: &str = "00000000000000000000000000000000000ea7ed";
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        let number = stage.pull_request(&daemon, issue).await;
        let (forge, branch) = (Arc::clone(&stage.forge), stage.forge.pull_request_of(PROJECT, number).head);
        before_the_merge(&stage, move || {
            forge.push(PROJECT, &branch, PUSHED);
            // Only the approval is missing.
            forge.set_check(PROJECT, PUSHED, "test", CheckState::Success, None);
        });
        stage
            .until(&daemon, "the refusal", async || {
                let pull = stage.forge.pull_request_of(PROJECT, number);
                if pull.sha.ends_with("ea7ed") {
                    Some(())
                } else {
                    stage.review(number);
                    None
                }
            })
            .await;
        let requests = stage.hours(&daemon, 1).await;
        assert_eq!(merges(&requests), 0, "{kind:?}: {requests:?}");
        assert_eq!(stage.forge.pull_request_of(PROJECT, number).state, PrState::Open, "{kind:?}");
        stage.play(&daemon, issue).await;
        stage.check(&daemon, issue).await;
        daemon.kill().await;
    }
}

#[tokio::test]
async fn refused_merge_is_left_to_a_person() {
    for kind in KINDS {
        let stage = Stage::with(kind, json!({ "merge_method": "rebase" })).await;
        let refusal = Failure::Answer {
            status: 405,
            headers: vec![],
            body: r#"{"message": "At least 2 approving reviews are required by reviewers with write access."}"#
                .to_owned(),
        };
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        let number = stage.pull_request(&daemon, issue).await;
        stage.forge.fail_when(move |request| is_merge(request).then(|| refusal.clone()));
        stage
            .until(&daemon, "the message", async || {
                stage.review(number);
                stage.own_comments(issue).iter().any(|comment| comment.contains("has to decide (merge)")).then_some(())
            })
            .await;
        let requests = stage.hours(&daemon, 2).await;
        assert_eq!(merges(&requests), 0, "{kind:?}: {}", merges(&requests));
        // The last one leaves it to the server, at the same address on some.
        assert!(merges(&stage.forge.requests()) <= 6, "{kind:?}: {}", merges(&stage.forge.requests()));
        assert!(
            stage.why(&daemon, issue).await.contains("2 approving"),
            "{kind:?}: {}",
            stage.why(&daemon, issue).await
        );
        let follow = stage.explain(&daemon, issue).await.follow.unwrap();
        let merge = follow.feedback.iter().find(|feedback| feedback.kind == "merge").unwrap();
        assert_eq!((merge.given, merge.budget), (0, 0), "{kind:?}: the agent never gets it");
        // Another head is another merge.
        stage.forge.recover();
        let branch = stage.forge.pull_request_of(PROJECT, number).head;
        stage.forge.push(PROJECT, &branch, "00000000000000000000000000000000000ea7ed");
        stage.play(&daemon, issue).await;
        stage.check(&daemon, issue).await;
        daemon.kill().await;
    }
}

#[tokio::test]
async fn merge_that_the_server_refuses_for_a_moment_is_tried_again() {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        for _ in 0..2 {
            let body = r#"{"message": "Base branch was modified. Review and try the merge again."}"#.to_owned();
            let merge = if kind == ForgeKind::GitLab { "/merge_requests/1/merge" } else { "/pulls/2/merge" };
            stage.forge.fail_at(merge, Failure::Answer { status: 405, headers: vec![], body });
        }
        stage.play(&daemon, issue).await;
        stage.check(&daemon, issue).await;
        assert!(merges(&stage.forge.requests()) == 3, "{kind:?}");
        daemon.kill().await;
    }
}

#[tokio::test]
async fn pull_request_is_looked_at_after_the_merge_of_another_one() {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        let daemon = stage.daemon();
        let issues = [stage.hand_over(), stage.hand_over(), stage.hand_over()];
        let mut numbers = Vec::new();
        for issue in issues {
            numbers.push(stage.pull_request(&daemon, issue).await);
        }
        stage.settle(&daemon).await;
        for number in &numbers {
            stage.pass_checks(*number);
            stage.forge.approve(PROJECT, *number, "kim");
        }
        for number in &numbers {
            stage.merged(&daemon, *number).await;
        }
        let requests = stage.forge.requests();
        let number_in = |target: &str| {
            let (_, rest) = target.split_once("/pulls/").or_else(|| target.split_once("/merge_requests/"))?;
            rest.split(['/', '?']).next()?.parse::<u64>().ok()
        };
        let mut looked_at = Vec::new();
        let mut merged = 0;
        for request in &requests {
            let Some(number) = number_in(&request.target) else { continue };
            if is_merge(&format!("{} {}", request.method, request.target)) {
                assert!(looked_at.contains(&number), "{kind:?}: {number} of {requests:?}");
                looked_at.clear();
                merged += 1;
            } else {
                looked_at.push(number);
            }
        }
        assert_eq!(merged, numbers.len(), "{kind:?}");
        daemon.kill().await;
    }
}

#[tokio::test]
async fn pull_request_whose_conflicts_are_not_known_waits() {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        let number = stage.pull_request(&daemon, issue).await;
        stage.forge.set_pr_state(PROJECT, number, PrState::Computing);
        stage
            .until(&daemon, "the third head", async || {
                stage.review(number);
                (stage.pushed.lock().unwrap().len() == 3).then_some(())
            })
            .await;
        stage.review(number);
        let requests = stage.hours(&daemon, 3).await;
        assert_eq!(merges(&requests), 0, "{kind:?}");
        stage.forge.set_pr_state(PROJECT, number, PrState::Open);
        stage.play(&daemon, issue).await;
        stage.check(&daemon, issue).await;
        daemon.kill().await;
    }
}

#[tokio::test]
async fn pull_request_that_is_not_listed_yet_is_not_opened_twice() {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        let list = if kind == ForgeKind::GitLab { "merge_requests?" } else { "/pulls?" };
        // The answer to the first request is lost, and the list lags behind.
        let open = if kind == ForgeKind::GitLab { "/merge_requests" } else { "/pulls" };
        let lost = AtomicBool::new(false);
        let lag = AtomicUsize::new(0);
        stage.forge.fail_when(move |request| {
            let is_open = request.starts_with("POST") && request.ends_with(open);
            if is_open && !lost.swap(true, Ordering::SeqCst) {
                return Some(Failure::Done(Box::new(Failure::Status(500))));
            }
            let is_lagging =
                request.contains(list) && lost.load(Ordering::SeqCst) && lag.fetch_add(1, Ordering::SeqCst) < 12;
            is_lagging.then(|| Failure::Answer { status: 200, headers: vec![], body: "[]".to_owned() })
        });
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        stage.play(&daemon, issue).await;
        stage.check(&daemon, issue).await;
        daemon.kill().await;
    }
}

#[tokio::test]
async fn comment_that_is_not_listed_yet_is_not_written_twice() {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        let lost = AtomicBool::new(false);
        let lag = AtomicUsize::new(0);
        let comments = if kind == ForgeKind::GitLab { "/issues/1/notes" } else { "/issues/1/comments" };
        stage.forge.fail_when(move |request| {
            if !request.contains(comments) {
                return None;
            }
            if request.starts_with("POST") && !lost.swap(true, Ordering::SeqCst) {
                return Some(Failure::Done(Box::new(Failure::Status(500))));
            }
            let is_lagging =
                request.starts_with("GET") && lost.load(Ordering::SeqCst) && lag.fetch_add(1, Ordering::SeqCst) < 2;
            is_lagging.then(|| Failure::Answer { status: 200, headers: vec![], body: "[]".to_owned() })
        });
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        stage.play(&daemon, issue).await;
        stage.check(&daemon, issue).await;
        daemon.kill().await;
    }
}

/// Plays until the pull request is there, lets something happen, and plays to the end.
async fn survives(act: impl Fn(&Stage, u64, u64), check: impl AsyncFn(&Stage, &Daemon, u64)) {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        let number = stage.pull_request(&daemon, issue).await;
        act(&stage, issue, number);
        stage.play(&daemon, issue).await;
        check(&stage, &daemon, issue).await;
        daemon.kill().await;
    }
}

async fn nothing_else(stage: &Stage, daemon: &Daemon, issue: u64) {
    stage.check(daemon, issue).await;
}

#[tokio::test]
async fn renamed_project_keeps_its_pull_request() {
    survives(|stage, _, _| stage.rename("acme/new"), nothing_else).await;
}

#[tokio::test]
async fn deleted_branch_is_pushed_again() {
    survives(
        |stage, _, number| stage.forge.edit_pull_request(PROJECT, number, |pull| pull.branch_gone = true),
        nothing_else,
    )
    .await;
}

#[tokio::test]
async fn deleted_comment_is_written_once_more() {
    survives(
        |stage, issue, _| {
            let subject = Subject::Issue(issue);
            for comment in stage.forge.comments_of(PROJECT, subject) {
                stage.forge.delete_comment(PROJECT, subject, comment.id);
            }
        },
        async |stage, daemon, issue| {
            let own = stage.own_comments(issue);
            assert!(own.len() == 1 && own[0].contains("is merged"), "{:?}: {own:?}", stage.kind);
            assert_eq!(stage.once()["comment"], 2, "{:?}", stage.kind);
            assert!(stage.is_over(daemon, issue).await);
        },
    )
    .await;
}

#[tokio::test]
async fn description_that_a_person_edited_stays() {
    survives(
        |stage, _, number| {
            let body = stage.forge.pull_request_of(PROJECT, number).issue.body.unwrap();
            let (first, rest) = body.split_once('\n').unwrap();
            let edited = format!("{first} See the plan.\n{rest}");
            stage.forge.edit(PROJECT, Subject::PullRequest(number), "It is quick", &edited);
        },
        async |stage, daemon, issue| {
            stage.check(daemon, issue).await;
            let (_, pull) = stage.pulls(issue).remove(0);
            assert_eq!(pull.issue.title, "It is quick");
            assert!(pull.issue.body.unwrap().contains("See the plan."), "{:?}", stage.kind);
        },
    )
    .await;
}

#[tokio::test]
async fn deleted_issue_does_not_keep_the_pull_request_from_its_end() {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        let number = stage.pull_request(&daemon, issue).await;
        stage.forge.delete_issue(PROJECT, issue);
        stage
            .until(&daemon, "the end", async || {
                stage.review(number);
                let is_merged = stage.forge.pull_request_of(PROJECT, number).state == PrState::Merged;
                (is_merged && stage.is_over(&daemon, issue).await).then_some(())
            })
            .await;
        assert_eq!(daemon.issue(issue).await.worktree, None, "{kind:?}: what kugetsu has of it is removed");
        let requests = stage.hours(&daemon, 1).await;
        assert!(requests.iter().all(|request| request.method == "GET"), "{kind:?}: {requests:?}");
        daemon.kill().await;
    }
}

#[tokio::test]
async fn feedback_that_cannot_be_given_is_left_to_a_person() {
    let stage = Stage::new(ForgeKind::Gitea).await;
    let daemon = stage.daemon();
    let issue = stage.hand_over();
    let number = stage.pull_request(&daemon, issue).await;
    stage.settle(&daemon).await;
    // The user removes the files while the pull request is open.
    let id = daemon.issue(issue).await.id;
    daemon.store.apply(id, Event::DestroyRequested, daemon.engine.clock().now()).await.unwrap();
    stage.until(&daemon, "the removal", async || daemon.issue(issue).await.worktree.is_none().then_some(())).await;
    let head = stage.forge.pull_request_of(PROJECT, number).sha;
    stage.forge.set_check(PROJECT, &head, "test", CheckState::Failure, None);
    stage.forge.review(PROJECT, number, "kim", Verdict::Commented, "Why?");
    let requests = stage.hours(&daemon, 2).await;
    assert!(requests.len() < 400, "{}", requests.len());
    let why = stage.why(&daemon, issue).await;
    assert!(why.contains("removed"), "{why}");
    daemon.kill().await;
}
