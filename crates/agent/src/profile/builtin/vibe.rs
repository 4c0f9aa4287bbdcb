//! Mistral Vibe (<https://github.com/mistralai/mistral-vibe>).

use super::definition::{
    Attach, Base, Definition, Deletion, FailureSign, Installation, Login, PermissionControl, Quirks, Runtime,
    SessionTools, Switch, Trailers, UsageReport, UserFile,
};
use super::exception::Exception;

const HOME: Base = Base::Own { variable: "VIBE_HOME", below_home: ".vibe" };

pub(crate) static VIBE: Definition = Definition {
    name: "vibe",
    program: "vibe-acp",
    args: &[],
    env: &[("VIBE_ENABLE_TELEMETRY", "false"), ("VIBE_ENABLE_UPDATE_CHECKS", "false")],
    root_env: &[],
    withheld: &[],
    installation: Installation {
        command: "pip install mistral-vibe",
        page: "https://github.com/mistralai/mistral-vibe",
        runtime: Some(Runtime { program: "python3", at_least: "3.12" }),
    },
    tested: Some("3.0.2"),
    login: Login {
        command: "vibe --setup",
        then: "",
        elsewhere: true,
        variables: &["MISTRAL_API_KEY"],
        any_key: false,
        files: &[],
        configured: &[(UserFile { base: HOME, path: ".env" }, "MISTRAL_API_KEY")],
        configured_by: &[],
        methods: &[],
    },
    settings: &[UserFile { base: HOME, path: "config.toml" }, UserFile { base: HOME, path: ".env" }],
    permissions: PermissionControl::Mode { allow: "auto-approve", ask: "ask" },
    trailers: Trailers::Switch(Switch::Variable { name: "VIBE_INCLUDE_COMMIT_SIGNATURE", value: "false" }),
    refs: &[],
    deletion: Deletion::Impossible,
    attach: Some(Attach { program: Some("vibe"), args: &["--resume", "{session}"] }),
    models: None,
    project_settings: &[],
    export: None,
    session_file: None,
    usage: UsageReport::Session,
    reports_cost: Some(true),
    failure: FailureSign::None,
    failure_texts: &[],
    exceptions: &[Exception::FilteredAnswers],
    session_tools: SessionTools::Work,
    quirks: Quirks::NONE,
};
