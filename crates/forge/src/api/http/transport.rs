//! The one HTTP client of the process: TLS, certificates, proxies, time limits. It knows no token.

use std::error::Error;
use std::sync::Arc;

use reqwest::redirect::Policy;
use rustls::crypto::CryptoProvider;

use super::limits::Limits;
use crate::api::error::ForgeError;

/// What opens connections. Made once and cloned: clones share their connections.
///
/// Certificates are checked by the platform's own rules (on Linux the system's certificates, or `SSL_CERT_FILE`).
/// Proxies come from the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`), read when this is made.
#[derive(Clone, Debug)]
pub struct Transport {
    pub(super) client: reqwest::Client,
    pub(super) limits: Arc<Limits>,
}

impl Transport {
    /// With these bounds.
    ///
    /// # Errors
    /// The system has no certificates to check a server with.
    pub fn new(limits: Limits) -> Result<Self, ForgeError> {
        // One of the process: the first to say it wins, and any of them will do.
        if CryptoProvider::get_default().is_none() {
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let client = reqwest::Client::builder()
            .user_agent(concat!("kugetsu/", env!("CARGO_PKG_VERSION")))
            // Followed by hand, since not every hop may see the token.
            .redirect(Policy::none())
            // A request counts as sent when we say so: ours are tried again with a pause, and with a limit.
            .retry(reqwest::retry::never())
            .connect_timeout(limits.connect)
            .build()
            .map_err(|error| ForgeError::NoClient { why: causes(&error) })?;
        Ok(Self { client, limits: Arc::new(limits) })
    }

    /// The bounds.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }
}

/// The innermost reason of an error, which is what a person can do something about. The outer ones repeat addresses.
pub(super) fn causes(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
