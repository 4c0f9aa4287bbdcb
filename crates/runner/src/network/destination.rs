//! Decides where the proxy connects to.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kugetsu_api::run_spec::{NetworkAccess, NetworkSpec};
use kugetsu_domain::allowed_hosts::{AllowList, host_name, is_public};
use thiserror::Error;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::upstream::Upstream;
use crate::records::spool::Spool;

/// How long a connection may take, with the lookup of the name.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);
/// Connections at once. Further ones wait: each needs descriptors of this process.
const CONNECTIONS_MAX: usize = 256;
/// Refused hosts of a run that its transcript names. An agent could name any number.
const REFUSED_MAX: usize = 50;

/// What the agent wants to connect to.
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
    free: Arc<Semaphore>,
}

/// An open connection. It counts until it is dropped.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) stream: TcpStream,
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

impl Gate {
    pub(super) fn new(allowed: AllowList, upstream: Upstream, settings: NetworkSpec, spool: Spool) -> Self {
        let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        Self(Arc::new(Inner { allowed, upstream, settings, refused: Mutex::default(), spool, free }))
    }

    /// Connects to the target. Its name is looked up once, and only if it is allowed: a lookup would carry the name out. The connection
    /// is to the address that was checked.
    ///
    /// # Errors
    /// [`NoConnection`]; a refusal is in the transcript.
    pub(super) async fn connect(&self, target: &Target) -> Result<Connected, NoConnection> {
        // It fails only if the semaphore is closed, which it never is.
        let permit = Arc::clone(&self.0.free).acquire_owned().await.ok();
        let connecting = timeout(CONNECT_LIMIT, self.connect_now(target));
        let connected = connecting.await.unwrap_or_else(|_| {
            let error =
                io::Error::new(io::ErrorKind::TimedOut, format!("it took longer than {} s", CONNECT_LIMIT.as_secs()));
            Err(NoConnection::Failed { target: target.clone(), error })
        });
        if let Err(error) = &connected
            && error.is_refusal()
        {
            self.note_refusal(target, error);
        }
        connected.map(|stream| Connected { stream, permit })
    }

    async fn connect_now(&self, target: &Target) -> Result<TcpStream, NoConnection> {
        let failed = |error| NoConnection::Failed { target: target.clone(), error };
        let Inner { allowed, upstream, .. } = &*self.0;
        let addresses: Vec<SocketAddr> = match &target.host {
            Host::Name(name) if !allowed.allows_name(name, target.port) => {
                return Err(NoConnection::NotAllowed { target: target.clone(), hint: self.hint(&entry(target)) });
            }
            Host::Name(name) => {
                if let Some(proxy) = upstream.proxy_for(name, target.port) {
                    return proxy.connect(name, target.port).await.map_err(failed);
                }
                lookup_host((name.as_str(), target.port)).await.map_err(failed)?.collect()
            }
            Host::Address(address) if !allowed.allows_address(*address, target.port) => {
                return Err(NoConnection::NotAllowed { target: target.clone(), hint: self.hint(&entry(target)) });
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
                let hint = match address.is_loopback() {
                    true => self.hint(&format!("localhost:{}", target.port)),
                    false => self.hint(&entry(&Target { host: Host::Address(address), port: target.port })),
                };
                Err(NoConnection::Private { target: target.clone(), address, hint })
            }
            _ => TcpStream::connect(reachable.as_slice()).await.map_err(failed),
        }
    }

    /// Says how a person allows an entry.
    fn hint(&self, entry: &str) -> String {
        let NetworkSpec { access, setting, allow_hosts } = &self.0.settings;
        if *access == NetworkAccess::None {
            return format!("the setting {setting} is none: with `allow-list`, it can be allowed in run.allow_hosts");
        }
        let mut entries = allow_hosts.clone();
        entries.push(entry.to_owned());
        let entries = entries.iter().map(|entry| format!("\"{entry}\"")).collect::<Vec<_>>().join(", ");
        format!("to allow it: `kugetsu config set run.allow_hosts '[{entries}]'`")
    }

    fn note_refusal(&self, target: &Target, error: &NoConnection) {
        let mut refused = self.0.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let count = refused.len();
        if count > REFUSED_MAX || !refused.insert(target.to_string()) {
            return;
        }
        drop(refused);
        match count {
            REFUSED_MAX => self.0.spool.notice("further refused connections are not shown"),
            _ => self.0.spool.notice(error.to_string()),
        }
    }
}

/// The entry of the allow-list that allows a target.
fn entry(target: &Target) -> String {
    let is_web = matches!(target.port, 80 | 443);
    match &target.host {
        Host::Name(name) if is_web => name.clone(),
        Host::Address(address) if is_web => address.to_string(),
        _ => target.to_string(),
    }
}
