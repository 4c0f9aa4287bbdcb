//! Responses of Gitea, Forgejo and GitLab, written after recorded ones: fields that old versions leave out, and those that are null.

use std::sync::Arc;

use kugetsu_domain::reference::ForgeKind;
use kugetsu_forge::ci::{CheckState, CiVerdict};
use kugetsu_forge::discussion::ReviewVerdict;
use kugetsu_forge::forge::{Forge, Subject};
use kugetsu_forge::issue::IssueState;
use kugetsu_testkit::ForgeServer;
use serde_json::{Value, json};

use crate::stage::{Failure, LOGIN, TOKEN, client, project};

const SHA: &str = "39af58f1eff02aa308e16913e887c8d50362b474";

/// A client of a server that sends these bodies.
fn responding(kind: ForgeKind, bodies: &[Value]) -> (Arc<dyn Forge>, ForgeServer) {
    let server = match kind {
        ForgeKind::GitLab => ForgeServer::gitlab(),
        ForgeKind::Forgejo => ForgeServer::forgejo(),
        _ => ForgeServer::gitea(),
    };
    server.token(TOKEN, LOGIN);
    for body in bodies {
        server.fail_next(Failure::Answer { status: 200, headers: vec![], body: body.to_string() });
    }
    (client(kind, &server), server)
}

#[tokio::test]
async fn issues_and_comments_of_old_gitea_versions_are_parsed() {
    let user = json!({ "id": 4, "username": "ann", "full_name": "", "email": "ann@example.com", "avatar_url": "" });
    let issue = json!({
        "id": 12, "number": 3, "user": user, "title": "It is slow", "body": "Very.", "labels": null, "milestone": null,
        "assignee": null, "assignees": null, "state": "closed", "comments": 1, "pull_request": null,
        "created_at": "2017-09-23T19:24:01+02:00", "updated_at": "2017-09-23T19:25:01+02:00",
    });
    let (forge, _server) = responding(ForgeKind::Gitea, &[issue]);
    let issue = forge.issue(&project("acme/api"), 3).await.unwrap();
    assert_eq!((issue.number, issue.state, issue.is_pull_request), (3, IssueState::Closed, false));
    assert_eq!(issue.author.map(|author| (author.login, author.is_bot)), Some(("ann".to_owned(), false)));
    assert_eq!(issue.updated, "2017-09-23T17:25:01Z".parse().ok());
    assert!(issue.labels.is_empty() && issue.assignees.is_empty());
    let comments = json!([
        { "id": 74, "user": user, "body": "What?", "created_at": "2016-08-26T11:58:18-07:00", "updated_at": "2016-08-26T11:58:18-07:00" },
        { "id": 75, "user": null, "original_author": "Bo", "original_author_id": 9, "body": "", "created_at": "0001-01-01T00:00:00Z" },
    ]);
    let (forge, _server) = responding(ForgeKind::Gitea, &[comments]);
    let comments = forge.comments(&project("acme/api"), Subject::Issue(3)).await.unwrap().entries;
    assert_eq!(comments[0].created, "2016-08-26T18:58:18Z".parse().ok());
    assert_eq!((comments[1].author.as_ref(), comments[1].created), (None, None));
}

#[tokio::test]
async fn programs_of_gitea_are_known_by_the_servers_mark() {
    let comment = |user: Value| json!({ "id": 1, "user": user, "body": "Hi", "created_at": "2026-01-01T00:00:00Z" });
    let comments = json!([
        // User objects have a type since 2026.
        comment(json!({ "id": 8, "login": "scanner", "type": "Bot" })),
        comment(json!({ "id": 9, "login": "kim", "type": "User" })),
        // The user of the server's own workflows.
        comment(json!({ "id": -2, "login": "gitea-actions" })),
        comment(json!({ "id": 10, "login": "renovate[bot]" })),
        comment(json!({ "id": 11, "login": "gitea-actions-2" })),
    ]);
    for kind in [ForgeKind::Gitea, ForgeKind::Forgejo] {
        let (forge, _server) = responding(kind, std::slice::from_ref(&comments));
        let comments = forge.comments(&project("acme/api"), Subject::Issue(3)).await.unwrap().entries;
        let bots: Vec<_> = comments.iter().map(|comment| comment.author.as_ref().unwrap().is_bot).collect();
        assert_eq!(bots, [true, false, true, false, false], "{kind:?}");
    }
}

#[tokio::test]
async fn reviews_statuses_and_webhooks_of_gitea_are_parsed() {
    let review = |id: u64, state: &str, fields: Value| {
        let mut review = json!({
            "id": id, "user": { "id": 4, "login": "ann" }, "team": null, "state": state, "body": "", "commit_id": SHA,
            "stale": false, "official": true, "comments_count": 0, "submitted_at": format!("2026-01-0{id}T00:00:00Z"),
        });
        review.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        review
    };
    let reviews = json!([
        review(3, "APPROVED", json!({})),
        review(1, "REQUEST_CHANGES", json!({ "dismissed": true, "stale": true })),
        review(2, "REQUEST_REVIEW", json!({ "user": null, "team": { "id": 1, "name": "core" }, "commit_id": "" })),
    ]);
    let (forge, _server) = responding(ForgeKind::Forgejo, &[reviews]);
    let reviews = forge.reviews(&project("acme/api"), 1).await.unwrap();
    let verdicts: Vec<_> = reviews.iter().map(|review| (review.id, review.verdict)).collect();
    let expected = [(1, ReviewVerdict::Dismissed), (2, ReviewVerdict::Other), (3, ReviewVerdict::Approved)];
    assert_eq!(verdicts, expected, "oldest first");
    assert_eq!(reviews[2].commit.as_deref(), Some(SHA));

    let status = json!({
        "state": "pending", "sha": SHA, "total_count": 2, "commit_url": "", "url": "", "repository": null,
        "statuses": [
            { "id": 1, "status": "success", "target_url": "", "description": null, "context": "ci/drone", "creator": null },
            { "id": 2, "status": "warning", "target_url": null, "context": "lint" },
        ],
    });
    let (forge, _server) = responding(ForgeKind::Gitea, &[status]);
    let ci = forge.ci(&project("acme/api"), SHA).await.unwrap();
    assert_eq!((ci.verdict(), ci.checks[1].state), (CiVerdict::Success, CheckState::Skipped));
    // A commit without statuses.
    let (forge, _server) =
        responding(ForgeKind::Gitea, &[json!({ "state": "", "sha": "", "total_count": 0, "statuses": null })]);
    assert_eq!(forge.ci(&project("acme/api"), SHA).await.unwrap().verdict(), CiVerdict::None);

    let hooks = json!([{
        "id": 20, "type": "gogs", "config": { "content_type": "json", "url": "http://ci.example.com/hook" },
        "events": ["create", "push"], "active": true, "updated_at": "2015-08-29T11:31:22.453572732+08:00",
    }]);
    let (forge, _server) = responding(ForgeKind::Gitea, &[hooks]);
    let hooks = forge.hooks(&project("acme/api")).await.unwrap();
    assert_eq!((hooks[0].id, hooks[0].url.as_str(), hooks[0].is_active), (20, "http://ci.example.com/hook", true));
}

#[tokio::test]
async fn issues_and_notes_of_gitlab_are_parsed() {
    let ann = json!({ "id": 9, "name": "Ann", "username": "ann", "state": "active", "avatar_url": null });
    let issue = json!({
        "id": 41, "iid": 3, "project_id": 4, "title": "It is slow", "description": null, "state": "closed",
        "author": ann, "assignee": ann, "assignees": [ann], "labels": ["bug"], "milestone": null,
        "created_at": "2016-01-04T15:31:46.176Z", "updated_at": "2016-01-04T15:31:46.176Z", "confidential": false,
        "web_url": "http://gitlab.example.com/acme/api/issues/3",
    });
    let (forge, _server) = responding(ForgeKind::GitLab, &[issue]);
    let issue = forge.issue(&project("acme/api"), 3).await.unwrap();
    assert_eq!((issue.number, issue.state, issue.body.as_str()), (3, IssueState::Closed, ""));
    assert_eq!((issue.assignees, issue.labels), (vec!["ann".to_owned()], vec!["bug".to_owned()]));
    let notes = json!([
        { "id": 301, "body": "closed", "attachment": null, "author": ann, "created_at": "2013-10-02T09:22:45Z", "system": true, "noteable_iid": 3 },
        { "id": 302, "type": null, "body": "Still slow", "author": ann, "created_at": "2013-10-02T09:56:03Z", "updated_at": null, "system": false },
        { "id": 303, "type": "DiffNote", "body": "Here", "author": ann, "system": false },
        { "id": 304, "type": "DiscussionNote", "body": "A reply", "author": null, "system": false },
    ]);
    let (forge, _server) = responding(ForgeKind::GitLab, &[notes]);
    let comments = forge.comments(&project("acme/api"), Subject::PullRequest(3)).await.unwrap().entries;
    assert_eq!(comments.iter().map(|comment| comment.id).collect::<Vec<_>>(), [302, 304]);
}

#[tokio::test]
async fn approvals_threads_and_statuses_of_gitlab_are_parsed() {
    let ann = json!({ "id": 9, "name": "Ann", "username": "ann", "state": "active" });
    let approvals = json!({
        "id": 5, "iid": 1, "approved": true, "approvals_required": 0, "user_has_approved": false,
        "approved_by": [{ "user": ann, "approved_at": "2026-01-02T00:00:00.500Z" }],
    });
    let versions = json!([
        { "id": 110, "head_commit_sha": SHA, "base_commit_sha": "aa", "start_commit_sha": "aa", "created_at": "2026-01-01T00:00:00.250Z", "state": "collected", "real_size": "1", "patch_id_sha": null },
    ]);
    let reviewers = json!([{ "user": ann, "state": "unreviewed", "created_at": "2026-01-01T00:00:00.000Z" }]);
    let (forge, _server) = responding(ForgeKind::GitLab, &[approvals, versions.clone(), reviewers]);
    let reviews = forge.reviews(&project("acme/api"), 1).await.unwrap();
    assert_eq!((reviews.len(), reviews[0].commit.as_deref()), (1, Some(SHA)));

    let position = json!({
        "base_sha": "aa", "start_sha": "aa", "head_sha": SHA, "old_path": "a.rs", "new_path": "b.rs",
        "position_type": "text", "old_line": null, "new_line": 2, "line_range": null,
    });
    let note = json!({ "id": 1758, "type": "DiffNote", "body": "Why?", "author": ann, "system": false, "resolvable": true, "resolved": false, "position": position });
    let mut old = note.clone();
    old["position"]["head_sha"] = "0000000000000000000000000000000000000000".into();
    let discussions = json!([
        { "id": "6a9c1750", "individual_note": false, "notes": [note] },
        { "id": "6a9c1751", "individual_note": false, "notes": [old] },
        { "id": "6a9c1752", "individual_note": true, "notes": [{ "id": 1760, "type": null, "body": "Nice", "author": ann, "system": false, "resolvable": false }] },
        { "id": "6a9c1753", "individual_note": false, "notes": [] },
    ]);
    let mut version = versions[0].clone();
    version["commits"] = json!([]);
    version["diffs"] = json!([
        { "old_path": "a.rs", "new_path": "b.rs", "renamed_file": true, "diff": "@@ -1,2 +1,2 @@\n fn a() {}\n-x();\n+y();\n" },
    ]);
    let (forge, server) = responding(ForgeKind::GitLab, &[discussions, versions, version]);
    let threads = forge.review_threads(&project("acme/api"), 1).await.unwrap();
    let hunks: Vec<_> = threads.iter().map(|thread| (thread.path.as_str(), thread.hunk.as_str())).collect();
    let expected = [("b.rs", "@@ -1,2 +1,2 @@\n fn a() {}\n-x();\n+y();"), ("b.rs", "")];
    assert_eq!(hunks, expected, "{:?}", server.requests());

    let pipelines = json!([
        { "id": 48, "sha": SHA, "ref": "quick", "status": "skipped", "web_url": "http://gitlab.example.com/acme/api/pipelines/48" },
        { "id": 47, "sha": SHA, "ref": "quick", "status": "success", "web_url": null },
    ]);
    let statuses = json!([
        { "id": 93, "sha": SHA, "ref": null, "name": "default", "status": "pending", "coverage": 100.0, "description": "queued", "target_url": "http://gitlab.example.com/acme/api/builds/91", "allow_failure": false, "author": ann },
    ]);
    let (forge, _server) = responding(ForgeKind::GitLab, &[pipelines, statuses]);
    let ci = forge.ci(&project("acme/api"), SHA).await.unwrap();
    assert_eq!((ci.verdict(), ci.checks.len()), (CiVerdict::Pending, 2));
    assert_eq!((ci.checks[0].name.as_str(), ci.checks[1].summary.as_str()), ("pipeline 47", "queued"));
}
