//! Picks the implementation that speaks to a server.

use std::sync::Arc;

use kugetsu_domain::reference::ForgeKind;

use super::error::ForgeError;
use super::forge::Forge;
use super::gitea::Gitea;
use super::github::GitHub;
use super::gitlab::GitLab;
use super::http::base_url::BaseUrl;
use super::http::credentials::Credentials;
use super::http::transport::Transport;
use crate::servers::Server;

/// The forge at `server`, as `login` sees it. Nothing is asked of it yet.
///
/// # Errors
/// Nobody knows what serves there, it has no API, or the address of its API cannot be used.
pub fn open(transport: &Transport, server: &Server, credentials: Credentials) -> Result<Arc<dyn Forge>, ForgeError> {
    let name = || server.base.to_string();
    let kind = server.kind.ok_or_else(|| ForgeError::NoKind { server: name() })?;
    let api = server.api().ok_or_else(|| ForgeError::NoApi { server: name() })?;
    let base_url = BaseUrl::new(&api, server.base.as_str())?;
    let base = server.base.clone();
    Ok(match kind {
        ForgeKind::GitHub => Arc::new(GitHub::new(base, transport, base_url, credentials)),
        ForgeKind::Gitea | ForgeKind::Forgejo => Arc::new(Gitea::new(kind, base, transport, base_url, credentials)),
        ForgeKind::GitLab => Arc::new(GitLab::new(base, transport, base_url, credentials)),
        ForgeKind::Local => return Err(ForgeError::NoApi { server: name() }),
    })
}
