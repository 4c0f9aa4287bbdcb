//! Reads the client's messages and answers them. Each turn runs on its own thread.

use std::collections::HashMap;
use std::io::BufRead;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::arguments::{Failure, Options, Point};
use super::ids::unique;
use super::session::Session;
use super::signal::block_forever;
use super::store::{Store, StoredSession};
use super::tools;
use super::turn::{Turn, crash};
use super::update;
use super::wire::Wire;

#[derive(Debug)]
pub(super) struct Connection {
    options: Options,
    store: Store,
    wire: Wire,
    sessions: Mutex<HashMap<String, Arc<Session>>>,
}

/// A JSON-RPC result or error.
type Response = Result<Value, Value>;

impl Connection {
    pub(super) fn new(options: Options, store: Store) -> Self {
        Self { options, store, wire: Wire::default(), sessions: Mutex::default() }
    }

    /// Answers until stdin closes. Turns that are running then are abandoned, as opencode abandons them.
    pub(super) fn serve(self: &Arc<Self>) -> std::io::Result<()> {
        for line in std::io::stdin().lock().lines() {
            let line = line?;
            match serde_json::from_str::<Value>(&line) {
                Ok(message) => self.handle(&message),
                Err(_) if line.trim().is_empty() => {}
                Err(error) => {
                    let error = json!({"code": -32700, "message": format!("Parse error: {error}")});
                    self.wire.error(&Value::Null, &error);
                }
            }
        }
        Ok(())
    }

    fn handle(self: &Arc<Self>, message: &Value) {
        let (Some(method), params) = (message["method"].as_str(), &message["params"]) else {
            return self.wire.handle_response(message);
        };
        let Some(id) = message.get("id") else { return self.handle_notification(method, params) };
        let response = match method {
            "initialize" => self.initialize(),
            "authenticate" => Ok(json!({})),
            "session/new" => self.new_session(params),
            "session/load" if self.options.load => self.load(params, true),
            "session/resume" if self.options.resume => self.load(params, false),
            "session/list" if self.options.list => Ok(self.list(params)),
            "session/close" if self.options.close => self.close(params),
            "session/delete" if self.options.delete => self.delete(params),
            "session/set_model" => self.set_model(params, &params["modelId"]).map(|_| json!({})),
            "session/set_mode" => self.session(params).map(|_| json!({})),
            "session/set_config_option" if params["configId"] == "model" => self.set_model(params, &params["value"]),
            "session/prompt" => match self.prompt(id, params) {
                Ok(()) => return,
                Err(error) => Err(error),
            },
            _ => Err(json!({
                "code": -32601, "message": format!("\"Method not found\": {method}"), "data": {"method": method},
            })),
        };
        match response {
            Ok(result) => self.wire.result(id, &result),
            Err(error) => self.wire.error(id, &error),
        }
        if let ("session/new" | "session/load" | "session/resume", Ok(session)) = (method, self.session(params)) {
            self.wire.update(&session.id, &update::available_commands());
        }
    }

    fn handle_notification(&self, method: &str, params: &Value) {
        if method == "session/cancel"
            && let Ok(session) = self.session(params)
        {
            session.cancel();
        }
    }

    fn initialize(&self) -> Response {
        self.reach(Point::Initialize);
        let capabilities = [
            ("close", self.options.close),
            ("delete", self.options.delete),
            ("list", self.options.list),
            ("resume", self.options.resume),
        ];
        let capabilities: serde_json::Map<_, _> =
            capabilities.into_iter().filter(|(_, on)| *on).map(|(name, _)| (name.to_owned(), json!({}))).collect();
        Ok(json!({
            "protocolVersion": self.options.protocol_version,
            "agentCapabilities": {
                "loadSession": self.options.load,
                "mcpCapabilities": {"http": true, "sse": true},
                "promptCapabilities": {"embeddedContext": true, "image": true},
                "sessionCapabilities": capabilities,
            },
            "authMethods": [{
                "id": "scripted-login", "name": "Login", "description": "Run `kugetsu-scripted-agent` without --needs-login",
            }],
            "agentInfo": {"name": "Scripted agent", "version": self.options.version},
        }))
    }

    fn new_session(&self, params: &Value) -> Response {
        self.reach(Point::New);
        if self.options.needs_login {
            return Err(json!({"code": -32000, "message": "Authentication required"}));
        }
        let cwd = params["cwd"].as_str().filter(|cwd| Path::new(cwd).is_absolute());
        let cwd = cwd.ok_or_else(|| invalid("cwd must be an absolute path", &json!({})))?;
        let id = unique("ses");
        self.store.create(&id, cwd).map_err(|error| internal(&format!("could not store the session: {error}")))?;
        let stored = StoredSession { cwd: cwd.to_owned(), updates: Vec::new(), answers: Vec::new() };
        let session = self.open(&id, &stored, params);
        Ok(json!({"sessionId": id, "configOptions": update::config_options(&session.model())}))
    }

    /// Opens a session of an earlier process. As in opencode, it keeps the directory that it was created in.
    fn load(&self, params: &Value, replay: bool) -> Response {
        self.reach(Point::Load);
        let id = params["sessionId"].as_str().unwrap_or_default();
        let stored = if self.options.lose_sessions { None } else { self.store.read(id) };
        // The error of opencode 1.18.33 for an unknown session.
        let stored = stored.ok_or_else(|| {
            json!({"code": -32603, "message": "Internal error: OpenCode service failure", "data": {"service": "session"}})
        })?;
        if replay {
            for update in stored.replay() {
                self.wire.update(id, &update);
            }
        }
        let session = self.open(id, &stored, params);
        Ok(json!({"configOptions": update::config_options(&session.model())}))
    }

    fn open(&self, id: &str, stored: &StoredSession, params: &Value) -> Arc<Session> {
        let session = Arc::new(Session::open(id, stored, params["mcpServers"].clone()));
        if self.options.tools {
            let load = {
                let session = Arc::clone(&session);
                move || {
                    tools::load(&session.mcp_servers, &session.cwd);
                    session.tools_are_loaded();
                }
            };
            match self.options.tools_after {
                Duration::ZERO => load(),
                time => drop(thread::spawn(move || {
                    thread::sleep(time);
                    load();
                })),
            }
        }
        self.sessions().insert(id.to_owned(), Arc::clone(&session));
        session
    }

    fn list(&self, params: &Value) -> Value {
        let sessions = self.store.list().into_iter().filter_map(|id| {
            let stored = self.store.read(&id)?;
            let matches = params["cwd"].as_str().is_none_or(|cwd| cwd == stored.cwd);
            matches.then(|| json!({"sessionId": id, "cwd": stored.cwd, "title": "Scripted session"}))
        });
        json!({"sessions": sessions.collect::<Vec<_>>()})
    }

    fn close(&self, params: &Value) -> Response {
        let session = self.session(params)?;
        session.cancel();
        self.sessions().remove(&session.id);
        Ok(json!({}))
    }

    fn delete(&self, params: &Value) -> Response {
        let id = params["sessionId"].as_str().unwrap_or_default();
        self.sessions().remove(id);
        if self.store.delete(id) { Ok(json!({})) } else { Err(unknown_session(id)) }
    }

    fn set_model(&self, params: &Value, model: &Value) -> Response {
        let session = self.session(params)?;
        let model = model.as_str().unwrap_or_default();
        if !update::MODELS.contains(&model) {
            return Err(invalid(&format!("model not found: {model}"), &json!({"modelId": model})));
        }
        session.set_model(model);
        let options = update::config_options(model);
        let update = json!({"sessionUpdate": "config_option_update", "configOptions": options});
        self.wire.update(&session.id, &update);
        Ok(json!({"configOptions": options}))
    }

    fn prompt(self: &Arc<Self>, id: &Value, params: &Value) -> Result<(), Value> {
        self.reach(Point::Prompt);
        let session = self.session(params)?;
        let blocks = params["prompt"].as_array().map(Vec::as_slice).unwrap_or_default();
        let text: Vec<&str> = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
        let (connection, id, text) = (Arc::clone(self), id.clone(), text.join("\n"));
        let signal = session.announce_turn();
        std::thread::spawn(move || {
            let _turn = session.turn.lock().unwrap_or_else(PoisonError::into_inner);
            let turn = Turn::start(&connection.wire, &connection.store, &session, &signal, &text);
            let response = turn.run(&text);
            session.end_turn(&signal);
            match response {
                Ok(result) => connection.wire.result(&id, &result),
                Err(error) => connection.wire.error(&id, &error),
            }
        });
        Ok(())
    }

    fn session(&self, params: &Value) -> Result<Arc<Session>, Value> {
        let id = params["sessionId"].as_str().unwrap_or_default();
        self.sessions().get(id).cloned().ok_or_else(|| unknown_session(id))
    }

    /// Fails if the options say so for this point.
    pub(super) fn reach(&self, point: Point) {
        match self.options.failures.get(&point) {
            None => {}
            Some(Failure::Crash) => crash(),
            Some(Failure::Hang) => block_forever(),
        }
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unknown_session(id: &str) -> Value {
    invalid(&format!("session not found: {id}"), &json!({"sessionId": id}))
}

fn invalid(reason: &str, data: &Value) -> Value {
    json!({"code": -32602, "message": format!("Invalid params: {reason}"), "data": data})
}

fn internal(reason: &str) -> Value {
    json!({"code": -32603, "message": format!("Internal error: {reason}")})
}
