//! The network of a run: its listeners, and the environment of programs that use it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::net::TcpListener as StdListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kugetsu_api::run_spec::{NetworkAccess, NetworkSpec};
use kugetsu_domain::allowed_hosts::{AllowList, InvalidHost, PROXY_PORT, TOOLS_PORT};
use kugetsu_process::sandbox::Network;
use kugetsu_process::{SpawnError, Tree, TreeSpec};
use nix::sys::resource::{Resource, getrlimit};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::destination::{Gate, connect_local};
use super::proxy::serve_proxy;
use super::upstream::Upstream;
use crate::records::spool::Spool;

/// Connections at once, if this process may have enough descriptors. Further ones wait.
const CONNECTIONS_MAX: u64 = 256;
/// Descriptors of a connection: one for each side.
const PER_CONNECTION: u64 = 2;
/// Descriptors that are left for everything else: git, records, the daemon.
const OTHER_DESCRIPTORS: u64 = 400;
/// Variables that name the proxy. Programs differ in the case that they read.
const PROXY_VARIABLES: [&str; 6] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];
/// Options of programs in Java, which read none of those.
const JAVA_VARIABLES: [&str; 2] = ["GRADLE_OPTS", "MAVEN_OPTS"];
/// How agents report that a connection was not possible, in lower case.
const UNREACHABLE: [&str; 5] =
    ["econnrefused", "connection refused", "unable to connect", "cannot connect", "the sandbox allows no connection"];

/// Serves the listeners of the run's sandboxes.
#[derive(Debug)]
pub(crate) struct AgentNetwork {
    gate: Gate,
    local_ports: Vec<u16>,
    env: Vec<(OsString, OsString)>,
    tools: mpsc::UnboundedSender<TcpListener>,
    /// The receiver of those, until the tools take it.
    waiting_tools: Mutex<Option<mpsc::UnboundedReceiver<TcpListener>>>,
    free: Arc<Semaphore>,
    local: Local,
}

/// The connections of one sandbox. They end when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    _serving: JoinSet<()>,
}

impl AgentNetwork {
    /// `None` if the network is not restricted. `variable` looks up a variable of the agent.
    ///
    /// # Errors
    /// An entry of the allow-list is invalid.
    pub(crate) fn new(
        settings: &NetworkSpec,
        spool: &Spool,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Option<Self>, InvalidHost> {
        let entries: Vec<_> = settings.allow_hosts.iter().map(|entry| entry.parse()).collect::<Result<_, _>>()?;
        let allowed = match settings.access {
            NetworkAccess::Full => return Ok(None),
            NetworkAccess::AllowList => AllowList::new(entries),
            NetworkAccess::None => AllowList::new(entries).of_models(),
        };
        let (tools, waiting_tools) = mpsc::unbounded_channel();
        Ok(Some(Self {
            local_ports: allowed.local_ports(),
            env: environment(&variable),
            gate: Gate::new(allowed, Upstream::new(&variable), settings.clone(), spool.clone()),
            tools,
            waiting_tools: Mutex::new(Some(waiting_tools)),
            free: Arc::new(Semaphore::new(connections_max())),
            local: Local::new(spool),
        }))
    }

    pub(crate) fn sandbox(&self) -> Network {
        let listeners = [PROXY_PORT, TOOLS_PORT].into_iter().chain(self.local_ports.iter().copied()).collect();
        Network::Own { listeners }
    }

    /// Variables that make programs use the proxy.
    pub(crate) fn env(&self) -> &[(OsString, OsString)] {
        &self.env
    }

    /// Advice for a failure that may be due to this network: programs on this machine are not behind the proxy, which names what it
    /// refuses.
    pub(crate) fn hint(&self, reason: &str) -> Option<String> {
        let reason = reason.to_lowercase();
        let is_unreachable = UNREACHABLE.iter().any(|text| reason.contains(text));
        is_unreachable.then(|| {
            "the network of the agent is restricted: if its model runs on this machine, add `localhost:<port>` to run.allow_hosts; \
             `kugetsu logs` shows which hosts were refused"
                .to_owned()
        })
    }

    /// The listeners for kugetsu's tools, one from each sandbox. `None` after the first call.
    pub(crate) fn tools(&self) -> Option<mpsc::UnboundedReceiver<TcpListener>> {
        self.waiting_tools.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Serves the listeners of a sandbox with this network.
    fn serve(&self, listeners: Vec<StdListener>) -> io::Result<Connections> {
        let mut serving = JoinSet::new();
        let ports = [PROXY_PORT, TOOLS_PORT].into_iter().chain(self.local_ports.iter().copied());
        for (listener, port) in listeners.into_iter().zip(ports) {
            listener.set_nonblocking(true)?;
            let listener = TcpListener::from_std(listener)?;
            let free = Arc::clone(&self.free);
            match port {
                PROXY_PORT => drop(serving.spawn(accept(listener, free, self.gate.clone(), serve_proxy))),
                // Without tools, nothing receives it, and connections are refused.
                TOOLS_PORT => drop(self.tools.send(listener)),
                port => drop(serving.spawn(accept(listener, free, (self.local.clone(), port), forward))),
            }
        }
        Ok(Connections { _serving: serving })
    }
}

fn environment(variable: impl Fn(&str) -> Option<OsString>) -> Vec<(OsString, OsString)> {
    let proxy = OsString::from(format!("http://127.0.0.1:{PROXY_PORT}"));
    let own = ["NO_PROXY", "no_proxy"].map(|name| (name, OsString::from("localhost,127.0.0.1,::1")));
    let options = ["http", "https"]
        .map(|scheme| format!("-D{scheme}.proxyHost=127.0.0.1 -D{scheme}.proxyPort={PROXY_PORT}"))
        .join(" ");
    let java = JAVA_VARIABLES.map(|name| {
        let mut value = variable(name).unwrap_or_default();
        value.push(if value.is_empty() { "" } else { " " });
        value.push(&options);
        (name, value)
    });
    PROXY_VARIABLES
        .into_iter()
        .map(|name| (name, proxy.clone()))
        .chain(own)
        // Node.js reads the others only with this one.
        .chain([("NODE_USE_ENV_PROXY", "1".into())])
        .chain(java)
        .map(|(name, value)| (name.into(), value))
        .collect()
}

/// As many connections as leave enough descriptors to this process.
fn connections_max() -> usize {
    let descriptors = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft);
    let connections = (descriptors.saturating_sub(OTHER_DESCRIPTORS) / PER_CONNECTION).clamp(16, CONNECTIONS_MAX);
    usize::try_from(connections).unwrap_or(16)
}

/// Starts a program of the run, and serves its network until the connections are dropped.
///
/// # Errors
/// It cannot be started.
pub(crate) async fn spawn(spec: TreeSpec, network: Option<&AgentNetwork>) -> Result<(Tree, Connections), SpawnError> {
    let mut tree = Tree::spawn(spec).await?;
    let listeners = std::mem::take(&mut tree.listeners);
    let connections = network.map_or(Ok(Connections::default()), |network| network.serve(listeners));
    let connections = connections.unwrap_or_else(|error| {
        // The agent finds no proxy, and says so.
        tracing::warn!(%error, "the network of the sandbox is not served");
        Connections::default()
    });
    Ok((tree, connections))
}

/// Accepts connections until it is aborted, which ends them, too.
async fn accept<T: Clone, F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    free: Arc<Semaphore>,
    shared: T,
    serve: impl Fn(TcpStream, T) -> F,
) {
    let mut connections = JoinSet::new();
    loop {
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(&free).acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let serving = serve(stream, shared.clone());
                connections.spawn(async move {
                    let _permit = permit;
                    serving.await;
                });
            }
            Err(error) => {
                tracing::debug!(%error, "could not accept a connection from the sandbox");
                sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Programs on this machine.
#[derive(Clone, Debug)]
struct Local {
    spool: Spool,
    /// Ports that were noted as unreachable.
    unreachable: Arc<Mutex<BTreeSet<u16>>>,
}

impl Local {
    fn new(spool: &Spool) -> Self {
        Self { spool: spool.clone(), unreachable: Arc::default() }
    }
}

/// Connects to a program on this machine.
async fn forward(mut inside: TcpStream, (local, port): (Local, u16)) {
    match connect_local(port).await {
        // Either side may break the connection.
        Ok(mut outside) => drop(copy_bidirectional(&mut inside, &mut outside).await),
        Err(error) => {
            if local.unreachable.lock().unwrap_or_else(PoisonError::into_inner).insert(port) {
                local
                    .spool
                    .notice(format!("localhost:{port}, which run.allow_hosts names, cannot be reached: {error}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_java_programs_are_kept() {
        let env = environment(|name| (name == "MAVEN_OPTS").then(|| "-Xmx1g".into()));
        let value = |name: &str| env.iter().find(|(known, _)| known == name).unwrap().1.to_str().unwrap();
        assert!(value("MAVEN_OPTS").starts_with("-Xmx1g -Dhttp.proxyHost=127.0.0.1 "), "{}", value("MAVEN_OPTS"));
        assert!(value("GRADLE_OPTS").starts_with("-Dhttp.proxyHost"), "{}", value("GRADLE_OPTS"));
        assert_eq!(value("https_proxy"), "http://127.0.0.1:61001");
    }

    #[test]
    fn connections_leave_descriptors_to_the_runner() {
        let soft = getrlimit(Resource::RLIMIT_NOFILE).unwrap().0;
        assert!(connections_max() <= 256 && connections_max() as u64 * PER_CONNECTION <= soft);
    }
}
