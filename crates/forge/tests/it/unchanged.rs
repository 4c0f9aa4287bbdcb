//! Responses that servers need not send again, and the reserve of the rate limit.

use std::sync::Arc;

use jiff::Timestamp;
use kugetsu_domain::reference::ForgeKind;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::forge::Forge;
use kugetsu_forge::http::limits::Limits;
use kugetsu_forge::http::transport::Transport;
use kugetsu_forge::issue::IssueQuery;
use kugetsu_forge::open::{open, open_in_background};
use kugetsu_testkit::ForgeServer;
use kugetsu_testkit::forge_server::issue::{Issue, Subject as On};
use kugetsu_testkit::forge_server::request::ForgeRequest;

use crate::stage::{LOGIN, TOKEN, client, credentials, limits, project, report, server};

fn github() -> ForgeServer {
    let github = ForgeServer::github();
    github.token(TOKEN, LOGIN);
    github
}

fn statuses(server: &ForgeServer) -> Vec<u16> {
    server.requests().iter().filter_map(|request: &ForgeRequest| request.status).collect()
}

#[tokio::test]
async fn an_unchanged_issue_is_not_sent_again() {
    let github = github();
    let number = github.issue("acme/api", Issue::new("Slow"));
    let (forge, acme) = (client(ForgeKind::GitHub, &github), project("acme/api"));
    let first = forge.issue(&acme, number).await.unwrap();
    assert_eq!(forge.issue(&acme, number).await.unwrap(), first);
    assert_eq!(statuses(&github), [200, 304]);
    github.comment("acme/api", On::Issue(number), "lee", "Still");
    assert!(forge.issue(&acme, number).await.unwrap().updated > first.updated);
    assert_eq!(forge.issue(&acme, number).await.unwrap().title, "Slow");
    assert_eq!(statuses(&github), [200, 304, 200, 304]);
}

#[tokio::test]
async fn every_page_of_an_unchanged_list_is_confirmed() {
    let github = github();
    github.set_page_max(2);
    for _ in 0..5 {
        github.issue("acme/api", Issue::new("One of many"));
    }
    let (forge, acme) = (client(ForgeKind::GitHub, &github), project("acme/api"));
    for _ in 0..2 {
        let listed = forge.issues(&acme, &IssueQuery::default()).await.unwrap();
        assert_eq!((listed.entries.len(), listed.is_complete), (5, true));
    }
    assert_eq!(statuses(&github), [200, 200, 200, 304, 304, 304]);
}

#[tokio::test]
async fn servers_without_validators_send_everything_again() {
    let gitea = ForgeServer::gitea();
    gitea.token(TOKEN, LOGIN);
    let number = gitea.issue("acme/api", Issue::new("Slow"));
    let forge = client(ForgeKind::Gitea, &gitea);
    for _ in 0..2 {
        forge.issue(&project("acme/api"), number).await.unwrap();
    }
    assert_eq!(statuses(&gitea), [200, 200]);
    assert!(gitea.requests().iter().all(|request| request.header("if-none-match").is_none()));
}

fn open_with(transport: &Transport, github: &ForgeServer, token: Option<&str>) -> Arc<dyn Forge> {
    let server = server(ForgeKind::GitHub, &github.base_url(), None);
    open(transport, &server, credentials(ForgeKind::GitHub, token)).unwrap()
}

#[tokio::test]
async fn clients_of_a_transport_share_responses_but_tokens_do_not() {
    let github = github();
    github.token("another-token", "lee");
    let number = github.issue("acme/api", Issue::new("Slow"));
    let transport = Transport::new(limits()).unwrap();
    for token in [Some(TOKEN), Some(TOKEN), Some("another-token"), None] {
        open_with(&transport, &github, token).issue(&project("acme/api"), number).await.unwrap();
    }
    assert_eq!(statuses(&github), [200, 304, 200, 200]);
    let requests = github.requests();
    assert!(requests[2].header("if-none-match").is_none() && requests[3].header("if-none-match").is_none());
    assert!(!format!("{transport:?}").contains(TOKEN));
}

#[tokio::test]
async fn a_revoked_token_gets_no_kept_response() {
    let github = github();
    let number = github.issue("acme/api", Issue::new("Slow"));
    let forge = client(ForgeKind::GitHub, &github);
    forge.issue(&project("acme/api"), number).await.unwrap();
    github.revoke(TOKEN);
    let refused = forge.issue(&project("acme/api"), number).await;
    assert!(matches!(refused, Err(ForgeError::TokenRefused { .. })), "{refused:?}");
}

#[tokio::test]
async fn background_work_leaves_a_tenth_of_the_rate_limit() {
    let github = github();
    github.issue("acme/api", Issue::new("Slow"));
    let once = Limits { max_wait: std::time::Duration::from_millis(10), ..limits() };
    let transport = Transport::new(once).unwrap();
    let person = open_with(&transport, &github, Some(TOKEN));
    let server = server(ForgeKind::GitHub, &github.base_url(), None);
    let background = open_in_background(&transport, &server, credentials(ForgeKind::GitHub, Some(TOKEN))).unwrap();
    let acme = project("acme/api");
    let reset = Timestamp::now().as_second() + 600;

    github.set_rate_limit(100, 12, reset);
    background.project(&acme).await.unwrap();
    background.version().await.unwrap();
    assert_eq!(github.requests().len(), 2, "ten of a hundred are left");
    person.whoami().await.unwrap();
    let error = background.whoami().await.unwrap_err();
    assert!(matches!(&error, ForgeError::RateLimited { until: Some(_), .. }) && error.is_transient(), "{error}");
    report(&error);
    assert_eq!(github.requests().len(), 3, "background work sends nothing");

    github.set_rate_limit(100, 1, reset);
    person.open_dependencies(&acme, 1).await.unwrap();
    assert_eq!(github.requests().len(), 4);
    let error = person.whoami().await.unwrap_err();
    assert!(matches!(&error, ForgeError::RateLimited { .. }), "{error}");
    assert_eq!(github.requests().len(), 4, "nothing is left for people either");
}

#[tokio::test]
async fn background_work_continues_in_the_next_window() {
    let github = github();
    let transport = Transport::new(limits()).unwrap();
    let server = server(ForgeKind::GitHub, &github.base_url(), None);
    let background = open_in_background(&transport, &server, credentials(ForgeKind::GitHub, Some(TOKEN))).unwrap();
    github.set_rate_limit(100, 5, Timestamp::now().as_second() - 1);
    background.whoami().await.unwrap();
    github.set_rate_limit(100, 100, Timestamp::now().as_second() + 600);
    background.whoami().await.unwrap();
    assert_eq!(github.requests().len(), 2);
}
