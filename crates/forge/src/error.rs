//! Why an address was refused, in words for the person who typed it.
//!
//! The input is shown without user names, passwords and queries: what people paste often carries a token.

use std::fmt;

use kugetsu_domain::reference::BadWord;
use thiserror::Error;

/// Longest piece of an input that an error repeats, in characters.
const SHOWN_MAX: usize = 200;

/// An input that is no address that kugetsu reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError {
    shown: String,
    fault: Fault,
}

impl AddressError {
    pub(crate) fn new(input: &str, fault: Fault) -> Self {
        Self { shown: redacted(input), fault }
    }

    /// What is wrong with the input.
    pub fn fault(&self) -> &Fault {
        &self.fault
    }
}

impl std::error::Error for AddressError {}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot read {:?} as an address: {}; \
             write it as https://host/owner/repo/issues/12, owner/repo#12, #12 inside a clone, \
             or . for the git repository here",
            self.shown, self.fault
        )
    }
}

/// What is wrong with an address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing was given.
    #[error("it is empty")]
    Empty,
    /// A directory or file where an address was expected.
    #[error("it is a path on this machine")]
    Path,
    /// White space or control characters inside.
    #[error("it holds a space or a control character")]
    Space,
    /// A scheme other than http, https, ssh and git.
    #[error("its scheme is not one of https, http, ssh and git")]
    Scheme,
    /// The host is missing or holds characters that no host name has.
    #[error("its host is missing or is not a host name (write international names in their xn-- form)")]
    Host,
    /// The port is not a number from 0 to 65535.
    #[error("its port is not a number up to 65535")]
    Port,
    /// The user name of an ssh address begins with `-` or holds odd characters.
    #[error("its user name holds characters that no ssh user has")]
    User,
    /// An `@` where only the path may be.
    #[error("it holds an `@` behind the host; leave user name and password out")]
    AtSign,
    /// A `%` that does not begin an encoded UTF-8 character, or an encoded slash in the wrong place.
    #[error("its percent-encoding is broken")]
    Encoding,
    /// `.` or `..` as a part of the path.
    #[error("a part of its path is `.` or `..`")]
    Dots,
    /// The server part cannot be a server's address.
    #[error(transparent)]
    Server(BadWord),
    /// The project part cannot be a project's path.
    #[error(transparent)]
    Project(BadWord),
    /// Fewer than two parts where a project is expected.
    #[error("the project is missing or has only one part, and owner/repo has two")]
    TooFewParts,
    /// More parts than a project has on this kind of server.
    #[error("the project has more parts than the server allows (two, on all but GitLab)")]
    TooManyParts,
    /// A path on a server of unknown kind, whose project could begin anywhere.
    #[error(
        "it does not show where the project's path begins, because the server is not known; \
         add it to config.toml ([servers.<name>] url = ...)"
    )]
    UnknownServer,
    /// A page of the server that belongs to no issue, change or repository.
    #[error("it is the address of some other page than an issue, a pull request or a repository")]
    OtherPage,
    /// GitLab's API names a project by its id.
    #[error("it names the project by an id; use the project's path")]
    ProjectId,
    /// The number of the issue or the change is missing.
    #[error("the number of the issue is missing")]
    NumberMissing,
    /// What stands in the number's place is none.
    #[error("{0:?} is not the number of an issue (1 or more, digits only)")]
    Number(String),
    /// `!3` is GitLab's way to name a merge request.
    #[error("`!` names a merge request of a GitLab server, and this is another kind of server")]
    NotGitLab,
    /// `#12` alone, where no repository says what it belongs to.
    #[error("a number alone needs a git repository here whose server is known")]
    NoContext,
    /// `local/...` with more or fewer than one name.
    #[error("a repository without a server is written local/<name>, with one part for its name")]
    LocalName,
}

/// The input as an error may show it: without whatever could be a user, a password or a token in a query.
fn redacted(input: &str) -> String {
    let input = input.trim();
    let begin = input.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = input.split_at(begin);
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
    if let Some((at, _)) = shown.char_indices().nth(SHOWN_MAX) {
        shown.truncate(at);
        shown.push('…');
    }
    shown
}

/// `git@host:...` and `ssh://git@host/...` show no secret.
fn is_plain_ssh_user(scheme: &str, user: &str) -> bool {
    (scheme.is_empty() || scheme.eq_ignore_ascii_case("ssh://")) && !user.contains([':', '/', '?'])
}

/// `https://user:secret` with the host forgotten looks like a host with an odd port.
fn has_odd_port(rest: &str) -> bool {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let port = authority.rsplit_once(']').map_or(authority, |(_, behind)| behind).split_once(':');
    port.is_some_and(|(_, port)| !port.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_repeated() {
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
            let error = AddressError::new(input, Fault::Empty);
            assert!(!format!("{error} {error:?}").contains("SECRET"), "{error}");
        }
        assert!(AddressError::new("git@host:a", Fault::Empty).to_string().contains("git@host:a"));
        assert!(AddressError::new(&"é".repeat(9000), Fault::Empty).to_string().len() < 1000);
    }

    #[test]
    fn the_message_says_what_is_wrong_and_what_to_write() {
        let message = AddressError::new("acme#12", Fault::TooFewParts).to_string();
        for part in ["acme#12", "owner/repo has two", "https://host/owner/repo/issues/12", "owner/repo#12", "clone"] {
            assert!(message.contains(part), "{message}");
        }
    }
}
