//! The two forms of an ssh address of git: `ssh://[user@]host[:port]/path` and the short `[user@]host:path`.

use super::error::Reason;
use super::url_parts::{Authority, decode_path};

/// An address for git over ssh, whose host and user cannot be taken for options of ssh.
pub(crate) struct SshUrl {
    pub(crate) authority: Authority,
    /// Percent-decoded.
    pub(crate) path: String,
    /// The address as typed, without the password.
    pub(crate) url: String,
}

impl SshUrl {
    /// Parses what follows `ssh://`.
    pub(crate) fn from_url(rest: &str) -> Result<Self, Reason> {
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let authority = Authority::parse(authority)?;
        check_user(&authority)?;
        let user = authority.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        let port = authority.port.map(|port| format!(":{port}")).unwrap_or_default();
        let url = format!("ssh://{user}{}{port}/{path}", authority.host);
        Ok(Self { path: decode_path(path)?.join("/"), authority, url })
    }

    /// Parses the short form; `None` if the input does not have it.
    pub(crate) fn from_scp(input: &str) -> Option<Result<Self, Reason>> {
        let (authority, path) = split_scp(input)?;
        Some(Self::from_parts(input, authority, path))
    }

    fn from_parts(input: &str, authority: &str, path: &str) -> Result<Self, Reason> {
        let authority = Authority::parse(authority)?;
        check_user(&authority)?;
        if path.contains('@') {
            return Err(Reason::AtSign);
        }
        // `name::rest` makes git run the program git-remote-name.
        if path.starts_with(':') {
            return Err(Reason::Scheme);
        }
        let url = match &authority.user {
            Some(user) => format!("{user}@{}:{path}", authority.host),
            None => input.to_owned(),
        };
        Ok(Self { authority, path: path.to_owned(), url })
    }
}

/// Refuses a user that ssh could take for an option, or a shell for syntax.
fn check_user(authority: &Authority) -> Result<(), Reason> {
    let Some(user) = authority.user.as_deref() else { return Ok(()) };
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+');
    let is_valid = !user.is_empty() && !user.starts_with('-') && user.bytes().all(is_allowed);
    if is_valid { Ok(()) } else { Err(Reason::User) }
}

/// Splits at the first colon that is not inside brackets, provided that it does not come before a port or after a slash.
fn split_scp(input: &str) -> Option<(&str, &str)> {
    let host = input.split('/').next()?.rfind('@').map_or(0, |at| at + 1);
    let host_end = if input[host..].starts_with('[') { host + input[host..].find(']')? } else { host };
    let colon = host_end + input[host_end..].find(':')?;
    let (authority, path) = (&input[..colon], &input[colon + 1..]);
    let first = path.split(['/', '?', '#', '!']).next().unwrap_or_default();
    let is_port = first.bytes().all(|byte| byte.is_ascii_digit());
    let is_scp = !authority.contains(['/', '#', '!', '?']) && (authority.contains('@') || !is_port);
    is_scp.then_some((authority, path))
}
