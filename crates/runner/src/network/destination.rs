//! Decides where the proxy connects to.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kugetsu_api::run_spec::{NetworkAccess, NetworkSpec};
use kugetsu_domain::allowed_hosts::{AllowList, AllowedHost, host_name, is_public};
use thiserror::Error;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::client_hello::ClientHello;
use super::upstream::Upstream;
use crate::records::spool::Spool;

/// How long a connection may take, with the lookup of the name.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);
/// The same for one of several addresses of a name.
const ADDRESS_LIMIT: Duration = Duration::from_secs(8);
/// Refused hosts of a run that its transcript names. An agent could name any number.
const REFUSED_MAX: usize = 50;

/// A host and a port that the agent wants to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    host: Host,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Name(String),
    Address(IpAddr),
}

impl Target {
    /// `None` if it is no host name and no address.
    pub(super) fn new(host: &str, port: u16) -> Option<Self> {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let host = match bare.parse::<IpAddr>() {
            Ok(address) => Host::Address(address.to_canonical()),
            Err(_) => Host::Name(host_name(host)?),
        };
        Some(Self { host, port })
    }
}

impl Target {
    /// The name, unless it is an address.
    pub(super) fn name(&self) -> Option<&str> {
        match &self.host {
            Host::Name(name) => Some(name),
            Host::Address(_) => None,
        }
    }

    /// Whether TLS has to name the same host.
    pub(super) fn needs_tls(&self) -> bool {
        self.port == 443 && self.name().is_some()
    }

    /// Whether it is this machine.
    fn is_local(&self) -> bool {
        match &self.host {
            Host::Name(name) => name == "localhost" || name.ends_with(".localhost"),
            Host::Address(address) => address.is_loopback(),
        }
    }

    /// The entry of the allow-list that allows it, if one can.
    fn entry(&self) -> Option<String> {
        let is_web = matches!(self.port, 80 | 443);
        let entry = match &self.host {
            _ if self.is_local() => format!("localhost:{}", self.port),
            Host::Name(name) if is_web => name.clone(),
            Host::Address(address) if is_web => address.to_string(),
            _ => self.to_string(),
        };
        entry.parse::<AllowedHost>().is_ok().then_some(entry)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.port;
        match &self.host {
            Host::Name(name) => write!(f, "{name}:{port}"),
            Host::Address(address) => SocketAddr::new(*address, port).fmt(f),
        }
    }
}

/// Why there is no connection.
#[derive(Debug, Error)]
pub(super) enum NoConnection {
    #[error("the sandbox allows no connection to {target}; {hint}")]
    NotAllowed { target: Target, hint: String },
    #[error("{target} is {address}, an address that is not public; {hint}")]
    Private { target: Target, address: IpAddr, hint: String },
    #[error("the connection to {target} was closed: it is {found}")]
    Unlike { target: Target, found: String },
    #[error("cannot connect to {target}: {error}")]
    Failed { target: Target, error: io::Error },
}

impl NoConnection {
    pub(super) fn is_refusal(&self) -> bool {
        !matches!(self, Self::Failed { .. })
    }
}

/// Connects to what the settings allow. Clones share what was refused.
#[derive(Clone, Debug)]
pub(super) struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    allowed: AllowList,
    upstream: Upstream,
    settings: NetworkSpec,
    refused: Mutex<BTreeSet<String>>,
    spool: Spool,
}

impl Gate {
    pub(super) fn new(allowed: AllowList, upstream: Upstream, settings: NetworkSpec, spool: Spool) -> Self {
        Self(Arc::new(Inner { allowed, upstream, settings, refused: Mutex::default(), spool }))
    }

    /// Connects to the target. Its name is looked up once, and only if it is allowed: a lookup would carry the name out. The connection
    /// is to the address that was checked.
    ///
    /// # Errors
    /// [`NoConnection`], which the transcript names.
    pub(super) async fn connect(&self, target: &Target) -> Result<TcpStream, NoConnection> {
        let connecting = timeout(CONNECT_LIMIT, self.connect_now(target));
        let connected = connecting.await.unwrap_or_else(|_| {
            let error =
                io::Error::new(io::ErrorKind::TimedOut, format!("it took longer than {} s", CONNECT_LIMIT.as_secs()));
            Err(NoConnection::Failed { target: target.clone(), error })
        });
        if let Err(error) = &connected {
            self.note(target, error);
        }
        connected
    }

    /// Compares the host that TLS names with the target: a server of many hosts goes by that name.
    ///
    /// # Errors
    /// It is another one; the transcript says so.
    pub(super) fn check_tls(&self, target: &Target, hello: io::Result<ClientHello>) -> Result<Vec<u8>, NoConnection> {
        let unlike = |found: String| {
            let error = NoConnection::Unlike { target: target.clone(), found };
            self.note(target, &error);
            Err(error)
        };
        match hello {
            Ok(hello) if hello.host.as_deref() == target.name() => Ok(hello.bytes),
            Ok(hello) => unlike(hello.host.map_or("TLS without a host".to_owned(), |host| format!("TLS with {host}"))),
            Err(error) => unlike(format!("no TLS ({error})")),
        }
    }

    async fn connect_now(&self, target: &Target) -> Result<TcpStream, NoConnection> {
        let failed = |error| NoConnection::Failed { target: target.clone(), error };
        let Inner { allowed, upstream, .. } = &*self.0;
        if target.is_local() && allowed.local_ports().contains(&target.port) {
            return connect_local(target.port).await.map_err(failed);
        }
        let addresses: Vec<SocketAddr> = match &target.host {
            Host::Name(name) if !allowed.allows_name(name, target.port) => {
                return Err(NoConnection::NotAllowed { target: target.clone(), hint: self.hint(target) });
            }
            Host::Name(name) => {
                if let Some(proxy) = upstream.proxy_for(name, target.port) {
                    return proxy.connect(name, target.port).await.map_err(failed);
                }
                lookup_host((name.as_str(), target.port)).await.map_err(failed)?.collect()
            }
            Host::Address(address) if !allowed.allows_address(*address, target.port) => {
                return Err(NoConnection::NotAllowed { target: target.clone(), hint: self.hint(target) });
            }
            Host::Address(address) => vec![SocketAddr::new(*address, target.port)],
        };
        let is_allowed = |found: &&SocketAddr| {
            let address = found.ip().to_canonical();
            is_public(address) || allowed.allows_address(address, target.port)
        };
        let reachable: Vec<SocketAddr> = addresses.iter().filter(is_allowed).copied().collect();
        match addresses.first() {
            Some(private) if reachable.is_empty() => {
                let address = private.ip().to_canonical();
                let hint = self.hint(&Target { host: Host::Address(address), port: target.port });
                Err(NoConnection::Private { target: target.clone(), address, hint })
            }
            _ => connect_to_one(&reachable).await.map_err(failed),
        }
    }

    /// Says how a person allows a target.
    fn hint(&self, target: &Target) -> String {
        let NetworkSpec { access, setting, allow_hosts } = &self.0.settings;
        if *access == NetworkAccess::None {
            return format!("with `allow-list` instead of `none` in {setting}, run.allow_hosts can allow it");
        }
        let Some(entry) = target.entry() else { return "run.allow_hosts can only name hosts with a dot".to_owned() };
        let entries = allow_hosts.iter().chain([&entry]).map(|entry| format!("\"{entry}\""));
        let entries = entries.collect::<Vec<_>>().join(", ");
        format!("to allow it, if you trust it: `kugetsu config set run.allow_hosts '[{entries}]'`")
    }

    fn note(&self, target: &Target, error: &NoConnection) {
        let mut refused = self.0.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let count = refused.len();
        if count > REFUSED_MAX || !refused.insert(target.to_string()) {
            return;
        }
        drop(refused);
        match count {
            REFUSED_MAX => self.0.spool.notice("further failed connections are not shown"),
            _ => self.0.spool.notice(error.to_string()),
        }
    }
}

/// Connects to the first address that answers.
async fn connect_to_one(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "it has no address");
    for address in addresses {
        match timeout(ADDRESS_LIMIT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failure = error,
            Err(_) => failure = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(failure)
}

/// Connects to a program on this machine.
pub(super) async fn connect_local(port: u16) -> io::Result<TcpStream> {
    match TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
        Ok(stream) => Ok(stream),
        Err(error) => TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await.map_err(|_| error),
    }
}
