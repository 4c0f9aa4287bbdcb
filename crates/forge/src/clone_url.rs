//! The address that git clones from, safe to store and to show.

use std::fmt;

use crate::authority::Authority;
use crate::error::{AddressError, Fault};
use crate::local::is_path_like;
use crate::ssh::SshUrl;

/// What git clones from: an address without user and password, or a path on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloneUrl {
    url: String,
    credentials_dropped: bool,
}

impl CloneUrl {
    /// Reads an address or a path. It need not look like a project on a forge.
    ///
    /// # Errors
    /// Refuses whatever git could take for an option or for a program to run, and schemes other than http, https,
    /// ssh, git and file.
    pub fn read(text: &str) -> Result<Self, AddressError> {
        read(text.trim()).map_err(|fault| AddressError::new(text, fault))
    }

    pub(crate) fn trusted(url: String) -> Self {
        Self { url, credentials_dropped: false }
    }

    /// The address, to be passed to git as one argument.
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// Whether a user, a password or a query was left out. git then asks the credential helper, so the person has to
    /// be told.
    pub fn credentials_dropped(&self) -> bool {
        self.credentials_dropped
    }
}

impl fmt::Display for CloneUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

fn read(text: &str) -> Result<CloneUrl, Fault> {
    if text.is_empty() {
        return Err(Fault::Empty);
    }
    if text.contains(char::is_control) {
        return Err(Fault::Space);
    }
    if is_path_like(text) {
        return Ok(CloneUrl::trusted(text.to_owned()));
    }
    if text.contains(char::is_whitespace) {
        return Err(Fault::Space);
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        return match scheme.to_ascii_lowercase().as_str() {
            scheme @ ("https" | "http" | "git") => over_http(scheme, rest),
            "ssh" => SshUrl::from_url(rest).and_then(over_ssh),
            _ => Err(Fault::Scheme),
        };
    }
    SshUrl::from_scp(text).unwrap_or(Err(Fault::Scheme)).and_then(over_ssh)
}

fn over_http(scheme: &str, rest: &str) -> Result<CloneUrl, Fault> {
    let kept = rest.split(['?', '#']).next().unwrap_or_default();
    let (place, path) = kept.split_once('/').unwrap_or((kept, ""));
    let authority = Authority::read(place)?;
    if path.trim_matches('/').is_empty() {
        return Err(Fault::TooFewParts);
    }
    if path.contains('@') {
        return Err(Fault::AtSign);
    }
    let port = authority.port.map(|port| format!(":{port}")).unwrap_or_default();
    let url = format!("{scheme}://{}{port}/{path}", authority.host);
    Ok(CloneUrl { url, credentials_dropped: authority.user.is_some() || kept.len() < rest.len() })
}

fn over_ssh(ssh: SshUrl) -> Result<CloneUrl, Fault> {
    if ssh.path.trim_matches('/').is_empty() {
        return Err(Fault::TooFewParts);
    }
    Ok(CloneUrl { credentials_dropped: ssh.authority.has_password, url: ssh.url })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_left_out_and_that_is_said() {
        for (typed, kept) in [
            ("https://bot:SECRET@git.example.co/a/b.git", "https://git.example.co/a/b.git"),
            ("https://SECRET@git.example.co:8443/x/a/b", "https://git.example.co:8443/x/a/b"),
            ("https://git.example.co/a/b?private_token=SECRET", "https://git.example.co/a/b"),
            ("ssh://git:SECRET@git.example.co/a/b", "ssh://git@git.example.co/a/b"),
            ("git:SECRET@git.example.co:a/b", "git@git.example.co:a/b"),
        ] {
            let read = CloneUrl::read(typed).unwrap();
            assert_eq!((read.as_str(), read.credentials_dropped()), (kept, true), "{typed}");
            assert!(!format!("{read:?}").contains("SECRET"));
        }
        for same in ["git@host:a/b.git", "alias:b.git", "/srv/git/a b.git", "file:///srv/b", "../b", "https://h/b.git"]
        {
            let read = CloneUrl::read(same).unwrap();
            assert_eq!((read.as_str(), read.credentials_dropped()), (same, false));
        }
    }

    #[test]
    fn nothing_that_git_would_run_gets_through() {
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
            assert!(CloneUrl::read(text).is_err(), "{text}");
        }
    }
}
