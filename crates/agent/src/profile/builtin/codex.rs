//! OpenAI Codex, through its ACP program (<https://github.com/agentclientprotocol/codex-acp>).

use super::definition::{
    Attach, Base, Definition, Deletion, FailureSign, Installation, Login, PermissionControl, Quirks, Runtime,
    SessionTools, Trailers, UsageReport, UserFile,
};
use super::exception::Exception;

const HOME: Base = Base::Own { variable: "CODEX_HOME", below_home: ".codex" };

pub(crate) static CODEX: Definition = Definition {
    name: "codex",
    program: "codex-acp",
    args: &[],
    env: &[("NO_BROWSER", "1")],
    root_env: &[],
    withheld: &[],
    installation: Installation {
        command: "npm install -g @agentclientprotocol/codex-acp",
        page: "https://github.com/agentclientprotocol/codex-acp",
        runtime: Some(Runtime { program: "node", at_least: "20" }),
    },
    tested: Some("2.6.0"),
    login: Login {
        command: "codex-acp login",
        then: "",
        elsewhere: false,
        variables: &["CODEX_API_KEY", "OPENAI_API_KEY"],
        any_key: false,
        files: &[UserFile { base: HOME, path: "auth.json" }],
        configured: &[
            (UserFile { base: HOME, path: "config.toml" }, "model_provider"),
            (UserFile { base: HOME, path: "config.toml" }, "cli_auth_credentials_store"),
        ],
        configured_by: &[],
        methods: &[("CODEX_API_KEY", "api-key"), ("OPENAI_API_KEY", "api-key")],
    },
    settings: &[UserFile { base: HOME, path: "config.toml" }, UserFile { base: HOME, path: "AGENTS.md" }],
    permissions: PermissionControl::Mode { allow: "agent-full-access", ask: "read-only" },
    // A workspace of ChatGPT can require a trailer; no setting of the program changes that.
    trailers: Trailers::Prompt,
    refs: &[],
    // Its session/delete only archives the session.
    deletion: Deletion::Command(&["cli", "delete", "--force", "{session}"]),
    attach: Some(Attach { program: None, args: &["cli", "resume", "{session}"] }),
    models: None,
    project_settings: &[],
    export: None,
    session_file: None,
    usage: UsageReport::Turn,
    reports_cost: Some(false),
    failure: FailureSign::ThreadStatus,
    failure_texts: &[],
    exceptions: &[Exception::OwnSandbox],
    session_tools: SessionTools::Work,
    quirks: Quirks::NONE,
};
