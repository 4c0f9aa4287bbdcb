//! The model server as a test holds it.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};

use super::handler::{MODEL, Stage};
use super::record::{ModelRequest, Outcome};
use super::script::Script;
use crate::local_server::LocalServer;

const NAME: &str = "model-server";

/// A running model server; it stops when dropped.
#[derive(Debug)]
pub struct ModelServer {
    stage: Arc<Stage>,
    server: LocalServer,
}

/// US dollars for a million prompt tokens, as [`ModelServer::opencode_config`] tells opencode.
pub const DOLLARS_PER_MILLION_PROMPT_TOKENS: f64 = 3.0;

/// US dollars for a million completion tokens, as [`ModelServer::opencode_config`] tells opencode.
pub const DOLLARS_PER_MILLION_COMPLETION_TOKENS: f64 = 15.0;

impl ModelServer {
    /// Starts a server that answers with `script` unless the message carries or names another one.
    pub fn start(script: Script) -> Self {
        let stage = Arc::new(Stage::new(script));
        let server = LocalServer::start(NAME, Arc::clone(&stage).router());
        Self { stage, server }
    }

    /// [`ModelServer::start`] at an address of the caller's, for a program that people use, such as a demo.
    ///
    /// # Errors
    /// When the address cannot be had, for instance because another program uses it.
    pub fn start_at(address: SocketAddr, script: Script) -> std::io::Result<Self> {
        let stage = Arc::new(Stage::new(script));
        let server = LocalServer::start_at(NAME, address, Arc::clone(&stage).router())?;
        Ok(Self { stage, server })
    }

    /// For instance `http://127.0.0.1:4711/v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.server.address())
    }

    /// Answers with `script` from now on, unless the message carries or names another one.
    pub fn set_script(&self, script: Script) {
        self.stage.default.change(|default| *default = script);
    }

    /// Answers with `script` when `name` occurs in the last user message. The longest name that occurs wins.
    pub fn name_script(&self, name: &str, script: Script) {
        self.stage.named.change(|named| named.insert(name.to_owned(), script));
    }

    /// Opens a gate for every request that waits or will wait for it.
    pub fn open_gate(&self, name: &str) {
        self.stage.gates.change(|open| open.insert(name.to_owned()));
    }

    /// Closes a gate again for the requests to come.
    pub fn close_gate(&self, name: &str) {
        self.stage.gates.change(|open| open.remove(name));
    }

    /// Every request so far, in the order of arrival.
    pub fn requests(&self) -> Vec<ModelRequest> {
        self.stage.requests.read(Vec::clone)
    }

    /// Every request so far that is part of a turn, so without those for titles.
    pub fn turn_requests(&self) -> Vec<ModelRequest> {
        self.stage.requests.read(|requests| of_turns(requests))
    }

    /// Waits until `count` requests of turns have arrived, and returns them all.
    ///
    /// # Panics
    /// When they do not come within [`crate::wait::DEADLINE`].
    pub async fn await_requests(&self, count: usize) -> Vec<ModelRequest> {
        let what = format!("{count} model requests");
        self.stage.requests.until(&what, |requests| enough(of_turns(requests), count)).await
    }

    /// [`ModelServer::await_requests`] for tests without a runtime.
    ///
    /// # Panics
    /// As [`ModelServer::await_requests`].
    #[track_caller]
    pub fn block_for_requests(&self, count: usize) -> Vec<ModelRequest> {
        let what = format!("{count} model requests");
        self.stage.requests.block_until(&what, |requests| enough(of_turns(requests), count))
    }

    /// Waits until `count` requests stand before the gate `name` at the same time.
    ///
    /// # Panics
    /// As [`ModelServer::await_requests`].
    pub async fn await_waiting(&self, name: &str, count: usize) {
        let what = format!("{count} model requests before the gate {name}");
        self.stage.requests.until(&what, |requests| (waiting(requests, name) >= count).then_some(())).await;
    }

    /// [`ModelServer::await_waiting`] for tests without a runtime.
    ///
    /// # Panics
    /// As [`ModelServer::await_requests`].
    #[track_caller]
    pub fn block_for_waiting(&self, name: &str, count: usize) {
        let what = format!("{count} model requests before the gate {name}");
        self.stage.requests.block_until(&what, |requests| (waiting(requests, name) >= count).then_some(()));
    }

    /// Waits until `condition` holds for all requests so far, for instance that one was abandoned.
    ///
    /// # Panics
    /// As [`ModelServer::await_requests`].
    pub async fn await_state(&self, what: &str, condition: impl Fn(&[ModelRequest]) -> bool) {
        self.stage.requests.until(what, |requests| condition(requests).then_some(())).await;
    }

    /// Text for `OPENCODE_CONFIG_CONTENT`: this server as opencode's only provider.
    pub fn opencode_config(&self) -> String {
        self.config().to_string()
    }

    /// [`Self::opencode_config`] with opencode's block `permission`, for instance `{"bash": "ask"}`.
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
        let model = json!({
            "name": MODEL, "tool_call": true, "limit": {"context": 100_000, "output": 8_000}, "cost": cost,
        });
        let provider = json!({
            "npm": "@ai-sdk/openai-compatible", "name": "Mock", "models": {MODEL: model},
            "options": {"baseURL": self.base_url(), "apiKey": "scripted-key"},
        });
        let name = format!("mock/{MODEL}");
        json!({
            "autoupdate": false, "share": "disabled", "enabled_providers": ["mock"],
            "model": name, "small_model": name, "provider": {"mock": provider},
        })
    }

    /// Environment in which opencode uses this server and asks nothing of the network: [`Self::opencode_config`] without
    /// a permission block, and opencode's own switches.
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
    requests.iter().filter(|request| !request.is_title()).cloned().collect()
}

fn enough(requests: Vec<ModelRequest>, count: usize) -> Option<Vec<ModelRequest>> {
    (requests.len() >= count).then_some(requests)
}

fn waiting(requests: &[ModelRequest], name: &str) -> usize {
    requests.iter().filter(|request| matches!(&request.outcome, Outcome::Waiting(gate) if gate == name)).count()
}
