//! goose (<https://github.com/aaif-goose/goose>).

use super::definition::{
    Attach, Base, Definition, Deletion, FailureSign, Installation, Login, PermissionControl, Quirks, SessionTools,
    Trailers, UsageReport, UserFile,
};
use super::exception::Exception;

pub(crate) static GOOSE: Definition = Definition {
    name: "goose",
    program: "goose",
    args: &["acp"],
    env: &[("GOOSE_DISABLE_SESSION_NAMING", "true"), ("GOOSE_TELEMETRY_ENABLED", "false")],
    root_env: &[],
    withheld: &[],
    installation: Installation {
        command: "npm install -g @aaif/goose-binary-linux-x64",
        page: "https://goose-docs.ai",
        runtime: None,
    },
    tested: Some("1.52.0"),
    login: Login {
        command: "goose configure",
        then: "",
        elsewhere: false,
        variables: &["GOOSE_PROVIDER"],
        any_key: false,
        files: &[],
        configured: &[(UserFile { base: Base::Config, path: "goose/config.yaml" }, "GOOSE_PROVIDER")],
        configured_by: &[],
        methods: &[],
    },
    settings: &[UserFile { base: Base::Config, path: "goose" }],
    permissions: PermissionControl::Variable { name: "GOOSE_MODE", allow: "auto", ask: "approve" },
    trailers: Trailers::None,
    refs: &[],
    deletion: Deletion::Protocol,
    attach: Some(Attach { program: None, args: &["session", "--resume", "--session-id", "{session}"] }),
    models: None,
    project_settings: &[],
    export: None,
    session_file: None,
    usage: UsageReport::LastStep,
    reports_cost: Some(true),
    failure: FailureSign::NoTokens,
    failure_texts: &["Ran into this error", "The model returned an empty response"],
    exceptions: &[Exception::FilteredAnswers, Exception::TokensOfTools],
    session_tools: SessionTools::Work,
    quirks: Quirks::NONE,
};
