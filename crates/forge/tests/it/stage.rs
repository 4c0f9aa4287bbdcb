//! Clients for servers of the testkit.

use std::sync::Arc;
use std::time::Duration;

use kugetsu_domain::reference::{ForgeKind, ProjectPath, ServerBase};
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::forge::Forge;
use kugetsu_forge::http::credentials::Credentials;
use kugetsu_forge::http::limits::Limits;
use kugetsu_forge::http::transport::Transport;
use kugetsu_forge::open::open;
use kugetsu_forge::servers::Server;
use kugetsu_testkit::ForgeServer;
pub(crate) use kugetsu_testkit::forge_server::fault::Fault as Failure;

/// The token of every test.
pub(crate) const TOKEN: &str = "s3cret-t0ken";

/// The user whom the token belongs to.
pub(crate) const LOGIN: &str = "robot";

/// One server of each kind, all of which accept the token.
pub(crate) fn all() -> [(ForgeKind, ForgeServer); 4] {
    let all = [
        (ForgeKind::GitHub, ForgeServer::github()),
        (ForgeKind::Gitea, ForgeServer::gitea()),
        (ForgeKind::Forgejo, ForgeServer::forgejo()),
        (ForgeKind::GitLab, ForgeServer::gitlab()),
    ];
    for (_, server) in &all {
        server.token(TOKEN, LOGIN);
    }
    all
}

/// Limits with pauses that are too short to notice.
pub(crate) fn limits() -> Limits {
    Limits {
        first_backoff: Duration::from_millis(1),
        conflict_recheck: Duration::from_millis(1),
        max_wait: Duration::from_secs(5),
        ..Limits::default()
    }
}

pub(crate) fn server(kind: ForgeKind, base: &str, api_url: Option<&str>) -> Server {
    let base = ServerBase::new(base).unwrap();
    let api_url = api_url.map(str::to_owned);
    Server { name: "test".to_owned(), base, kind: Some(kind), api_url, token_env: None }
}

pub(crate) fn credentials(kind: ForgeKind, token: Option<&str>) -> Credentials {
    let variable = match kind {
        ForgeKind::GitHub => "GITHUB_TOKEN",
        ForgeKind::GitLab => "GITLAB_TOKEN",
        _ => "GITEA_TOKEN",
    };
    Credentials::new(variable, token.map(Into::into).as_ref()).unwrap()
}

/// A client with the token.
pub(crate) fn client(kind: ForgeKind, server: &ForgeServer) -> Arc<dyn Forge> {
    client_with(kind, &server.base_url(), Some(TOKEN), limits())
}

pub(crate) fn client_with(kind: ForgeKind, base: &str, token: Option<&str>, limits: Limits) -> Arc<dyn Forge> {
    let transport = Transport::new(limits).unwrap();
    open(&transport, &server(kind, base, None), credentials(kind, token)).unwrap()
}

pub(crate) fn project(path: &str) -> ProjectPath {
    ProjectPath::new(path).unwrap()
}

/// The error as a user reads it, with its hint. It must not contain the token.
pub(crate) fn report(error: &ForgeError) -> String {
    let report = format!("{error} (hint: {})", error.hint().unwrap_or_default());
    assert!(!format!("{report} {error:?}").contains(TOKEN), "the token is in an error: {report}");
    assert!(!report.contains(char::is_control), "{report:?}");
    report
}
