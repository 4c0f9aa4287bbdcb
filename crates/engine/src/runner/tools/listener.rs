//! Where the tools are reached: a port of this machine's own that asks for a word which only this run's agent was told.
//!
//! No socket file: a cage may keep its programs from all of them, since others of the user's would lead out of it.

use std::io;
use std::path::Path;
use std::time::Duration;

use kugetsu_agent::ToolServer;
use rmcp::ServiceExt;
use tokio::io::{AsyncReadExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use uuid::Uuid;

use super::calls::Calls;
use super::server::Server;
use crate::home::Home;

/// The variable that tells `kugetsu tools` where to go: `<address>/<word>`.
const ADDRESS: &str = "KUGETSU_TOOLS";
/// How long a connection may take to say the word.
const GREETING: Duration = Duration::from_secs(5);
/// Most connections at a time: an agent has one for each session, and perhaps one more.
const CONNECTIONS_MAX: usize = 16;

/// Where this process was told that its tools are, and the word to say there.
pub fn tools_address() -> Option<(String, String)> {
    let told = std::env::var(ADDRESS).ok()?;
    let (address, word) = told.split_once('/')?;
    Some((address.to_owned(), word.to_owned()))
}

/// The tools, as long as it is held.
#[derive(Debug)]
pub(crate) struct Tools {
    server: ToolServer,
    task: JoinHandle<()>,
}

impl Tools {
    /// Serves them on behalf of a task of the coordinator's, which works in `directory`.
    ///
    /// # Errors
    /// No port can be had, or this program's own path is not known.
    pub(crate) async fn serve(home: &Home, task: &str, directory: &Path) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let word = Uuid::new_v4().simple().to_string();
        let address = format!("{}/{word}", listener.local_addr()?);
        let calls =
            Calls { socket: home.socket()?, task: task.to_owned(), cwd: directory.to_string_lossy().into_owned() };
        let server = ToolServer {
            name: "kugetsu".to_owned(),
            program: std::env::current_exe()?,
            args: vec!["tools".to_owned()],
            env: vec![(ADDRESS.to_owned(), address)],
        };
        Ok(Self { server, task: tokio::spawn(listen(listener, word, calls)) })
    }

    /// What the agent is given.
    pub(crate) fn server(&self) -> &ToolServer {
        &self.server
    }
}

impl Drop for Tools {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(listener: TcpListener, word: String, calls: Calls) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if connections.len() < CONNECTIONS_MAX => {
                    connections.spawn(converse(stream, word.clone(), calls.clone()));
                }
                Ok(_) => tracing::warn!("the tools have more connections than an agent can need; one more is refused"),
                Err(error) => {
                    tracing::warn!(%error, "a connection to the tools was not taken");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse(mut stream: TcpStream, word: String, calls: Calls) {
    let mut said = vec![0; word.len()];
    match tokio::time::timeout(GREETING, stream.read_exact(&mut said)).await {
        Ok(Ok(_)) if is_same(&said, word.as_bytes()) => {}
        _ => {
            tracing::warn!("a connection to the tools did not say the word; it is closed");
            return;
        }
    }
    match Server(calls).serve(BufStream::new(stream)).await {
        Ok(serving) => {
            if let Err(error) = serving.waiting().await {
                tracing::warn!(%error, "a connection to the tools broke off");
            }
        }
        Err(error) => tracing::warn!(%error, "a connection to the tools did not begin"),
    }
}

/// Compares without telling by its time how much of it fits.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |unlike, (one, other)| unlike | (one ^ other)) == 0
}
