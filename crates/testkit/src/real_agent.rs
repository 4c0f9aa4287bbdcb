//! Real agents with the scripted model: the environment and the settings files with which each of them uses a
//! [`ModelServer`] and no other network service.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::home::directory::Home;
use crate::model::reply::{MODEL, OTHER_MODEL};
use crate::model::server::ModelServer;

/// The variable with the directory of the agents' programs, which `cargo xtask test` installs.
pub const DIRECTORY: &str = "KUGETSU_AGENTS";

/// Key for the model server, which accepts any.
const KEY: &str = "scripted-key";

/// An agent that people use, in the version that `xtask` installs.
#[derive(Debug, Clone, Copy)]
pub struct RealAgent {
    /// The name of its profile in kugetsu, and in the names of its tests: `needs_<name>_...`.
    pub name: &'static str,
    /// The name of its program.
    pub program: &'static str,
    /// The arguments with which it speaks ACP.
    pub args: &'static [&'static str],
    /// Another model than the one that it uses by default: its name in the agent, and in requests to the model server. `None`
    /// if the agent offers no choice of models there.
    pub other_model: Option<(&'static str, &'static str)>,
    env: fn(&ModelServer) -> Vec<(&'static str, String)>,
    files: fn(&ModelServer) -> Vec<(&'static str, String)>,
}

pub const OPENCODE: RealAgent = RealAgent {
    name: "opencode",
    program: "opencode",
    args: &["acp"],
    other_model: Some(("mock/mock-2", OTHER_MODEL)),
    env: ModelServer::opencode_env,
    files: no_files,
};

/// Claude Code. As root it refuses to start unless it runs in a sandbox.
pub const CLAUDE: RealAgent = RealAgent {
    name: "claude",
    program: "claude-agent-acp",
    args: &[],
    other_model: Some(("haiku", "claude-haiku-5-5")),
    env: |server| {
        let mut env = variables(&[
            ("ANTHROPIC_API_KEY", KEY),
            ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
            ("CLAUDE_CODE_ENABLE_PROMPT_SUGGESTION", "false"),
            ("DISABLE_AUTOUPDATER", "1"),
            ("IS_SANDBOX", "1"),
        ]);
        env.push(("ANTHROPIC_BASE_URL", server.root_url()));
        env
    },
    files: no_files,
};

/// Codex. Outside of the mode `agent-full-access` its sandbox lets it commit nothing.
pub const CODEX: RealAgent = RealAgent {
    name: "codex",
    program: "codex-acp",
    args: &[],
    other_model: Some(("gpt-6-luna", "gpt-6-luna")),
    env: |_| variables(&[("INITIAL_AGENT_MODE", "agent-full-access"), ("NO_BROWSER", "1")]),
    files: |server| {
        let url = server.base_url();
        let config = format!(
            "model = \"gpt-5.5\"\nmodel_provider = \"scripted\"\ncheck_for_update_on_startup = false\n\n\
             [model_providers.scripted]\nname = \"Scripted\"\nbase_url = {url:?}\nwire_api = \"responses\"\n\n\
             [analytics]\nenabled = false\n"
        );
        vec![(".codex/config.toml", config)]
    },
};

/// Gemini CLI. It loads no MCP servers in a workspace that is not trusted.
pub const GEMINI: RealAgent = RealAgent {
    name: "gemini",
    program: "gemini",
    args: &["--acp"],
    other_model: Some(("gemini-3.5-flash-lite", "gemini-3.5-flash-lite")),
    env: |server| {
        let mut env = variables(&[("GEMINI_API_KEY", KEY), ("GEMINI_CLI_TRUST_WORKSPACE", "true")]);
        env.push(("GOOGLE_GEMINI_BASE_URL", server.root_url()));
        env
    },
    files: |_| vec![(".gemini/settings.json", without_statistics().to_string())],
};

pub const COPILOT: RealAgent = RealAgent {
    name: "copilot",
    program: "copilot",
    args: &["--acp"],
    other_model: None,
    env: |server| {
        let mut env = variables(&[
            ("COPILOT_AUTO_UPDATE", "false"),
            ("COPILOT_MODEL", MODEL),
            ("COPILOT_OFFLINE", "true"),
            ("COPILOT_PROVIDER_API_KEY", KEY),
        ]);
        env.push(("COPILOT_PROVIDER_BASE_URL", server.base_url()));
        env
    },
    files: no_files,
};

pub const GOOSE: RealAgent = RealAgent {
    name: "goose",
    program: "goose",
    args: &["acp"],
    other_model: Some(("gpt-6-luna", "gpt-6-luna")),
    env: |server| {
        let mut env = variables(&[
            ("GOOSE_DISABLE_KEYRING", "1"),
            ("GOOSE_DISABLE_SESSION_NAMING", "true"),
            ("GOOSE_MODEL", MODEL),
            ("GOOSE_PROVIDER", "openai"),
            ("GOOSE_TELEMETRY_ENABLED", "false"),
            ("OPENAI_API_KEY", KEY),
        ]);
        env.push(("OPENAI_HOST", server.root_url()));
        env
    },
    files: no_files,
};

pub const QWEN: RealAgent = RealAgent {
    name: "qwen",
    program: "qwen",
    args: &["--acp"],
    other_model: Some(("mock-2(openai)", OTHER_MODEL)),
    env: |server| {
        let mut env = variables(&[("OPENAI_API_KEY", KEY), ("OPENAI_MODEL", MODEL)]);
        env.push(("OPENAI_BASE_URL", server.base_url()));
        env
    },
    files: |server| {
        let mut settings = without_statistics();
        let model =
            |name: &str| json!({"id": name, "name": name, "baseUrl": server.base_url(), "envKey": "OPENAI_API_KEY"});
        settings["modelProviders"] = json!({"openai": [model(MODEL), model(OTHER_MODEL)]});
        vec![(".qwen/settings.json", settings.to_string())]
    },
};

pub const KIMI: RealAgent = RealAgent {
    name: "kimi",
    program: "kimi",
    args: &["acp"],
    other_model: Some((OTHER_MODEL, OTHER_MODEL)),
    env: |server| {
        let mut env = variables(&[
            ("KIMI_CODE_NO_AUTO_UPDATE", "1"),
            ("KIMI_MODEL_API_KEY", KEY),
            ("KIMI_MODEL_MAX_CONTEXT_SIZE", "100000"),
            ("KIMI_MODEL_NAME", MODEL),
            ("KIMI_MODEL_PROVIDER_TYPE", "openai"),
        ]);
        env.push(("KIMI_MODEL_BASE_URL", server.base_url()));
        env
    },
    files: |server| {
        let url = server.base_url();
        let config = format!(
            "[providers.scripted]\ntype = \"openai\"\nbase_url = {url:?}\napi_key = {KEY:?}\n\n\
             [models.{OTHER_MODEL}]\nprovider = \"scripted\"\nmodel = {OTHER_MODEL:?}\nmax_context_size = 100000\n"
        );
        vec![(".kimi-code/config.toml", config)]
    },
};

pub const VIBE: RealAgent = RealAgent {
    name: "vibe",
    program: "vibe-acp",
    args: &[],
    other_model: Some((OTHER_MODEL, OTHER_MODEL)),
    env: |_| variables(&[("MISTRAL_API_KEY", KEY)]),
    files: |server| {
        let url = server.base_url();
        let config = format!(
            "active_model = {MODEL:?}\nenable_telemetry = false\nenable_update_checks = false\n\n\
             [[providers]]\nname = \"scripted\"\napi_base = {url:?}\napi_key_env_var = \"MISTRAL_API_KEY\"\n\
             api_style = \"openai\"\nbackend = \"generic\"\n\n\
             [[models]]\nname = {MODEL:?}\nprovider = \"scripted\"\nalias = {MODEL:?}\ninput_price = 3.0\noutput_price = 15.0\n\n\
             [[models]]\nname = {OTHER_MODEL:?}\nprovider = \"scripted\"\nalias = {OTHER_MODEL:?}\n"
        );
        vec![(".vibe/config.toml", config)]
    },
};

pub const ALL: [RealAgent; 9] = [OPENCODE, CLAUDE, CODEX, GEMINI, COPILOT, GOOSE, QWEN, KIMI, VIBE];

impl RealAgent {
    /// The path of its program, or `None` if [`DIRECTORY`] is not set or does not have it.
    ///
    /// # Panics
    /// Panics on a build server, where only a test that was not selected may miss its agent.
    pub fn installed(&self) -> Option<PathBuf> {
        let directory = std::env::var_os(DIRECTORY).map(PathBuf::from);
        let program = directory.map(|directory| directory.join(self.program)).filter(|program| program.is_file());
        if program.is_none() {
            assert!(std::env::var_os("CI").is_none(), "{DIRECTORY} must be a directory with {}", self.program);
            eprintln!("skipped: {DIRECTORY} is not a directory with {}", self.program);
        }
        program
    }

    /// The environment in which it uses `server` and no other network service.
    pub fn env(&self, server: &ModelServer) -> Vec<(&'static str, String)> {
        (self.env)(server)
    }

    /// Writes its settings files into the user's directory of `home`.
    pub fn write_files(&self, home: &Home, server: &ModelServer) {
        for (name, content) in (self.files)(server) {
            let path = home.user().join(name);
            std::fs::create_dir_all(path.parent().expect("a directory below the home"))
                .expect("a directory of settings");
            std::fs::write(path, content).expect("a settings file");
        }
    }
}

fn no_files(_: &ModelServer) -> Vec<(&'static str, String)> {
    Vec::new()
}

fn variables(pairs: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

/// The settings of Gemini CLI and of Qwen Code, which is made from it.
fn without_statistics() -> Value {
    json!({
        "general": {"disableAutoUpdate": true, "enableAutoUpdate": false},
        "privacy": {"usageStatisticsEnabled": false},
        "telemetry": {"enabled": false},
    })
}
