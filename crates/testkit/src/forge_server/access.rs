//! Authentication: where each kind of forge looks for the token, and its answers to a wrong or missing one.

use axum::http::{HeaderMap, header};

use super::flavor::Flavor;
use super::reply::Reply;
use super::state::ForgeState;

/// The token of a request.
pub(super) fn token(flavor: Flavor, headers: &HeaderMap) -> Option<String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if flavor == Flavor::GitLab
        && let Some(token) = text("private-token")
    {
        return Some(token.to_owned());
    }
    let (scheme, token) = text(header::AUTHORIZATION.as_str())?.split_once(' ')?;
    let schemes: &[&str] = match flavor {
        Flavor::GitHub => &["bearer", "token"],
        // Old versions accept `Bearer` for OAuth only.
        Flavor::Gitea | Flavor::Forgejo => &["token"],
        Flavor::GitLab => &["bearer"],
    };
    schemes.contains(&scheme.to_ascii_lowercase().as_str()).then(|| token.trim().to_owned())
}

/// The user of the request's token. An unknown token is an error even if the request needs none.
pub(super) fn login(flavor: Flavor, forge: &ForgeState, headers: &HeaderMap) -> Result<Option<String>, Reply> {
    let Some(token) = token(flavor, headers) else { return Ok(None) };
    forge.tokens.get(&token).cloned().map(Some).ok_or_else(|| unknown_token(flavor))
}

fn unknown_token(flavor: Flavor) -> Reply {
    Reply::error(
        401,
        match flavor {
            Flavor::GitHub => "Bad credentials",
            Flavor::Gitea | Flavor::Forgejo => "user does not exist [uid: 0, name: ]",
            Flavor::GitLab => "401 Unauthorized",
        },
    )
}

/// The answer to a request that needs a token and has none.
pub(super) fn token_required(flavor: Flavor) -> Reply {
    Reply::error(
        401,
        match flavor {
            Flavor::GitHub => "Requires authentication",
            Flavor::Gitea | Flavor::Forgejo => "token is required",
            Flavor::GitLab => "401 Unauthorized",
        },
    )
}
