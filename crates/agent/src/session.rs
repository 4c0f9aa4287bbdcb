//! One conversation with an agent: opened in a directory, or gone on with there.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::connection::Connection;
use crate::error::AgentError;
use crate::mcp_server::McpServer;
use crate::session_id::SessionId;
use crate::truncate::{LINE_MAX, truncate};
use crate::turn::Turn;
use crate::usage::Usage;

/// Most pages of the agent's list of sessions that are read.
const PAGES_MAX: usize = 100;

/// A session that is open. A connection has one at a time.
#[derive(Debug)]
pub struct Session<'a> {
    connection: &'a Connection,
    id: SessionId,
    models: Models,
}

/// The models that the agent offers, and how one is chosen.
#[derive(Debug, Default)]
struct Models {
    names: Vec<String>,
    /// The id of the option that holds the model, with agents that have such options.
    option: Option<String>,
    current: Option<String>,
}

impl Connection {
    /// Opens a new session in `directory`.
    ///
    /// # Errors
    /// The directory is not there; the agent has no model, is not logged in, ended, or answers nonsense.
    pub async fn new_session(&self, directory: &Path) -> Result<Session<'_>, AgentError> {
        let doing = "open a session";
        let cwd = real(directory)?;
        let params = json!({"cwd": text(&cwd)?, "mcpServers": self.tools_given()});
        let answer = self.request("session/new", params, doing).await?;
        let nonsense = |detail: String| AgentError::InvalidResponse { doing, detail };
        let id = answer["sessionId"].as_str().ok_or_else(|| nonsense("it names no session".to_owned()))?;
        let id = SessionId::new(id).map_err(|error| nonsense(error.to_string()))?;
        self.opened(id, &answer, Some(0.0))
    }

    /// Goes on with a session of before, which belongs to `directory`.
    ///
    /// # Errors
    /// [`AgentError::SessionLost`] and [`AgentError::WrongDirectory`] mean that a new session must take over; else as
    /// [`new_session`](Self::new_session).
    pub async fn resume_session(&self, id: &SessionId, directory: &Path) -> Result<Session<'_>, AgentError> {
        let doing = "go on with a session";
        let cwd = real(directory)?;
        if self.can.list {
            self.must_be_in(id, &cwd).await?;
        }
        let params = json!({"sessionId": id.as_str(), "cwd": text(&cwd)?, "mcpServers": self.tools_given()});
        let answer = if self.can.resume {
            self.request("session/resume", params, doing).await
        } else if self.can.load {
            self.state.lock().replaying = true;
            let answer = self.request("session/load", params, doing).await;
            self.state.lock().replaying = false;
            answer
        } else {
            Err(AgentError::Unsupported("go on with a session of before"))
        };
        let answer = answer.map_err(|error| match error {
            AgentError::Failed { message, code, detail, .. } if is_lost(&message, code, &detail) => {
                AgentError::SessionLost { id: id.to_string() }
            }
            other => other,
        })?;
        self.opened(id.clone(), &answer, None)
    }

    fn tools_given(&self) -> Vec<Value> {
        self.tools.iter().map(McpServer::wire).collect()
    }

    fn opened(&self, id: SessionId, answer: &Value, cost_before: Option<f64>) -> Result<Session<'_>, AgentError> {
        let models = Models::read(answer);
        if models.option.is_some() && models.names.is_empty() {
            return Err(AgentError::NoModel { login: self.profile.login_command.clone() });
        }
        self.state.lock().open_session(id.as_str(), cost_before);
        Ok(Session { connection: self, id, models })
    }

    /// opencode goes on with a session in the directory it was made in, whatever directory it is asked for.
    async fn must_be_in(&self, id: &SessionId, cwd: &Path) -> Result<(), AgentError> {
        let theirs = match self.directory_of(id, Some(cwd)).await? {
            Some(theirs) => theirs,
            None => match self.directory_of(id, None).await? {
                Some(theirs) => theirs,
                None => return Err(AgentError::SessionLost { id: id.to_string() }),
            },
        };
        let same = theirs == cwd || theirs.canonicalize().is_ok_and(|theirs| theirs == cwd);
        if same {
            return Ok(());
        }
        Err(AgentError::WrongDirectory { id: id.to_string(), theirs, wanted: cwd.to_owned() })
    }

    async fn directory_of(&self, id: &SessionId, cwd: Option<&Path>) -> Result<Option<PathBuf>, AgentError> {
        let mut params = json!({});
        if let Some(cwd) = cwd {
            params["cwd"] = text(cwd)?.into();
        }
        for _ in 0..PAGES_MAX {
            let page = self.request("session/list", params.clone(), "list its sessions").await?;
            let sessions = page["sessions"].as_array().map_or(&[][..], Vec::as_slice);
            if let Some(found) = sessions.iter().find(|session| session["sessionId"] == id.as_str()) {
                return Ok(Some(PathBuf::from(found["cwd"].as_str().unwrap_or_default())));
            }
            match page["nextCursor"].as_str() {
                Some(cursor) => params["cursor"] = cursor.into(),
                None => return Ok(None),
            }
        }
        Ok(None)
    }
}

impl Session<'_> {
    /// What the agent calls it.
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// The model that works, where the agent says so.
    pub fn model(&self) -> Option<&str> {
        self.models.current.as_deref()
    }

    /// Lets this model work.
    ///
    /// # Errors
    /// [`AgentError::UnknownModel`] lists those that there are; [`AgentError::Unsupported`] if the agent offers no choice.
    pub async fn set_model(&mut self, model: &str) -> Result<(), AgentError> {
        let doing = "change the model";
        if !self.models.names.is_empty() && !self.models.names.iter().any(|name| name == model) {
            return Err(AgentError::UnknownModel { asked: model.to_owned(), known: self.models.names.clone() });
        }
        let session = self.id.as_str();
        match &self.models.option {
            Some(option) => {
                let params = json!({"sessionId": session, "configId": option, "value": model});
                self.connection.request("session/set_config_option", params, doing).await?;
            }
            None if !self.models.names.is_empty() => {
                let params = json!({"sessionId": session, "modelId": model});
                self.connection.request("session/set_model", params, doing).await?;
            }
            None => return Err(AgentError::Unsupported("be told which model to use")),
        }
        self.models.current = Some(model.to_owned());
        Ok(())
    }

    /// Puts a message to the agent and waits until it ends its turn. Take the events meanwhile.
    ///
    /// # Errors
    /// The message is empty; the agent ended; the model failed for good.
    pub async fn prompt(&self, message: &str) -> Result<Turn, AgentError> {
        if message.trim().is_empty() {
            return Err(AgentError::EmptyPrompt);
        }
        let Connection { state, questions, profile, .. } = self.connection;
        questions.begin_turn();
        state.lock().begin_turn();
        let _turn = InTurn(self.connection);
        let started_at = SystemTime::now();
        let blocks = blocks(message, profile.quirks.slash_commands);
        let params = json!({"sessionId": self.id.as_str(), "prompt": blocks});
        let answer = self.connection.request("session/prompt", params, "do the task").await;
        let refused = questions.end_turn();
        let mut state = state.lock();
        let reported = answer.as_ref().map(reported).unwrap_or_default();
        let usage = state.end_turn(reported);
        if state.gave_up() {
            return Err(AgentError::KeepsBreakingOff);
        }
        let answer = answer?;
        let stop = answer["stopReason"].as_str().unwrap_or_default();
        let (stop, doubt) = state.verdict(&truncate(stop.to_owned(), LINE_MAX), reported, !refused.is_empty());
        Ok(Turn { stop, doubt, refused, usage, started_at })
    }
}

/// A turn that is left before its end is cancelled.
struct InTurn<'a>(&'a Connection);

impl Drop for InTurn<'_> {
    fn drop(&mut self) {
        if self.0.state.lock().prompting {
            self.0.cancel();
            self.0.state.lock().prompting = false;
        }
    }
}

impl Models {
    /// Reads them from the answer that opens a session: as options (opencode), or as models (older agents).
    fn read(answer: &Value) -> Self {
        let texts = |list: &Value, name: &str| -> Vec<String> {
            let list = list.as_array().map_or(&[][..], Vec::as_slice);
            list.iter().filter_map(|one| one[name].as_str().map(str::to_owned)).collect()
        };
        let options = answer["configOptions"].as_array().map_or(&[][..], Vec::as_slice);
        if let Some(option) = options.iter().find(|option| option["category"] == "model" || option["id"] == "model") {
            let choices = &option["options"];
            let mut names = texts(choices, "value");
            // Choices may come in groups.
            for group in choices.as_array().map_or(&[][..], Vec::as_slice) {
                names.extend(texts(&group["options"], "value"));
            }
            let current = option["currentValue"].as_str().map(str::to_owned);
            return Self { names, option: option["id"].as_str().map(str::to_owned), current };
        }
        let models = &answer["models"];
        Self {
            names: texts(&models["availableModels"], "modelId"),
            option: None,
            current: models["currentModelId"].as_str().map(str::to_owned),
        }
    }
}

/// Whether an error answer means that the session is not there any more.
fn is_lost(message: &str, code: i32, detail: &str) -> bool {
    const RESOURCE_NOT_FOUND: i32 = -32002;
    // opencode 1.18.33 says this of every session it does not know, and of nothing else that was seen on resuming.
    let opencode = message == "OpenCode service failure" && detail.contains(r#""service":"session""#);
    code == RESOURCE_NOT_FOUND || opencode || message.to_ascii_lowercase().contains("not found")
}

/// The message as blocks of a prompt. A message that begins like a command gets something in front of it.
fn blocks(message: &str, slash_commands: bool) -> Value {
    let block = |text: &str| json!({"type": "text", "text": text});
    // What JavaScript's trim takes away, opencode does not see.
    let seen = message.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    if slash_commands && seen.starts_with('/') {
        return json!([block("The message is:"), block(message)]);
    }
    json!([block(message)])
}

/// The tokens that the answer to a prompt tells.
fn reported(answer: &Value) -> Usage {
    let usage = &answer["usage"];
    let tokens = |name: &str| usage[name].as_u64().unwrap_or(0);
    Usage {
        steps: 0,
        input_tokens: tokens("inputTokens"),
        output_tokens: tokens("outputTokens"),
        reasoning_tokens: tokens("thoughtTokens"),
        cache_read_tokens: tokens("cachedReadTokens"),
        cache_write_tokens: tokens("cachedWriteTokens"),
        cost_usd: None,
    }
}

/// The directory without links: agents compare it as text.
fn real(directory: &Path) -> Result<PathBuf, AgentError> {
    directory
        .canonicalize()
        .ok()
        .filter(|real| real.is_dir())
        .ok_or_else(|| AgentError::NotADirectory(directory.to_owned()))
}

fn text(path: &Path) -> Result<&str, AgentError> {
    path.to_str().ok_or_else(|| AgentError::NotADirectory(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_begins_like_a_command_is_no_command() {
        let first = |message: &str, slash| blocks(message, slash)[0]["text"].as_str().unwrap().to_owned();
        for message in ["/init", " /init", "\n\t/init", "\u{feff}/init"] {
            assert_eq!(first(message, true), "The message is:", "{message:?}");
            assert_eq!(blocks(message, true)[1]["text"], message);
        }
        assert_eq!(first("/init", false), "/init");
        assert_eq!(first("see /init", true), "see /init");
    }

    #[test]
    fn models_are_read_in_both_shapes() {
        let options = json!({"configOptions": [{"id": "mode"}, {"id": "m", "category": "model", "currentValue": "a/1",
            "options": [{"value": "a/1"}, {"name": "group", "options": [{"value": "a/2"}]}]}]});
        let models = Models::read(&options);
        assert_eq!((models.names, models.option), (vec!["a/1".to_owned(), "a/2".to_owned()], Some("m".to_owned())));
        let models = Models::read(&json!({"models": {"availableModels": [{"modelId": "b"}], "currentModelId": "b"}}));
        assert_eq!((models.names, models.current), (vec!["b".to_owned()], Some("b".to_owned())));
        assert!(Models::read(&json!({})).names.is_empty());
    }

    #[test]
    fn a_lost_session_is_told_from_another_failure() {
        assert!(is_lost("OpenCode service failure", -32603, r#"{"service":"session"}"#));
        assert!(is_lost("Session not found: x", -32602, "null"));
        assert!(is_lost("gone", -32002, "null"));
        assert!(!is_lost("scripted 500", -32603, "null"));
    }
}
