//! The hosts that agents without free access to the network may connect to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The port of the proxy in an agent's own network.
pub const PROXY_PORT: u16 = 61001;
/// The port of kugetsu's tools there.
pub const TOOLS_PORT: u16 = 61002;
/// Ports that an entry without one allows.
const WEB_PORTS: [u16; 2] = [80, 443];
/// Most programs on this machine that agents may use: each needs a listener.
pub const LOCAL_MAX: usize = 16;

/// A named group of hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Providers of models.
    Models,
    /// Registries of packages, and mirrors of Linux distributions.
    Packages,
}

impl Preset {
    pub const ALL: [Self; 2] = [Self::Models, Self::Packages];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Models => "models",
            Self::Packages => "packages",
        }
    }

    /// Host names; `*.` means every subdomain.
    pub const fn hosts(self) -> &'static [&'static str] {
        match self {
            Self::Models => MODELS,
            Self::Packages => PACKAGES,
        }
    }
}

const MODELS: &[&str] = &[
    "*.anthropic.com",
    "*.cursor.sh",
    "*.githubcopilot.com",
    "ai-gateway.vercel.sh",
    "aiplatform.googleapis.com",
    "ampcode.com",
    "api.cerebras.ai",
    "api.cohere.com",
    "api.deepseek.com",
    "api.fireworks.ai",
    "api.groq.com",
    "api.kimi.com",
    "api.minimax.io",
    "api.mistral.ai",
    "api.moonshot.ai",
    "api.moonshot.cn",
    "api.openai.com",
    "api.perplexity.ai",
    "api.together.xyz",
    "api.x.ai",
    "api.z.ai",
    "auth.kimi.com",
    "auth.openai.com",
    "chat.qwen.ai",
    "chatgpt.com",
    "claude.ai",
    "cloudcode-pa.googleapis.com",
    "dashscope-intl.aliyuncs.com",
    "dashscope.aliyuncs.com",
    "generativelanguage.googleapis.com",
    "models.dev",
    "oauth2.googleapis.com",
    "open.bigmodel.cn",
    "opencode.ai",
    "openrouter.ai",
    "platform.claude.com",
    "portal.qwen.ai",
    "router.huggingface.co",
];

const PACKAGES: &[&str] = &[
    "*.crates.io",
    "*.fedoraproject.org",
    "*.pythonhosted.org",
    "*.rubygems.org",
    "api.nuget.org",
    "archive.ubuntu.com",
    "builds.hex.pm",
    "cache.nixos.org",
    "cdn.playwright.dev",
    "conda.anaconda.org",
    "crates.io",
    "deb.debian.org",
    "deno.land",
    "dl-cdn.alpinelinux.org",
    "downloads.gradle.org",
    "hackage.haskell.org",
    "hex.pm",
    "jsr.io",
    "nodejs.org",
    "npm.jsr.io",
    "packagist.org",
    "plugins.gradle.org",
    "proxy.golang.org",
    "pub.dev",
    "pypi.org",
    "registry.npmjs.org",
    "registry.yarnpkg.com",
    "repo.hex.pm",
    "repo.maven.apache.org",
    "repo.packagist.org",
    "repo1.maven.org",
    "rubygems.org",
    "security.debian.org",
    "security.ubuntu.com",
    "services.gradle.org",
    "static.rust-lang.org",
    "sum.golang.org",
];

/// An entry of the setting `run.allow_hosts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedHost {
    Preset(Preset),
    /// `example.com` or `example.com:8443`.
    Name {
        name: String,
        port: Option<u16>,
    },
    /// `*.example.com`: every name below that one.
    Below {
        name: String,
        port: Option<u16>,
    },
    /// `192.0.2.7` or `[2001:db8::7]:8443`. A private address is allowed only by its own entry.
    Address {
        address: IpAddr,
        port: Option<u16>,
    },
    /// `localhost:11434`: a program on this machine.
    Local {
        port: u16,
    },
}

/// The text is no [`AllowedHost`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no host: {why}")]
pub struct InvalidHost {
    text: String,
    why: &'static str,
}

impl FromStr for AllowedHost {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        let invalid = |why| InvalidHost { text: text.to_owned(), why };
        if let Some(preset) = Preset::ALL.into_iter().find(|preset| preset.name() == text) {
            return Ok(Self::Preset(preset));
        }
        let (host, port) = split(text).ok_or_else(|| invalid("its port must be a number from 1 to 65535"))?;
        let address = host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        if host.eq_ignore_ascii_case("localhost") || address.is_some_and(|address| address.is_loopback()) {
            let port = port.ok_or_else(|| invalid("a program on this machine needs its port: `localhost:<port>`"))?;
            return match port {
                PROXY_PORT | TOOLS_PORT => Err(invalid("kugetsu uses this port for agents")),
                port => Ok(Self::Local { port }),
            };
        }
        if let Some(address) = address {
            return Ok(Self::Address { address, port });
        }
        let (name, is_below) = host.strip_prefix("*.").map_or((host, false), |name| (name, true));
        let name =
            host_name(name).ok_or_else(|| invalid("use `example.com`, `*.example.com` or `example.com:8443`"))?;
        if !name.contains('.') {
            return Err(invalid("a name needs a dot; groups of hosts are `models` and `packages`"));
        }
        Ok(if is_below { Self::Below { name, port } } else { Self::Name { name, port } })
    }
}

impl fmt::Display for AllowedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = |port: &Option<u16>| port.map(|port| format!(":{port}")).unwrap_or_default();
        match self {
            Self::Preset(preset) => f.write_str(preset.name()),
            Self::Name { name, port: of } => write!(f, "{name}{}", port(of)),
            Self::Below { name, port: of } => write!(f, "*.{name}{}", port(of)),
            Self::Address { address, port: None } => write!(f, "{address}"),
            Self::Address { address: IpAddr::V6(address), port: of } => write!(f, "[{address}]{}", port(of)),
            Self::Address { address, port: of } => write!(f, "{address}{}", port(of)),
            Self::Local { port } => write!(f, "localhost:{port}"),
        }
    }
}

/// Splits `host`, `host:port`, `[address]:port` or an IPv6 address. `None` if the port is no number.
fn split(text: &str) -> Option<(&str, Option<u16>)> {
    let port = |text: &str| text.parse().ok().filter(|port| *port > 0);
    if text.parse::<Ipv6Addr>().is_ok() {
        return Some((text, None));
    }
    if let Some((address, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        return match rest {
            "" => Some((address, None)),
            rest => Some((address, Some(port(rest.strip_prefix(':')?)?))),
        };
    }
    match text.rsplit_once(':') {
        Some((host, text)) => Some((host, Some(port(text)?))),
        None => Some((text, None)),
    }
}

/// The name in lower case and without the dot at its end. `None` if it is no host name: above all, it has no control characters.
pub fn host_name(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !label.is_empty() && label.len() <= 63 && label.bytes().all(is_plain)
    };
    (name.len() <= 253 && name.split('.').all(is_label)).then(|| name.to_ascii_lowercase())
}

/// The entries for one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList(Vec<AllowedHost>);

impl AllowList {
    pub fn new(entries: impl IntoIterator<Item = AllowedHost>) -> Self {
        Self(entries.into_iter().collect())
    }

    /// Providers of models, and the programs on this machine.
    #[must_use]
    pub fn of_models(&self) -> Self {
        let local = self.0.iter().filter(|entry| matches!(entry, AllowedHost::Local { .. })).cloned();
        Self(local.chain([AllowedHost::Preset(Preset::Models)]).collect())
    }

    /// Ports of programs on this machine.
    pub fn local_ports(&self) -> Vec<u16> {
        let ports = self.0.iter().filter_map(|entry| match entry {
            AllowedHost::Local { port } => Some(*port),
            _ => None,
        });
        let mut ports: Vec<u16> = ports.collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }

    /// Whether a connection to a host of this name, as [`host_name`] returns it, is allowed. Where it leads is another question.
    pub fn allows_name(&self, name: &str, port: u16) -> bool {
        let is_below = |outer: &str| name.strip_suffix(outer).is_some_and(|rest| rest.ends_with('.') && rest.len() > 1);
        self.0.iter().any(|entry| match entry {
            AllowedHost::Preset(preset) => {
                let mut hosts = preset.hosts().iter();
                let is_host = |host: &&str| host.strip_prefix("*.").map_or(**host == *name, is_below);
                WEB_PORTS.contains(&port) && hosts.any(is_host)
            }
            AllowedHost::Name { name: allowed, port: of } => allowed == name && is_port(*of, port),
            AllowedHost::Below { name: allowed, port: of } => is_below(allowed) && is_port(*of, port),
            AllowedHost::Address { .. } | AllowedHost::Local { .. } => false,
        })
    }

    /// Whether a connection to this address is allowed by an entry of that address.
    pub fn allows_address(&self, address: IpAddr, port: u16) -> bool {
        self.0.iter().any(|entry| match entry {
            AllowedHost::Address { address: allowed, port: of } => *allowed == address && is_port(*of, port),
            _ => false,
        })
    }
}

fn is_port(allowed: Option<u16>, port: u16) -> bool {
    allowed.map_or(WEB_PORTS.contains(&port), |allowed| allowed == port)
}

/// Whether an address is one of the public network. Those of this machine, of local networks, of cloud machines' metadata and those in
/// which another address is embedded are not.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            let is_special = matches!(
                (a, b, c),
                (0 | 10 | 127 | 224.., ..)
                    | (100, 64..=127, _)
                    | (169, 254, _)
                    | (192, 168, _)
                    | (198, 18..=19, _)
                    | (172, 16..=31, _)
                    | (192, 0, 0 | 2)
                    | (192, 88, 99)
                    | (198, 51, 100)
                    | (203, 0, 113)
            );
            !is_special
        }
        IpAddr::V6(address) => {
            if let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = address.segments() {
                // Of a translator for machines without IPv4 (RFC 6052): it leads to the address at its end.
                let embedded = u32::from(high) << 16 | u32::from(low);
                return is_public(IpAddr::V4(Ipv4Addr::from(embedded)));
            }
            // Global unicast, without documentation, 6to4, and what IETF protocols such as Teredo use.
            match address.segments() {
                [0x2001, 0..=0x01ff, ..] | [0x2001, 0x0db8, ..] | [0x2002, ..] | [0x3fff, 0..=0x0fff, ..] => false,
                [first, ..] => (0x2000..=0x3fff).contains(&first),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[&str]) -> AllowList {
        AllowList::new(entries.iter().map(|entry| entry.parse().unwrap()))
    }

    #[test]
    fn entries_are_read_and_shown() {
        for text in [
            "models",
            "packages",
            "example.com",
            "example.com:8443",
            "*.example.com",
            "*.example.com:81",
            "10.0.0.5",
            "10.0.0.5:8080",
            "2001:db8::7",
            "[2001:db8::7]:8443",
            "localhost:11434",
        ] {
            assert_eq!(text.parse::<AllowedHost>().unwrap().to_string(), text);
        }
        assert_eq!("Example.COM.".parse(), Ok(AllowedHost::Name { name: "example.com".into(), port: None }));
        for local in ["127.0.0.1:81", "[::1]:81", "[::ffff:127.0.0.1]:81", "LOCALHOST:81"] {
            assert_eq!(local.parse(), Ok(AllowedHost::Local { port: 81 }), "{local}");
        }
        for text in [
            "",
            "example",
            "*",
            "*.*.com",
            "*.com",
            "a b.com",
            "http://a.com",
            "a.com/x",
            "a..com",
            "localhost",
            "a.com:0",
            "a.com:65536",
            "a.com:",
            "bad\0.example.com",
            "localhost:61001",
            "é.com",
        ] {
            let read = text.parse::<AllowedHost>();
            assert!(read.is_err(), "{text:?}: {read:?}");
        }
    }

    #[test]
    fn names_match_whole_labels_and_ports() {
        let list = list(&["example.com", "*.wild.org", "api.test.net:8443", "models"]);
        for (name, port) in [
            ("example.com", 443),
            ("example.com", 80),
            ("a.wild.org", 443),
            ("a.b.wild.org", 443),
            ("api.test.net", 8443),
            ("api.openai.com", 443),
            ("api.anthropic.com", 443),
        ] {
            assert!(list.allows_name(name, port), "{name}:{port}");
        }
        for (name, port) in [
            ("example.com", 22),
            ("www.example.com", 443),
            ("example.com.evil.org", 443),
            ("evilexample.com", 443),
            ("wild.org", 443),
            (".wild.org", 443),
            ("evilwild.org", 443),
            ("api.test.net", 443),
            ("pypi.org", 443),
            ("api.openai.com", 22),
            ("10.0.0.5", 443),
        ] {
            assert!(!list.allows_name(name, port), "{name}:{port}");
        }
    }

    #[test]
    fn addresses_are_allowed_by_their_own_entry() {
        let list = list(&["10.0.0.5", "[fd00::1]:8443", "localhost:5000", "localhost:4000", "localhost:5000"]);
        assert!(list.allows_address("10.0.0.5".parse().unwrap(), 443));
        assert!(list.allows_address("fd00::1".parse().unwrap(), 8443));
        assert!(!list.allows_address("10.0.0.5".parse().unwrap(), 8443));
        assert!(!list.allows_address("10.0.0.6".parse().unwrap(), 443));
        assert_eq!(list.local_ports(), [4000, 5000]);
    }

    #[test]
    fn without_packages_only_models_are_left() {
        let list = list(&["packages", "example.com", "localhost:5000"]).of_models();
        assert!(list.allows_name("api.openai.com", 443) && !list.allows_name("pypi.org", 443));
        assert!(!list.allows_name("example.com", 443));
        assert_eq!(list.local_ports(), [5000]);
    }

    #[test]
    fn private_addresses_are_not_public() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "192.169.0.1",
            "2606:4700::1111",
            "2a00::1",
            "64:ff9b::101:101",
        ] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
            "::127.0.0.1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn presets_are_sorted_and_valid() {
        for preset in Preset::ALL {
            let hosts = preset.hosts();
            assert!(hosts.is_sorted(), "{hosts:?}");
            for host in hosts {
                assert_eq!(host.parse::<AllowedHost>().unwrap().to_string(), *host);
            }
        }
    }
}
