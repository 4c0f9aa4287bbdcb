//! The client and the testkit's servers against the API descriptions that GitHub and Forgejo publish. Prism is a proxy between
//! the two that refuses requests and responses that violate the description.
//!
//! Calls of GitHub that use GraphQL are not covered, because the description leaves it out: changing whether a pull request is
//! a draft, and scheduled merges. Neither are the logs of GitHub's jobs: Prism itself follows the redirect to them. There is no
//! description of GitLab's API to use.

use std::process::Command;
use std::sync::Arc;

use kugetsu_domain::pull_request::PrState;
use kugetsu_domain::reference::ForgeKind;
use kugetsu_domain::watch::selection::{Mark, SetBy};
use kugetsu_forge::discussion::Reaction;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::forge::{Forge, NewHook, Subject};
use kugetsu_forge::http::limits::Limits;
use kugetsu_forge::http::transport::Transport;
use kugetsu_forge::issue::{IssueEdit, IssueQuery, IssueState};
use kugetsu_forge::open::open;
use kugetsu_forge::pull_request::{Merge, MergeMethod, NewPullRequest, PullRequestEdit};
use kugetsu_forge::user;
use kugetsu_testkit::ForgeServer;
use kugetsu_testkit::forge_server::check::CheckState;
use kugetsu_testkit::forge_server::comment::Verdict;
use kugetsu_testkit::forge_server::issue::Issue;
use kugetsu_testkit::forge_server::permission::Permission;
use kugetsu_testkit::forge_server::pull_request::{PrState as Made, PullRequest};
use kugetsu_testkit::peer::program::{Peer, program};

use crate::stage::{self, LOGIN, TOKEN, credentials, limits, project, server};

/// Starts Prism before `upstream`, with one of the descriptions in the tests' data.
fn start_prism(description: &str, upstream: &ForgeServer) -> Option<Peer> {
    let prism = program("KUGETSU_PRISM")?;
    let description = format!("{}/tests/data/specs/{description}", env!("CARGO_MANIFEST_DIR"));
    Some(Peer::start(|port, _| {
        let mut command = Command::new(prism);
        command.args(["proxy", "--host", "127.0.0.1", "--port", &port.to_string(), "--errors"]);
        command.arg(description).arg(upstream.api_url());
        command
    }))
}

#[tokio::test]
async fn needs_prism_for_github() {
    let upstream = ForgeServer::github();
    if let Some(prism) = start_prism("github.json", &upstream) {
        exercise(ForgeKind::GitHub, &upstream, &prism).await;
    }
}

#[tokio::test]
async fn needs_prism_for_forgejo() {
    let upstream = ForgeServer::forgejo();
    // Prism does not accept local addresses in responses.
    upstream.set_root_url("https://git.example.co");
    // The first version that serves jobs and their logs.
    upstream.set_version("17.0.0+gitea-1.22.0");
    if let Some(prism) = start_prism("forgejo.json", &upstream) {
        exercise(ForgeKind::Forgejo, &upstream, &prism).await;
    }
}

/// Makes every call, with pull requests in every state.
async fn exercise(kind: ForgeKind, upstream: &ForgeServer, prism: &Peer) {
    upstream.token(TOKEN, LOGIN);
    let forge = client(kind, prism);
    let acme = project("acme/api");
    assert_eq!(forge.whoami().await.unwrap().login, LOGIN);
    assert_eq!(forge.version().await.unwrap().kind, kind);
    for issue in [Issue::new("Bare").closed(), Issue::new("Full").body("Text").label("good first").author("lee")] {
        let number = upstream.issue("acme/api", issue);
        assert!(!forge.issue(&acme, number).await.unwrap().is_pull_request);
    }
    let number = upstream.pull_request("acme/api", PullRequest::new("Quick", "kim/quick").from_fork_of("kim"));
    let own = upstream.pull_request("acme/api", PullRequest::new("Quick", "kim/quick"));
    for (made, expected) in [
        (Made::Open, PrState::Open),
        (Made::Draft, PrState::Draft),
        (Made::Conflict, PrState::Conflict),
        (Made::Merged, PrState::Merged),
        (Made::Closed, PrState::Closed),
    ] {
        upstream.set_pr_state("acme/api", number, made);
        upstream.set_pr_state("acme/api", own, made);
        assert_eq!(forge.pull_request(&acme, number).await.unwrap().state, expected);
        assert!(forge.issue(&acme, number).await.unwrap().is_pull_request);
        let found = forge.find_pull_requests(&acme, "kim/quick").await.unwrap();
        assert_eq!(found.iter().map(|pull| (pull.number, pull.state)).collect::<Vec<_>>(), [(own, expected)]);
    }
    read_and_change(&*forge, upstream).await;
    let missing = forge.issue(&project("acme/nothing"), 1).await;
    assert!(matches!(missing, Err(ForgeError::NotFound { .. })), "{missing:?}");

    // Proves that Prism validates: the client would accept this response.
    upstream.answer_next(200, r#"{"number": 1, "html_url": 7}"#);
    let refused = forge.pull_request(&acme, 1).await;
    assert!(matches!(refused, Err(ForgeError::Failing { .. })), "{refused:?}");
}

/// Makes the calls about comments, labels, reviews, checks and webhooks, and changes all of them.
async fn read_and_change(forge: &dyn Forge, upstream: &ForgeServer) {
    let acme = project("acme/api");
    assert_eq!(forge.project(&acme).await.unwrap().path, "acme/api");
    upstream.set_permission("acme/api", "lee", Permission::Write);
    assert_eq!(forge.permission(&acme, "lee").await.unwrap(), user::Permission::Write);
    let number = upstream.issue("acme/api", Issue::new("Blocked").blocked_by(1).assignee("lee").label("bug"));
    forge.open_dependencies(&acme, number).await.unwrap();
    forge.open_sub_issues(&acme, number).await.unwrap();
    let (label, assignee) = (Mark::Label("bug".to_owned()), Mark::Assignee("lee".to_owned()));
    for mark in [label, assignee] {
        assert_eq!(forge.last_setting(&acme, number, &mark).await.unwrap().by, SetBy::User("kim".to_owned()), "{mark}");
    }
    let issue = Subject::Issue(number);
    let comment = forge.add_comment(&acme, issue, "I look.").await.unwrap();
    forge.edit_comment(&acme, issue, comment.id, "Done.").await.unwrap();
    forge.react(&acme, issue, comment.id, Reaction::Eyes).await.unwrap();
    assert_eq!(forge.comments(&acme, issue).await.unwrap().entries.len(), 1);
    forge.label(&acme, issue, &["agent".to_owned()], &["bug".to_owned(), "gone".to_owned()]).await.unwrap();
    let assignees = Some(vec![LOGIN.to_owned()]);
    forge.edit_issue(&acme, number, &IssueEdit { state: Some(IssueState::Closed), assignees }).await.unwrap();
    let query = IssueQuery { label: Some("agent".to_owned()), since: comment.created, ..IssueQuery::default() };
    assert_eq!(forge.issues(&acme, &query).await.unwrap().entries.len(), 1);

    let [title, body, head, base] = ["Make it quick", "Fixes #1", "quick", "main"].map(str::to_owned);
    let new = NewPullRequest { title, body, head, base, draft: false };
    let pull = forge.open_pull_request(&acme, &new).await.unwrap();
    let again = forge.open_pull_request(&acme, &new).await;
    assert!(matches!(again, Err(ForgeError::Refused { .. })), "{again:?}");
    let edit =
        PullRequestEdit { title: Some("Quicker".to_owned()), body: Some(String::new()), draft: None, close: false };
    forge.edit_pull_request(&acme, pull.number, &edit).await.unwrap();
    forge.request_review(&acme, pull.number, &["lee".to_owned()]).await.unwrap();
    for verdict in [Verdict::Approved, Verdict::ChangesRequested, Verdict::Commented, Verdict::Dismissed] {
        upstream.review("acme/api", pull.number, "lee", verdict, "Text");
    }
    let thread = upstream.review_thread("acme/api", pull.number, "lee", ("src/main.rs", Some(2)), "Why?");
    upstream.reply("acme/api", pull.number, thread, LOGIN, "Because.");
    assert!(forge.reviews(&acme, pull.number).await.unwrap().len() >= 4);
    assert_eq!(forge.review_threads(&acme, pull.number).await.unwrap().len(), 1);
    forge.ci(&acme, &pull.head_sha).await.unwrap();
    for state in
        [CheckState::Queued, CheckState::Running, CheckState::Success, CheckState::Failure, CheckState::Skipped]
    {
        for log in [Some("log"), None] {
            upstream.set_check("acme/api", &pull.head_sha, &format!("{state:?} {}", log.is_some()), state, log);
        }
    }
    let checks = forge.ci(&acme, &pull.head_sha).await.unwrap().checks;
    assert_eq!(checks.len(), 10);
    if forge.kind() == ForgeKind::Forgejo {
        let failed = checks.iter().find(|check| check.name == "Failure true");
        let job = failed.and_then(|check| check.job.as_deref()).unwrap();
        assert_eq!(forge.job_log(&acme, job, 100).await.unwrap().as_deref(), Some("log"));
        assert_eq!(forge.job_log(&acme, "runs/99/jobs/0", 100).await.unwrap(), None, "there is no such run");
    }
    upstream.set_merge_queue("acme/api", true);
    assert_eq!(forge.has_merge_queue(&acme, "main").await.unwrap(), forge.kind() == ForgeKind::GitHub);
    upstream.set_merge_queue("acme/api", false);
    if forge.kind() == ForgeKind::Forgejo {
        schedule_and_cancel(forge, upstream, pull.number, &pull.head_sha).await;
    }
    let moved = Merge { head_sha: "0".repeat(40), method: MergeMethod::Squash, when_ready: false };
    let refused = forge.merge(&acme, pull.number, &moved).await;
    assert!(matches!(refused, Err(ForgeError::Refused { status: 409, .. })), "{refused:?}");
    forge.merge(&acme, pull.number, &Merge { head_sha: pull.head_sha.clone(), ..moved }).await.unwrap();
    assert_eq!(forge.merged_head(&acme, pull.number).await.unwrap(), pull.head_sha);
    // Prism takes no slash in `{ref}`, which GitHub's address has.
    assert_eq!(forge.has_branch(&acme, "quick").await.unwrap(), forge.kind() != ForgeKind::GitHub);
    forge.delete_branch(&acme, "quick").await.unwrap();
    forge.delete_branch(&acme, "quick").await.unwrap();
    let url = "https://kugetsu.example.org/hooks/1".to_owned();
    forge.create_hook(&acme, &NewHook { url, secret: "webhook s3cret".into() }).await.unwrap();
    assert_eq!(forge.hooks(&acme).await.unwrap().len(), 1);
}

async fn schedule_and_cancel(forge: &dyn Forge, upstream: &ForgeServer, number: u64, head: &str) {
    let acme = project("acme/api");
    let merge = Merge { head_sha: head.to_owned(), method: MergeMethod::Squash, when_ready: true };
    upstream.hold_merges("acme/api", true);
    // The description lacks status 201, with which Forgejo schedules a merge.
    stage::client(forge.kind(), upstream).merge(&acme, number, &merge).await.unwrap();
    forge.merge(&acme, number, &merge).await.unwrap();
    assert!(forge.is_merge_scheduled(&acme, number).await.unwrap());
    for _ in 0..2 {
        forge.cancel_merge(&acme, number).await.unwrap();
        assert!(!forge.is_merge_scheduled(&acme, number).await.unwrap());
    }
    upstream.hold_merges("acme/api", false);
}

fn client(kind: ForgeKind, prism: &Peer) -> Arc<dyn Forge> {
    let once = Limits { attempts: 1, ..limits() };
    // The paths of the descriptions are relative to the API.
    let server = server(kind, &prism.url(), Some(&prism.url()));
    open(&Transport::new(once).unwrap(), &server, credentials(kind, Some(TOKEN))).unwrap()
}
