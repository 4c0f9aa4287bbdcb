//! What a person reads when a server refuses: what happened, why, and what to type.

use kugetsu_domain::reference::ForgeKind;
use kugetsu_forge::api::error::ForgeError;
use kugetsu_forge::api::http::transport::Transport;
use kugetsu_forge::api::open::open;
use kugetsu_testkit::ForgeServer;
use kugetsu_testkit::forge_server::fault::Fault;
use kugetsu_testkit::forge_server::issue::Issue;

use crate::stage::{LOGIN, TOKEN, all, client, client_with, limits, login, project, said, server};

#[tokio::test]
async fn a_wrong_token_names_its_variable_and_how_to_set_it() {
    for (kind, server) in all() {
        server.revoke(TOKEN);
        server.issue("acme/api", Issue::new("Public"));
        let forge = client(kind, &server);
        let error = forge.issue(&project("acme/api"), 1).await.unwrap_err();
        let said = said(&error);
        assert!(matches!(&error, ForgeError::TokenRefused { .. }), "{said}");
        let variable = login(kind, None).variable().to_owned();
        assert!(said.contains(&format!("kugetsu env set {variable} -")), "{said}");
        assert_eq!(server.requests().len(), 1, "a wrong token is not shown again and again");
    }
}

#[tokio::test]
async fn a_missing_token_is_asked_for() {
    for (kind, server) in all() {
        let error = client_with(kind, &server.base_url(), None, limits()).whoami().await.unwrap_err();
        assert!(matches!(&error, ForgeError::TokenMissing { .. }), "{error}");
        assert!(said(&error).contains("kugetsu env set") && said(&error).contains("GET /user"), "{error}");
    }
}

#[tokio::test]
async fn what_a_token_may_not_see_is_not_told_from_what_is_not_there() {
    for (kind, server) in all() {
        server.issue("acme/secret", Issue::new("Hidden"));
        server.private("acme/secret", &["somebody-else"]);
        let forge = client(kind, &server);
        for (path, number) in [("acme/secret", 1), ("acme/nothing", 1)] {
            let error = forge.issue(&project(path), number).await.unwrap_err();
            assert!(matches!(&error, ForgeError::NotFound { .. }), "{error}");
            assert!(said(&error).contains("the token in") && said(&error).contains("may not see it"), "{error}");
        }
        let nobody = client_with(kind, &server.base_url(), None, limits());
        let error = nobody.issue(&project("acme/secret"), 1).await.unwrap_err();
        assert!(said(&error).contains("only a token may see it"), "{error}");
        server.private("acme/secret", &[LOGIN]);
        assert_eq!(forge.issue(&project("acme/secret"), 1).await.unwrap().title, "Hidden");
    }
}

#[tokio::test]
async fn who_must_sign_in_is_asked_for_a_token() {
    let server = ForgeServer::gitea();
    server.require_sign_in();
    let forge = client_with(ForgeKind::Gitea, &server.base_url(), None, limits());
    let error = forge.version().await.unwrap_err();
    assert!(matches!(&error, ForgeError::TokenMissing { .. }), "{error}");
}

#[tokio::test]
async fn a_server_without_an_api_is_told_from_a_thing_that_is_not_there() {
    let server = ForgeServer::gitea();
    let body = "<html><h1>Not Found</h1></html>".to_owned();
    server.fail_next(Fault::Answer { status: 404, headers: vec![], body });
    let error = client(ForgeKind::Gitea, &server).version().await.unwrap_err();
    assert!(matches!(&error, ForgeError::Unexpected { .. }) && said(&error).contains("kind"), "{error}");
}

#[tokio::test]
async fn a_removed_issue_is_not_there() {
    let server = ForgeServer::github();
    server.fail_next(Fault::Status(410));
    let forge = client_with(ForgeKind::GitHub, &server.base_url(), None, limits());
    let error = forge.issue(&project("acme/api"), 1).await.unwrap_err();
    assert!(matches!(error, ForgeError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn a_token_with_too_few_rights_is_told_in_the_servers_words() {
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
        let Some((_, body, words)) = bodies.iter().find(|(of, ..)| *of == kind) else { continue };
        server.fail_next(Fault::Answer { status: 403, headers: vec![], body: (*body).to_owned() });
        let error = client(kind, &server).issue(&project("acme/api"), 1).await.unwrap_err();
        assert!(matches!(&error, ForgeError::Forbidden { .. }), "{error}");
        assert!(said(&error).contains(words) && said(&error).contains("_TOKEN"), "{error}");
        assert!(!error.may_pass());
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_with_its_address() {
    let gone = ForgeServer::gitea().base_url();
    let error = client_with(ForgeKind::Gitea, &gone, Some(TOKEN), limits()).whoami().await.unwrap_err();
    assert!(matches!(&error, ForgeError::Unreachable { .. }) && error.may_pass(), "{error}");
    assert!(said(&error).contains(&gone) && said(&error).contains("refused"), "{error}");
    let error = client_with(ForgeKind::Gitea, "http://no-such-host.invalid", Some(TOKEN), limits()).whoami().await;
    assert!(matches!(error, Err(ForgeError::Unreachable { .. })), "{error:?}");
}

#[tokio::test]
async fn a_server_without_tls_is_told_from_one_that_is_away() {
    let server = ForgeServer::gitea();
    let secure = server.base_url().replace("http:", "https:");
    let error = client_with(ForgeKind::Gitea, &secure, Some(TOKEN), limits()).whoami().await.unwrap_err();
    assert!(matches!(&error, ForgeError::Tls { .. }) && !error.may_pass(), "{error:?}");
    assert!(said(&error).contains("http://") && said(&error).contains("SSL_CERT_FILE"), "{error}");
    assert_eq!(server.requests(), []);
}

#[tokio::test]
async fn nothing_is_opened_without_a_kind_or_with_a_broken_address() {
    let transport = Transport::new(limits()).unwrap();
    let refused = |server| open(&transport, &server, login(ForgeKind::Gitea, None)).unwrap_err();
    let mut unknown = server(ForgeKind::Gitea, "https://git.example.co", None);
    unknown.kind = None;
    let error = refused(unknown);
    assert!(said(&error).contains("git.example.co") && said(&error).contains("kind = "), "{error}");
    let error = refused(server(ForgeKind::Local, "https://git.example.co", None));
    assert!(matches!(error, ForgeError::NoApi { .. }), "{error}");
    let with_token = format!("https://git.example.co/api?token={TOKEN}");
    let error = refused(server(ForgeKind::Gitea, "https://git.example.co", Some(&with_token)));
    assert!(said(&error).contains("config.toml"), "{error}");
}
