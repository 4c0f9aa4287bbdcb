//! The network of an agent that may connect to certain hosts only.
//!
//! Its sandbox has a network of its own, with a loopback interface and nothing else. Listeners in it are passed to this process: behind
//! them are a proxy, the tools of kugetsu, and programs on this machine that the settings allow. So nothing in the sandbox resolves a
//! name, sends a datagram or chooses an address.

mod destination;
mod proxy;
mod upstream;

use std::ffi::OsString;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener as StdListener};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kugetsu_api::run_spec::{NetworkAccess, NetworkSpec};
use kugetsu_domain::allowed_hosts::{AllowList, InvalidHost, PROXY_PORT, TOOLS_PORT};
use kugetsu_process::sandbox::Network;
use kugetsu_process::{SpawnError, Tree, TreeSpec};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;

use self::destination::Gate;
use self::proxy::serve_proxy;
use self::upstream::Upstream;
use crate::run_context::RunContext;

/// Connections at once to each listener. Further ones wait.
const CONNECTIONS_MAX: usize = 256;
/// Variables that name the proxy. Programs differ in the case that they read.
const PROXY_VARIABLES: [&str; 6] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];
/// How agents report that a connection was not possible, in lower case.
const UNREACHABLE: [&str; 5] =
    ["econnrefused", "connection refused", "unable to connect", "cannot connect", "the sandbox allows no connection"];

/// Serves the listeners of the run's sandboxes until it is dropped.
#[derive(Debug)]
pub(crate) struct AgentNetwork {
    gate: Gate,
    local_ports: Vec<u16>,
    tools: mpsc::UnboundedSender<TcpListener>,
    /// The receiver of those, until the tools take it.
    waiting_tools: Mutex<Option<mpsc::UnboundedReceiver<TcpListener>>>,
    serving: Mutex<JoinSet<()>>,
}

impl AgentNetwork {
    /// The network of the run; `None` if it is not restricted.
    ///
    /// # Errors
    /// An entry of the allow-list is invalid.
    pub(crate) fn of(run: &RunContext) -> Result<Option<Self>, InvalidHost> {
        let NetworkSpec { access, allow_hosts, .. } = &run.spec.network;
        let entries: Vec<_> = allow_hosts.iter().map(|entry| entry.parse()).collect::<Result<_, _>>()?;
        let allowed = match access {
            NetworkAccess::Full => return Ok(None),
            NetworkAccess::AllowList => AllowList::new(entries),
            NetworkAccess::None => AllowList::new(entries).of_models(),
        };
        let (tools, waiting_tools) = mpsc::unbounded_channel();
        Ok(Some(Self {
            local_ports: allowed.local_ports(),
            gate: Gate::new(allowed, Upstream::of(run), run.spec.network.clone(), run.spool.clone()),
            tools,
            waiting_tools: Mutex::new(Some(waiting_tools)),
            serving: Mutex::default(),
        }))
    }

    pub(crate) fn sandbox(&self) -> Network {
        Network::Own {
            listeners: [PROXY_PORT, TOOLS_PORT].into_iter().chain(self.local_ports.iter().copied()).collect(),
        }
    }

    /// Variables that make programs use the proxy.
    pub(crate) fn env(&self) -> Vec<(OsString, OsString)> {
        let proxy = OsString::from(format!("http://127.0.0.1:{PROXY_PORT}"));
        let java = OsString::from(format!(
            "-Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort={PROXY_PORT} -Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort={PROXY_PORT}"
        ));
        let own = ["NO_PROXY", "no_proxy"].map(|name| (name, OsString::from("localhost,127.0.0.1,::1")));
        PROXY_VARIABLES
            .into_iter()
            .map(|name| (name, proxy.clone()))
            .chain(own)
            // Node.js reads the others only with this one.
            .chain([("NODE_USE_ENV_PROXY", "1".into())])
            // Programs in Java read none of them.
            .chain(["GRADLE_OPTS", "MAVEN_OPTS"].map(|name| (name, java.clone())))
            .map(|(name, value)| (name.into(), value))
            .collect()
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
    fn serve(&self, listeners: Vec<StdListener>) -> std::io::Result<()> {
        let Network::Own { listeners: ports } = self.sandbox() else { return Ok(()) };
        let mut serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner);
        for (listener, port) in listeners.into_iter().zip(ports) {
            listener.set_nonblocking(true)?;
            let listener = TcpListener::from_std(listener)?;
            match port {
                PROXY_PORT => drop(serving.spawn(accept(listener, self.gate.clone(), serve_proxy))),
                // Without tools, nothing receives it, and connections are refused.
                TOOLS_PORT => drop(self.tools.send(listener)),
                port => drop(serving.spawn(accept(listener, port, forward))),
            }
        }
        Ok(())
    }
}

/// Starts a program of the run, and serves its network.
///
/// # Errors
/// It cannot be started.
pub(crate) async fn spawn(spec: TreeSpec, network: Option<&AgentNetwork>) -> Result<Tree, SpawnError> {
    let mut tree = Tree::spawn(spec).await?;
    let listeners = std::mem::take(&mut tree.listeners);
    if let Some(Err(error)) = network.map(|network| network.serve(listeners)) {
        // The agent finds no proxy, and says so.
        tracing::warn!(%error, "the network of the sandbox is not served");
    }
    Ok(tree)
}

/// Accepts connections until it is aborted, which ends them, too.
async fn accept<T: Clone, F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    shared: T,
    serve: impl Fn(TcpStream, T) -> F,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => drop(connections.spawn(serve(stream, shared.clone()))),
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection from the sandbox");
                    sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Connects to a program on this machine.
async fn forward(mut inside: TcpStream, port: u16) {
    let connected = match TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
        Err(_) => TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await,
        connected => connected,
    };
    match connected {
        // Either side may break the connection.
        Ok(mut outside) => drop(copy_bidirectional(&mut inside, &mut outside).await),
        Err(error) => tracing::info!(port, %error, "an allowed program on this machine cannot be reached"),
    }
}
