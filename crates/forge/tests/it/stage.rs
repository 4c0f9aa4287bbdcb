//! A forge's client on a server of the testkit.

use std::sync::Arc;
use std::time::Duration;

use kugetsu_domain::reference::{ForgeKind, ProjectPath, ServerBase};
use kugetsu_forge::api::error::ForgeError;
use kugetsu_forge::api::forge::Forge;
use kugetsu_forge::api::http::credentials::Credentials;
use kugetsu_forge::api::http::limits::Limits;
use kugetsu_forge::api::http::transport::Transport;
use kugetsu_forge::api::open::open;
use kugetsu_forge::servers::Server;
use kugetsu_testkit::ForgeServer;

/// The token that every test uses.
pub(crate) const TOKEN: &str = "s3cret-t0ken";

/// Who that is.
pub(crate) const LOGIN: &str = "robot";

/// One server of each kind, which know the token.
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

/// Bounds for a test: no pause that anybody would notice.
pub(crate) fn limits() -> Limits {
    Limits {
        first_pause: Duration::from_millis(1),
        second_look: Duration::from_millis(1),
        patience: Duration::from_secs(5),
        ..Limits::default()
    }
}

pub(crate) fn server(kind: ForgeKind, base: &str, api_url: Option<&str>) -> Server {
    let base = ServerBase::new(base).unwrap();
    let api_url = api_url.map(str::to_owned);
    Server { name: "test".to_owned(), base, kind: Some(kind), api_url, token_env: None }
}

pub(crate) fn login(kind: ForgeKind, token: Option<&str>) -> Credentials {
    let variable = match kind {
        ForgeKind::GitHub => "GITHUB_TOKEN",
        ForgeKind::GitLab => "GITLAB_TOKEN",
        _ => "GITEA_TOKEN",
    };
    Credentials::new(variable, token.map(Into::into).as_ref()).unwrap()
}

/// The client with the token.
pub(crate) fn client(kind: ForgeKind, at: &ForgeServer) -> Arc<dyn Forge> {
    client_with(kind, &at.base_url(), Some(TOKEN), limits())
}

pub(crate) fn client_with(kind: ForgeKind, base: &str, token: Option<&str>, limits: Limits) -> Arc<dyn Forge> {
    let transport = Transport::new(limits).unwrap();
    open(&transport, &server(kind, base, None), login(kind, token)).unwrap()
}

pub(crate) fn project(path: &str) -> ProjectPath {
    ProjectPath::new(path).unwrap()
}

/// What a person reads of the error; it must never hold the token.
pub(crate) fn said(error: &ForgeError) -> String {
    let said = error.to_string();
    assert!(!format!("{said} {error:?}").contains(TOKEN), "the token is in an error: {said}");
    assert!(!said.contains(char::is_control), "{said:?}");
    said
}
