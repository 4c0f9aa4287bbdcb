//! Finds out what serves an address, before there is a kind or a token.
//!
//! Each kind is asked for its version at the place that only it has. No token is sent, no redirect to another host is
//! followed, and an answer is believed only if it has the form that the kind gives it: many servers answer everything
//! with some page.

use kugetsu_domain::reference::{ForgeKind, ServerBase};
use reqwest::header::{HeaderMap, SET_COOKIE};
use serde_json::Value;
use thiserror::Error;

use super::error::ForgeError;
use super::gitea;
use super::http::answer::Answer;
use super::http::base_url::BaseUrl;
use super::http::credentials::Credentials;
use super::http::fetch::fetch;
use super::http::transport::Transport;
use crate::known::PUBLIC;
use crate::servers::Server;

/// What was found at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detected {
    /// What serves there.
    pub kind: ForgeKind,
    /// Its version, where it tells it without a token.
    pub version: Option<String>,
    /// Where its API begins, without a trailing slash.
    pub api: String,
}

/// Why nothing was found.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DetectError {
    /// A server is there, but does not give itself away.
    #[error(
        "cannot tell what serves {base}: it answers like none of github, gitea, forgejo and gitlab; \
         say it with --kind (and --api-url, if its API is not in the usual place)"
    )]
    Unknown {
        /// The address.
        base: ServerBase,
    },
    /// Nothing answers there, or it sends its callers elsewhere.
    #[error(transparent)]
    Forge(#[from] ForgeError),
}

/// Asks the server at `base` what it is. The public servers that everybody knows are not asked.
///
/// # Errors
/// It cannot be reached, sends its callers to another host, or cannot be told from what it answers.
pub async fn detect(transport: &Transport, base: &ServerBase) -> Result<Detected, DetectError> {
    if let Some((_, kind)) = PUBLIC.iter().find(|(public, _)| *public == base.as_str()) {
        return Ok(detected(base, *kind, None));
    }
    let base_url = BaseUrl::new(base.as_str(), base.as_str())?;
    let asker = Asker { transport, base_url, credentials: Credentials::nobody() };
    if let Some((kind, version)) = gitea_like(&asker).await? {
        return Ok(detected(base, kind, version));
    }
    if let Some(version) = gitlab(&asker.ask("api/v4/version").await?) {
        return Ok(detected(base, ForgeKind::GitLab, version));
    }
    if let Some(version) = github(&asker.ask("api/v3/meta").await?) {
        return Ok(detected(base, ForgeKind::GitHub, version));
    }
    Err(DetectError::Unknown { base: base.clone() })
}

fn detected(base: &ServerBase, kind: ForgeKind, version: Option<String>) -> Detected {
    let server = Server { name: String::new(), base: base.clone(), kind: Some(kind), api_url: None, token_env: None };
    Detected { kind, version, api: server.api().unwrap_or_default() }
}

struct Asker<'a> {
    transport: &'a Transport,
    base_url: BaseUrl,
    credentials: Credentials,
}

impl Asker<'_> {
    /// Whatever is answered at this path below the base.
    async fn ask(&self, path: &str) -> Result<Answer, ForgeError> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let (url, limit) = (self.base_url.at(&parts, &[]), self.transport.limits().detect);
        let answer = fetch(self.transport, &self.base_url, &self.credentials, url, &HeaderMap::new(), limit).await;
        answer.map_err(|failed| failed.error)
    }
}

/// Gitea or Forgejo, and the version. A server that wants everybody to sign in tells it nobody, but refuses in words and
/// with cookies of its own.
async fn gitea_like(asker: &Asker<'_>) -> Result<Option<(ForgeKind, Option<String>)>, ForgeError> {
    let answer = asker.ask("api/v1/version").await?;
    if answer.status.is_success() {
        // Whatever else has this address says more than its version there, or something else.
        let only_version = json(&answer).filter(|json| json.as_object().is_some_and(|fields| fields.len() == 1));
        let version = only_version.and_then(|json| text(&json, "version"));
        return Ok(version.map(|version| (gitea::kind_of(&version), Some(version))));
    }
    if !matches!(answer.status.as_u16(), 401 | 403) {
        return Ok(None);
    }
    let told = |answer: &Answer| json(answer).and_then(|json| text(&json, "message")).unwrap_or_default();
    // At this place a Gitea has nothing, whoever asks.
    let forgejo = asker.ask("api/forgejo/v1/version").await?;
    let is_forgejo = match forgejo.status.as_u16() {
        200 => json(&forgejo).is_some_and(|json| text(&json, "version").is_some()),
        401 | 403 => json(&forgejo).is_some(),
        _ => false,
    };
    let is_gitea = told(&answer).contains("signed in user") || told(&answer).contains("token is required");
    let is_gitea = is_gitea || has_cookie(&answer, "i_like_gitea") || has_cookie(&asker.ask("").await?, "i_like_gitea");
    Ok(match (is_forgejo, is_gitea) {
        (true, _) => Some((ForgeKind::Forgejo, json(&forgejo).and_then(|json| text(&json, "version")))),
        (false, true) => Some((ForgeKind::Gitea, None)),
        (false, false) => None,
    })
}

/// The version of a GitLab, which it tells only with a token; without one it refuses in its own words.
fn gitlab(answer: &Answer) -> Option<Option<String>> {
    let json = json(answer)?;
    match answer.status.as_u16() {
        200 => {
            text(&json, "revision")?;
            Some(Some(text(&json, "version")?))
        }
        401 => (text(&json, "message")? == "401 Unauthorized").then_some(None),
        _ => None,
    }
}

/// The version of a GitHub Enterprise Server, which may keep it to those who sign in.
fn github(answer: &Answer) -> Option<Option<String>> {
    let of_body = || json(answer).and_then(|json| text(&json, "installed_version"));
    let of_header = || answer.header("x-github-enterprise-version").map(str::to_owned);
    let version = of_body().or_else(of_header);
    (version.is_some() || answer.header("x-github-request-id").is_some()).then_some(version)
}

fn json(answer: &Answer) -> Option<Value> {
    serde_json::from_slice(&answer.body).ok()
}

/// A field of text, if it can be shown as it is.
fn text(json: &Value, name: &str) -> Option<String> {
    let text = json.get(name)?.as_str()?;
    (text.len() <= 100 && !text.is_empty() && !text.contains(char::is_control)).then(|| text.to_owned())
}

fn has_cookie(answer: &Answer, name: &str) -> bool {
    let begins = |cookie: &str| cookie.split('=').next().is_some_and(|begin| begin.trim() == name);
    answer.headers.get_all(SET_COOKIE).iter().filter_map(|cookie| cookie.to_str().ok()).any(begins)
}
