//! The connection to one running agent.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use agent_client_protocol::{Agent, Builder, Client, ConnectionTo, Lines, UntypedMessage};
use futures::Stream;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::error::AgentError;
use crate::event::AgentEvent;
use crate::mcp_server::McpServer;
use crate::profile::Profile;
use crate::question::Questions;
use crate::session_state::SharedState;
use crate::truncate::{LINE_MAX, truncate};
use crate::usage::Usage;
use crate::wire::inbox::{Inbox, cancel};
use crate::wire::lines::{self, EVENTS_MAX, Fault, FaultSlot};

/// How long the agent may take to read what was sent before the pipes are closed.
const CLOSE: Duration = Duration::from_secs(2);
/// The code of an answer that says that credentials are missing (ACP, "Error handling").
const AUTH_REQUIRED: i32 = -32000;

/// What an agent says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentInfo {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// A running agent that speaks ACP. Dropped, it closes the agent's stdin and stdout.
pub struct Connection {
    pub(crate) wire: ConnectionTo<Agent>,
    pub(crate) profile: Profile,
    pub(crate) state: SharedState,
    pub(crate) questions: Questions,
    pub(crate) can: Abilities,
    pub(crate) tools: Vec<McpServer>,
    faults: FaultSlot,
    info: AgentInfo,
    close: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

/// What the agent does, in order. Take the events at all times while the connection is used: the agent is held up when
/// nobody does. Ends when the connection does.
#[derive(Debug)]
pub struct EventStream(mpsc::Receiver<AgentEvent>);

/// What the agent says it can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Abilities {
    pub(crate) load: bool,
    pub(crate) resume: bool,
    pub(crate) list: bool,
}

impl Connection {
    /// Greets the agent whose stdin and stdout these are. Keeps no clock: an agent that never answers is the caller's to
    /// end.
    ///
    /// # Errors
    /// The agent ended, or speaks another protocol or another version of it.
    pub async fn open<W, R>(profile: &Profile, stdin: W, stdout: R) -> Result<(Self, EventStream), AgentError>
    where
        W: AsyncWrite + Unpin + Send + 'static,
        R: AsyncRead + Unpin + Send + 'static,
    {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let (state, questions, faults) = (SharedState::default(), Questions::default(), FaultSlot::default());
        state.lock().quirks = profile.quirks;
        let incoming = lines::incoming(stdout, sender.downgrade(), faults.clone(), lines::LINE_MAX);
        let transport = Lines::new(lines::outgoing(stdin), incoming);
        let inbox = Inbox { state: state.clone(), questions: questions.clone(), events: sender };
        let (give, given) = oneshot::channel();
        let (close, closed) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let running =
                Builder::new_with(Client, inbox).connect_with(transport, async move |wire: ConnectionTo<Agent>| {
                    // The receiver waits right below, unless it was dropped and with it the connection.
                    let _ = give.send(wire.clone());
                    futures::future::select(closed, std::pin::pin!(wire.incoming_closed())).await;
                    Ok(())
                });
            if let Err(error) = running.await {
                tracing::debug!(%error, "the connection to the agent ended with an error");
            }
        });
        let doing = "speak the Agent Client Protocol";
        let wire = given.await.map_err(|_| AgentError::Exited { doing })?;
        let mut connection = Self {
            wire,
            profile: profile.clone(),
            state,
            questions,
            can: Abilities::default(),
            tools: Vec::new(),
            faults,
            info: AgentInfo::default(),
            close: Some(close),
            task,
        };
        connection.initialize(doing).await?;
        Ok((connection, EventStream(events)))
    }

    async fn initialize(&mut self, doing: &'static str) -> Result<(), AgentError> {
        let params = json!({
            "protocolVersion": 1,
            "clientCapabilities": {"fs": {"readTextFile": false, "writeTextFile": false}, "terminal": false},
            "clientInfo": {"name": "kugetsu", "version": env!("CARGO_PKG_VERSION")},
        });
        let answer = self.request("initialize", params, doing).await?;
        if answer["protocolVersion"] != 1 {
            let theirs = match &answer["protocolVersion"] {
                Value::Null => "an unknown number".to_owned(),
                other => truncate(other.to_string(), LINE_MAX),
            };
            return Err(AgentError::ProtocolVersion { theirs });
        }
        let can = &answer["agentCapabilities"];
        let session = |name: &str| can["sessionCapabilities"][name].is_object();
        self.can = Abilities { load: can["loadSession"] == true, resume: session("resume"), list: session("list") };
        let text = |name: &str| truncate(answer["agentInfo"][name].as_str().unwrap_or_default().to_owned(), LINE_MAX);
        self.info = AgentInfo { name: text("name"), version: text("version") };
        if self.info.name.is_empty() {
            self.info.name = self.profile.name().to_owned();
        }
        Ok(())
    }

    /// Gives these tools to every session that is opened from now on.
    pub fn offer_mcp_servers(&mut self, tools: Vec<McpServer>) {
        self.tools = tools;
    }

    /// What the agent says of itself.
    pub fn info(&self) -> &AgentInfo {
        &self.info
    }

    /// What this connection's turns have used so far, as far as the agent tells.
    pub fn usage(&self) -> Usage {
        self.state.lock().run()
    }

    /// Tells the agent to end its turn, and answers every question that is open. The prompt then ends with
    /// [`StopReason::Cancelled`](crate::StopReason::Cancelled), unless the agent does not listen.
    pub fn cancel(&self) {
        self.questions.cancel_all();
        let state = self.state.lock();
        if let Some(session) = state.session.as_deref().filter(|_| state.prompting) {
            cancel(&self.wire, session);
        }
    }

    /// Cancels a turn that is going on, sends what is left to be sent, and closes the pipes: a well-behaved agent then
    /// ends by itself.
    pub async fn close(mut self) {
        self.cancel();
        drop(self.close.take());
        if tokio::time::timeout(CLOSE, &mut self.task).await.is_err() {
            tracing::debug!("the agent did not read what was sent to it before its pipes were closed");
        }
    }

    /// Sends a request and waits for its answer.
    pub(crate) async fn request(&self, method: &str, params: Value, doing: &'static str) -> Result<Value, AgentError> {
        let message = UntypedMessage::new(method, params).map_err(|error| self.failure(error, doing))?;
        self.wire.send_request(message).block_task().await.map_err(|error| self.failure(error, doing))
    }

    /// What an error answer, or none at all, means.
    fn failure(&self, error: agent_client_protocol::Error, doing: &'static str) -> AgentError {
        match self.faults.get() {
            Some(Fault::LineTooLong) => return AgentError::LineTooLong { limit: lines::LINE_MAX },
            Some(Fault::Pipe(why)) => return AgentError::Pipe(why),
            None => {}
        }
        let lost = agent_client_protocol::is_incoming_transport_closed(&error)
            || agent_client_protocol::is_connection_terminated(&error);
        if lost {
            return AgentError::Exited { doing };
        }
        let login = self.profile.login_command.clone();
        let data = error.data.unwrap_or_default();
        let name = data["errorName"].as_str().unwrap_or_default();
        if error.code.value() == AUTH_REQUIRED || name == "ProviderAuthError" {
            return AgentError::NotLoggedIn { login };
        }
        let message = ["Internal error: ", "Invalid params: "]
            .iter()
            .find_map(|prefix| error.message.strip_prefix(prefix))
            .unwrap_or(&error.message);
        let message = truncate(message.to_owned(), LINE_MAX);
        if name.is_empty() {
            let detail = truncate(data.to_string(), LINE_MAX);
            return AgentError::Failed { doing, message, code: error.code.value(), detail };
        }
        AgentError::Model { message, login }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.questions.cancel_all();
        self.task.abort();
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("agent", &self.info).finish_non_exhaustive()
    }
}

impl EventStream {
    /// The next event; `None` when the connection has ended.
    pub async fn next(&mut self) -> Option<AgentEvent> {
        self.0.recv().await
    }

    /// An event that is there already.
    pub fn try_next(&mut self) -> Option<AgentEvent> {
        self.0.try_recv().ok()
    }
}

impl Stream for EventStream {
    type Item = AgentEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<AgentEvent>> {
        self.0.poll_recv(cx)
    }
}
