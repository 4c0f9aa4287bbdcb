//! The listener of the tools: a port on the loopback interface that requires a secret which only this run's agent knows.
//!
//! It is not a unix socket, because a sandbox may block all of them: other sockets of the user would lead out of it.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kugetsu_agent::McpServer;
use kugetsu_domain::allowed_hosts::TOOLS_PORT;
use rmcp::ServiceExt;
use tokio::io::{AsyncReadExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::server::{Server, Toolset};
use crate::network::AgentNetwork;

/// The environment variable with the address and the secret for `kugetsu tools`: `<address>/<secret>`.
const ADDRESS: &str = "KUGETSU_TOOLS";
/// How long a connection may take to send the secret.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(5);
const READ_TIME: Duration = Duration::from_millis(200);
/// Maximum number of connections that have sent the secret. An agent has one for each session, and perhaps one more.
const CONNECTIONS_MAX: usize = 16;
/// Maximum number of connections that have not sent it yet.
const PENDING_MAX: usize = 128;
/// Minimum time between two warnings in the log.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// Returns the address of the tools and the secret to send first, from the environment of this process.
pub fn tools_address() -> Option<(String, String)> {
    let variable = std::env::var(ADDRESS).ok()?;
    let (address, secret) = variable.split_once('/')?;
    Some((address.to_owned(), secret.to_owned()))
}

/// Serves the tools until it is dropped.
#[derive(Debug)]
pub(crate) struct ToolServer {
    server: McpServer,
    tools: Server,
    task: JoinHandle<()>,
}

impl ToolServer {
    /// `network` is that of the agent, if it has its own.
    pub(crate) async fn start(tools: Arc<dyn Toolset>, network: Option<&AgentNetwork>) -> io::Result<Self> {
        let (address, listeners) = match network.and_then(AgentNetwork::tools) {
            Some(listeners) => (SocketAddr::from(([127, 0, 0, 1], TOOLS_PORT)), listeners),
            None => {
                let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
                let (sender, listeners) = mpsc::unbounded_channel();
                let address = listener.local_addr()?;
                sender.send(listener).map_err(io::Error::other)?;
                (address, listeners)
            }
        };
        let secret = Uuid::new_v4().simple().to_string();
        let address = format!("{address}/{secret}");
        let server = McpServer {
            name: "kugetsu".to_owned(),
            program: kugetsu_api::program::path()?,
            args: vec!["tools".to_owned()],
            env: vec![(ADDRESS.to_owned(), address)],
        };
        let tools = Server::new(tools);
        Ok(Self { server, tools: tools.clone(), task: tokio::spawn(listen(listeners, secret, tools)) })
    }

    /// Whether the agent has loaded the tools.
    pub(crate) fn is_loaded(&self) -> bool {
        self.tools.is_listed()
    }

    /// Waits until the agent has loaded the tools, but no longer than this.
    pub(crate) async fn loaded(&self, limit: Duration) {
        match timeout(limit, self.tools.listed()).await {
            // It still has to read the list, which it does not confirm.
            Ok(()) => sleep(READ_TIME).await,
            Err(_) => tracing::debug!("the agent has not loaded the tools before its prompt"),
        }
    }

    /// How the agent reaches the tools.
    pub(crate) fn mcp_server(&self) -> &McpServer {
        &self.server
    }
}

impl Drop for ToolServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Listens on the latest of the listeners: each start of the agent may have its own.
async fn listen(mut listeners: UnboundedReceiver<TcpListener>, secret: String, server: Server) {
    let Some(mut listener) = listeners.recv().await else { return };
    let (mut logins, mut connections) = (JoinSet::new(), JoinSet::new());
    let mut pending: VecDeque<AbortHandle> = VecDeque::new();
    let mut log = RateLimitedLog::default();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    pending.retain(|login| !login.is_finished());
                    // Every user of this machine can connect. The agent sends the secret at once, so the connection that
                    // has been pending for longest is not the agent's.
                    if pending.len() == PENDING_MAX && let Some(oldest) = pending.pop_front() {
                        oldest.abort();
                        log.warn("too many connections to the tools without the secret; closing the oldest");
                    }
                    pending.push_back(logins.spawn(login(stream, secret.clone())));
                }
                Err(error) => {
                    log.warn(&format!("could not accept a connection to the tools: {error}"));
                    sleep(Duration::from_millis(100)).await;
                }
            },
            Some(next) = listeners.recv() => listener = next,
            Some(login) = logins.join_next() => match login {
                Ok(Some(stream)) if connections.len() < CONNECTIONS_MAX => {
                    connections.spawn(serve(stream, server.clone()));
                }
                Ok(Some(_)) => log.warn("too many connections to the tools; refused one"),
                Ok(None) => log.warn("closed a connection to the tools that did not send the secret"),
                Err(_) => {}
            },
            Some(ended) = connections.join_next() => if let Ok(Err(error)) = ended {
                log.warn(&error);
            },
        }
    }
}

/// Returns the connection if it sends the secret in time.
async fn login(mut stream: TcpStream, secret: String) -> Option<TcpStream> {
    let mut received = vec![0; secret.len()];
    match tokio::time::timeout(LOGIN_TIMEOUT, stream.read_exact(&mut received)).await {
        Ok(Ok(_)) if is_equal(&received, secret.as_bytes()) => Some(stream),
        _ => None,
    }
}

async fn serve(stream: TcpStream, server: Server) -> Result<(), String> {
    let serving = server.serve(BufStream::new(stream)).await;
    let serving = serving.map_err(|error| format!("could not set up a connection to the tools: {error}"))?;
    serving.waiting().await.map(drop).map_err(|error| format!("a connection to the tools broke: {error}"))
}

/// Logs warnings that other users of the machine can cause, at most one per [`WARNING_INTERVAL`].
#[derive(Debug, Default)]
struct RateLimitedLog {
    last: Option<Instant>,
    suppressed: u64,
}

impl RateLimitedLog {
    fn warn(&mut self, message: &str) {
        if let Some(suppressed) = self.next() {
            tracing::warn!(suppressed, "{message}");
        }
    }

    /// Returns the number of warnings suppressed since the last one, if one may be logged now.
    fn next(&mut self) -> Option<u64> {
        if self.last.is_some_and(|last| last.elapsed() < WARNING_INTERVAL) {
            self.suppressed += 1;
            return None;
        }
        self.last = Some(Instant::now());
        Some(std::mem::take(&mut self.suppressed))
    }
}

/// Compares in constant time, so that the time reveals nothing of the secret.
fn is_equal(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).fold(0, |difference, (one, other)| difference | (one ^ other)) == 0
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

    use super::*;
    use crate::tools::server::ToolResult;

    #[derive(Debug)]
    struct NoTools;

    impl Toolset for NoTools {
        fn instructions(&self) -> &'static str {
            ""
        }

        fn list(&self) -> Vec<rmcp::model::Tool> {
            Vec::new()
        }

        fn call<'a>(
            &'a self,
            name: &'a str,
            _arguments: serde_json::Value,
        ) -> std::pin::Pin<Box<dyn Future<Output = ToolResult> + Send + 'a>> {
            Box::pin(async move { Err(crate::tools::server::unknown(name)) })
        }
    }

    #[tokio::test]
    async fn silent_connections_do_not_lock_the_agent_out() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, listeners) = mpsc::unbounded_channel();
        sender.send(listener).unwrap();
        let task = tokio::spawn(listen(listeners, "secret".to_owned(), Server::new(Arc::new(NoTools))));
        let mut others = Vec::new();
        for n in 0..PENDING_MAX + 20 {
            let mut other = TcpStream::connect(address).await.unwrap();
            if n % 2 == 0 {
                other.write_all(b"sec").await.unwrap();
            }
            others.push(other);
        }
        let mut agent = BufReader::new(TcpStream::connect(address).await.unwrap());
        agent.write_all(b"secret").await.unwrap();
        let params = r#"{"protocolVersion":"2025-03-26","capabilities":{},"clientInfo":{"name":"t","version":"1"}}"#;
        let initialize = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{params}}}\n");
        agent.write_all(initialize.as_bytes()).await.unwrap();
        let mut response = String::new();
        tokio::time::timeout(LOGIN_TIMEOUT / 2, agent.read_line(&mut response))
            .await
            .expect("a response at once")
            .unwrap();
        assert!(response.contains("\"kugetsu\""), "{response}");
        task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn warnings_are_logged_once_a_minute() {
        let mut log = RateLimitedLog::default();
        assert_eq!(log.next(), Some(0));
        for _ in 0..1000 {
            assert_eq!(log.next(), None);
        }
        tokio::time::advance(WARNING_INTERVAL).await;
        assert_eq!((log.next(), log.next()), (Some(1000), None));
    }
}
