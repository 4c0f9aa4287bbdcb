//! Detects what serves an address, without a token.
//!
//! Every kind has a probe that requests its version from a path that only it has. A response counts only if it has the
//! form that the kind gives it, because many servers answer every path with some page.

use kugetsu_domain::reference::{ForgeKind, ServerBase};
use thiserror::Error;

use super::probe::{Identity, Prober};
use super::table::{dialect, dialects, public_servers};
use crate::error::ForgeError;
use crate::http::transport::Transport;

/// A detected server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detected {
    pub kind: ForgeKind,
    /// `None` if the server hides it from anonymous users.
    pub version: Option<String>,
    /// Where its API begins, without a trailing slash.
    pub api: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DetectError {
    #[error("cannot detect what serves {base}: it is none of {}", ForgeKind::server_names("and"))]
    Unknown { base: ServerBase },
    #[error(transparent)]
    Forge(#[from] ForgeError),
}

impl DetectError {
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { .. } => {
                Some("name its kind with --kind, and its API with --api-url if it has an unusual path".to_owned())
            }
            Self::Forge(error) => error.hint(),
        }
    }
}

/// Detects what serves `base`. Nothing is requested from public servers.
///
/// # Errors
/// [`DetectError::Unknown`] if no probe recognizes it; also if it cannot be reached or redirects to another host.
pub async fn detect(transport: &Transport, base: &ServerBase) -> Result<Detected, DetectError> {
    if let Some((dialect, _)) = public_servers().find(|(_, server)| server.base == base.as_str()) {
        return Ok(Detected { kind: dialect.kind, version: None, api: dialect.api_url(base) });
    }
    let prober = Prober::new(transport, base)?;
    // From the kinds that teams host themselves most to those that they host least.
    for probe in dialects().rev().filter_map(|dialect| dialect.probe) {
        if let Some(Identity { kind, version }) = probe(&prober).await? {
            let api = dialect(kind).map(|dialect| dialect.api_url(base)).unwrap_or_default();
            return Ok(Detected { kind, version, api });
        }
    }
    Err(DetectError::Unknown { base: base.clone() })
}
