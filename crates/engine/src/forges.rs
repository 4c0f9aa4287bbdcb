//! Opens the APIs of forges with the user's tokens.

use std::sync::Arc;

use kugetsu_domain::reference::ServerBase;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::forge::Forge;
use kugetsu_forge::http::credentials::Credentials;
use kugetsu_forge::http::transport::Transport;
use kugetsu_forge::open::{open, open_in_background};
use kugetsu_forge::servers::Server;

use crate::credentials::{token, token_variable};
use crate::engine::Engine;

/// Opens the API of the server at `base`; `None` if its kind is not known. Sends nothing yet.
pub(crate) fn forge(engine: &Engine, base: &ServerBase) -> Result<Option<Arc<dyn Forge>>, ForgeError> {
    open_with(engine, base, open)
}

/// The same, where a server whose kind is not known is an error.
pub(crate) fn known(engine: &Engine, base: &ServerBase) -> Result<Arc<dyn Forge>, ForgeError> {
    forge(engine, base)?.ok_or_else(|| no_kind(base))
}

/// The same for work that no user waits for: it leaves a part of the server's rate limit to people.
pub(crate) fn background(engine: &Engine, base: &ServerBase) -> Result<Arc<dyn Forge>, ForgeError> {
    open_with(engine, base, open_in_background)?.ok_or_else(|| no_kind(base))
}

fn no_kind(base: &ServerBase) -> ForgeError {
    ForgeError::NoKind { server: base.to_string() }
}

type Open = fn(&Transport, &Server, Credentials) -> Result<Arc<dyn Forge>, ForgeError>;

fn open_with(engine: &Engine, base: &ServerBase, open: Open) -> Result<Option<Arc<dyn Forge>>, ForgeError> {
    let settings = engine.settings();
    let Some(kind) = settings.servers.kind_of(base.as_str()) else { return Ok(None) };
    let Some(variable) = token_variable(&settings, base.as_str()) else { return Ok(None) };
    let configured = settings.servers.list().iter().find(|server| server.base == *base).cloned();
    let server = match configured {
        Some(server) => Server { kind: Some(kind), ..server },
        None => Server { name: base.to_string(), base: base.clone(), kind: Some(kind), api_url: None, token_env: None },
    };
    let login = Credentials::new(variable, token(&settings, base.as_str()))?;
    open(&engine.transport()?, &server, login).map(Some)
}
