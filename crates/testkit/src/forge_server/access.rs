//! Who asks: the token of a request, where each program looks for it, and what it says to a wrong one.

use axum::http::{HeaderMap, header};

use super::flavor::Flavor;
use super::reply::Reply;
use super::world::World;

/// The token that a request brings.
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
        // Old versions take `Bearer` for OAuth only.
        Flavor::Gitea | Flavor::Forgejo => &["token"],
        Flavor::GitLab => &["bearer"],
    };
    schemes.contains(&scheme.to_ascii_lowercase().as_str()).then(|| token.trim().to_owned())
}

/// Who that is; a wrong token is refused even where none is needed.
pub(super) fn login(flavor: Flavor, world: &World, headers: &HeaderMap) -> Result<Option<String>, Reply> {
    let Some(token) = token(flavor, headers) else { return Ok(None) };
    world.tokens.get(&token).cloned().map(Some).ok_or_else(|| unknown(flavor))
}

fn unknown(flavor: Flavor) -> Reply {
    Reply::error(
        401,
        match flavor {
            Flavor::GitHub => "Bad credentials",
            Flavor::Gitea | Flavor::Forgejo => "user does not exist [uid: 0, name: ]",
            Flavor::GitLab => "401 Unauthorized",
        },
    )
}

/// What is said to somebody without a token where one is needed.
pub(super) fn needed(flavor: Flavor) -> Reply {
    Reply::error(
        401,
        match flavor {
            Flavor::GitHub => "Requires authentication",
            Flavor::Gitea | Flavor::Forgejo => "token is required",
            Flavor::GitLab => "401 Unauthorized",
        },
    )
}
