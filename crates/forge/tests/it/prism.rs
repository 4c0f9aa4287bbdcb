//! The client and the testkit's servers against the API descriptions that GitHub and Forgejo publish. Prism is a proxy between
//! the two that refuses requests and responses that violate the description.

use std::process::Command;
use std::sync::Arc;

use kugetsu_domain::pull_request::PrState;
use kugetsu_domain::reference::ForgeKind;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::forge::Forge;
use kugetsu_forge::http::limits::Limits;
use kugetsu_forge::http::transport::Transport;
use kugetsu_forge::open::open;
use kugetsu_testkit::ForgeServer;
use kugetsu_testkit::forge_server::fault::Fault;
use kugetsu_testkit::forge_server::issue::Issue;
use kugetsu_testkit::forge_server::pull_request::{PrState as Made, PullRequest};

use crate::program::{Peer, program};
use crate::stage::{LOGIN, TOKEN, credentials, limits, project, server};

/// Starts Prism before `upstream`, with one of the descriptions in the tests' data.
fn start_prism(description: &str, upstream: &ForgeServer) -> Option<Peer> {
    let prism = program("KUGETSU_PRISM")?;
    let description = format!("{}/tests/data/specs/{description}", env!("CARGO_MANIFEST_DIR"));
    Some(Peer::start(|port, _| {
        let mut command = Command::new(prism);
        command.args(["proxy", "--host", "127.0.0.1", "--port", &port.to_string(), "--errors"]);
        command.arg(description).arg(upstream.api_url());
        command
    }))
}

#[tokio::test]
async fn needs_prism_for_github() {
    let upstream = ForgeServer::github();
    if let Some(prism) = start_prism("github.json", &upstream) {
        exercise(ForgeKind::GitHub, &upstream, &prism).await;
    }
}

#[tokio::test]
async fn needs_prism_for_forgejo() {
    let upstream = ForgeServer::forgejo();
    // Prism does not accept local addresses in responses.
    upstream.set_root_url("https://git.example.co");
    if let Some(prism) = start_prism("forgejo.json", &upstream) {
        exercise(ForgeKind::Forgejo, &upstream, &prism).await;
    }
}

/// Makes every call, with pull requests in every state.
async fn exercise(kind: ForgeKind, upstream: &ForgeServer, prism: &Peer) {
    upstream.token(TOKEN, LOGIN);
    let forge = client(kind, prism);
    let acme = project("acme/api");
    assert_eq!(forge.whoami().await.unwrap().login, LOGIN);
    assert_eq!(forge.version().await.unwrap().kind, kind);
    for issue in [Issue::new("Bare").closed(), Issue::new("Full").body("Text").label("good first").author("lee")] {
        let number = upstream.issue("acme/api", issue);
        assert!(!forge.issue(&acme, number).await.unwrap().is_pull_request);
    }
    let number = upstream.pull_request("acme/api", PullRequest::new("Quick", "kim/quick").from_fork_of("kim"));
    let own = upstream.pull_request("acme/api", PullRequest::new("Quick", "kim/quick"));
    for (made, expected) in [
        (Made::Open, PrState::Open),
        (Made::Draft, PrState::Draft),
        (Made::Conflict, PrState::Conflict),
        (Made::Merged, PrState::Merged),
        (Made::Closed, PrState::Closed),
    ] {
        upstream.set_pr_state("acme/api", number, made);
        upstream.set_pr_state("acme/api", own, made);
        assert_eq!(forge.pull_request(&acme, number).await.unwrap().state, expected);
        assert!(forge.issue(&acme, number).await.unwrap().is_pull_request);
        let found = forge.find_pull_requests(&acme, "kim/quick").await.unwrap();
        assert_eq!(found.iter().map(|pull| (pull.number, pull.state)).collect::<Vec<_>>(), [(own, expected)]);
    }
    let missing = forge.issue(&project("acme/nothing"), 1).await;
    assert!(matches!(missing, Err(ForgeError::NotFound { .. })), "{missing:?}");

    // Proves that Prism validates: the client would accept this response.
    upstream.fail_next(Fault::Answer {
        status: 200,
        headers: vec![],
        body: r#"{"number": 1, "html_url": 7}"#.to_owned(),
    });
    let refused = forge.pull_request(&acme, 1).await;
    assert!(matches!(refused, Err(ForgeError::Failing { .. })), "{refused:?}");
}

fn client(kind: ForgeKind, prism: &Peer) -> Arc<dyn Forge> {
    let once = Limits { attempts: 1, ..limits() };
    // The paths of the descriptions are relative to the API.
    let server = server(kind, &prism.url(), Some(&prism.url()));
    open(&Transport::new(once).unwrap(), &server, credentials(kind, Some(TOKEN))).unwrap()
}
