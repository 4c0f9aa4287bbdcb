//! The address that git clones from, safe to store and to show.

use std::fmt;

use super::error::{AddressError, Expected, Reason};
use super::local::is_path_like;
use super::ssh::SshUrl;
use super::url_parts::Authority;

/// An address without user and password, or a path on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloneUrl {
    url: String,
    credentials_dropped: bool,
}

impl CloneUrl {
    /// Parses an address or a path, which need not look like a project on a forge.
    ///
    /// # Errors
    /// [`AddressError`] for everything that git could take for an option or for a program to run, and for schemes other
    /// than http, https, ssh, git and file.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        parse(text.trim()).map_err(|reason| AddressError::new(text, reason, Expected::CloneUrl))
    }

    pub(crate) fn trusted(url: String) -> Self {
        Self { url, credentials_dropped: false }
    }

    /// The address, to be passed to git as one argument.
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// Whether a user, a password or a query was left out. Tell the user: git will ask its credential helper instead.
    pub fn credentials_dropped(&self) -> bool {
        self.credentials_dropped
    }
}

impl fmt::Display for CloneUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

fn parse(text: &str) -> Result<CloneUrl, Reason> {
    if text.is_empty() {
        return Err(Reason::Empty);
    }
    if text.contains(char::is_control) {
        return Err(Reason::Space);
    }
    if is_path_like(text) {
        return Ok(CloneUrl::trusted(text.to_owned()));
    }
    if text.contains(char::is_whitespace) {
        return Err(Reason::Space);
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        return match scheme.to_ascii_lowercase().as_str() {
            scheme @ ("https" | "http" | "git") => parse_url(scheme, rest),
            "ssh" => SshUrl::from_url(rest).and_then(from_ssh),
            _ => Err(Reason::Scheme),
        };
    }
    SshUrl::from_scp(text).unwrap_or(Err(Reason::Scheme)).and_then(from_ssh)
}

fn parse_url(scheme: &str, rest: &str) -> Result<CloneUrl, Reason> {
    let kept = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = kept.split_once('/').unwrap_or((kept, ""));
    let authority = Authority::parse(authority)?;
    if path.trim_matches('/').is_empty() {
        return Err(Reason::TooFewParts);
    }
    if path.contains('@') {
        return Err(Reason::AtSign);
    }
    let port = authority.port.map(|port| format!(":{port}")).unwrap_or_default();
    let url = format!("{scheme}://{}{port}/{path}", authority.host);
    Ok(CloneUrl { url, credentials_dropped: authority.user.is_some() || kept.len() < rest.len() })
}

fn from_ssh(ssh: SshUrl) -> Result<CloneUrl, Reason> {
    if ssh.path.trim_matches('/').is_empty() {
        return Err(Reason::TooFewParts);
    }
    Ok(CloneUrl { credentials_dropped: ssh.authority.has_password, url: ssh.url })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_dropped_and_reported() {
        for (typed, kept) in [
            ("https://bot:SECRET@git.example.co/a/b.git", "https://git.example.co/a/b.git"),
            ("https://SECRET@git.example.co:8443/x/a/b", "https://git.example.co:8443/x/a/b"),
            ("https://git.example.co/a/b?private_token=SECRET", "https://git.example.co/a/b"),
            ("ssh://git:SECRET@git.example.co/a/b", "ssh://git@git.example.co/a/b"),
            ("git:SECRET@git.example.co:a/b", "git@git.example.co:a/b"),
        ] {
            let parsed = CloneUrl::parse(typed).unwrap();
            assert_eq!((parsed.as_str(), parsed.credentials_dropped()), (kept, true), "{typed}");
            assert!(!format!("{parsed:?}").contains("SECRET"));
        }
        for same in ["git@host:a/b.git", "alias:b.git", "/srv/git/a b.git", "file:///srv/b", "../b", "https://h/b.git"]
        {
            let parsed = CloneUrl::parse(same).unwrap();
            assert_eq!((parsed.as_str(), parsed.credentials_dropped()), (same, false));
        }
    }

    #[test]
    fn options_and_programs_are_refused() {
        for text in [
            "",
            "ext::sh -c id",
            "ext::id",
            "--upload-pack=id",
            "-oProxyCommand=id:a/b",
            "ssh://-oProxyCommand=id/a",
            "ssh://-x@h/a",
            "ftp://h/a",
            "https://h",
            "https://h/\n",
            "a\nb",
            "git@h:",
        ] {
            assert!(CloneUrl::parse(text).is_err(), "{text}");
        }
    }
}
