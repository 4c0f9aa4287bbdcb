//! The HTTP client of the process: TLS, certificates, proxies, time limits, and what it remembers of servers. It holds no token.

use std::error::Error;
use std::sync::Arc;

use reqwest::redirect::Policy;
use rustls::crypto::CryptoProvider;

use super::budget::Budgets;
use super::cache::Cache;
use super::limits::Limits;
use crate::error::ForgeError;

/// Opens connections. Create one per process and clone it: clones share a connection pool, the responses that servers need not
/// send again, and what is left of rate limits.
///
/// Certificates are verified as the platform does it (on Linux against the system's certificates or `SSL_CERT_FILE`).
/// Proxies come from `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, read when this is created.
#[derive(Clone, Debug)]
pub struct Transport {
    pub(super) client: reqwest::Client,
    pub(super) limits: Arc<Limits>,
    pub(super) cache: Arc<Cache>,
    pub(super) budgets: Arc<Budgets>,
}

impl Transport {
    /// # Errors
    /// [`ForgeError::NoClient`] if the system has no certificates to verify a server with.
    pub fn new(limits: Limits) -> Result<Self, ForgeError> {
        // The provider is global to the process; whichever is installed first will do.
        if CryptoProvider::get_default().is_none() {
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let client = reqwest::Client::builder()
            .user_agent(concat!("kugetsu/", env!("CARGO_PKG_VERSION")))
            // `fetch` follows redirects itself, because not every hop may see the token.
            .redirect(Policy::none())
            // `with_retry` retries, with a pause and a limit.
            .retry(reqwest::retry::never())
            .connect_timeout(limits.connect)
            .build()
            .map_err(|error| ForgeError::NoClient { reason: root_cause(&error) })?;
        Ok(Self { client, limits: Arc::new(limits), cache: Arc::default(), budgets: Arc::default() })
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }
}

/// The innermost source of an error: the one that a user can act on. The outer ones repeat addresses.
pub(super) fn root_cause(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
