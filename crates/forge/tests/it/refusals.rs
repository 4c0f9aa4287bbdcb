//! Messages for users when a server refuses: what failed, why, and what to type.

use kugetsu_domain::reference::ForgeKind;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::http::transport::Transport;
use kugetsu_forge::open::open;
use kugetsu_testkit::ForgeServer;
use kugetsu_testkit::forge_server::fault::Fault;
use kugetsu_testkit::forge_server::issue::Issue;

use crate::stage::{LOGIN, TOKEN, all, client, client_with, credentials, limits, project, report, server};

#[tokio::test]
async fn a_rejected_token_is_reported_with_the_command_to_set_it() {
    for (kind, server) in all() {
        server.revoke(TOKEN);
        server.issue("acme/api", Issue::new("Public"));
        let forge = client(kind, &server);
        let error = forge.issue(&project("acme/api"), 1).await.unwrap_err();
        let report = report(&error);
        assert!(matches!(&error, ForgeError::TokenRefused { .. }), "{report}");
        let variable = credentials(kind, None).variable().to_owned();
        assert!(report.contains(&format!("kugetsu env set {variable} -")), "{report}");
        assert_eq!(server.requests().len(), 1, "a rejected token is not sent again");
    }
}

#[tokio::test]
async fn a_missing_token_is_reported_with_the_command_to_set_it() {
    for (kind, server) in all() {
        let error = client_with(kind, &server.base_url(), None, limits()).whoami().await.unwrap_err();
        assert!(matches!(&error, ForgeError::TokenMissing { .. }), "{error}");
        assert!(report(&error).contains("kugetsu env set") && report(&error).contains("GET /user"), "{error}");
    }
}

#[tokio::test]
async fn hidden_and_missing_objects_are_reported_alike() {
    for (kind, server) in all() {
        server.issue("acme/secret", Issue::new("Hidden"));
        server.private("acme/secret", &["another-user"]);
        let forge = client(kind, &server);
        for (path, number) in [("acme/secret", 1), ("acme/nothing", 1)] {
            let error = forge.issue(&project(path), number).await.unwrap_err();
            assert!(matches!(&error, ForgeError::NotFound { .. }), "{error}");
            assert!(report(&error).contains("the token in") && report(&error).contains("has no access"), "{error}");
        }
        let anonymous = client_with(kind, &server.base_url(), None, limits());
        let error = anonymous.issue(&project("acme/secret"), 1).await.unwrap_err();
        assert!(report(&error).contains("only visible with a token"), "{error}");
        server.private("acme/secret", &[LOGIN]);
        assert_eq!(forge.issue(&project("acme/secret"), 1).await.unwrap().title, "Hidden");
    }
}

#[tokio::test]
async fn a_server_that_requires_a_login_asks_for_a_token() {
    let server = ForgeServer::gitea();
    server.require_sign_in();
    let forge = client_with(ForgeKind::Gitea, &server.base_url(), None, limits());
    let error = forge.version().await.unwrap_err();
    assert!(matches!(&error, ForgeError::TokenMissing { .. }), "{error}");
}

#[tokio::test]
async fn a_server_without_an_api_is_not_reported_as_a_missing_object() {
    let server = ForgeServer::gitea();
    server.answer_next(404, "<html><h1>Not Found</h1></html>");
    let error = client(ForgeKind::Gitea, &server).version().await.unwrap_err();
    assert!(matches!(&error, ForgeError::Unexpected { .. }) && report(&error).contains("kind"), "{error}");
}

#[tokio::test]
async fn a_deleted_issue_is_not_found() {
    let server = ForgeServer::github();
    server.fail_next(Fault::Status(410));
    let forge = client_with(ForgeKind::GitHub, &server.base_url(), None, limits());
    let error = forge.issue(&project("acme/api"), 1).await.unwrap_err();
    assert!(matches!(error, ForgeError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn a_missing_permission_is_reported_with_the_servers_message() {
    let bodies = [
        (
            ForgeKind::GitHub,
            r#"{"message":"Resource not accessible by personal access token"}"#,
            "Resource not accessible",
        ),
        (
            ForgeKind::Gitea,
            r#"{"message":"token does not have at least one of required scope(s): [read:issue]"}"#,
            "read:issue",
        ),
        (
            ForgeKind::GitLab,
            r#"{"error":"insufficient_scope","error_description":"The request requires higher privileges than provided by the access token.","scope":"api read_api"}"#,
            "higher privileges",
        ),
    ];
    for (kind, server) in all() {
        let Some((_, body, message)) = bodies.iter().find(|(of, ..)| *of == kind) else { continue };
        server.answer_next(403, body);
        let error = client(kind, &server).issue(&project("acme/api"), 1).await.unwrap_err();
        assert!(matches!(&error, ForgeError::Forbidden { .. }), "{error}");
        assert!(report(&error).contains(message) && report(&error).contains("_TOKEN"), "{error}");
        assert!(!error.is_transient());
    }
}

#[tokio::test]
async fn an_unreachable_server_is_reported_with_its_address() {
    let gone = ForgeServer::gitea().base_url();
    let error = client_with(ForgeKind::Gitea, &gone, Some(TOKEN), limits()).whoami().await.unwrap_err();
    assert!(matches!(&error, ForgeError::Unreachable { .. }) && error.is_transient(), "{error}");
    assert!(report(&error).contains(&gone) && report(&error).contains("refused"), "{error}");
    let error = client_with(ForgeKind::Gitea, "http://no-such-host.invalid", Some(TOKEN), limits()).whoami().await;
    assert!(matches!(error, Err(ForgeError::Unreachable { .. })), "{error:?}");
}

#[tokio::test]
async fn a_server_without_tls_is_not_reported_as_unreachable() {
    let server = ForgeServer::gitea();
    let secure = server.base_url().replace("http:", "https:");
    let error = client_with(ForgeKind::Gitea, &secure, Some(TOKEN), limits()).whoami().await.unwrap_err();
    assert!(matches!(&error, ForgeError::Tls { .. }) && !error.is_transient(), "{error:?}");
    assert!(report(&error).contains("http://") && report(&error).contains("SSL_CERT_FILE"), "{error}");
    assert_eq!(server.requests(), []);
}

#[tokio::test]
async fn a_server_without_a_kind_or_with_an_invalid_address_is_not_opened() {
    let transport = Transport::new(limits()).unwrap();
    let refused = |server| open(&transport, &server, credentials(ForgeKind::Gitea, None)).unwrap_err();
    let mut unknown = server(ForgeKind::Gitea, "https://git.example.co", None);
    unknown.kind = None;
    let error = refused(unknown);
    assert!(report(&error).contains("git.example.co") && report(&error).contains("kugetsu server add"), "{error}");
    let error = refused(server(ForgeKind::Local, "https://git.example.co", None));
    assert!(matches!(error, ForgeError::NoApi { .. }), "{error}");
    let with_token = format!("https://git.example.co/api?token={TOKEN}");
    let error = refused(server(ForgeKind::Gitea, "https://git.example.co", Some(&with_token)));
    assert!(report(&error).contains("config.toml"), "{error}");
}
