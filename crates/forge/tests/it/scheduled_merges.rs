//! Merges that the server makes later: when its conditions are met, or through its queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kugetsu_domain::pull_request::PrState;
use kugetsu_domain::reference::ForgeKind;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::forge::{Forge, NewHook};
use kugetsu_forge::pull_request::{Merge, MergeMethod};
use kugetsu_forge::webhook::delivery::verified;
use kugetsu_forge::webhook::notice::NoticeSubject;
use kugetsu_testkit::ForgeServer;
use kugetsu_testkit::forge_server::fault::Fault as Failure;
use kugetsu_testkit::forge_server::issue::Subject;
use kugetsu_testkit::forge_server::pull_request::{MergeMethod as Method, PrState as Made, PullRequest};

use crate::stage::{all, client, project};

const ACME: &str = "acme/api";

/// The kinds whose servers have queues.
const WITH_QUEUE: [ForgeKind; 2] = [ForgeKind::GitHub, ForgeKind::GitLab];

const HEAD: &str = "1111111111111111111111111111111111111111";
const NEXT: &str = "2222222222222222222222222222222222222222";

/// Servers with a pull request of `quick`, and their clients.
fn stages() -> impl Iterator<Item = (ForgeKind, ForgeServer, Arc<dyn Forge>, u64)> {
    all().into_iter().map(|(kind, server)| {
        let number = server.pull_request(ACME, PullRequest::new("Make it quick", "quick").sha(HEAD));
        let forge = client(kind, &server);
        (kind, server, forge, number)
    })
}

/// The same for servers with a queue.
fn queues() -> impl Iterator<Item = (ForgeKind, ForgeServer, Arc<dyn Forge>, u64)> {
    stages()
        .filter(|(kind, ..)| WITH_QUEUE.contains(kind))
        .inspect(|(_, server, ..)| server.set_merge_queue(ACME, true))
}

fn merge(head: &str, when_ready: bool) -> Merge {
    Merge { head_sha: head.to_owned(), method: MergeMethod::Squash, when_ready }
}

async fn schedule(forge: &dyn Forge, number: u64) -> Result<(), ForgeError> {
    forge.merge(&project(ACME), number, &merge(HEAD, true)).await
}

async fn is_scheduled(forge: &dyn Forge, number: u64) -> bool {
    forge.is_merge_scheduled(&project(ACME), number).await.unwrap()
}

async fn state(forge: &dyn Forge, number: u64) -> PrState {
    forge.pull_request(&project(ACME), number).await.unwrap().state
}

fn count(server: &ForgeServer, change: &str) -> usize {
    server.changes().get(change).copied().unwrap_or_default()
}

fn answer(status: u16, body: &str) -> Failure {
    Failure::Answer { status, headers: vec![], body: body.to_owned() }
}

/// Answers the `nth` GraphQL request with `body`; `done` says whether it is carried out before.
fn answer_nth(server: &ForgeServer, nth: usize, done: bool, body: &'static str) {
    let seen = AtomicUsize::new(0);
    server.fail_when(move |request| {
        let is_nth = request.contains("graphql") && seen.fetch_add(1, Ordering::SeqCst) + 1 == nth;
        is_nth.then(|| if done { Failure::Done(Box::new(answer(200, body))) } else { answer(200, body) })
    });
}

#[tokio::test]
async fn a_scheduled_merge_is_made_when_the_conditions_of_the_server_are_met() {
    for (kind, server, forge, number) in stages() {
        server.hold_merges(ACME, true);
        let refused = forge.merge(&project(ACME), number, &merge(HEAD, false)).await;
        assert!(matches!(refused, Err(ForgeError::Refused { status: 405, .. })), "{kind:?}: {refused:?}");
        assert!(!is_scheduled(&*forge, number).await, "{kind:?}");
        schedule(&*forge, number).await.unwrap();
        assert!(is_scheduled(&*forge, number).await && server.is_scheduled(ACME, number), "{kind:?}");
        assert_eq!(state(&*forge, number).await, PrState::Open, "{kind:?}");
        server.hold_merges(ACME, false);
        assert_eq!(state(&*forge, number).await, PrState::Merged, "{kind:?}");
        assert!(!is_scheduled(&*forge, number).await, "{kind:?}: it is merged");
    }
}

#[tokio::test]
async fn a_canceled_merge_is_not_made() {
    for (kind, server, forge, number) in stages() {
        server.hold_merges(ACME, true);
        schedule(&*forge, number).await.unwrap();
        forge.cancel_merge(&project(ACME), number).await.unwrap();
        assert!(!is_scheduled(&*forge, number).await, "{kind:?}");
        server.hold_merges(ACME, false);
        assert_eq!(state(&*forge, number).await, PrState::Open, "{kind:?}");
        assert_eq!(count(&server, "cancel_merge"), 1, "{kind:?}");
    }
}

#[tokio::test]
async fn canceling_a_merge_that_is_not_scheduled_changes_nothing() {
    for (kind, server, forge, number) in stages() {
        forge.cancel_merge(&project(ACME), number).await.unwrap();
        server.set_pr_state(ACME, number, Made::Merged);
        forge.cancel_merge(&project(ACME), number).await.unwrap();
        assert_eq!(count(&server, "cancel_merge"), 0, "{kind:?}");
        let is_looked_up = server.requests().iter().all(|request| request.method == "GET");
        assert_eq!(is_looked_up, kind == ForgeKind::GitLab, "{kind:?}");
    }
}

#[tokio::test]
async fn a_merge_is_scheduled_once() {
    for (kind, server, forge, number) in stages() {
        server.hold_merges(ACME, true);
        schedule(&*forge, number).await.unwrap();
        schedule(&*forge, number).await.unwrap();
        assert_eq!(count(&server, "merge_when_ready"), 1, "{kind:?}");
    }
    for is_ready in [true, false] {
        for (kind, server, forge, number) in queues() {
            server.hold_merges(ACME, !is_ready);
            schedule(&*forge, number).await.unwrap();
            schedule(&*forge, number).await.unwrap();
            assert_eq!(count(&server, "merge_when_ready"), 1, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn a_moved_head_is_not_scheduled() {
    for has_queue in [false, true] {
        for (kind, server, forge, number) in stages() {
            server.set_merge_queue(ACME, has_queue);
            server.hold_merges(ACME, true);
            for is_scheduled in [false, true] {
                let refused = forge.merge(&project(ACME), number, &merge(NEXT, true)).await;
                assert!(matches!(refused, Err(ForgeError::Refused { .. })), "{kind:?}: {refused:?}");
                assert_eq!(server.is_scheduled(ACME, number), is_scheduled, "{kind:?}");
                schedule(&*forge, number).await.unwrap();
            }
        }
    }
    for (kind, server, forge, number) in queues() {
        for scheduled in 0..2 {
            let refused = forge.merge(&project(ACME), number, &merge(NEXT, true)).await;
            assert!(matches!(refused, Err(ForgeError::Refused { .. })), "{kind:?}: {refused:?}");
            assert_eq!(count(&server, "merge_when_ready"), scheduled, "{kind:?}");
            schedule(&*forge, number).await.unwrap();
        }
    }
}

#[tokio::test]
async fn only_gitlab_and_queues_drop_a_merge_when_the_head_moves() {
    for (kind, server, forge, number) in stages() {
        server.hold_merges(ACME, true);
        schedule(&*forge, number).await.unwrap();
        server.push(ACME, "quick", NEXT);
        assert_eq!(is_scheduled(&*forge, number).await, kind != ForgeKind::GitLab, "{kind:?}");
    }
    for (kind, server, forge, number) in queues() {
        schedule(&*forge, number).await.unwrap();
        server.push(ACME, "quick", NEXT);
        assert!(!is_scheduled(&*forge, number).await, "{kind:?}");
    }
}

#[tokio::test]
async fn a_closed_pull_request_is_not_scheduled() {
    for (kind, server, forge, number) in stages() {
        server.hold_merges(ACME, true);
        schedule(&*forge, number).await.unwrap();
        server.set_closed(ACME, Subject::PullRequest(number), true);
        assert!(!is_scheduled(&*forge, number).await, "{kind:?}");
        server.set_closed(ACME, Subject::PullRequest(number), false);
        let is_kept = matches!(kind, ForgeKind::Gitea | ForgeKind::Forgejo);
        assert_eq!(is_scheduled(&*forge, number).await, is_kept, "{kind:?}");
    }
}

#[tokio::test]
async fn a_merge_that_others_canceled_is_not_scheduled() {
    for (kind, server, forge, number) in stages() {
        server.hold_merges(ACME, true);
        schedule(&*forge, number).await.unwrap();
        server.drop_scheduled(ACME, number);
        assert!(!is_scheduled(&*forge, number).await, "{kind:?}");
        schedule(&*forge, number).await.unwrap();
        assert!(is_scheduled(&*forge, number).await, "{kind:?}");
    }
}

#[tokio::test]
async fn a_branch_with_a_queue_is_recognized() {
    for (kind, server, forge, _) in stages() {
        for exists in [false, true] {
            server.set_merge_queue(ACME, exists);
            let found = forge.has_merge_queue(&project(ACME), "feature/a b").await.unwrap();
            assert_eq!(found, exists && WITH_QUEUE.contains(&kind), "{kind:?}");
        }
        assert_eq!(server.request_count() > 0, WITH_QUEUE.contains(&kind), "{kind:?}");
    }
}

#[tokio::test]
async fn a_queue_of_the_older_branch_protection_is_recognized() {
    for (_, server, forge, _) in queues().filter(|(kind, ..)| *kind == ForgeKind::GitHub) {
        server.answer_next(200, r#"[{"type":"pull_request","parameters":{}}]"#);
        assert!(forge.has_merge_queue(&project(ACME), "main").await.unwrap());
    }
}

#[tokio::test]
async fn a_queue_in_the_rules_is_recognized_without_graphql() {
    for (_, server, forge, _) in queues().filter(|(kind, ..)| *kind == ForgeKind::GitHub) {
        server.fail_always("graphql", Failure::Status(403));
        assert!(forge.has_merge_queue(&project(ACME), "main").await.unwrap());
    }
}

#[tokio::test]
async fn servers_and_plans_without_rules_have_no_queue() {
    for (_, server, forge, _) in stages().filter(|(kind, ..)| *kind == ForgeKind::GitHub) {
        for (status, body, is_known) in [
            (404, r#"{"message":"Not Found"}"#, true),
            (
                403,
                r#"{"message":"Upgrade to GitHub Pro or make this repository public to enable this feature."}"#,
                true,
            ),
            (403, r#"{"message":"Resource not accessible by personal access token"}"#, false),
            (500, r"{}", false),
        ] {
            server.fail_always("/rules/", answer(status, body));
            let found = forge.has_merge_queue(&project(ACME), "main").await;
            assert_eq!(found.clone().ok(), is_known.then_some(false), "{status}: {found:?}");
            server.recover();
        }
        let old = r#"{"errors":[{"message":"Field 'mergeQueue' doesn't exist on type 'Repository'"}]}"#;
        answer_nth(&server, 1, false, old);
        assert_eq!(forge.has_merge_queue(&project(ACME), "main").await, Ok(false));
        answer_nth(&server, 1, false, r#"{"data":{"repository":{}}}"#);
        let incomplete = forge.has_merge_queue(&project(ACME), "main").await;
        assert!(matches!(incomplete, Err(ForgeError::Unexpected { .. })), "{incomplete:?}");
    }
}

#[tokio::test]
async fn a_queue_merges_in_the_order_of_its_entries() {
    for (kind, server, forge, first) in queues() {
        let second = server.pull_request(ACME, PullRequest::new("Make it small", "small").sha(HEAD));
        schedule(&*forge, second).await.unwrap();
        schedule(&*forge, first).await.unwrap();
        assert!(is_scheduled(&*forge, first).await && is_scheduled(&*forge, second).await, "{kind:?}");
        let queued = |number| server.pull_request_of(ACME, number).queued.unwrap();
        assert!(queued(second).since < queued(first).since, "{kind:?}");
        server.set_pr_state(ACME, first, Made::Conflict);
        server.run_merge_queue(ACME);
        assert_eq!(state(&*forge, second).await, PrState::Merged, "{kind:?}");
        assert_eq!(state(&*forge, first).await, PrState::Conflict, "{kind:?}");
        assert!(!is_scheduled(&*forge, first).await, "{kind:?}: it was thrown out");
        assert_eq!(count(&server, "merge"), 0, "{kind:?}");
    }
}

#[tokio::test]
async fn only_github_refuses_a_merge_past_the_queue() {
    for (kind, server, forge, number) in queues() {
        let merged = forge.merge(&project(ACME), number, &merge(HEAD, false)).await;
        if kind == ForgeKind::GitLab {
            assert_eq!((merged, count(&server, "merge")), (Ok(()), 1));
            continue;
        }
        let refused = merged.unwrap_err();
        assert!(refused.to_string().contains("Changes must be made through the merge queue"), "{refused}");
        schedule(&*forge, number).await.unwrap();
        let refused = forge.merge(&project(ACME), number, &merge(HEAD, false)).await.unwrap_err();
        assert!(refused.to_string().contains("is in the merge queue"), "{refused}");
    }
}

#[tokio::test]
async fn a_pull_request_that_is_not_ready_enters_the_queue_later() {
    for (kind, server, forge, number) in queues() {
        server.hold_merges(ACME, true);
        schedule(&*forge, number).await.unwrap();
        assert!(is_scheduled(&*forge, number).await, "{kind:?}");
        assert_eq!(server.pull_request_of(ACME, number).queued, None, "{kind:?}");
        server.hold_merges(ACME, false);
        assert!(server.pull_request_of(ACME, number).queued.is_some(), "{kind:?}");
        assert!(is_scheduled(&*forge, number).await, "{kind:?}");
        server.run_merge_queue(ACME);
        assert_eq!(state(&*forge, number).await, PrState::Merged, "{kind:?}");
    }
}

#[tokio::test]
async fn a_ready_pull_request_whose_auto_merge_did_not_notice_it_enters_the_queue() {
    for (_, server, forge, number) in queues().filter(|(kind, ..)| *kind == ForgeKind::GitHub) {
        server.edit_pull_request(ACME, number, |pull| pull.auto_merge = Some(Method::Squash));
        schedule(&*forge, number).await.unwrap();
        assert!(server.pull_request_of(ACME, number).queued.is_some());
    }
}

#[tokio::test]
async fn the_unmet_condition_is_shown_if_auto_merge_is_not_allowed() {
    for (_, server, forge, number) in queues().filter(|(kind, ..)| *kind == ForgeKind::GitHub) {
        server.hold_merges(ACME, true);
        let not_allowed = r#"{"data":{"enablePullRequestAutoMerge":null},"errors":[{"type":"UNPROCESSABLE",
            "message":"Auto merge is not allowed for this repository"}]}"#;
        answer_nth(&server, 3, false, not_allowed);
        let refused = schedule(&*forge, number).await.unwrap_err();
        assert!(
            matches!(&refused, ForgeError::Refused { message, .. } if message.contains("approving review")),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn canceling_a_merge_leaves_the_queue() {
    for (kind, server, forge, number) in queues() {
        schedule(&*forge, number).await.unwrap();
        forge.cancel_merge(&project(ACME), number).await.unwrap();
        assert!(!is_scheduled(&*forge, number).await, "{kind:?}");
        server.run_merge_queue(ACME);
        assert_eq!(state(&*forge, number).await, PrState::Open, "{kind:?}");
    }
}

#[tokio::test]
async fn auto_merge_is_disabled_before_the_queue_is_left() {
    for (_, server, forge, number) in queues().filter(|(kind, ..)| *kind == ForgeKind::GitHub) {
        schedule(&*forge, number).await.unwrap();
        server.edit_pull_request(ACME, number, |pull| pull.auto_merge = Some(Method::Squash));
        forge.cancel_merge(&project(ACME), number).await.unwrap();
        assert!(!server.is_scheduled(ACME, number));
        let changes =
            server.requests().into_iter().map(|request| request.body).filter(|body| body.contains("mutation"));
        let order: Vec<bool> = changes.skip(1).map(|body| body.contains("disablePullRequestAutoMerge")).collect();
        assert_eq!(order, [true, false]);
    }
}

#[tokio::test]
async fn the_state_decides_whether_a_refused_cancellation_was_made() {
    for (kind, server, forge, number) in queues() {
        let cancel = async || forge.cancel_merge(&project(ACME), number).await;
        for done in [true, false] {
            schedule(&*forge, number).await.unwrap();
            if kind == ForgeKind::GitHub {
                let failed = r#"{"data":{"dequeuePullRequest":null},"errors":[{"type":"UNPROCESSABLE",
                    "message":"Failed to remove PR #1"}]}"#;
                answer_nth(&server, 2, done, failed);
                assert_eq!(cancel().await, Ok(()), "the second attempt succeeds");
            } else {
                let refusal = Failure::Status(406);
                let refusal = if done { Failure::Done(Box::new(refusal)) } else { refusal };
                server.fail_at("cancel_merge_when_pipeline_succeeds", refusal);
                let canceled = cancel().await;
                assert_eq!(canceled.is_ok(), done, "{canceled:?}");
                assert!(done || matches!(canceled, Err(ForgeError::Refused { status: 406, .. })), "{canceled:?}");
            }
            server.recover();
            assert_eq!(is_scheduled(&*forge, number).await, kind == ForgeKind::GitLab && !done, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn a_cancellation_that_the_server_did_not_make_is_an_error() {
    for (kind, server, forge, number) in queues() {
        schedule(&*forge, number).await.unwrap();
        match kind {
            ForgeKind::GitLab => {
                let failed = r#"{"message":"Can't cancel the automatic merge","status":"error","http_status":406}"#;
                server.fail_at("cancel_merge_when_pipeline_succeeds", answer(201, failed));
            }
            _ => {
                let seen = AtomicUsize::new(0);
                server.fail_when(move |_| {
                    let is_mutation = seen.fetch_add(1, Ordering::SeqCst) % 2 == 1;
                    let done = r#"{"data":{"dequeuePullRequest":{"clientMutationId":null}}}"#;
                    is_mutation.then(|| answer(200, done))
                });
            }
        }
        let canceled = forge.cancel_merge(&project(ACME), number).await;
        assert!(matches!(canceled, Err(ForgeError::Unexpected { .. })), "{kind:?}: {canceled:?}");
    }
}

#[tokio::test]
async fn a_refusal_of_a_train_is_a_refusal() {
    for (_, server, forge, number) in queues().filter(|(kind, ..)| *kind == ForgeKind::GitLab) {
        server.set_pr_state(ACME, number, Made::Conflict);
        let refused = schedule(&*forge, number).await;
        assert!(matches!(refused, Err(ForgeError::Refused { status: 400, .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn an_incomplete_answer_is_no_state() {
    let bodies = |kind| match kind {
        ForgeKind::GitHub => vec![
            r"{}",
            r#"{"data":null}"#,
            r#"{"data":null,"errors":[]}"#,
            r#"{"data":{"repository":null}}"#,
            r#"{"data":{"repository":{"pullRequest":null}}}"#,
            r#"{"data":{"repository":{"pullRequest":{"id":"x","headRefOid":"1","isMergeQueueEnabled":false,"isInMergeQueue":false}}}}"#,
            r#"{"data":{"repository":{"pullRequest":{"id":"x","headRefOid":"1","isMergeQueueEnabled":false,"autoMergeRequest":null}}}}"#,
            r#"{"data":{"repository":{"pullRequest":{"id":"x","headRefOid":"1","isMergeQueueEnabled":false,"isInMergeQueue":null,"autoMergeRequest":null}}}}"#,
        ],
        ForgeKind::GitLab => vec![r"{}", r#"{"state":"opened","sha":"1"}"#],
        _ => vec![r"{}", r#"[{"id":1}]"#, r#"[{"type":"pull_scheduled_merge"}]"#],
    };
    for (kind, server, forge, number) in stages() {
        for body in bodies(kind) {
            server.answer_next(200, body);
            let found = forge.is_merge_scheduled(&project(ACME), number).await;
            assert!(matches!(found, Err(ForgeError::Unexpected { .. })), "{kind:?}: {body}: {found:?}");
        }
        let missing = forge.is_merge_scheduled(&project(ACME), 99).await;
        assert!(matches!(missing, Err(ForgeError::NotFound { .. })), "{kind:?}: {missing:?}");
    }
}

#[tokio::test]
async fn a_change_without_an_answer_is_an_error() {
    for (_, server, forge, number) in queues().filter(|(kind, ..)| *kind == ForgeKind::GitHub) {
        for body in [r"{}", r#"{"data":null}"#] {
            answer_nth(&server, 2, false, body);
            let scheduled = schedule(&*forge, number).await;
            assert!(matches!(scheduled, Err(ForgeError::Unexpected { .. })), "{body}: {scheduled:?}");
        }
    }
}

#[tokio::test]
async fn a_merge_that_gitlab_made_is_not_scheduled_any_more() {
    for (_, server, forge, number) in stages().filter(|(kind, ..)| *kind == ForgeKind::GitLab) {
        server.answer_next(200, r#"{"state":"merged","sha":"1","merge_when_pipeline_succeeds":true}"#);
        assert!(!is_scheduled(&*forge, number).await);
    }
}

#[tokio::test]
async fn errors_of_graphql_are_distinguished_by_their_type() {
    for (_, server, forge, number) in stages().filter(|(kind, ..)| *kind == ForgeKind::GitHub) {
        let scheduled = async |errors: &str| {
            let data = r#"{"repository":{"pullRequest":{"id":"x","headRefOid":"1","isMergeQueueEnabled":false,
                "isInMergeQueue":false,"autoMergeRequest":null}}}"#;
            server.answer_next(200, &format!(r#"{{"data":{data},"errors":{errors}}}"#));
            forge.is_merge_scheduled(&project(ACME), number).await
        };
        assert_eq!(scheduled("[]").await, Ok(false));
        assert_eq!(scheduled("null").await, Ok(false));
        let limited = scheduled(r#"[{"type":"RATE_LIMITED","message":"API rate limit exceeded"}]"#).await.unwrap_err();
        assert!(matches!(limited, ForgeError::RateLimited { until: Some(_), .. }), "{limited}");
        let missing = scheduled(r#"[{"type":"NOT_FOUND","message":"Could not resolve to a node"}]"#).await.unwrap_err();
        assert!(missing.denies_pull_request(), "{missing}");
        let denied = scheduled(r#"[{"type":"FORBIDDEN","message":"Resource not accessible"}]"#).await.unwrap_err();
        assert!(
            matches!(&denied, ForgeError::Forbidden { message, .. } if message == "Resource not accessible"),
            "{denied}"
        );
        let crashed = scheduled(r#"[{"message":"Something went wrong while executing your query. Try again"}]"#).await;
        assert!(crashed.as_ref().is_err_and(ForgeError::is_transient), "{crashed:?}");
        for other in [r#"[{"type":"UNPROCESSABLE","message":"no"},{"message":"way"}]"#, "[{}]"] {
            let refused = scheduled(other).await;
            assert!(matches!(refused, Err(ForgeError::Refused { status: 422, .. })), "{other}: {refused:?}");
        }
    }
}

#[tokio::test]
async fn github_reports_changes_of_scheduled_merges() {
    for (kind, server, forge, number) in queues().filter(|(kind, ..)| *kind == ForgeKind::GitHub) {
        let hook = NewHook { url: "http://127.0.0.1:1/hooks".to_owned(), secret: "s3cret".into() };
        forge.create_hook(&project(ACME), &hook).await.unwrap();
        schedule(&*forge, number).await.unwrap();
        server.drop_scheduled(ACME, number);
        server.hold_merges(ACME, true);
        schedule(&*forge, number).await.unwrap();
        server.drop_scheduled(ACME, number);
        let sent = server.await_deliveries(5).await.split_off(1);
        let actions = ["enqueued", "dequeued", "auto_merge_enabled", "auto_merge_disabled"];
        for (delivery, action) in sent.iter().zip(actions) {
            assert!(delivery.body.contains(&format!(r#""action":"{action}""#)), "{action}: {}", delivery.body);
            let header = |name: &str| delivery.header(name);
            let verified = verified(kind, &"s3cret".into(), header, delivery.body.as_bytes(), jiff::Timestamp::now());
            assert_eq!(verified.unwrap().notice.unwrap().subject, NoticeSubject::PullRequest(number), "{action}");
        }
    }
}
