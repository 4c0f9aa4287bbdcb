//! Hostile and broken servers. The token never leaves its server, and every call ends.

use std::io::Read;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use kugetsu_domain::reference::ForgeKind;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::http::limits::Limits;
use kugetsu_testkit::ForgeServer;
use kugetsu_testkit::forge_server::fault::Fault;
use kugetsu_testkit::forge_server::issue::Issue;
use kugetsu_testkit::forge_server::pull_request::{PrState, PullRequest};

use crate::stage::{TOKEN, all, client, client_with, limits, project, report};

#[tokio::test]
async fn a_redirect_to_another_host_is_not_followed() {
    for (kind, server) in all() {
        let elsewhere = ForgeServer::gitea();
        let forge = client(kind, &server);
        // The same host with another port, and addresses that contain the token.
        let port = elsewhere.base_url();
        for to in
            [port.clone(), format!("{port}/?t={TOKEN}"), format!("http://{TOKEN}.example/"), "//localhost/x".to_owned()]
        {
            for status in [301, 302, 303, 307, 308] {
                server.fail_next(Fault::Redirect(status, to.clone()));
                let error = forge.issue(&project("acme/api"), 1).await.unwrap_err();
                assert!(matches!(&error, ForgeError::Moved { .. }), "{error}");
                report(&error);
            }
        }
        assert_eq!(elsewhere.requests(), [], "not even without the token");
    }
}

#[tokio::test]
async fn a_redirect_within_the_server_is_followed_with_the_token() {
    for (kind, server) in all() {
        server.private("acme/new", &["robot"]);
        let number = server.issue("acme/new", Issue::new("Moved"));
        let to = match kind {
            ForgeKind::GitLab => format!("/api/v4/projects/acme%2Fnew/issues/{number}"),
            _ => format!("{}/repos/acme/new/issues/{number}", server.api_url()),
        };
        server.fail_at("old", Fault::Redirect(301, to));
        let issue = client(kind, &server).issue(&project("acme/old"), number).await.unwrap();
        assert_eq!(issue.title, "Moved");
    }
}

#[tokio::test]
async fn the_number_of_redirects_is_limited() {
    let server = ForgeServer::gitea();
    for _ in 0..20 {
        server.fail_next(Fault::Redirect(302, "/api/v1/user".to_owned()));
    }
    let error = client_with(ForgeKind::Gitea, &server.base_url(), Some(TOKEN), limits()).whoami().await.unwrap_err();
    assert!(matches!(&error, ForgeError::Unexpected { .. }), "{error}");
    assert_eq!(server.requests().len(), limits().redirects + 1);
}

#[tokio::test]
async fn only_the_page_number_is_taken_from_a_link_to_another_host() {
    for (kind, server) in all() {
        let elsewhere = ForgeServer::gitea();
        server.set_root_url(&elsewhere.base_url());
        server.set_page_max(1);
        let oldest = server.pull_request("acme/api", PullRequest::new("Ours", "quick").state(PrState::Closed));
        server.pull_request("acme/api", PullRequest::new("Ours too", "quick").state(PrState::Closed));
        let found = client(kind, &server).find_pull_requests(&project("acme/api"), "quick").await.unwrap();
        assert_eq!(found.last().map(|pull| pull.number), Some(oldest), "{kind:?}");
        assert_eq!(found.len(), 2);
        assert_eq!(elsewhere.requests(), []);
    }
}

#[tokio::test]
async fn a_response_above_the_size_limit_is_not_read_to_its_end() {
    let few = Limits { body: 1 << 20, ..limits() };
    for (kind, server) in all() {
        server.fail_next(Fault::Large(64 << 20));
        let forge = client_with(kind, &server.base_url(), Some(TOKEN), few.clone());
        let error = forge.issue(&project("acme/api"), 1).await.unwrap_err();
        assert!(matches!(&error, ForgeError::TooLarge { limit: 1_048_576, .. }), "{error}");
        // With a Content-Length too.
        let body = " ".repeat((1 << 20) + 1);
        server.fail_next(Fault::Answer { status: 200, headers: vec![], body });
        assert!(matches!(forge.whoami().await, Err(ForgeError::TooLarge { .. })));
        report(&error);
    }
}

#[tokio::test]
async fn an_html_page_is_not_taken_for_data() {
    for (kind, server) in all() {
        server.fail_next(Fault::Page);
        let error = client(kind, &server).issue(&project("acme/api"), 1).await.unwrap_err();
        assert!(matches!(&error, ForgeError::Unexpected { .. }) && report(&error).contains("HTML page"), "{error}");
    }
}

#[tokio::test]
async fn invalid_json_and_missing_fields_are_unexpected_responses() {
    let server = ForgeServer::gitea();
    let forge = client_with(ForgeKind::Gitea, &server.base_url(), Some(TOKEN), limits());
    let deep = "[".repeat(100_000);
    for body in
        ["", "{", "[]", "null", r#"{"title":"x"}"#, r#"{"number":"1"}"#, r#"{"number":-1}"#, "\u{0}", deep.as_str()]
    {
        server.fail_next(Fault::Answer { status: 200, headers: vec![], body: body.to_owned() });
        let error = forge.issue(&project("acme/api"), 1).await.unwrap_err();
        assert!(matches!(&error, ForgeError::Unexpected { .. }), "{body}: {error}");
        assert!(report(&error).len() < 700, "{error}");
    }
    server.fail_next(Fault::Answer { status: 418, headers: vec![], body: "x".to_owned() });
    assert!(report(&forge.whoami().await.unwrap_err()).contains("418"));
}

#[tokio::test]
async fn optional_fields_may_be_null() {
    for (kind, server) in all() {
        let number = if kind == ForgeKind::GitLab { "iid" } else { "number" };
        let body = format!(
            r#"{{"{number}":1,"title":null,"body":null,"description":null,"state":null,"user":null,"author":null,"labels":null,
            "html_url":null,"updated_at":null,"pull_request":null,"head":null,"base":null,"mergeable":null,"draft":null}}"#
        );
        server.fail_next(Fault::Answer { status: 200, headers: vec![], body: body.clone() });
        let issue = client(kind, &server).issue(&project("acme/api"), 1).await.unwrap();
        assert_eq!((issue.title.as_str(), issue.author, issue.is_pull_request), ("", None, false));
        server.fail_next(Fault::Answer { status: 200, headers: vec![], body });
        assert_eq!(client(kind, &server).pull_request(&project("acme/api"), 1).await.unwrap().head_branch, "");
    }
}

#[tokio::test]
async fn no_error_repeats_the_token_whatever_the_server_sends() {
    let echo = format!("{{\"message\":\"\\u001b[31mnot you, {TOKEN}\\r\\nx: y\"}}");
    for (kind, server) in all() {
        let forge = client(kind, &server);
        for (status, attempts) in [(400, 1), (401, 1), (403, 1), (404, 1), (422, 1), (501, 1), (500, 4), (503, 4)] {
            for _ in 0..attempts {
                server.fail_next(Fault::Answer { status, headers: vec![], body: echo.clone() });
            }
            report(&forge.whoami().await.unwrap_err());
        }
        for body in [format!(r#"{{"login":1,"{TOKEN}":2}}"#), format!(r#"{{"number":"{TOKEN}","iid":"{TOKEN}"}}"#)] {
            server.fail_next(Fault::Answer { status: 200, headers: vec![], body });
            report(&forge.issue(&project("acme/api"), 1).await.unwrap_err());
        }
        let link = format!("<{}/{TOKEN}?page=2>; rel=\"next\"", server.base_url());
        let entry = r#"[{"number":1,"iid":1}]"#.to_owned();
        server.fail_next(Fault::Answer { status: 200, headers: vec![("link", link)], body: entry });
        report(&forge.find_pull_requests(&project("acme/api"), "quick").await.unwrap_err());
        assert!(!format!("{forge:?}").contains(TOKEN), "the client prints its token");
    }
}

#[tokio::test]
async fn a_silent_server_times_out() {
    let quick = Limits { request: Duration::from_millis(200), ..limits() };
    let server = ForgeServer::gitea();
    server.token(TOKEN, "robot");
    server.fail_next(Fault::Late(Duration::from_secs(60)));
    let forge = client_with(ForgeKind::Gitea, &server.base_url(), Some(TOKEN), quick);
    let start = Instant::now();
    let error = forge.whoami().await.unwrap_err();
    assert!(matches!(&error, ForgeError::Timeout { .. }) && error.is_transient(), "{error}");
    assert!(report(&error).contains("0.2 s") && start.elapsed() < Duration::from_secs(20), "{error}");
    assert_eq!(forge.whoami().await.unwrap().login, "robot", "the next request succeeds");
}

#[tokio::test]
async fn a_connection_that_closes_without_a_response_is_retried() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let closing = std::thread::spawn(move || {
        for _ in 0..limits().attempts {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 4096];
            assert_ne!(stream.read(&mut head).unwrap(), 0);
        }
    });
    let error = client_with(ForgeKind::Gitea, &base, Some(TOKEN), limits()).whoami().await.unwrap_err();
    assert!(matches!(&error, ForgeError::Unreachable { .. }), "{error}");
    report(&error);
    closing.join().unwrap();
}
