//! Why a server's API gave no answer that could be used, in words for the person who waits for it.
//!
//! No text here holds a token, a user, a password or a query: a request is named by its method and path, a server by
//! the address of its API, and what a server said is masked and shortened before it comes here.

use std::time::Duration;

use jiff::Timestamp;
use thiserror::Error;

/// A call of a forge's API that failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ForgeError {
    /// No connection came about, or it broke.
    #[error(
        "cannot reach {server}: {why}; check the network, the proxy (HTTPS_PROXY, NO_PROXY) and the server's address \
         (`kugetsu server list`)"
    )]
    Unreachable {
        /// Where the API begins.
        server: String,
        /// What the system said.
        why: String,
    },
    /// The server's certificate was refused, or what answers does not speak TLS.
    #[error(
        "no secure connection to {server}: {why}; if its certificate comes from an authority of your own, add that to \
         the system's certificates or name its file in SSL_CERT_FILE; if it speaks plain HTTP, write http:// in its \
         address"
    )]
    Tls {
        /// Where the API begins.
        server: String,
        /// What is wrong with the connection.
        why: String,
    },
    /// The answer took too long.
    #[error("{server} did not finish its answer to {what} within {} s; try again later", limit.as_secs_f32())]
    Timeout {
        /// Where the API begins.
        server: String,
        /// Method and path.
        what: String,
        /// How long was waited.
        limit: Duration,
    },
    /// The server wants a token and none is known.
    #[error(
        "{server} answers {what} only with a token; make one there and keep it with `kugetsu env set {variable} -`"
    )]
    TokenMissing {
        /// Where the API begins.
        server: String,
        /// Method and path.
        what: String,
        /// The variable that the token is expected in.
        variable: String,
    },
    /// The token is wrong, expired or revoked.
    #[error(
        "{server} does not know the token in {variable} (wrong, expired or revoked); make a new one there and keep it \
         with `kugetsu env set {variable} -`"
    )]
    TokenRefused {
        /// Where the API begins.
        server: String,
        /// The variable that the token was read from.
        variable: String,
    },
    /// What stands in the variable cannot be a token.
    #[error("the value of {variable} is no token: {why}; set it again with `kugetsu env set {variable} -`")]
    TokenMalformed {
        /// The variable.
        variable: String,
        /// What is wrong with its value.
        why: &'static str,
    },
    /// The token is known but may not do this.
    #[error("{server} refuses {what} to the token in {variable}{}; give the token that right", quoted(said))]
    Forbidden {
        /// Where the API begins.
        server: String,
        /// Method and path.
        what: String,
        /// The variable that the token is expected in.
        variable: String,
        /// The server's own words, empty if there are none.
        said: String,
    },
    /// Too many requests; the wait is longer than ours may be.
    #[error("{server} takes no more requests for now{}; try again then, or use a token of its own for kugetsu", at(*until))]
    RateLimited {
        /// Where the API begins.
        server: String,
        /// When it takes requests again, where it says so.
        until: Option<Timestamp>,
    },
    /// Not there, or not to be seen by whoever asked: servers do not say which.
    #[error("{server} has nothing at {what}: it does not exist, or {}", unseen(variable, *asked_with_token))]
    NotFound {
        /// Where the API begins.
        server: String,
        /// Method and path.
        what: String,
        /// The variable that the token is expected in.
        variable: String,
        /// Whether a token was shown.
        asked_with_token: bool,
    },
    /// The server sends us to another one. The token stays where it belongs, so nobody follows.
    #[error(
        "{server} sends its callers to {to}; if that is right, make it the server's address (`url` or `api_url` in config.toml)"
    )]
    Moved {
        /// Where the API begins.
        server: String,
        /// Scheme, host and port of the other one.
        to: String,
    },
    /// The server is out of order.
    #[error("{server} answered {what} with status {status}{}; try again later", quoted(said))]
    Failing {
        /// Where the API begins.
        server: String,
        /// Method and path.
        what: String,
        /// The HTTP status.
        status: u16,
        /// The server's own words, empty if there are none.
        said: String,
    },
    /// An answer that the API does not give.
    #[error(
        "{server} gave an odd answer to {what}: {why}; check that the server's address and kind are right (`kugetsu server list`)"
    )]
    Unexpected {
        /// Where the API begins.
        server: String,
        /// Method and path.
        what: String,
        /// What is odd about it.
        why: String,
    },
    /// An answer beyond every measure.
    #[error(
        "the answer of {server} to {what} is larger than {limit} bytes and was not read to its end; check that the server's address is right"
    )]
    TooLarge {
        /// Where the API begins.
        server: String,
        /// Method and path.
        what: String,
        /// How much is read at most, in bytes.
        limit: usize,
    },
    /// The configured address cannot be one of an API.
    #[error("the address of the API of {server} cannot be used: {why}; correct it in config.toml (`url`, `api_url`)")]
    Address {
        /// The server.
        server: String,
        /// What is wrong with the address.
        why: &'static str,
    },
    /// Nobody knows what serves there.
    #[error(
        "nobody has said what serves {server}; say it with `kind = \"github\"`, \"gitea\", \"forgejo\" or \"gitlab\" \
         beside its address in config.toml"
    )]
    NoKind {
        /// The server.
        server: String,
    },
    /// No API: the repositories of this machine have none.
    #[error("{server} has no issues or pull requests; only github, gitea, forgejo and gitlab servers have")]
    NoApi {
        /// The server.
        server: String,
    },
    /// The machine has nothing to connect with.
    #[error(
        "no HTTPS client could be made: {why}; install the system's certificates (`apt-get install ca-certificates`)"
    )]
    NoClient {
        /// What is missing.
        why: String,
    },
    /// An address that belongs to another server than the one that was to be asked.
    #[error("{address} is not on {server}; nothing of one server is asked of another")]
    OtherServer {
        /// The address.
        address: String,
        /// The server.
        server: String,
    },
    /// An address of something else than a pull or merge request.
    #[error(
        "{address} is not the address of a pull or merge request; write it as it stands in the browser: https://host/owner/repo/pulls/34"
    )]
    NotAPullRequest {
        /// The address.
        address: String,
    },
}

impl ForgeError {
    /// Whether the server shows nothing, or says that nothing is there, to whoever asks as we do: somebody else, with a
    /// token say, may be shown it.
    pub fn may_be_hidden(&self) -> bool {
        matches!(self, Self::NotFound { .. } | Self::TokenMissing { .. } | Self::Forbidden { .. })
    }

    /// Whether the server has answered, to somebody whom it knows, that no change is there.
    pub fn denies_pull_request(&self) -> bool {
        matches!(self, Self::NotAPullRequest { .. } | Self::NotFound { asked_with_token: true, .. })
    }

    /// Whether the same call may succeed later without anybody having done something about it.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::RateLimited { .. } | Self::Failing { .. }
        )
    }
}

fn quoted(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(" (it says {words:?})") }
}

fn unseen(variable: &str, asked_with_token: bool) -> String {
    if asked_with_token {
        return format!(
            "the token in {variable} may not see it; check the address, and which projects the token reaches"
        );
    }
    format!("only a token may see it; check the address, or set one with `kugetsu env set {variable} -`")
}

fn at(until: Option<Timestamp>) -> String {
    until.map(|until| format!(", until {until:.0}")).unwrap_or_default()
}
