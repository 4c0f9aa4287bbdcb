//! git's two ways to write a repository behind ssh: `ssh://[user@]host[:port]/path` and `[user@]host:path`.

use crate::authority::Authority;
use crate::error::Fault;
use crate::path;

/// An address for git over ssh, whose host and user can be no option of ssh.
pub(crate) struct SshUrl {
    pub(crate) authority: Authority,
    /// The path, decoded.
    pub(crate) path: String,
    /// The address as typed, without a password.
    pub(crate) url: String,
}

impl SshUrl {
    /// Reads what stands behind `ssh://`.
    pub(crate) fn from_url(rest: &str) -> Result<Self, Fault> {
        let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
        let authority = Authority::read(place)?;
        check_user(&authority)?;
        let user = authority.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        let port = authority.port.map(|port| format!(":{port}")).unwrap_or_default();
        let url = format!("ssh://{user}{}{port}/{path}", authority.host);
        Ok(Self { path: path::decoded(path)?.join("/"), authority, url })
    }

    /// Reads the short form; none where the input is not of that form.
    pub(crate) fn from_scp(input: &str) -> Option<Result<Self, Fault>> {
        let (place, path) = split_scp(input)?;
        Some(Self::checked_scp(input, place, path))
    }

    fn checked_scp(input: &str, place: &str, path: &str) -> Result<Self, Fault> {
        let authority = Authority::read(place)?;
        check_user(&authority)?;
        if path.contains('@') {
            return Err(Fault::AtSign);
        }
        // `name::rest` makes git run the program git-remote-name.
        if path.starts_with(':') {
            return Err(Fault::Scheme);
        }
        let url = match &authority.user {
            Some(user) => format!("{user}@{}:{path}", authority.host),
            None => input.to_owned(),
        };
        Ok(Self { authority, path: path.to_owned(), url })
    }
}

/// A user that ssh could take for an option, or a shell for anything, is refused.
fn check_user(authority: &Authority) -> Result<(), Fault> {
    let Some(user) = authority.user.as_deref() else { return Ok(()) };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+');
    if !user.is_empty() && !user.starts_with('-') && user.bytes().all(fits) { Ok(()) } else { Err(Fault::User) }
}

/// Host and path at the colon that is neither in brackets nor before a port, and has no slash before it.
fn split_scp(input: &str) -> Option<(&str, &str)> {
    let behind_user = input.split('/').next()?.rfind('@').map_or(0, |at| at + 1);
    let from =
        if input[behind_user..].starts_with('[') { behind_user + input[behind_user..].find(']')? } else { behind_user };
    let colon = from + input[from..].find(':')?;
    let (place, path) = (&input[..colon], &input[colon + 1..]);
    let first = path.split(['/', '?', '#', '!']).next().unwrap_or_default();
    let is_port = first.bytes().all(|byte| byte.is_ascii_digit());
    (!place.contains(['/', '#', '!', '?']) && (place.contains('@') || !is_port)).then_some((place, path))
}
