//! Errors of references and URLs. The input is shown without user names, passwords and queries, because what people paste often
//! contains a token.

use std::fmt;

use kugetsu_domain::reference::InvalidName;
use thiserror::Error;

/// Longest part of an input that an error shows, in characters.
const SHOWN_MAX: usize = 200;

/// An input that is not an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError {
    shown: String,
    reason: Reason,
    expected: Expected,
}

/// The kind of address that was expected, which decides the hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    Reference,
    CloneUrl,
    Server,
}

impl AddressError {
    pub(crate) fn new(input: &str, reason: Reason, expected: Expected) -> Self {
        Self { shown: redact(input), reason, expected }
    }

    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    pub fn hint(&self) -> Option<String> {
        let own = match self.reason {
            Reason::Host => Some("use the xn-- form of an international host name"),
            Reason::AtSign => Some("omit the user name and the password"),
            Reason::UnknownServer => Some("add the server with `kugetsu server add <name> <url>`"),
            Reason::ProjectId => Some("use the path of the project"),
            _ => None,
        };
        let example = match self.expected {
            Expected::Reference => {
                "use https://host/owner/repo/issues/12, owner/repo#12, #12 inside a clone, or . for the current git \
                 repository"
            }
            Expected::CloneUrl => "use https://host/owner/repo.git, git@host:owner/repo.git or a path",
            Expected::Server => "use a URL such as https://git.example.com",
        };
        Some(own.unwrap_or(example).to_owned())
    }
}

impl std::error::Error for AddressError {}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.expected {
            Expected::Reference => "reference",
            Expected::CloneUrl => "clone URL",
            Expected::Server => "URL of a server",
        };
        write!(f, "{:?} is not a valid {kind}: {}", self.shown, self.reason)
    }
}

/// Why an input is not an address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Reason {
    #[error("it is empty")]
    Empty,
    #[error("it is a path on this machine")]
    Path,
    #[error("it contains a space or a control character")]
    Space,
    #[error("its scheme is none of https, http, ssh and git")]
    Scheme,
    #[error("its host is missing or is not a host name")]
    Host,
    #[error("its port is not a number up to 65535")]
    Port,
    /// A user that ssh could take for an option, or a shell for syntax.
    #[error("its user name contains characters that are not allowed for ssh")]
    User,
    #[error("it contains an `@` after the host")]
    AtSign,
    /// A `%` that does not begin an encoded UTF-8 character, or an encoded slash where none is allowed.
    #[error("its percent-encoding is invalid")]
    Encoding,
    #[error("a part of its path is `.` or `..`")]
    Dots,
    #[error(transparent)]
    Server(InvalidName),
    #[error(transparent)]
    Project(InvalidName),
    #[error("it does not contain a project such as owner/repo")]
    TooFewParts,
    #[error("the project has more parts than the server allows")]
    TooManyParts,
    /// On a server of unknown kind, the project could begin anywhere in the path.
    #[error("its server is not configured, so it is unclear where the project starts in the path")]
    UnknownServer,
    #[error("it is not the page of an issue, a pull request or a repository")]
    OtherPage,
    /// GitLab's API accepts an id in place of a project's path.
    #[error("it names the project by an id")]
    ProjectId,
    #[error("the issue number is missing")]
    NumberMissing,
    #[error("{0:?} is not an issue number")]
    Number(String),
    /// GitLab's `!3` for another kind of server.
    #[error("`!` names a merge request, which this kind of server does not have")]
    PullRequestSign,
    /// `#12` without a current repository.
    #[error("a number alone works only inside a clone of a repository on a known server")]
    NoCurrentRepo,
    #[error("the name of a local repository has one part: local/<name>")]
    LocalName,
}

/// The input without anything that could be a user, a password or a token in a query.
fn redact(input: &str) -> String {
    let input = input.trim();
    let rest = input.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = input.split_at(rest);
    let mut shown = match rest.rfind('@') {
        Some(at) if is_plain_ssh_user(scheme, &rest[..at]) => input.to_owned(),
        Some(at) => format!("{scheme}***{}", &rest[at..]),
        None if has_odd_port(rest) && !scheme.is_empty() => format!("{scheme}***"),
        None => input.to_owned(),
    };
    if let Some(at) = shown.find('?') {
        shown.truncate(at);
        shown.push_str("?***");
    }
    if let Some((end, _)) = shown.char_indices().nth(SHOWN_MAX) {
        shown.truncate(end);
        shown.push('…');
    }
    shown
}

/// Whether the user, as in `git@host:...` and `ssh://git@host/...`, is certainly not a secret.
fn is_plain_ssh_user(scheme: &str, user: &str) -> bool {
    (scheme.is_empty() || scheme.eq_ignore_ascii_case("ssh://")) && !user.contains([':', '/', '?'])
}

/// Whether the port is not a number: `https://user:secret` with the host forgotten looks like that.
fn has_odd_port(rest: &str) -> bool {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let port = authority.rsplit_once(']').map_or(authority, |(_, after)| after).split_once(':');
    port.is_some_and(|(_, port)| !port.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(input: &str) -> AddressError {
        AddressError::new(input, Reason::TooFewParts, Expected::Reference)
    }

    #[test]
    fn secrets_are_not_repeated() {
        for input in [
            "https://bot:SECRET@host/x",
            "https://SECRET@host/x",
            "https://bot:SEC/SECRET@host/x",
            "https://bot:SECRET/acme",
            "https://host/a/b?private_token=SECRET",
            "bot:SECRET@host/a/b",
            "ssh://git:SECRET@host/a",
            "git:SECRET@host:a",
        ] {
            let error = error(input);
            assert!(!format!("{error} {error:?}").contains("SECRET"), "{error}");
        }
        assert!(error("git@host:a").to_string().contains("git@host:a"));
        assert!(error(&"é".repeat(9000)).to_string().len() < 1000);
    }

    #[test]
    fn the_message_names_input_and_reason_and_the_hint_shows_what_to_write() {
        let error = error("acme#12");
        assert!(error.to_string().contains("acme#12") && error.to_string().contains("owner/repo"), "{error}");
        let hint = error.hint().unwrap();
        for part in ["https://host/owner/repo/issues/12", "owner/repo#12", "clone"] {
            assert!(hint.contains(part), "{hint}");
        }
    }
}
