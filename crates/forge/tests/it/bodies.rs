//! Real responses: recorded ones of GitHub, and the forms that several versions of Gitea and GitLab send, old ones too.

use std::sync::Arc;

use kugetsu_domain::pull_request::PrState;
use kugetsu_domain::reference::ForgeKind;
use kugetsu_forge::forge::Forge;
use kugetsu_forge::pull_request::{MergeCheck, PullRequest};
use kugetsu_testkit::ForgeServer;
use serde_json::{Value, json};

use crate::stage::{Failure, all, client, project};

fn recorded(name: &str) -> Value {
    let path = format!("{}/tests/data/octokit/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A client and its server, for tests that provide the responses.
fn stage(kind: ForgeKind) -> (Arc<dyn Forge>, ForgeServer) {
    let (_, server) = all().into_iter().find(|(of, _)| *of == kind).unwrap();
    (client(kind, &server), server)
}

fn respond(server: &ForgeServer, body: &Value) {
    server.fail_next(Failure::Answer { status: 200, headers: vec![], body: body.to_string() });
}

async fn pull_request(kind: ForgeKind, body: &Value) -> PullRequest {
    let (forge, server) = stage(kind);
    // Twice, because Gitea may get a second request.
    respond(&server, body);
    respond(&server, body);
    forge.pull_request(&project("acme/api"), 1).await.unwrap()
}

#[tokio::test]
async fn recorded_issues_of_github_are_parsed() {
    let (forge, server) = stage(ForgeKind::GitHub);
    respond(&server, &recorded("issues.opened")["issue"]);
    let issue = forge.issue(&project("Codertocat/Hello-World"), 1).await.unwrap();
    assert_eq!((issue.number, issue.title.as_str()), (1, "Spelling error in the README file"));
    assert_eq!(
        (issue.author.as_ref().map(|author| author.login.as_str()), issue.labels),
        (Some("Codertocat"), vec!["bug".to_owned()])
    );
    assert_eq!(issue.url, "https://github.com/Codertocat/Hello-World/issues/1");
    assert_eq!(issue.updated, "2019-05-15T15:20:18Z".parse().ok());
}

#[tokio::test]
async fn recorded_pull_requests_of_github_are_parsed() {
    let opened = pull_request(ForgeKind::GitHub, &recorded("pull_request.opened")["pull_request"]).await;
    assert_eq!(
        (opened.state, opened.merge),
        (PrState::Open, MergeCheck::Unknown),
        "null means that the server is still checking"
    );
    assert_eq!((opened.head_branch.as_str(), opened.base_branch.as_str()), ("changes", "master"));
    assert_eq!(opened.head_sha, "ec26c3e57ca3a959ca5aad62de7213c562f8c821");
    let closed = pull_request(ForgeKind::GitHub, &recorded("pull_request.closed")["pull_request"]).await;
    assert_eq!((closed.state, closed.number), (PrState::Closed, 2));
}

#[tokio::test]
async fn recorded_pages_of_github_are_followed_on_the_same_host() {
    let (forge, server) = stage(ForgeKind::GitHub);
    let exchanges = recorded("paginate-issues");
    let exchanges = exchanges.as_array().unwrap();
    for exchange in exchanges {
        let link = exchange["headers"]["link"].as_str().unwrap().to_owned();
        let body = exchange["response"].to_string();
        server.fail_next(Failure::Answer { status: 200, headers: vec![("link", link)], body });
    }
    // Issues are not pull requests: all are read, none is kept.
    assert_eq!(forge.find_pull_requests(&project("octokit-fixture-org/paginate-issues"), "x").await.unwrap(), []);
    let targets: Vec<String> = server.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(targets.len(), exchanges.len());
    for (index, target) in targets.iter().enumerate().skip(1) {
        assert!(target.starts_with("/api/v3/repos/octokit-fixture-org/paginate-issues/pulls?"), "{target}");
        assert!(target.contains(&format!("page={}", index + 1)) && target.contains("state=all"), "{target}");
    }
}

#[tokio::test]
async fn pull_requests_of_other_branches_and_repositories_are_dropped() {
    let ours = recorded("pull_request.closed")["pull_request"].clone();
    let with = |pointer: &str, value: Value| {
        let mut other = ours.clone();
        *other.pointer_mut(pointer).unwrap() = value;
        other
    };
    let list = json!([
        with("/head/ref", json!("change")),
        with("/head/repo/id", json!(1)),
        with("/head/repo", Value::Null),
        with("/head", Value::Null),
        ours,
    ]);
    let (forge, server) = stage(ForgeKind::GitHub);
    respond(&server, &list);
    let found = forge.find_pull_requests(&project("Codertocat/Hello-World"), "changes").await.unwrap();
    assert_eq!(found.len(), 1);
}

/// A pull request with the fields that Gitea has always sent, and `fields`.
fn gitea(fields: Value) -> Value {
    let mut body = json!({
        "id": 7, "url": "", "number": 1, "user": { "id": 3, "login": "kim", "username": "kim", "full_name": "" },
        "title": "Quick", "body": "", "labels": null, "state": "open", "comments": 0,
        "html_url": "https://git.example.co/acme/api/pulls/1",
        "mergeable": true, "merged": false, "merged_at": null, "merge_commit_sha": null, "merged_by": null,
        "base": { "label": "main", "ref": "main", "sha": "aa", "repo_id": 5 },
        "head": { "label": "quick", "ref": "quick", "sha": "bb", "repo_id": 5 },
        "due_date": null, "created_at": "2018-07-06T00:37:47Z", "updated_at": "2018-07-06T00:37:47Z", "closed_at": null,
    });
    merge(&mut body, fields);
    body
}

fn gitlab(fields: Value) -> Value {
    let mut body = json!({
        "id": 70, "iid": 1, "project_id": 5, "title": "Quick", "description": null, "state": "opened",
        "created_at": "2015-12-18T18:29:53.563Z", "updated_at": "2015-12-18T18:30:22.522Z",
        "target_branch": "main", "source_branch": "quick", "source_project_id": 5, "target_project_id": 5,
        "author": { "id": 3, "name": "Kim", "username": "kim" }, "labels": ["bug"], "sha": "bb",
        "web_url": "https://gitlab.com/acme/api/-/merge_requests/1",
    });
    merge(&mut body, fields);
    body
}

fn merge(body: &mut Value, fields: Value) {
    if let (Value::Object(body), Value::Object(fields)) = (body, fields) {
        body.extend(fields);
    }
}

#[tokio::test]
async fn pull_requests_of_every_gitea_version_are_parsed() {
    for (fields, state, merge) in [
        (json!({}), PrState::Open, MergeCheck::Mergeable),
        (json!({ "mergeable": false }), PrState::Conflict, MergeCheck::Conflict),
        (json!({ "mergeable": false, "updated_at": "0001-01-01T00:00:00Z" }), PrState::Conflict, MergeCheck::Conflict),
        (json!({ "mergeable": false, "updated_at": "2999-01-01T00:00:00Z" }), PrState::Open, MergeCheck::Unknown),
        (json!({ "mergeable": null }), PrState::Open, MergeCheck::Unknown),
        (json!({ "mergeable": false, "draft": true }), PrState::Draft, MergeCheck::Unknown),
        (json!({ "mergeable": false, "title": "WIP: Quick" }), PrState::Draft, MergeCheck::Unknown),
        (json!({ "title": "[wip] Quick" }), PrState::Draft, MergeCheck::Mergeable),
        (json!({ "state": "closed", "mergeable": false }), PrState::Closed, MergeCheck::Unknown),
        (json!({ "state": "closed", "merged_at": "1970-01-01T00:00:00Z" }), PrState::Closed, MergeCheck::Mergeable),
        (json!({ "state": "closed", "merged_at": "0001-01-01T00:00:00Z" }), PrState::Closed, MergeCheck::Mergeable),
        (json!({ "state": "closed", "merged": true }), PrState::Merged, MergeCheck::Mergeable),
        (
            json!({ "state": "closed", "merged": null, "merged_at": "2018-07-06T00:37:47Z" }),
            PrState::Merged,
            MergeCheck::Mergeable,
        ),
    ] {
        let pull = pull_request(ForgeKind::Gitea, &gitea(fields.clone())).await;
        assert_eq!((pull.state, pull.merge), (state, merge), "{fields}");
    }
}

#[tokio::test]
async fn merge_requests_of_every_gitlab_version_are_parsed() {
    for (fields, state, merge) in [
        (json!({}), PrState::Open, MergeCheck::Unknown),
        (json!({ "merge_status": "can_be_merged" }), PrState::Open, MergeCheck::Mergeable),
        (json!({ "merge_status": "unchecked" }), PrState::Open, MergeCheck::Unknown),
        (json!({ "merge_status": "cannot_be_merged", "has_conflicts": true }), PrState::Conflict, MergeCheck::Conflict),
        (
            json!({ "merge_status": "cannot_be_merged_recheck", "has_conflicts": true }),
            PrState::Open,
            MergeCheck::Unknown,
        ),
        (json!({ "detailed_merge_status": "conflict" }), PrState::Conflict, MergeCheck::Conflict),
        (json!({ "detailed_merge_status": "checking" }), PrState::Open, MergeCheck::Unknown),
        (
            json!({ "detailed_merge_status": "ci_must_pass", "merge_status": "can_be_merged" }),
            PrState::Open,
            MergeCheck::Mergeable,
        ),
        (
            json!({ "detailed_merge_status": "not_approved", "has_conflicts": true }),
            PrState::Conflict,
            MergeCheck::Conflict,
        ),
        (json!({ "detailed_merge_status": "draft_status", "draft": true }), PrState::Draft, MergeCheck::Unknown),
        (json!({ "title": "Draft: Quick" }), PrState::Draft, MergeCheck::Unknown),
        (json!({ "work_in_progress": true }), PrState::Draft, MergeCheck::Unknown),
        (json!({ "state": "locked" }), PrState::Open, MergeCheck::Unknown),
        (json!({ "state": "merged", "merge_status": "can_be_merged" }), PrState::Merged, MergeCheck::Mergeable),
        (json!({ "state": "closed", "detailed_merge_status": "not_open" }), PrState::Closed, MergeCheck::Unknown),
    ] {
        let pull = pull_request(ForgeKind::GitLab, &gitlab(fields.clone())).await;
        assert_eq!((pull.state, pull.merge), (state, merge), "{fields}");
    }
}

#[tokio::test]
async fn github_reports_no_conflict_while_it_checks() {
    let body = recorded("pull_request.opened")["pull_request"].clone();
    for (fields, state) in [
        (json!({ "mergeable": false, "mergeable_state": "dirty" }), PrState::Conflict),
        (json!({ "mergeable": false, "mergeable_state": "unknown" }), PrState::Open),
        (json!({ "mergeable": true, "mergeable_state": "blocked" }), PrState::Open),
        (json!({ "mergeable": true, "draft": true }), PrState::Draft),
        (json!({ "mergeable": false, "mergeable_state": "dirty", "draft": true }), PrState::Conflict),
        (json!({ "state": "closed", "merged": true }), PrState::Merged),
        (json!({ "state": "closed", "merged": null, "merged_at": "2019-05-15T15:20:33Z" }), PrState::Merged),
    ] {
        let mut body = body.clone();
        merge(&mut body, fields.clone());
        assert_eq!(pull_request(ForgeKind::GitHub, &body).await.state, state, "{fields}");
    }
}

#[tokio::test]
async fn nulls_in_a_list_are_skipped() {
    let (forge, server) = stage(ForgeKind::Forgejo);
    respond(&server, &json!([null, gitea(json!({ "state": "closed" })), null]));
    assert_eq!(forge.find_pull_requests(&project("acme/api"), "quick").await.unwrap().len(), 1);
}
