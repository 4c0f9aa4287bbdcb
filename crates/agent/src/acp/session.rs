//! Sessions: opened or continued in a directory, with turns and a choice of models.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::{Value, json};

use super::connection::{Connection, McpServer};
use crate::error::{AgentError, CONTINUE_SESSION, DO_THE_TASK, OPEN_SESSION};
use crate::model_failure::HiddenEnd;
use crate::profile::{LostSession, Offer, Trailers, UsageReport, offer};
use crate::session_file::{KeptSession, SessionRecord};
use crate::session_id::SessionId;
use crate::truncate::{LINE_MAX, truncate};
use crate::turn::{StopReason, Turn};
use crate::usage::{Tokens, Usage};

/// Pages of the agent's list of sessions that are read.
const PAGES_MAX: usize = 100;

/// An open session. A connection has one at a time.
#[derive(Debug)]
pub struct Session<'a> {
    connection: &'a Connection,
    id: SessionId,
    models: Models,
    notice: Option<String>,
}

/// The models that an agent offers.
#[derive(Debug, Default)]
struct Models {
    names: Vec<String>,
    /// The id of the session option that selects the model. `None` for agents that have a method for it.
    option: Option<String>,
    current: Option<String>,
}

impl Connection {
    /// Opens a new session in `directory`.
    pub async fn new_session(&self, directory: &Path) -> Result<Session<'_>, AgentError> {
        let doing = OPEN_SESSION;
        let cwd = resolve(directory)?;
        let params = self.with_settings(json!({"cwd": text(&cwd)?, "mcpServers": self.tools()}));
        let response = self.request_with_login("session/new", params, doing).await?;
        let invalid = |detail: String| AgentError::InvalidResponse { doing, detail };
        let id = response["sessionId"].as_str().ok_or_else(|| invalid("it has no session id".to_owned()))?;
        let id = SessionId::new(id).map_err(|error| invalid(error.to_string()))?;
        self.opened(id, &response, Usage::ZERO).await
    }

    /// Continues an earlier session, which must belong to `directory`.
    ///
    /// # Errors
    /// After [`AgentError::SessionLost`] and [`AgentError::WrongDirectory`] the caller should open a new session. Other
    /// errors are as for [`new_session`](Self::new_session).
    pub async fn resume_session(&self, id: &SessionId, directory: &Path) -> Result<Session<'_>, AgentError> {
        let doing = CONTINUE_SESSION;
        let cwd = resolve(directory)?;
        if self.capabilities.list {
            self.check_directory(id, &cwd).await?;
        }
        let params = json!({"sessionId": id.as_str(), "cwd": text(&cwd)?, "mcpServers": self.tools()});
        let params = self.with_settings(params);
        let response = if self.capabilities.resume {
            self.request_with_login("session/resume", params, doing).await
        } else if self.capabilities.load {
            // Loading repeats the history as updates.
            self.state.lock().replaying = true;
            let response = self.request_with_login("session/load", params, doing).await;
            self.state.lock().replaying = false;
            response
        } else {
            Err(AgentError::Unsupported("continuing sessions"))
        };
        let response = response.map_err(|error| match error {
            AgentError::Failed { message, code, detail, .. }
                if is_lost(self.profile.quirks().lost_session, &message, code, &detail) =>
            {
                AgentError::SessionLost { id: id.to_string() }
            }
            other => other,
        })?;
        self.opened(id.clone(), &response, self.options.used_before).await
    }

    /// Adds settings for the session.
    fn with_settings(&self, mut params: Value) -> Value {
        if let Trailers::SessionSettings(settings) = self.profile.trailers()
            && self.options.without_trailers
            && let Ok(settings) = serde_json::from_str::<Value>(settings)
        {
            params["_meta"] = json!({"claudeCode": {"options": {"settings": settings}}});
        }
        params
    }

    fn tools(&self) -> Vec<Value> {
        self.options.tools.iter().map(McpServer::to_wire).collect()
    }

    async fn opened(&self, id: SessionId, response: &Value, before: Usage) -> Result<Session<'_>, AgentError> {
        let models = Models::parse(response);
        if models.option.is_some() && models.names.is_empty() {
            return Err(AgentError::NoModel { login: self.profile.how_to_log_in() });
        }
        self.state.lock().open_session(id.as_str(), before);
        let notice = self.apply_policy(&id, response).await?;
        Ok(Session { connection: self, id, models, notice })
    }

    /// Checks that the session belongs to `cwd`. opencode continues a session in the directory in which it was created,
    /// whatever directory the request names.
    async fn check_directory(&self, id: &SessionId, cwd: &Path) -> Result<(), AgentError> {
        // The list for one directory is short, and usually contains the session.
        let theirs = match self.directory_of(id, Some(cwd)).await? {
            Some(theirs) => theirs,
            None => match self.directory_of(id, None).await? {
                Some(theirs) => theirs,
                None => return Err(AgentError::SessionLost { id: id.to_string() }),
            },
        };
        let is_same = theirs == cwd || theirs.canonicalize().is_ok_and(|theirs| theirs == cwd);
        if is_same {
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
            if let Some(session) = sessions.iter().find(|session| session["sessionId"] == id.as_str()) {
                return Ok(Some(PathBuf::from(session["cwd"].as_str().unwrap_or_default())));
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
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// Returns a full sentence about what could not be set up, for people who watch the run.
    pub fn notice(&self) -> Option<&str> {
        self.notice.as_deref()
    }

    /// Returns the model in use, if the agent reports it.
    pub fn model(&self) -> Option<&str> {
        self.models.current.as_deref()
    }

    /// Returns the models that the agent offers; none if it reports no list.
    pub fn models(&self) -> &[String] {
        &self.models.names
    }

    /// Whether the agent has used a tool since the latest prompt.
    pub fn has_used_tools(&self) -> bool {
        self.connection.state.lock().has_used_tools()
    }

    /// # Errors
    /// [`AgentError::UnknownModel`]; [`AgentError::Unsupported`] if the agent offers no choice.
    pub async fn set_model(&mut self, model: &str) -> Result<(), AgentError> {
        let doing = "change the model";
        if !self.models.names.is_empty() && offer(&self.models.names, model) != Offer::Listed {
            return Err(AgentError::UnknownModel { name: model.to_owned(), known: self.models.names.clone() });
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
            None => return Err(AgentError::Unsupported("choosing a model")),
        }
        self.models.current = Some(model.to_owned());
        Ok(())
    }

    /// Sends a message and waits until the agent ends its turn. Events must be taken meanwhile. Dropping the future cancels
    /// the turn.
    pub async fn prompt(&self, message: &str) -> Result<Turn, AgentError> {
        if message.trim().is_empty() {
            return Err(AgentError::EmptyPrompt);
        }
        let Connection { state, questions, .. } = self.connection;
        questions.begin_turn();
        state.lock().begin_turn();
        let _guard = TurnGuard(self.connection);
        let kept = Kept::before_turn(self).await;
        let started_at = SystemTime::now();
        let blocks = blocks(message);
        let params = json!({"sessionId": self.id.as_str(), "prompt": blocks});
        let response = self.connection.request("session/prompt", params, DO_THE_TASK).await;
        let refused = questions.end_turn();
        let ended = response.as_ref().is_ok_and(|response| response["stopReason"] == "end_turn");
        let record = kept.after_turn(ended).await;
        let mut state = state.lock();
        let (usage, reported) = state.end_turn(response.as_ref().unwrap_or(&Value::Null), record.tokens);
        if state.gave_up() {
            return Err(AgentError::KeepsBreakingOff);
        }
        let response = response?;
        let stop_reason = truncate(response["stopReason"].as_str().unwrap_or_default().to_owned(), LINE_MAX);
        let hidden = record.end.or_else(|| state.hidden_end(&stop_reason, reported)).filter(|_| refused.is_empty());
        let (stop, doubt) = match hidden {
            Some(HiddenEnd::Failed(message)) => return Err(self.connection.model_failed(message, None)),
            Some(HiddenEnd::Answered(message)) => return Err(self.connection.failed_in_answer(message)),
            Some(HiddenEnd::MaxTokens) => (StopReason::MaxTokens, None),
            Some(HiddenEnd::Filtered) => (StopReason::Refused, None),
            None => state.interpret_stop(&stop_reason, reported, !refused.is_empty()),
        };
        let answered = state.has_answer();
        let mut turn = Turn { stop, answered, doubt, refused, usage, started_at };
        if let Some(why) = record.unreadable {
            turn.could_not_be_checked(&why);
        }
        Ok(turn)
    }
}

/// The file of a session, around a turn.
enum Kept {
    /// The end of the turn is not read there.
    No,
    /// The agent's directory is not known.
    Lost,
    Yes {
        session: KeptSession,
        before: SessionRecord,
        has_tokens: bool,
    },
}

/// A turn, as the file of its session has it.
#[derive(Default)]
struct TurnRecord {
    end: Option<HiddenEnd>,
    tokens: Option<Tokens>,
    /// Why it could not be read.
    unreadable: Option<String>,
}

impl Kept {
    async fn before_turn(session: &Session<'_>) -> Self {
        let Connection { profile, options, .. } = session.connection;
        let Some(file) = profile.session_file() else { return Self::No };
        let Some(directory) = options.session_directory.clone() else { return Self::Lost };
        let kept = KeptSession::new(file, directory, session.id.clone());
        // A new session may have no file yet.
        let before = kept.read().await.unwrap_or_default();
        Self::Yes { session: kept, before, has_tokens: profile.usage_report() == UsageReport::SessionFile }
    }

    /// `ended` is whether the agent reports a normal end.
    async fn after_turn(&self, ended: bool) -> TurnRecord {
        let (session, before, has_tokens) = match self {
            Self::No => return TurnRecord::default(),
            Self::Lost => {
                let why = "neither HOME nor a variable of the agent names its directory".to_owned();
                return TurnRecord { unreadable: Some(why), ..TurnRecord::default() };
            }
            Self::Yes { session, before, has_tokens } => (session, before, *has_tokens),
        };
        let read = if ended { session.read_turn(before).await } else { session.read().await };
        match read {
            Ok(record) => TurnRecord {
                tokens: record.used_since(before).filter(|_| has_tokens),
                end: record.end.flatten().filter(|_| ended),
                unreadable: None,
            },
            Err(why) => TurnRecord { unreadable: Some(why), ..TurnRecord::default() },
        }
    }
}

/// Cancels a turn whose future is dropped before its end.
struct TurnGuard<'a>(&'a Connection);

impl Drop for TurnGuard<'_> {
    fn drop(&mut self) {
        if self.0.state.lock().prompting {
            self.0.cancel();
            self.0.state.lock().prompting = false;
        }
    }
}

impl Models {
    /// Reads the response that opens a session, which lists models as an option (opencode) or separately (older agents).
    fn parse(response: &Value) -> Self {
        let texts = |list: &Value, field: &str| -> Vec<String> {
            let list = list.as_array().map_or(&[][..], Vec::as_slice);
            list.iter().filter_map(|item| item[field].as_str().map(str::to_owned)).collect()
        };
        let options = response["configOptions"].as_array().map_or(&[][..], Vec::as_slice);
        if let Some(option) = options.iter().find(|option| option["category"] == "model" || option["id"] == "model") {
            let choices = &option["options"];
            let mut names = texts(choices, "value");
            // Choices may be grouped.
            for group in choices.as_array().map_or(&[][..], Vec::as_slice) {
                names.extend(texts(&group["options"], "value"));
            }
            let current = option["currentValue"].as_str().map(str::to_owned);
            return Self { names, option: option["id"].as_str().map(str::to_owned), current };
        }
        let models = &response["models"];
        Self {
            names: texts(&models["availableModels"], "modelId"),
            option: None,
            current: models["currentModelId"].as_str().map(str::to_owned),
        }
    }
}

/// Whether an error response means that the session does not exist any more.
fn is_lost(patterns: &[LostSession], message: &str, code: i64, detail: &str) -> bool {
    const RESOURCE_NOT_FOUND: i64 = -32002;
    let (message, detail) = (message.to_ascii_lowercase(), detail.to_ascii_lowercase());
    code == RESOURCE_NOT_FOUND
        || patterns.iter().any(|lost| message.starts_with(lost.message) && detail.contains(lost.detail))
}

/// Returns the blocks of a prompt. Agents take a message that begins with "/" for one of their commands, so it gets a block in
/// front of it.
fn blocks(message: &str) -> Value {
    let block = |text: &str| json!({"type": "text", "text": text});
    // opencode ignores leading characters that JavaScript's trim removes.
    let trimmed = message.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    if trimmed.starts_with('/') {
        return json!([block("The message is:"), block(message)]);
    }
    json!([block(message)])
}

/// Resolves symbolic links, because agents compare directories as text.
fn resolve(directory: &Path) -> Result<PathBuf, AgentError> {
    directory
        .canonicalize()
        .ok()
        .filter(|resolved| resolved.is_dir())
        .ok_or_else(|| AgentError::NotADirectory(directory.to_owned()))
}

fn text(path: &Path) -> Result<&str, AgentError> {
    path.to_str().ok_or_else(|| AgentError::NotADirectory(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_that_looks_like_a_command_is_not_one() {
        let first = |message: &str| blocks(message)[0]["text"].as_str().unwrap().to_owned();
        for message in ["/init", " /init", "\n\t/init", "\u{feff}/init"] {
            assert_eq!(first(message), "The message is:", "{message:?}");
            assert_eq!(blocks(message)[1]["text"], message);
        }
        assert_eq!(first("see /init"), "see /init");
    }

    #[test]
    fn models_are_parsed_in_both_forms() {
        let options = json!({"configOptions": [{"id": "mode"}, {"id": "m", "category": "model", "currentValue": "a/1",
            "options": [{"value": "a/1"}, {"name": "group", "options": [{"value": "a/2"}]}]}]});
        let models = Models::parse(&options);
        assert_eq!((models.names, models.option), (vec!["a/1".to_owned(), "a/2".to_owned()], Some("m".to_owned())));
        let models = Models::parse(&json!({"models": {"availableModels": [{"modelId": "b"}], "currentModelId": "b"}}));
        assert_eq!((models.names, models.current), (vec!["b".to_owned()], Some("b".to_owned())));
        assert!(Models::parse(&json!({})).names.is_empty());
    }

    #[test]
    fn lost_session_differs_from_other_failures() {
        let opencode = crate::profile("opencode", &[]).unwrap().quirks().lost_session;
        let own = crate::AgentSettings { name: "own".into(), ..Default::default() };
        let custom = crate::profile("own", &[own]).unwrap().quirks().lost_session;
        assert!(is_lost(opencode, "OpenCode service failure", -32603, r#"{"service":"session"}"#));
        assert!(is_lost(custom, "Session not found: x", -32602, "null"));
        let gemini = r#"{"details":"No previous sessions found for this project."}"#;
        assert!(is_lost(custom, "Internal error: No previous sessions found", -32603, gemini));
        for patterns in [opencode, custom] {
            assert!(is_lost(patterns, "gone", -32002, "null"));
            for other in
                ["scripted 500", "Model not found: a/b", "command not found: mcp-x", "\"Method not found\"", ""]
            {
                assert!(!is_lost(patterns, other, -32603, "null"), "{other}");
            }
            assert!(!is_lost(patterns, "OpenCode service failure", -32603, r#"{"service":"provider"}"#));
        }
    }
}
