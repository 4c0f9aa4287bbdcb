//! Kimi Code (<https://github.com/MoonshotAI/kimi-code>).

use super::definition::{
    Attach, Base, Definition, Deletion, FailureSign, Installation, Login, PermissionControl, Quirks, Runtime,
    SessionFile, SessionFormat, SessionTools, Trailers, UsageReport, UserFile,
};
use super::exception::Exception;

const HOME: Base = Base::Own { variable: "KIMI_CODE_HOME", below_home: ".kimi-code" };

pub(crate) static KIMI: Definition = Definition {
    name: "kimi",
    program: "kimi",
    args: &["acp"],
    env: &[("KIMI_CODE_NO_AUTO_UPDATE", "1")],
    root_env: &[],
    withheld: &[],
    installation: Installation {
        command: "npm install -g @moonshot-ai/kimi-code",
        page: "https://github.com/MoonshotAI/kimi-code",
        runtime: Some(Runtime { program: "node", at_least: "22.19" }),
    },
    tested: Some("2.1.0"),
    login: Login {
        command: "kimi login",
        then: "",
        elsewhere: false,
        variables: &["KIMI_MODEL_API_KEY", "KIMI_API_KEY"],
        any_key: false,
        files: &[],
        configured: &[(UserFile { base: HOME, path: "config.toml" }, "[providers")],
        configured_by: &[],
        methods: &[],
    },
    settings: &[UserFile { base: HOME, path: "config.toml" }],
    permissions: PermissionControl::Mode { allow: "yolo", ask: "default" },
    trailers: Trailers::None,
    refs: &[],
    deletion: Deletion::Protocol,
    attach: Some(Attach { program: None, args: &["--session", "{session}"] }),
    models: None,
    project_settings: &[],
    export: None,
    session_file: Some(SessionFile {
        directory: UserFile { base: HOME, path: "sessions" },
        path: &["*", "{session}", "agents", "main", "wire.jsonl"],
        format: SessionFormat::Kimi,
    }),
    usage: UsageReport::SessionFile,
    reports_cost: Some(false),
    failure: FailureSign::None,
    failure_texts: &[],
    exceptions: &[Exception::UnaskedEdits],
    session_tools: SessionTools::Work,
    quirks: Quirks { answers_last: true, ..Quirks::NONE },
};
