//! Tokens that lack a right: `kugetsu watch add` says so before the first issue starts.

use kugetsu_api::watch::{ProbeObject, ProbeRequest};
use kugetsu_domain::reference::ForgeKind;
use kugetsu_engine::watch_queries::probe::probe;
use kugetsu_testkit::forge_server::permission::Permission;

use super::stage::{Failure, KINDS, PROJECT, Stage};

async fn probed(stage: &Stage) -> ProbeObject {
    let daemon = stage.daemon();
    let request = ProbeRequest {
        repo: format!("{}/{PROJECT}", stage.forge.base_url()),
        cwd: "/".to_owned(),
        label: None,
        assignee: None,
        trust: None,
        base: None,
        merges: true,
        watch: None,
    };
    let object = probe(&daemon.engine, &request).await.unwrap();
    daemon.kill().await;
    object
}

/// Problems and warnings with their hints.
fn texts(object: &ProbeObject) -> (Vec<String>, Vec<String>) {
    let text = |finding: &kugetsu_api::watch::Finding| {
        format!("{} | {}", finding.message, finding.hint.as_deref().unwrap_or_default())
    };
    (object.problems.iter().map(text).collect(), object.warnings.iter().map(text).collect())
}

/// A server that does not report scopes, and refuses these requests for their lack.
async fn refusing(kind: ForgeKind, request: &'static str, message: &'static str) -> Vec<String> {
    let stage = Stage::new(kind).await;
    stage.forge.set_scopes("");
    stage.forge.fail_when(move |sent| {
        let body = serde_json::json!({ "message": message }).to_string();
        sent.contains(request).then_some(Failure::Answer { status: 403, headers: vec![], body })
    });
    texts(&probed(&stage).await).0
}

#[tokio::test]
async fn token_with_every_right_has_no_problem_and_changes_nothing() {
    for kind in KINDS {
        for scopes in ["", "repo, workflow, api"] {
            let stage = Stage::new(kind).await;
            stage.forge.set_scopes(scopes);
            let (problems, _) = texts(&probed(&stage).await);
            assert_eq!(problems, [""; 0], "{kind:?}");
            assert!(stage.forge.changes().is_empty(), "{kind:?}: {:?}", stage.forge.changes());
        }
    }
}

#[tokio::test]
async fn reported_scopes_that_are_not_enough_are_named() {
    for (kind, scopes, needed) in
        [(ForgeKind::GitHub, "gist, read:user", "`repo`"), (ForgeKind::GitLab, "read_api", "`api`")]
    {
        let stage = Stage::new(kind).await;
        stage.forge.set_scopes(scopes);
        let (problems, _) = texts(&probed(&stage).await);
        assert!(problems[0].contains(&format!("lacks a scope: it has {scopes}")), "{problems:?}");
        assert!(problems[0].contains(needed) && problems[0].contains("kugetsu env set FORGE_TOKEN"), "{problems:?}");
    }
    let stage = Stage::new(ForgeKind::GitHub).await;
    stage.forge.set_scopes("repo");
    let (problems, warnings) = texts(&probed(&stage).await);
    assert_eq!(problems, [""; 0]);
    assert!(warnings.iter().any(|text| text.contains("lacks the scope `workflow`")), "{warnings:?}");
}

#[tokio::test]
async fn every_permission_that_a_fine_grained_token_lacks_is_named() {
    for (request, action, name) in [
        ("/check-runs", "read check runs", "a classic token"),
        ("/status", "read commit statuses", "Commit statuses (read)"),
        ("/actions/runs", "read the logs of jobs", "Actions (read)"),
        ("PATCH /api/v3/repos/acme/api/issues/comments/", "write comments and labels", "Issues (read and write)"),
        ("PATCH /api/v3/repos/acme/api/pulls/", "open and edit pull requests", "Pull requests (read and write)"),
        ("PATCH /api/v3/repos/acme/api/releases/", "push and merge", "Contents (read and write)"),
    ] {
        let message = "Resource not accessible by personal access token";
        let problems = refusing(ForgeKind::GitHub, request, message).await;
        assert_eq!(problems.len(), 1, "{request}: {problems:?}");
        let expected = format!("the token in FORGE_TOKEN may not {action} in acme/api | it needs ");
        assert!(problems[0].starts_with(&expected) && problems[0].contains(name), "{problems:?}");
    }
}

#[tokio::test]
async fn token_without_the_scope_for_webhooks_gets_another_hint_than_a_user_without_the_role() {
    for (role, hint) in [(Permission::Admin, "Webhooks, read and write"), (Permission::Write, "the role Admin")] {
        let stage = Stage::new(ForgeKind::GitHub).await;
        stage.forge.set_permission(PROJECT, "robot", role);
        stage.forge.set_scopes("");
        stage.forge.fail_when(|sent| {
            let body = r#"{"message": "Resource not accessible by personal access token"}"#.to_owned();
            sent.contains("/hooks").then_some(Failure::Answer { status: 403, headers: vec![], body })
        });
        let (problems, warnings) = texts(&probed(&stage).await);
        assert_eq!(problems, [""; 0]);
        assert!(warnings.iter().any(|text| text.contains("webhooks") && text.contains(hint)), "{warnings:?}");
    }
}

#[tokio::test]
async fn every_scope_that_a_token_without_reported_scopes_lacks_is_named() {
    for (kind, request, message, expected) in [
        (
            ForgeKind::Gitea,
            "PATCH /api/v1/repos/acme/api/issues/comments/",
            "token does not have at least one of required scope(s): [write:issue]",
            "may not write comments and labels in acme/api | it needs the scope `write:issue`",
        ),
        (
            ForgeKind::Forgejo,
            "PATCH /api/v1/repos/acme/api/pulls/",
            "token does not have at least one of required scope(s): [write:repository]",
            "may not push, read checks and merge in acme/api | it needs the scope `write:repository`",
        ),
        (
            ForgeKind::Gitea,
            "/api/v1/user",
            "token does not have at least one of required scope(s): [read:user]",
            "required scope(s): [read:user]",
        ),
        (ForgeKind::GitLab, "/pipelines", "insufficient_scope", "may not read pipelines in acme/api"),
        (ForgeKind::GitLab, "/statuses", "insufficient_scope", "may not read commit statuses in acme/api"),
        (ForgeKind::GitLab, "/issues/0", "insufficient_scope", "may not write comments and labels in acme/api"),
        (ForgeKind::GitLab, "/merge_requests/0", "insufficient_scope", "may not open, edit and merge merge requests"),
    ] {
        let problems = refusing(kind, request, message).await;
        assert_eq!(problems.len(), 1, "{kind:?} {request}: {problems:?}");
        assert!(problems[0].contains(expected), "{kind:?}: {problems:?}");
        assert!(problems[0].contains("kugetsu env set FORGE_TOKEN"), "{problems:?}");
    }
}
