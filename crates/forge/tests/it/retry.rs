//! Transient failures are retried within the limits on attempts and waiting.

use std::time::Duration;

use kugetsu_domain::reference::ForgeKind;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::http::limits::Limits;
use kugetsu_testkit::ForgeServer;
use kugetsu_testkit::forge_server::fault::Fault;

use crate::stage::{LOGIN, TOKEN, all, client, client_with, limits, report};

#[tokio::test]
async fn a_request_that_fails_is_repeated() {
    for (kind, server) in all() {
        let forge = client(kind, &server);
        for fault in [Fault::Status(500), Fault::Status(502), Fault::Status(503), Fault::Cut, Fault::rate_limit(0)] {
            let before = server.requests().len();
            server.fail_next(fault);
            forge.version().await.unwrap();
            assert_eq!(server.requests().len(), before + 2);
        }
    }
}

#[tokio::test]
async fn the_number_of_attempts_is_limited() {
    let server = ForgeServer::gitea();
    for _ in 0..9 {
        server.fail_next(Fault::Status(503));
    }
    let forge = client_with(ForgeKind::Gitea, &server.base_url(), Some(TOKEN), limits());
    let error = forge.whoami().await.unwrap_err();
    assert!(matches!(&error, ForgeError::Failing { status: 503, .. }) && error.is_transient(), "{error}");
    assert!(report(&error).contains("try again later"), "{error}");
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn the_pause_that_the_server_asks_for_is_kept() {
    let server = ForgeServer::gitlab();
    server.token(TOKEN, LOGIN);
    server.fail_next(Fault::rate_limit(1));
    let start = std::time::Instant::now();
    assert_eq!(client(ForgeKind::GitLab, &server).whoami().await.unwrap().login, LOGIN);
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_pause_above_the_limit_is_an_error() {
    let server = ForgeServer::github();
    let used_up = |status| {
        let reset = jiff::Timestamp::now().as_second() + 3000;
        let headers = vec![("x-ratelimit-remaining", "0".to_owned()), ("x-ratelimit-reset", reset.to_string())];
        Fault::Answer { status, headers, body: r#"{"message":"API rate limit exceeded"}"#.to_owned() }
    };
    let secondary = r#"{"message":"You have exceeded a secondary rate limit. Please wait a few minutes."}"#;
    let secondary = Fault::Answer { status: 403, headers: vec![], body: secondary.to_owned() };
    for fault in [used_up(403), used_up(429), Fault::rate_limit(3000), secondary] {
        let before = server.requests().len();
        server.fail_next(fault);
        let short = Limits { max_wait: Duration::from_secs(2), ..limits() };
        let forge = client_with(ForgeKind::GitHub, &server.base_url(), Some(TOKEN), short);
        let error = forge.whoami().await.unwrap_err();
        assert!(matches!(&error, ForgeError::RateLimited { until: Some(_), .. }) && error.is_transient(), "{error}");
        assert!(report(&error).contains("until 20"), "{error}");
        assert_eq!(server.requests().len(), before + 1);
    }
}

#[tokio::test]
async fn permanent_failures_are_not_retried() {
    let server = ForgeServer::gitea();
    let forge = client_with(ForgeKind::Gitea, &server.base_url(), Some(TOKEN), limits());
    for status in [400, 401, 403, 404, 409, 422, 501] {
        let before = server.requests().len();
        server.fail_next(Fault::Status(status));
        assert!(!matches!(forge.whoami().await, Ok(_) | Err(ForgeError::RateLimited { .. })));
        assert_eq!(server.requests().len(), before + 1, "{status}");
    }
}
