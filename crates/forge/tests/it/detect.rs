//! Detection of servers without a token.

use std::time::{Duration, Instant};

use kugetsu_domain::reference::{ForgeKind, ServerBase};
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::http::limits::Limits;
use kugetsu_forge::http::transport::Transport;
use kugetsu_forge::kinds::detect::{DetectError, detect};
use kugetsu_testkit::ForgeServer;
use kugetsu_testkit::forge_server::fault::Fault;

use crate::stage::{all, limits};

fn transport() -> Transport {
    Transport::new(limits()).unwrap()
}

fn base(text: &str) -> ServerBase {
    ServerBase::new(text).unwrap()
}

#[tokio::test]
async fn every_kind_is_detected() {
    for (kind, server) in all() {
        let found = detect(&transport(), &base(&server.base_url())).await.unwrap();
        assert_eq!(found.kind, kind);
        assert_eq!(found.api, server.api_url());
        // GitLab reports its version only with a token, and none is sent.
        assert_eq!(found.version.is_some(), kind != ForgeKind::GitLab, "{found:?}");
        assert!(server.requests().iter().all(|request| !request.has_credentials()));
    }
}

#[tokio::test]
async fn a_server_that_requires_a_login_is_detected_too() {
    for (kind, server) in all() {
        server.require_sign_in();
        assert_eq!(detect(&transport(), &base(&server.base_url())).await.unwrap().kind, kind);
    }
}

#[tokio::test]
async fn public_servers_are_known_without_a_request() {
    for (address, kind, api) in [
        ("https://github.com", ForgeKind::GitHub, "https://api.github.com"),
        ("https://gitlab.com", ForgeKind::GitLab, "https://gitlab.com/api/v4"),
        ("https://codeberg.org", ForgeKind::Forgejo, "https://codeberg.org/api/v1"),
    ] {
        let found = detect(&transport(), &base(address)).await.unwrap();
        assert_eq!((found.kind, found.api.as_str(), found.version), (kind, api, None));
    }
}

#[tokio::test]
async fn a_server_that_answers_everything_is_unknown() {
    let server = ForgeServer::gitlab();
    for answer in [
        Fault::Page,
        Fault::Status(404),
        Fault::Status(200),
        Fault::Status(401),
        Fault::Answer { status: 200, headers: vec![], body: r#"{"version":"1.0","name":"a registry"}"#.to_owned() },
        Fault::Answer { status: 200, headers: vec![], body: r#"{"version":"\u001b[31m"}"#.to_owned() },
        Fault::Answer { status: 403, headers: vec![], body: "Forbidden".to_owned() },
    ] {
        server.fail_at("/api/v1/", answer.clone());
        server.fail_at("/api/v4/", answer.clone());
        server.fail_at("/api/v3/", answer);
        let error = detect(&transport(), &base(&server.base_url())).await.unwrap_err();
        assert!(matches!(error, DetectError::Unknown { .. }), "{error}");
        assert!(error.hint().unwrap().contains("--kind"), "{error}");
    }
}

#[tokio::test]
async fn a_redirect_to_another_host_is_not_followed() {
    let (server, elsewhere) = (ForgeServer::gitea(), ForgeServer::gitlab());
    server.fail_next(Fault::Redirect(301, format!("{}/api/v1/version", elsewhere.base_url())));
    let error = detect(&transport(), &base(&server.base_url())).await.unwrap_err();
    let DetectError::Forge(ForgeError::Moved { location, .. }) = &error else { panic!("{error}") };
    assert_eq!(*location, elsewhere.base_url());
    assert_eq!(elsewhere.requests(), []);
}

#[tokio::test]
async fn an_unreachable_or_silent_server_is_not_reported_as_unknown() {
    let gone = ForgeServer::gitea().base_url();
    let error = detect(&transport(), &base(&gone)).await.unwrap_err();
    assert!(matches!(error, DetectError::Forge(ForgeError::Unreachable { .. })), "{error}");

    let server = ForgeServer::gitea();
    server.fail_next(Fault::Late(Duration::from_secs(60)));
    let quick = Transport::new(Limits { detect: Duration::from_millis(200), ..limits() }).unwrap();
    let start = Instant::now();
    let error = detect(&quick, &base(&server.base_url())).await.unwrap_err();
    assert!(matches!(error, DetectError::Forge(ForgeError::Timeout { .. })), "{error}");
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_server_below_a_path_is_probed_there() {
    let server = ForgeServer::gitea();
    let below = format!("{}/git", server.base_url());
    let error = detect(&transport(), &base(&below)).await.unwrap_err();
    assert!(matches!(error, DetectError::Unknown { .. }), "{error}");
    assert!(server.requests().iter().all(|request| request.target.starts_with("/git/api/")), "{:?}", server.requests());
}
