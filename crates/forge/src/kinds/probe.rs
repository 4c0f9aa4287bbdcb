//! Requests that find out what serves an address, before a kind or a token is known.

use kugetsu_domain::reference::{ForgeKind, ServerBase};
use reqwest::header::{HeaderMap, SET_COOKIE};
use serde_json::Value;

use crate::error::ForgeError;
use crate::http::base_url::BaseUrl;
use crate::http::credentials::Credentials;
use crate::http::fetch::Endpoint;
use crate::http::message::{Request, Response};
use crate::http::transport::Transport;

/// A server that a probe has recognized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) kind: ForgeKind,
    /// `None` if the server hides it from anonymous users.
    pub(crate) version: Option<String>,
}

/// Sends requests without a token. A redirect to another host is an error.
pub(crate) struct Prober(Endpoint);

impl Prober {
    pub(super) fn new(transport: &Transport, base: &ServerBase) -> Result<Self, ForgeError> {
        let base = BaseUrl::parse(base.as_str(), base.as_str())?;
        let (transport, credentials) = (transport.clone(), Credentials::anonymous());
        Ok(Self(Endpoint { transport, base, credentials, headers: HeaderMap::new(), refusals: &[] }))
    }

    /// Returns the response to a GET request for `path`, whatever its status.
    pub(super) async fn get(&self, path: &str) -> Result<Probed, ForgeError> {
        let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let (url, limit) = (self.0.base.join(&segments, &[]), self.0.transport.limits().detect);
        self.0.fetch(&Request::get(url), limit).await.map(Probed).map_err(|failure| failure.error)
    }
}

/// A response to a probe.
pub(super) struct Probed(Response);

impl Probed {
    pub(super) fn status(&self) -> u16 {
        self.0.status.as_u16()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.0.header(name)
    }

    pub(super) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.0.body).ok()
    }

    /// A text field of a JSON object, if it is short and can be printed unescaped.
    pub(super) fn field(&self, name: &str) -> Option<String> {
        let json = self.json()?;
        let text = json.get(name)?.as_str()?;
        (text.len() <= 100 && !text.is_empty() && !text.contains(char::is_control)).then(|| text.to_owned())
    }

    pub(super) fn sets_cookie(&self, name: &str) -> bool {
        let is_named = |cookie: &str| cookie.split('=').next().is_some_and(|before| before.trim() == name);
        self.0.headers.get_all(SET_COOKIE).iter().filter_map(|cookie| cookie.to_str().ok()).any(is_named)
    }
}
