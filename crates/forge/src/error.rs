//! Errors of a forge's API.
//!
//! No text here contains a token, a user, a password or a query: a request is named by its method and path, a server by
//! the address of its API, and messages of the server are masked and shortened before they get here.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use thiserror::Error;

/// A failed call of a forge's API. `server` is the address at which its API begins, `request` a method and a path.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ForgeError {
    /// The connection failed or broke.
    #[error("cannot reach {server}: {reason}")]
    Unreachable { server: String, reason: String },
    /// The certificate was rejected, or the server does not speak TLS.
    #[error("cannot connect to {server} securely: {reason}")]
    Tls { server: String, reason: String },
    #[error("{server} did not answer {request} within {} s", limit.as_secs_f32())]
    Timeout { server: String, request: String, limit: Duration },
    #[error("{server} requires a token for {request}")]
    TokenMissing {
        server: String,
        request: String,
        /// The variable in which the token is expected.
        variable: String,
    },
    #[error("{server} rejected the token in {variable}: it is wrong, expired or revoked")]
    TokenRefused { server: String, variable: String },
    #[error("the value of {variable} is not a valid token: {reason}")]
    TokenMalformed { variable: String, reason: &'static str },
    /// The token is valid, but lacks a permission.
    #[error("{server} does not allow {request} with the token in {variable}{}", quoted(message))]
    Forbidden {
        server: String,
        request: String,
        variable: String,
        /// The server's own message; may be empty.
        message: String,
    },
    /// Too many requests, and the server asks for a longer wait than the limits allow.
    #[error("{server} limits the rate of requests{}", formatted(*until))]
    RateLimited { server: String, until: Option<Timestamp> },
    /// Does not exist or is not visible: servers do not say which.
    #[error("{server} found nothing for {request}: it does not exist, or {}", invisible(variable, *authenticated))]
    NotFound {
        server: String,
        request: String,
        variable: String,
        /// Whether a token was sent.
        authenticated: bool,
    },
    /// A redirect to another origin, which is not followed because it would receive the token.
    #[error("{server} redirects to {location}")]
    Moved {
        server: String,
        /// Scheme, host and port.
        location: String,
    },
    /// A status that reports an error of the server.
    #[error("{server} answered {request} with status {status}{}", quoted(message))]
    Failing {
        server: String,
        request: String,
        status: u16,
        /// The server's own message; may be empty.
        message: String,
    },
    /// The state of the object, or the request, does not allow it: a merge that moved, a pull request that exists, a locked issue.
    #[error("{server} refused {request} with status {status}{}", quoted(message))]
    Refused {
        server: String,
        request: String,
        /// 405, 409, 412, 422 or 423; on GitLab also 400 or 406.
        status: u16,
        /// The server's own message; may be empty.
        message: String,
    },
    /// A response that the API does not send.
    #[error("{server} sent an unexpected response to {request}: {reason}")]
    Unexpected { server: String, request: String, reason: String },
    #[error("the response of {server} to {request} is larger than {limit} bytes")]
    TooLarge { server: String, request: String, limit: usize },
    /// A list of which a part would decide wrongly.
    #[error("{server} has more than {pages} pages for {request}")]
    TooLong { server: String, request: String, pages: usize },
    /// The configured address of the API is not usable.
    #[error("the API address of {server} is not usable: {reason}")]
    Address { server: String, reason: &'static str },
    #[error("the kind of server at {server} is not known")]
    NoKind { server: String },
    /// The kind of server has no API, as local repositories.
    #[error("{server} has no API for issues and pull requests")]
    NoApi { server: String },
    #[error("cannot create an HTTPS client: {reason}")]
    NoClient { reason: String },
    /// An address on another server than the one that would get the request.
    #[error("{address} is not on {server}")]
    OtherServer { address: String, server: String },
    #[error("{address} is not a pull request")]
    NotAPullRequest { address: String },
}

impl ForgeError {
    pub fn hint(&self) -> Option<String> {
        let set_token = |variable: &str| format!("set a token with `kugetsu env set {variable} -`");
        Some(match self {
            Self::Unreachable { .. } => {
                "check the network, the proxy (HTTPS_PROXY, NO_PROXY) and the server's address (`kugetsu server list`)"
                    .to_owned()
            }
            Self::Tls { .. } => "for a private certificate authority, install its certificate or name its file in \
                                 SSL_CERT_FILE; for a server without TLS, write http:// in its address"
                .to_owned(),
            Self::Timeout { .. } | Self::Failing { .. } => "try again later".to_owned(),
            Self::TokenMissing { variable, .. } => set_token(variable),
            Self::TokenRefused { variable, .. } => {
                format!("create a new token on the server and {}", set_token(variable))
            }
            Self::TokenMalformed { variable, .. } => format!("set it again with `kugetsu env set {variable} -`"),
            Self::Forbidden { .. } => "give the token that permission".to_owned(),
            Self::RateLimited { .. } => "try again later, or give kugetsu a token of its own".to_owned(),
            Self::NotFound { authenticated: true, .. } => {
                "check the address, and which projects the token can access".to_owned()
            }
            Self::NotFound { variable, .. } => format!("check the address, or {}", set_token(variable)),
            Self::Moved { .. } => {
                "if that is right, set it as `url` or `api_url` of the server in config.toml".to_owned()
            }
            Self::Unexpected { .. } | Self::TooLarge { .. } => {
                "check the address and the kind of the server (`kugetsu server list`)".to_owned()
            }
            Self::TooLong { .. } => {
                "kugetsu decides nothing by a part of a list; delete entries that are not needed, or continue in \
                                     another issue or pull request"
                    .to_owned()
            }
            Self::Address { .. } => "correct `url` or `api_url` of the server in config.toml".to_owned(),
            Self::NoKind { server } => format!("detect it with `kugetsu server add <name> {server}`"),
            Self::NoClient { .. } => "install the system's certificates (`apt-get install ca-certificates`)".to_owned(),
            Self::NotAPullRequest { .. } => {
                "copy the address from the browser: https://host/owner/repo/pulls/34".to_owned()
            }
            Self::NoApi { .. } | Self::OtherServer { .. } | Self::Refused { .. } => return None,
        })
    }

    /// Whether the object may exist and be hidden from these credentials.
    pub fn may_be_hidden(&self) -> bool {
        matches!(self, Self::NotFound { .. } | Self::TokenMissing { .. } | Self::Forbidden { .. })
    }

    /// Whether the server knows no such pull request, as an authenticated request showed.
    pub fn denies_pull_request(&self) -> bool {
        matches!(self, Self::NotAPullRequest { .. } | Self::NotFound { authenticated: true, .. })
    }

    /// Whether the same call may succeed later although the user changes nothing.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::RateLimited { .. } | Self::Failing { .. }
        )
    }
}

fn quoted(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message:?}") }
}

fn invisible(variable: &str, authenticated: bool) -> String {
    match authenticated {
        true => format!("the token in {variable} has no access to it"),
        false => "it is only visible with a token".to_owned(),
    }
}

fn formatted(until: Option<Timestamp>) -> String {
    let local = |until: Timestamp| until.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string();
    until.map(|until| format!(" until {}", local(until))).unwrap_or_default()
}
