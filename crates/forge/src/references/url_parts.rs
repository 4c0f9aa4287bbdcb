//! Pieces of a URL: user, host and port, and the decoded path.

use std::net::Ipv6Addr;

use super::error::Reason;
use crate::kinds::table::dialects;

/// The part between the scheme and the path.
pub(crate) struct Authority {
    /// Without the password.
    pub(crate) user: Option<String>,
    pub(crate) has_password: bool,
    /// In lower case; an IPv6 address in brackets.
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
}

impl Authority {
    /// Parses `[user[:password]@]host[:port]`.
    pub(crate) fn parse(text: &str) -> Result<Self, Reason> {
        let (userinfo, rest) = match text.rsplit_once('@') {
            Some((userinfo, rest)) => (Some(userinfo), rest),
            None => (None, text),
        };
        let (host, port) = split_port(rest)?;
        let user = userinfo.map(|userinfo| userinfo.split(':').next().unwrap_or_default().to_owned());
        let has_password = userinfo.is_some_and(|userinfo| userinfo.contains(':'));
        Ok(Self { user, has_password, host: parse_host(host)?, port: port.map(parse_port).transpose()? })
    }

    /// The host as ssh writes it: an IPv6 address without brackets.
    pub(crate) fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

fn split_port(text: &str) -> Result<(&str, Option<&str>), Reason> {
    if !text.starts_with('[') {
        return Ok(text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))));
    }
    let end = text.find(']').ok_or(Reason::Host)? + 1;
    match &text[end..] {
        "" => Ok((text, None)),
        rest => Ok((&text[..end], Some(rest.strip_prefix(':').ok_or(Reason::Host)?))),
    }
}

fn parse_port(port: &str) -> Result<u16, Reason> {
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Reason::Port);
    }
    port.parse().map_err(|_| Reason::Port)
}

/// Returns the host in lower case. A leading `-` is refused like every other odd character: ssh would take it for an
/// option.
fn parse_host(host: &str) -> Result<String, Reason> {
    if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        let address: Ipv6Addr = inner.parse().map_err(|_| Reason::Host)?;
        return Ok(format!("[{address}]"));
    }
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if host.split('.').all(is_label) { Ok(host.to_ascii_lowercase()) } else { Err(Reason::Host) }
}

/// Splits a path into parts, each percent-decoded once. A part may contain an encoded slash only where the API of a kind
/// takes a whole project as one segment.
pub(crate) fn decode_path(path: &str) -> Result<Vec<String>, Reason> {
    let mut parts: Vec<String> = Vec::new();
    for raw in path.trim_end_matches('/').split('/') {
        let part = percent_decode(raw)?;
        if part.contains('/') && !is_before_project(&parts) {
            return Err(Reason::Encoding);
        }
        if part.contains('@') {
            return Err(Reason::AtSign);
        }
        if part.split('/').any(|part| matches!(part, "." | "..")) {
            return Err(Reason::Dots);
        }
        parts.push(part);
    }
    Ok(parts)
}

/// Whether the next segment is a project of an API that takes it as one segment.
fn is_before_project(parts: &[String]) -> bool {
    dialects().filter(|dialect| dialect.api.project_in_one_segment).any(|dialect| {
        let root: Vec<&str> = dialect.api.segments().collect();
        parts.len() >= root.len() && parts[parts.len() - root.len()..] == root[..]
    })
}

fn percent_decode(text: &str) -> Result<String, Reason> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        decoded.push(match byte {
            b'%' => match (digit(bytes.next()), digit(bytes.next())) {
                (Some(high), Some(low)) => u8::try_from(high * 16 + low).map_err(|_| Reason::Encoding)?,
                _ => return Err(Reason::Encoding),
            },
            other => other,
        });
    }
    String::from_utf8(decoded).map_err(|_| Reason::Encoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_host_and_port_are_separated() {
        let full = Authority::parse("bot:pw@Git.Example.co:3000").unwrap();
        assert_eq!((full.user.as_deref(), full.has_password), (Some("bot"), true));
        assert_eq!((full.host.as_str(), full.port), ("git.example.co", Some(3000)));
        let six = Authority::parse("[::1]:80").unwrap();
        assert_eq!((six.host.as_str(), six.bare_host(), six.port), ("[::1]", "::1", Some(80)));
    }

    #[test]
    fn hosts_that_ssh_or_a_shell_could_misread_are_refused() {
        for text in
            ["", "-oProxyCommand=x", "a..b", "h:x", "h:", "h:70000", "[::1", "[x]", "[::1]x", "a b", "ü.example"]
        {
            // An empty port is refused too: it is a typing mistake more often than intended.
            assert!(Authority::parse(text).is_err(), "{text}");
        }
    }
}
