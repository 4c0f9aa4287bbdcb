//! User, version and issues: the same on every kind of server.

use kugetsu_domain::reference::ForgeKind;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::issue::IssueState;
use kugetsu_testkit::forge_server::issue::Issue;
use kugetsu_testkit::forge_server::pull_request::PullRequest;

use crate::stage::{LOGIN, TOKEN, all, client, client_with, limits, project};

#[tokio::test]
async fn every_kind_reports_user_and_version() {
    for (kind, server) in all() {
        let forge = client(kind, &server);
        assert_eq!(forge.whoami().await.unwrap().login, LOGIN);
        let version = forge.version().await.unwrap();
        assert_eq!(version.kind, kind);
        assert!(version.text.unwrap().contains('.'));
        assert_eq!((forge.kind(), forge.server().as_str()), (kind, server.base_url().as_str()));
    }
}

#[tokio::test]
async fn a_forgejo_that_is_configured_as_a_gitea_is_recognized() {
    let server = kugetsu_testkit::ForgeServer::forgejo();
    let version = client_with(ForgeKind::Gitea, &server.base_url(), None, limits()).version().await.unwrap();
    assert_eq!(version.kind, ForgeKind::Forgejo);
}

#[tokio::test]
async fn every_kind_returns_the_same_issue() {
    for (kind, server) in all() {
        let forge = client(kind, &server);
        let acme = project("acme/api");
        let full = Issue::new("It is slow").body("Very.\n").author("lee").label("bug").label("good first");
        let number = server.issue("acme/api", full);
        let issue = forge.issue(&acme, number).await.unwrap();
        assert_eq!((issue.number, issue.title.as_str(), issue.body.as_str()), (number, "It is slow", "Very.\n"));
        assert_eq!(
            (issue.state, issue.author.as_ref().map(|author| author.login.as_str())),
            (IssueState::Open, Some("lee"))
        );
        assert_eq!(
            (issue.labels.as_slice(), issue.is_pull_request),
            (&["bug".to_owned(), "good first".to_owned()][..], false)
        );
        assert!(issue.url.starts_with(&server.base_url()) && issue.url.ends_with("/issues/1"), "{}", issue.url);
        assert!(issue.updated.is_some());

        let bare = server.issue("acme/api", Issue::new("Bare").closed());
        let issue = forge.issue(&acme, bare).await.unwrap();
        assert_eq!((issue.body.as_str(), issue.state, issue.labels.len()), ("", IssueState::Closed, 0), "{kind:?}");
    }
}

#[tokio::test]
async fn an_issue_of_a_deleted_user_has_no_author() {
    let server = kugetsu_testkit::ForgeServer::github();
    let number = server.issue("acme/api", Issue::new("Old").author_gone());
    let forge = client_with(ForgeKind::GitHub, &server.base_url(), None, limits());
    assert_eq!(forge.issue(&project("acme/api"), number).await.unwrap().author, None);
}

#[tokio::test]
async fn an_issue_may_be_a_pull_request_except_on_gitlab() {
    for (kind, server) in all() {
        let number = server.pull_request("acme/api", PullRequest::new("Quick", "quick"));
        let issue = client(kind, &server).issue(&project("acme/api"), number).await;
        match kind {
            ForgeKind::GitLab => assert!(matches!(issue, Err(ForgeError::NotFound { .. })), "{issue:?}"),
            _ => assert!(issue.unwrap().is_pull_request, "{kind:?}"),
        }
    }
}

#[tokio::test]
async fn the_token_is_sent_in_the_header_of_the_kind() {
    for (kind, server) in all() {
        client(kind, &server).whoami().await.unwrap();
        let request = server.requests().remove(0);
        let (name, value) = match kind {
            ForgeKind::GitHub => ("authorization", format!("Bearer {TOKEN}")),
            ForgeKind::GitLab => ("private-token", TOKEN.to_owned()),
            _ => ("authorization", format!("token {TOKEN}")),
        };
        assert_eq!(request.header(name), Some(value.as_str()));
        assert_eq!(request.login.as_deref(), Some(LOGIN));
        assert!(request.header("user-agent").unwrap().starts_with("kugetsu/"));
        assert!(!request.target.contains(TOKEN), "the token is never part of an address");
        let is_pinned = request.header("x-github-api-version").is_some();
        assert_eq!(is_pinned, kind == ForgeKind::GitHub);
    }
}

#[tokio::test]
async fn a_gitlab_project_is_one_segment_of_the_path() {
    let server = kugetsu_testkit::ForgeServer::gitlab();
    server.token(TOKEN, LOGIN);
    let number = server.issue("group/sub.group/my-proj", Issue::new("Deep"));
    let forge = client(ForgeKind::GitLab, &server);
    let issue = forge.issue(&project("group/sub.group/my-proj"), number).await.unwrap();
    assert!(issue.url.ends_with("/group/sub.group/my-proj/-/issues/1"), "{}", issue.url);
    assert_eq!(server.requests()[0].target, "/api/v4/projects/group%2Fsub.group%2Fmy-proj/issues/1");
}

#[tokio::test]
async fn public_data_is_read_without_a_token() {
    for (kind, server) in all() {
        let number = server.issue("acme/api", Issue::new("Public"));
        let forge = client_with(kind, &server.base_url(), None, limits());
        assert_eq!(forge.issue(&project("acme/api"), number).await.unwrap().title, "Public");
        assert!(!server.requests()[0].has_credentials());
    }
}
