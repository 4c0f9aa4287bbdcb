//! The model server as tests use it.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};

use super::handler::ModelState;
use super::reply::{MODEL, OTHER_MODEL};
use super::request::{ModelRequest, Outcome};
use super::script::Script;
use crate::local_server::LocalServer;

const NAME: &str = "model-server";

/// A running model server, stopped on drop.
#[derive(Debug)]
pub struct ModelServer {
    state: Arc<ModelState>,
    server: LocalServer,
}

/// Price of a million prompt tokens in US dollars, as in [`ModelServer::opencode_config`].
pub const DOLLARS_PER_MILLION_PROMPT_TOKENS: f64 = 3.0;

/// Price of a million completion tokens in US dollars, as in [`ModelServer::opencode_config`].
pub const DOLLARS_PER_MILLION_COMPLETION_TOKENS: f64 = 15.0;

impl ModelServer {
    /// Starts a server that follows `script` unless the message contains or names another one.
    pub fn start(script: Script) -> Self {
        let state = Arc::new(ModelState::new(script));
        let server = LocalServer::start(NAME, Arc::clone(&state).router());
        Self { state, server }
    }

    /// Like [`ModelServer::start`] at a given address.
    ///
    /// # Errors
    /// The address cannot be bound, for example because another program uses it.
    pub fn start_at(address: SocketAddr, script: Script) -> std::io::Result<Self> {
        let state = Arc::new(ModelState::new(script));
        let server = LocalServer::start_at(NAME, address, Arc::clone(&state).router())?;
        Ok(Self { state, server })
    }

    /// For example `http://127.0.0.1:4711`.
    pub fn root_url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// For example `http://127.0.0.1:4711/v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.server.address())
    }

    /// Replaces the script for messages that contain and name none.
    pub fn set_script(&self, script: Script) {
        self.state.default.change(|default| *default = script);
    }

    /// Follows `script` if `name` occurs in the last user message. The longest matching name wins.
    pub fn name_script(&self, name: &str, script: Script) {
        self.state.named.change(|named| named.insert(name.to_owned(), script));
    }

    /// Opens a gate for all current and future requests.
    pub fn open_gate(&self, name: &str) {
        self.state.gates.change(|open| open.insert(name.to_owned()));
    }

    /// Closes a gate for future requests.
    pub fn close_gate(&self, name: &str) {
        self.state.gates.change(|open| open.remove(name));
    }

    /// All requests so far, in the order of arrival.
    pub fn requests(&self) -> Vec<ModelRequest> {
        self.state.requests.read(Vec::clone)
    }

    /// All requests so far except side requests.
    pub fn turn_requests(&self) -> Vec<ModelRequest> {
        self.state.requests.read(|requests| of_turns(requests))
    }

    /// Waits until `count` requests have arrived, side requests apart, and returns them.
    ///
    /// # Panics
    /// Panics after [`crate::wait::DEADLINE`].
    pub async fn await_requests(&self, count: usize) -> Vec<ModelRequest> {
        let what = format!("{count} model requests");
        self.state.requests.until(&what, |requests| enough(of_turns(requests), count)).await
    }

    /// Like [`ModelServer::await_requests`], for tests without a runtime.
    ///
    /// # Panics
    /// Panics after [`crate::wait::DEADLINE`].
    #[track_caller]
    pub fn block_for_requests(&self, count: usize) -> Vec<ModelRequest> {
        let what = format!("{count} model requests");
        self.state.requests.block_until(&what, |requests| enough(of_turns(requests), count))
    }

    /// Waits until the gate `name` blocks `count` requests at the same time.
    ///
    /// # Panics
    /// Panics after [`crate::wait::DEADLINE`].
    pub async fn await_waiting(&self, name: &str, count: usize) {
        let what = format!("{count} model requests at the gate {name}");
        self.state.requests.until(&what, |requests| (waiting(requests, name) >= count).then_some(())).await;
    }

    /// Like [`ModelServer::await_waiting`], for tests without a runtime.
    ///
    /// # Panics
    /// Panics after [`crate::wait::DEADLINE`].
    #[track_caller]
    pub fn block_for_waiting(&self, name: &str, count: usize) {
        let what = format!("{count} model requests at the gate {name}");
        self.state.requests.block_until(&what, |requests| (waiting(requests, name) >= count).then_some(()));
    }

    /// Waits until `condition` is true for the requests so far.
    ///
    /// # Panics
    /// Panics after [`crate::wait::DEADLINE`].
    pub async fn await_state(&self, what: &str, condition: impl Fn(&[ModelRequest]) -> bool) {
        self.state.requests.until(what, |requests| condition(requests).then_some(())).await;
    }

    /// The value of `OPENCODE_CONFIG_CONTENT` with this server as opencode's only provider.
    pub fn opencode_config(&self) -> String {
        self.config().to_string()
    }

    /// [`Self::opencode_config`] with opencode's setting `permission`, for example `{"bash": "ask"}`.
    pub fn opencode_config_with(&self, permission: &Value) -> String {
        let mut config = self.config();
        config["permission"] = permission.clone();
        config.to_string()
    }

    fn config(&self) -> Value {
        let cost = json!({
            "input": DOLLARS_PER_MILLION_PROMPT_TOKENS,
            "output": DOLLARS_PER_MILLION_COMPLETION_TOKENS,
        });
        let model = |name: &str| {
            json!({
                "name": name, "tool_call": true, "limit": {"context": 100_000, "output": 8_000}, "cost": cost,
            })
        };
        let provider = json!({
            "npm": "@ai-sdk/openai-compatible", "name": "Mock",
            "models": {MODEL: model(MODEL), OTHER_MODEL: model(OTHER_MODEL)},
            "options": {"baseURL": self.base_url(), "apiKey": "scripted-key"},
        });
        let name = format!("mock/{MODEL}");
        json!({
            "autoupdate": false, "share": "disabled", "enabled_providers": ["mock"],
            "model": name, "small_model": name, "provider": {"mock": provider},
        })
    }

    /// The environment in which opencode uses this server and no other network service.
    pub fn opencode_env(&self) -> Vec<(&'static str, String)> {
        let off = [
            "OPENCODE_DISABLE_MODELS_FETCH",
            "OPENCODE_DISABLE_AUTOUPDATE",
            "OPENCODE_DISABLE_LSP_DOWNLOAD",
            "OPENCODE_DISABLE_DEFAULT_PLUGINS",
            "OPENCODE_DISABLE_EXTERNAL_SKILLS",
            "OPENCODE_DISABLE_CLAUDE_CODE",
            "OPENCODE_DISABLE_TERMINAL_TITLE",
        ];
        let mut env: Vec<_> = off.into_iter().map(|name| (name, "1".to_owned())).collect();
        env.push(("OPENCODE_CONFIG_CONTENT", self.opencode_config()));
        env
    }
}

fn of_turns(requests: &[ModelRequest]) -> Vec<ModelRequest> {
    requests.iter().filter(|request| !request.is_side_request()).cloned().collect()
}

fn enough(requests: Vec<ModelRequest>, count: usize) -> Option<Vec<ModelRequest>> {
    (requests.len() >= count).then_some(requests)
}

fn waiting(requests: &[ModelRequest], name: &str) -> usize {
    requests.iter().filter(|request| matches!(&request.outcome, Outcome::Waiting(gate) if gate == name)).count()
}
