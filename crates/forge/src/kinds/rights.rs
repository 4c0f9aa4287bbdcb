//! Finds out which rights a token lacks where the server does not report its scopes. Nothing changes: the requests read, or name objects
//! that cannot exist, and a server checks the right first.

use reqwest::Method;
use serde_json::json;

use crate::error::ForgeError;
use crate::http::client::Client;
use crate::user::TokenRight;

/// Placeholder of the default branch in a path.
pub(super) const BRANCH: &str = "{branch}";

/// A request that a server refuses to a token without the right.
#[derive(Debug)]
pub(super) struct Trial<'a> {
    pub(super) method: Method,
    pub(super) path: Vec<&'a str>,
    pub(super) right: TokenRight,
}

impl<'a> Trial<'a> {
    /// `rest` is the path below that of the project.
    pub(super) fn new(
        method: Method,
        project: &[&'a str],
        rest: &[&'static str],
        branch: &'a str,
        right: TokenRight,
    ) -> Self {
        let rest = rest.iter().map(|part| if *part == BRANCH { branch } else { part });
        Self { method, path: project.iter().copied().chain(rest).collect(), right }
    }
}

/// Returns the rights whose requests are refused.
///
/// # Errors
/// The server cannot be reached, or does not accept the token at all.
pub(super) async fn refused(client: &Client, trials: Vec<Trial<'_>>) -> Result<Vec<TokenRight>, ForgeError> {
    let mut refused = Vec::new();
    for Trial { method, path, right } in trials {
        let result = match method {
            Method::GET => client.get_response(&path, &[]).await.map(drop),
            method => client.change_only(method, &path, Some(json!({ "body": "" }))).await,
        };
        match result {
            Err(ForgeError::Forbidden { .. }) => refused.push(right),
            Err(
                error @ (ForgeError::Unreachable { .. }
                | ForgeError::Tls { .. }
                | ForgeError::Timeout { .. }
                | ForgeError::RateLimited { .. }
                | ForgeError::TokenRefused { .. }),
            ) => return Err(error),
            // The object does not exist, or the repository is empty.
            Ok(()) | Err(_) => {}
        }
    }
    Ok(refused)
}
