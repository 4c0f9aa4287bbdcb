//! Claude Code, through its ACP program (<https://github.com/agentclientprotocol/claude-agent-acp>).

use super::definition::{
    Attach, Base, Definition, Deletion, FailureSign, Installation, Login, PermissionControl, Quirks, Runtime,
    SessionTools, Switch, Trailers, UsageReport, UserFile,
};

const HOME: Base = Base::Own { variable: "CLAUDE_CONFIG_DIR", below_home: ".claude" };

pub(crate) static CLAUDE: Definition = Definition {
    name: "claude",
    program: "claude-agent-acp",
    args: &[],
    env: &[
        ("CLAUDE_CODE_MAX_RETRIES", "2"),
        ("DISABLE_AUTOUPDATER", "1"),
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
    ],
    root_env: &[("IS_SANDBOX", "1")],
    withheld: &[],
    installation: Installation {
        command: "npm install -g @agentclientprotocol/claude-agent-acp",
        page: "https://github.com/agentclientprotocol/claude-agent-acp",
        runtime: Some(Runtime { program: "node", at_least: "22" }),
    },
    tested: Some("0.101.0"),
    login: Login {
        command: "claude-agent-acp --cli auth login",
        then: "",
        elsewhere: false,
        variables: &[
            "CLAUDE_CODE_OAUTH_TOKEN",
            "ANTHROPIC_API_KEY",
            "ANTHROPIC_AUTH_TOKEN",
            "CLAUDE_CODE_USE_BEDROCK",
            "CLAUDE_CODE_USE_VERTEX",
        ],
        any_key: false,
        files: &[UserFile { base: HOME, path: ".credentials.json" }],
        configured: &[
            (UserFile { base: HOME, path: "settings.json" }, "apiKeyHelper"),
            (UserFile { base: HOME, path: "settings.json" }, "ANTHROPIC_"),
            (UserFile { base: HOME, path: "settings.json" }, "CLAUDE_CODE_USE_"),
        ],
        configured_by: &[],
        methods: &[],
    },
    settings: &[
        UserFile { base: HOME, path: "settings.json" },
        UserFile { base: HOME, path: "CLAUDE.md" },
        UserFile { base: HOME, path: ".claude.json" },
    ],
    permissions: PermissionControl::Mode { allow: "bypassPermissions", ask: "default" },
    trailers: Trailers::SessionSettings(r#"{"attribution":{"commit":"","pr":""}}"#),
    refs: &[],
    deletion: Deletion::Protocol,
    attach: Some(Attach { program: None, args: &["--cli", "--resume", "{session}"] }),
    models: None,
    project_settings: &[],
    export: None,
    session_file: None,
    usage: UsageReport::Turn,
    reports_cost: Some(true),
    failure: FailureSign::None,
    failure_texts: &[],
    exceptions: &[],
    session_tools: SessionTools::WorkWith(Switch::Variable { name: "ENABLE_TOOL_SEARCH", value: "false" }),
    quirks: Quirks::NONE,
};
