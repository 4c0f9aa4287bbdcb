//! Where the tools are reached: a port of this machine's own that asks for a word which only this run's agent was told.
//!
//! No socket file: a cage may keep its programs from all of them, since others of the user's would lead out of it.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::time::Duration;

use kugetsu_agent::McpServer;
use kugetsu_api::home::Home;
use kugetsu_api::run_spec::Tool;
use rmcp::ServiceExt;
use tokio::io::{AsyncReadExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::Instant;
use uuid::Uuid;

use super::calls::Calls;
use super::server::Server;

/// The variable that tells `kugetsu tools` where to go: `<address>/<word>`.
const ADDRESS: &str = "KUGETSU_TOOLS";
/// How long a connection may take to say the word.
const GREETING: Duration = Duration::from_secs(5);
/// Most connections at a time that said the word: an agent has one for each session, and perhaps one more.
const CONNECTIONS_MAX: usize = 16;
/// Most connections at a time that did not say it yet.
const SILENT_MAX: usize = 128;
/// How long the log says nothing more after a complaint.
const QUIET: Duration = Duration::from_secs(60);

/// Where this process was told that its tools are, and the word to say there.
pub fn tools_address() -> Option<(String, String)> {
    let told = std::env::var(ADDRESS).ok()?;
    let (address, word) = told.split_once('/')?;
    Some((address.to_owned(), word.to_owned()))
}

/// Serves the tools until it is dropped.
#[derive(Debug)]
pub(crate) struct ToolServer {
    server: McpServer,
    task: JoinHandle<()>,
}

impl ToolServer {
    /// Serves `tools` on behalf of a task of the coordinator, which works in `directory`.
    ///
    /// # Errors
    /// No port can be had, or this program's own path is not known.
    pub(crate) async fn start(home: &Home, task: &str, tools: &[Tool], directory: &Path) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let word = Uuid::new_v4().simple().to_string();
        let address = format!("{}/{word}", listener.local_addr()?);
        let calls =
            Calls { socket: home.socket()?, task: task.to_owned(), cwd: directory.to_string_lossy().into_owned() };
        let server = McpServer {
            name: "kugetsu".to_owned(),
            program: std::env::current_exe()?,
            args: vec!["tools".to_owned()],
            env: vec![(ADDRESS.to_owned(), address)],
        };
        Ok(Self { server, task: tokio::spawn(listen(listener, word, Server::new(calls, tools.to_vec()))) })
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

async fn listen(listener: TcpListener, word: String, server: Server) {
    let (mut greeted, mut serving) = (JoinSet::new(), JoinSet::new());
    let mut silent: VecDeque<AbortHandle> = VecDeque::new();
    let mut agent_stderr = Complaints::default();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    silent.retain(|greeting| !greeting.is_finished());
                    // Anybody on this machine can connect and say nothing. The agent's own speaks at once, so the one that
                    // has been silent for longest is not it.
                    if silent.len() == SILENT_MAX && let Some(oldest) = silent.pop_front() {
                        oldest.abort();
                        agent_stderr.tell("many connections to the tools say nothing; the oldest is closed");
                    }
                    silent.push_back(greeted.spawn(greet(stream, word.clone())));
                }
                Err(error) => {
                    agent_stderr.tell(&format!("a connection to the tools was not taken: {error}"));
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(greeting) = greeted.join_next() => match greeting {
                Ok(Some(stream)) if serving.len() < CONNECTIONS_MAX => {
                    serving.spawn(converse(stream, server.clone()));
                }
                Ok(Some(_)) => agent_stderr.tell("the tools have more connections than an agent can need; one more is refused"),
                Ok(None) => agent_stderr.tell("a connection to the tools did not say the word; it is closed"),
                Err(_) => {}
            },
            Some(ended) = serving.join_next() => if let Ok(Err(why)) = ended {
                agent_stderr.tell(&why);
            },
        }
    }
}

/// The connection, if it says the word in time.
async fn greet(mut stream: TcpStream, word: String) -> Option<TcpStream> {
    let mut said = vec![0; word.len()];
    match tokio::time::timeout(GREETING, stream.read_exact(&mut said)).await {
        Ok(Ok(_)) if is_same(&said, word.as_bytes()) => Some(stream),
        _ => None,
    }
}

/// Serves one connection to its end.
async fn converse(stream: TcpStream, server: Server) -> Result<(), String> {
    let serving = server.serve(BufStream::new(stream)).await;
    let serving = serving.map_err(|error| format!("a connection to the tools did not begin: {error}"))?;
    serving.waiting().await.map(drop).map_err(|error| format!("a connection to the tools broke off: {error}"))
}

/// Tells the runner's log of what others can cause as often as they like: once a minute.
#[derive(Debug, Default)]
struct Complaints {
    told: Option<Instant>,
    passed_over: u64,
}

impl Complaints {
    fn tell(&mut self, what: &str) {
        if let Some(passed_over) = self.due() {
            tracing::warn!(passed_over, "{what}");
        }
    }

    /// How many were passed over since the last one that was told, if one may be told now.
    fn due(&mut self) -> Option<u64> {
        if self.told.is_some_and(|told| told.elapsed() < QUIET) {
            self.passed_over += 1;
            return None;
        }
        self.told = Some(Instant::now());
        Some(std::mem::take(&mut self.passed_over))
    }
}

/// Compares without telling by its time how much of it fits.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |unlike, (one, other)| unlike | (one ^ other)) == 0
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

    use super::*;

    #[tokio::test]
    async fn connections_that_say_nothing_do_not_keep_the_agent_out() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let calls = Calls { socket: "/nowhere".into(), task: String::new(), cwd: "/".to_owned() };
        let task = tokio::spawn(listen(listener, "word".to_owned(), Server::new(calls, Tool::ALL.to_vec())));
        let mut others = Vec::new();
        for n in 0..SILENT_MAX + 20 {
            let mut other = TcpStream::connect(address).await.unwrap();
            if n % 2 == 0 {
                other.write_all(b"wor").await.unwrap();
            }
            others.push(other);
        }
        let mut own = BufReader::new(TcpStream::connect(address).await.unwrap());
        own.write_all(b"word").await.unwrap();
        let params = r#"{"protocolVersion":"2025-03-26","capabilities":{},"clientInfo":{"name":"t","version":"1"}}"#;
        let hello = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{params}}}\n");
        own.write_all(hello.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tokio::time::timeout(GREETING / 2, own.read_line(&mut answer)).await.expect("an answer at once").unwrap();
        assert!(answer.contains("\"kugetsu\""), "{answer}");
        task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn what_others_can_cause_is_told_once_a_minute() {
        let mut agent_stderr = Complaints::default();
        assert_eq!(agent_stderr.due(), Some(0));
        for _ in 0..1000 {
            assert_eq!(agent_stderr.due(), None);
        }
        tokio::time::advance(QUIET).await;
        assert_eq!((agent_stderr.due(), agent_stderr.due()), (Some(1000), None));
    }
}
