//! GitHub Copilot CLI (<https://github.com/github/copilot-cli>).

use super::definition::{
    Attach, Base, Definition, Deletion, FailureSign, Installation, Login, PermissionControl, Quirks, Runtime,
    SessionTools, Trailers, UsageReport, UserFile,
};
use super::exception::Exception;

const HOME: Base = Base::Own { variable: "COPILOT_HOME", below_home: ".copilot" };

pub(crate) static COPILOT: Definition = Definition {
    name: "copilot",
    program: "copilot",
    args: &["--acp"],
    env: &[("COPILOT_AUTO_UPDATE", "false")],
    root_env: &[],
    withheld: &["GH_TOKEN", "GITHUB_TOKEN"],
    installation: Installation {
        command: "npm install -g @github/copilot",
        page: "https://github.com/github/copilot-cli",
        runtime: Some(Runtime { program: "node", at_least: "22" }),
    },
    tested: Some("1.0.102"),
    login: Login {
        command: "copilot login",
        then: "",
        elsewhere: true,
        // The last two from its own env file only: they are withheld otherwise.
        variables: &["COPILOT_GITHUB_TOKEN", "COPILOT_PROVIDER_BASE_URL", "GH_TOKEN", "GITHUB_TOKEN"],
        any_key: false,
        files: &[],
        configured: &[(UserFile { base: HOME, path: "config.json" }, "logged_in_users")],
        configured_by: &[],
        methods: &[],
    },
    settings: &[UserFile { base: HOME, path: "config.json" }, UserFile { base: HOME, path: "settings.json" }],
    permissions: PermissionControl::Option { id: "allow_all", allow: "on", ask: "off" },
    // `includeCoAuthoredBy` is only read from its settings, which are the user's.
    trailers: Trailers::Prompt,
    refs: &[],
    deletion: Deletion::Impossible,
    attach: Some(Attach { program: None, args: &["--resume", "{session}"] }),
    models: None,
    project_settings: &[],
    export: None,
    session_file: None,
    usage: UsageReport::Connection,
    reports_cost: Some(false),
    failure: FailureSign::NoTokens,
    failure_texts: &["Error: "],
    exceptions: &[Exception::FilteredAnswers],
    session_tools: SessionTools::Refused("it accepts only tools that are served over HTTP"),
    quirks: Quirks::NONE,
};
