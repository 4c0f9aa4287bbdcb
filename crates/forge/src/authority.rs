//! The part of an address between its scheme and its path: user, host and port.

use std::net::Ipv6Addr;

use crate::error::Fault;

/// User, host and port, each checked.
pub(crate) struct Authority {
    /// The user's name, never the password.
    pub(crate) user: Option<String>,
    /// Whether a password stood beside the user's name.
    pub(crate) has_password: bool,
    /// In lower case; an IPv6 address in brackets.
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
}

impl Authority {
    /// Reads `[user[:password]@]host[:port]`.
    pub(crate) fn read(text: &str) -> Result<Self, Fault> {
        let (userinfo, place) = match text.rsplit_once('@') {
            Some((userinfo, place)) => (Some(userinfo), place),
            None => (None, text),
        };
        let (host, port) = split_port(place)?;
        let user = userinfo.map(|userinfo| userinfo.split(':').next().unwrap_or_default().to_owned());
        let has_password = userinfo.is_some_and(|userinfo| userinfo.contains(':'));
        Ok(Self { user, has_password, host: checked_host(host)?, port: port.map(checked_port).transpose()? })
    }

    /// The host without the brackets of an IPv6 address, as ssh names it.
    pub(crate) fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

fn split_port(place: &str) -> Result<(&str, Option<&str>), Fault> {
    if !place.starts_with('[') {
        return Ok(place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))));
    }
    let end = place.find(']').ok_or(Fault::Host)? + 1;
    match &place[end..] {
        "" => Ok((place, None)),
        rest => Ok((&place[..end], Some(rest.strip_prefix(':').ok_or(Fault::Host)?))),
    }
}

fn checked_port(port: &str) -> Result<u16, Fault> {
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::Port);
    }
    port.parse().map_err(|_| Fault::Port)
}

/// The host in lower case. A leading `-` would be an option to ssh, so it is refused like every other odd character.
fn checked_host(host: &str) -> Result<String, Fault> {
    if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        let address: Ipv6Addr = inner.parse().map_err(|_| Fault::Host)?;
        return Ok(format!("[{address}]"));
    }
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if host.split('.').all(is_label) { Ok(host.to_ascii_lowercase()) } else { Err(Fault::Host) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_told_apart() {
        let full = Authority::read("bot:pw@Git.Example.co:3000").unwrap();
        assert_eq!((full.user.as_deref(), full.has_password), (Some("bot"), true));
        assert_eq!((full.host.as_str(), full.port), ("git.example.co", Some(3000)));
        let six = Authority::read("[::1]:80").unwrap();
        assert_eq!((six.host.as_str(), six.bare_host(), six.port), ("[::1]", "::1", Some(80)));
    }

    #[test]
    fn hosts_that_could_be_something_else_are_refused() {
        for text in
            ["", "-oProxyCommand=x", "a..b", "h:x", "h:", "h:70000", "[::1", "[x]", "[::1]x", "a b", "ü.example"]
        {
            // An empty port is refused like a wrong one: it is a typing slip more often than a wish.
            assert!(Authority::read(text).is_err(), "{text}");
        }
    }
}
