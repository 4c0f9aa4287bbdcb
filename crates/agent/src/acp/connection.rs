//! The connection to a running agent.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::inbox::{self, EVENTS_MAX, Inbox, MESSAGE_MAX, UNREAD_LIMIT};
use super::state::SharedState;
use crate::error::{AgentError, DO_THE_TASK};
use crate::event::AgentEvent;
use crate::live_record::read_live_failure;
use crate::model_failure::{is_login_refused, is_of_provider, readable_error, recovery};
use crate::profile::Profile;
use crate::question::{Policy, Questions};
use crate::session_file::KeptSession;
use crate::session_id::SessionId;
use crate::truncate::{LINE_MAX, truncate};
use crate::usage::Usage;
use crate::wire::{Closed, ErrorResponse, RequestError, RpcClient, send_all};

/// How long queued messages may take to be sent before the pipes are closed.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// The error code of a response that requires a login (ACP, "Error handling").
const AUTH_REQUIRED: i64 = -32000;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentInfo {
    pub name: String,
    pub version: String,
}

/// A program that serves tools by the Model Context Protocol on stdin and stdout. The agent starts it for each session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct McpServer {
    /// Agents often show tools as `<name>_<tool>`.
    pub name: String,
    pub program: PathBuf,
    /// Arguments, which every user of the machine can see.
    pub args: Vec<String>,
    /// Variables that are added to its environment.
    pub env: Vec<(String, String)>,
}

/// Options of a connection's sessions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionOptions {
    pub policy: Policy,
    /// The method that logs the agent in if it requires a login; see [`Profile::login_method`].
    pub login_method: Option<&'static str>,
    /// Whether the agent should not name itself in messages of commits; see [`Profile::trailers`].
    pub without_trailers: bool,
    /// Tools that every session is offered.
    pub tools: Vec<McpServer>,
    /// Earlier use of the session to be resumed, if known. Some agents report only totals of a session.
    pub used_before: Usage,
    /// Where the agent keeps its sessions; see [`Profile::session_directory`].
    pub session_directory: Option<PathBuf>,
}

/// A running agent. Dropping the connection closes the agent's stdin and stdout.
pub struct Connection {
    pub(super) rpc: RpcClient,
    pub(super) profile: Profile,
    pub(super) state: SharedState,
    pub(super) questions: Questions,
    pub(super) capabilities: Capabilities,
    pub(super) options: SessionOptions,
    info: AgentInfo,
    close: Option<watch::Sender<()>>,
    task: JoinHandle<()>,
}

/// The agent's events, in order. They must be taken while the connection is used: without room for events, nothing of the
/// agent is read. The stream ends with the connection.
#[derive(Debug)]
pub struct EventStream(mpsc::Receiver<AgentEvent>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Capabilities {
    /// The ids of the methods to log in.
    login_methods: Vec<String>,
    pub(super) load: bool,
    pub(super) resume: bool,
    pub(super) list: bool,
    delete: bool,
}

impl Connection {
    /// Initializes the agent that has this stdin and stdout. Has no time limit: the caller ends an agent that does not
    /// respond.
    ///
    /// # Errors
    /// The agent exited, or speaks another protocol or version.
    pub async fn open<W, R>(
        profile: &Profile,
        options: SessionOptions,
        stdin: W,
        stdout: R,
    ) -> Result<(Self, EventStream), AgentError>
    where
        W: AsyncWrite + Unpin + Send + 'static,
        R: AsyncRead + Unpin + Send + 'static,
    {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let (state, questions) = (SharedState::default(), Questions::default());
        state.lock().set_profile(profile);
        let (rpc, outbox) = RpcClient::new();
        let (close, closing) = watch::channel(());
        let inbox = Inbox { rpc: rpc.clone(), state: state.clone(), questions: questions.clone(), events: sender };
        let client = rpc.clone();
        let task = tokio::spawn(async move {
            let is_closed = |mut closing: watch::Receiver<()>| async move { while closing.changed().await.is_ok() {} };
            let sending = async {
                if let Err(error) = send_all(outbox, stdin, is_closed(closing.clone())).await {
                    tracing::debug!(%error, "could not send to the agent");
                    // What it has written is still read: perhaps the response to the prompt.
                    is_closed(closing).await;
                }
            };
            // Whichever ends first ends both, and closes both pipes: the agent's output, or `close`.
            let reason = tokio::select! {
                reason = inbox.run(stdout) => reason,
                () = sending => Closed::Ended,
            };
            client.close(reason);
        });
        let mut connection = Self {
            rpc,
            profile: profile.clone(),
            state,
            questions,
            capabilities: Capabilities::default(),
            options,
            info: AgentInfo::default(),
            close: Some(close),
            task,
        };
        connection.initialize().await?;
        Ok((connection, EventStream(events)))
    }

    async fn initialize(&mut self) -> Result<(), AgentError> {
        let params = json!({
            "protocolVersion": 1,
            "clientCapabilities": {"fs": {"readTextFile": false, "writeTextFile": false}, "terminal": false},
            "clientInfo": {"name": "kugetsu", "version": env!("CARGO_PKG_VERSION")},
        });
        let response = self.request("initialize", params, "speak the Agent Client Protocol").await?;
        if response["protocolVersion"] != 1 {
            let theirs = match &response["protocolVersion"] {
                Value::Null => "unknown".to_owned(),
                other => truncate(other.to_string(), LINE_MAX),
            };
            return Err(AgentError::ProtocolVersion { theirs });
        }
        let capabilities = &response["agentCapabilities"];
        let session = |name: &str| capabilities["sessionCapabilities"][name].is_object();
        self.capabilities = Capabilities {
            load: capabilities["loadSession"] == true,
            resume: session("resume"),
            list: session("list"),
            delete: session("delete"),
            login_methods: {
                let methods = response["authMethods"].as_array().map_or(&[][..], Vec::as_slice);
                methods.iter().filter_map(|method| method["id"].as_str().map(str::to_owned)).collect()
            },
        };
        let text =
            |field: &str| truncate(response["agentInfo"][field].as_str().unwrap_or_default().to_owned(), LINE_MAX);
        self.info = AgentInfo { name: text("name"), version: text("version") };
        if self.info.name.is_empty() {
            self.info.name = self.profile.name().to_owned();
        }
        Ok(())
    }

    /// Returns the agent's name and version as the agent reports them.
    pub fn info(&self) -> &AgentInfo {
        &self.info
    }

    /// Deletes a session for good.
    ///
    /// # Errors
    /// [`AgentError::Unsupported`] if the agent cannot do that.
    pub async fn delete_session(&self, id: &SessionId) -> Result<(), AgentError> {
        if !self.capabilities.delete {
            return Err(AgentError::Unsupported("deleting sessions"));
        }
        self.request("session/delete", json!({"sessionId": id.as_str()}), "delete a session").await.map(drop)
    }

    /// Sends a request for which the agent may require a login. If it does, it is logged in by the one method that fits, and
    /// the request repeated.
    pub(super) async fn request_with_login(
        &self,
        method: &str,
        params: Value,
        doing: &'static str,
    ) -> Result<Value, AgentError> {
        let not_logged_in = match self.request(method, params.clone(), doing).await {
            Err(error @ AgentError::NotLoggedIn { .. }) => error,
            response => return response,
        };
        let offered = &self.capabilities.login_methods;
        let Some(login) = self.options.login_method.filter(|login| offered.iter().any(|other| other == login)) else {
            return Err(not_logged_in);
        };
        self.request("authenticate", json!({"methodId": login}), "log in").await?;
        self.request(method, params, doing).await
    }

    /// Returns what this connection's turns have used so far, as far as the agent reports it.
    pub fn usage(&self) -> Usage {
        self.state.lock().run()
    }

    /// Returns the latest failure of the model in a turn that has not ended: the agent may wait to send its request again. `ports` are
    /// those on which it listens, and `printed` is what it printed last on standard error, where only a limit counts.
    pub async fn model_failure(&self, ports: &[u16], printed: Option<String>) -> Option<AgentError> {
        let message = self.model_failure_message(ports, printed).await?;
        Some(self.model_failed(readable_error(&message), None))
    }

    async fn model_failure_message(&self, ports: &[u16], printed: Option<String>) -> Option<String> {
        let printed = printed.filter(|printed| recovery(printed, None).is_limit());
        let (failure, session) = {
            let state = self.state.lock();
            // It waits for a tool, not for the model.
            if !state.tools.is_empty() {
                return None;
            }
            (state.failure(), state.session.clone())
        };
        if failure.is_some() {
            return failure;
        }
        let session = SessionId::new(&session?).ok()?;
        let recorded = match (self.profile.session_file(), self.options.session_directory.clone()) {
            _ if self.profile.serves_records() => read_live_failure(ports, &session).await,
            (Some(file), Some(directory)) => {
                KeptSession::new(file, directory, session).read().await.ok().and_then(|record| record.retried)
            }
            _ => None,
        };
        recorded.or(printed)
    }

    /// Asks the agent to end its turn, and answers every open question as cancelled. The turn then ends with
    /// [`StopReason::Cancelled`](crate::StopReason::Cancelled), unless the agent ignores the request.
    pub fn cancel(&self) {
        self.questions.cancel_all();
        let state = self.state.lock();
        if let Some(session) = state.session.as_deref().filter(|_| state.prompting) {
            inbox::cancel(&self.rpc, session);
        }
    }

    /// Cancels a turn in progress, sends what is queued, and closes the pipes. A well-behaved agent exits then.
    pub async fn close(mut self) {
        self.cancel();
        drop(self.close.take());
        if tokio::time::timeout(CLOSE_TIMEOUT, &mut self.task).await.is_err() {
            tracing::debug!("the agent did not read all messages before its pipes were closed");
        }
    }

    /// Sends a request and waits for its response. `doing` is an infinitive for error messages.
    pub(super) async fn request(&self, method: &str, params: Value, doing: &'static str) -> Result<Value, AgentError> {
        self.rpc.request(method, params).await.map_err(|error| match error {
            RequestError::Closed(Closed::Ended) => AgentError::Exited { doing },
            RequestError::Closed(Closed::Unread) => AgentError::Unread { doing, limit: UNREAD_LIMIT },
            RequestError::Closed(Closed::NotRead) => AgentError::InputClosed { doing },
            RequestError::Closed(Closed::LineTooLong) => AgentError::MessageTooLong { limit: MESSAGE_MAX },
            RequestError::Closed(Closed::Pipe(why)) => AgentError::Pipe(why),
            RequestError::Response(error) => self.classify(error, doing),
        })
    }

    fn classify(&self, error: ErrorResponse, doing: &'static str) -> AgentError {
        let ErrorResponse { code, message, data } = error;
        let login = self.profile.how_to_log_in();
        // Set by opencode and by claude, with names of their own.
        let kind = [&data["errorName"], &data["errorKind"]].into_iter().find_map(Value::as_str);
        if code == AUTH_REQUIRED || matches!(kind, Some("ProviderAuthError" | "authentication_failed")) {
            let standard = ["Authentication required", "Internal error", ""];
            let message = message.strip_prefix("Authentication required: ").unwrap_or(&message);
            let message =
                if standard.contains(&message) { String::new() } else { truncate(message.to_owned(), LINE_MAX) };
            return AgentError::NotLoggedIn { login, message };
        }
        // Agents put the standard text of the code before the one that says something.
        let text = ["Internal error: ", "Invalid params: "].iter().find_map(|prefix| message.strip_prefix(prefix));
        let mut message = text.unwrap_or(&message).to_owned();
        // gemini and qwen say the reason only here.
        if let Some(details) = data["details"].as_str().filter(|details| !message.contains(details)) {
            message = format!("{message}: {details}");
        }
        let message = truncate(message, LINE_MAX);
        let is_models = kind.is_some() || doing == DO_THE_TASK && is_of_provider(&message);
        if !is_models {
            let detail = truncate(data.to_string(), LINE_MAX);
            return AgentError::Failed { doing, message, code, detail, login };
        }
        self.model_failed(readable_error(&message), kind)
    }

    /// Returns the failure of a model that only the agent's answer contains.
    pub(super) fn failed_in_answer(&self, message: String) -> AgentError {
        match self.model_failed(message, None) {
            AgentError::Model { recovery, message, login } => {
                AgentError::Model { recovery: recovery.of_answer(), message, login }
            }
            error => error,
        }
    }

    /// `kind` is the agent's name for the failure, if it has one.
    pub(super) fn model_failed(&self, message: String, kind: Option<&str>) -> AgentError {
        let login = self.profile.how_to_log_in();
        if is_login_refused(&message) {
            return AgentError::NotLoggedIn { login, message };
        }
        AgentError::Model { recovery: recovery(&message, kind), message, login }
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

impl McpServer {
    /// Converts it to the form of the protocol (ACP, "Session setup", stdio transport).
    pub(super) fn to_wire(&self) -> Value {
        let env: Vec<_> = self.env.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        json!({"name": self.name, "command": self.program.to_string_lossy(), "args": self.args, "env": env})
    }
}

impl EventStream {
    /// Waits for the next event. Returns `None` when the connection has ended.
    pub async fn next(&mut self) -> Option<AgentEvent> {
        self.0.recv().await
    }

    /// Returns an event that has arrived already.
    pub fn try_next(&mut self) -> Option<AgentEvent> {
        self.0.try_recv().ok()
    }
}
