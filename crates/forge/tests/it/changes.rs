//! Requests that change something, when the server or the network fails: none is sent twice after an unclear answer.

use std::time::Duration;

use kugetsu_domain::reference::ForgeKind;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::forge::Subject;
use kugetsu_forge::http::limits::Limits;
use kugetsu_testkit::ForgeServer;
use kugetsu_testkit::forge_server::fault::Fault;
use kugetsu_testkit::forge_server::issue::{Issue, Subject as On};
use kugetsu_testkit::forge_server::permission::Permission;

use crate::stage::{LOGIN, TOKEN, all, client, client_with, limits, project, report};

/// The number of requests that are no reads.
fn writes(server: &ForgeServer) -> usize {
    server.requests().iter().filter(|request| request.method != "GET").count()
}

#[tokio::test]
async fn a_change_with_an_unclear_answer_is_sent_once() {
    for (kind, server) in all() {
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        let number = server.issue("acme/api", Issue::new("Slow"));
        for (made, fault) in [Fault::Status(500), Fault::Status(502), Fault::Cut].into_iter().enumerate() {
            let before = writes(&server);
            server.fail_next(Fault::Done(Box::new(fault)));
            let error = forge.add_comment(&acme, Subject::Issue(number), "Hello").await.unwrap_err();
            assert!(error.is_transient(), "{kind:?}: {error}");
            report(&error);
            assert_eq!(writes(&server), before + 1, "{kind:?}");
            assert_eq!(server.comments_of("acme/api", On::Issue(number)).len(), made + 1, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn a_change_that_was_refused_for_the_rate_is_sent_again() {
    for (kind, server) in all() {
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        let number = server.issue("acme/api", Issue::new("Slow"));
        server.fail_next(Fault::rate_limit(0));
        let secondary = r#"{"message":"You have exceeded a secondary rate limit."}"#.to_owned();
        let headers = vec![("retry-after", "0".to_owned())];
        server.fail_next(Fault::Answer { status: 403, headers, body: secondary });
        forge.add_comment(&acme, Subject::Issue(number), "Hello").await.unwrap();
        assert_eq!((writes(&server), server.comments_of("acme/api", On::Issue(number)).len()), (3, 1), "{kind:?}");
    }
}

#[tokio::test]
async fn a_change_without_an_answer_is_sent_once() {
    for (kind, server) in all() {
        let quick = Limits { request: Duration::from_millis(200), ..limits() };
        let forge = client_with(kind, &server.base_url(), Some(TOKEN), quick);
        let number = server.issue("acme/api", Issue::new("Slow"));
        server.fail_next(Fault::Late(Duration::from_secs(60)));
        let error = forge.add_comment(&project("acme/api"), Subject::Issue(number), "Hello").await.unwrap_err();
        assert!(matches!(&error, ForgeError::Timeout { .. }), "{kind:?}: {error}");
        assert_eq!(writes(&server), 1, "{kind:?}");
    }
}

#[tokio::test]
async fn a_refused_change_reports_the_servers_message() {
    for (kind, server) in all() {
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        let number = server.issue("acme/api", Issue::new("Slow"));
        for status in [405, 409, 412, 422, 423] {
            let before = writes(&server);
            let body = r#"{"message":"not like this"}"#.to_owned();
            server.fail_next(Fault::Answer { status, headers: vec![], body });
            let error = forge.add_comment(&acme, Subject::Issue(number), "Hello").await.unwrap_err();
            assert!(matches!(&error, ForgeError::Refused { status: with, .. } if *with == status), "{kind:?}: {error}");
            assert!(report(&error).contains("not like this") && !error.is_transient(), "{kind:?}: {error}");
            assert_eq!(writes(&server), before + 1, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn a_token_without_the_permission_is_reported() {
    for (kind, server) in all() {
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        let number = server.issue("acme/api", Issue::new("Slow"));
        server.set_permission("acme/api", LOGIN, Permission::Read);
        let error = forge.label(&acme, Subject::Issue(number), &["bug".to_owned()], &[]).await.unwrap_err();
        assert!(matches!(&error, ForgeError::Forbidden { .. }), "{kind:?}: {error}");
        server.revoke(TOKEN);
        let error = forge.add_comment(&acme, Subject::Issue(number), "Hello").await.unwrap_err();
        assert!(matches!(&error, ForgeError::TokenRefused { .. }), "{kind:?}: {error}");
        let anonymous = client_with(kind, &server.base_url(), None, limits());
        let error = anonymous.add_comment(&acme, Subject::Issue(number), "Hello").await.unwrap_err();
        assert!(matches!(&error, ForgeError::TokenMissing { .. }), "{kind:?}: {error}");
        assert!(server.changes().is_empty(), "{kind:?}");
    }
}

#[tokio::test]
async fn a_change_is_not_redirected_to_another_origin() {
    for (kind, server) in all() {
        let other = ForgeServer::gitea();
        let number = server.issue("acme/api", Issue::new("Slow"));
        for status in [301, 302, 307, 308] {
            server.fail_next(Fault::Redirect(status, format!("{}/api", other.base_url())));
            let error = client(kind, &server).add_comment(&project("acme/api"), Subject::Issue(number), "Hello").await;
            assert!(matches!(error, Err(ForgeError::Moved { .. })), "{kind:?}: {error:?}");
        }
        assert_eq!(other.requests(), []);
    }
}

#[tokio::test]
async fn a_github_repository_that_moved_is_changed_at_its_new_address() {
    let server = ForgeServer::github();
    server.token(TOKEN, LOGIN);
    let number = server.issue("acme/api", Issue::new("Slow"));
    server.rename_project("acme/api", "acme/core");
    let forge = client(ForgeKind::GitHub, &server);
    forge.add_comment(&project("acme/api"), Subject::Issue(number), "Hello").await.unwrap();
    let requests = server.requests();
    assert_eq!(requests.iter().map(|request| request.method.as_str()).collect::<Vec<_>>(), ["POST", "POST"]);
    assert_eq!(requests[0].body, requests[1].body);
}
