//! opencode (<https://opencode.ai>).

use super::definition::{
    Attach, Base, Definition, Deletion, FailureSign, Installation, Login, LostSession, PermissionControl, Quirks,
    SessionTools, Trailers, UsageReport, UserFile,
};
use super::exception::Exception;

pub(crate) static OPENCODE: Definition = Definition {
    name: "opencode",
    program: "opencode",
    args: &["acp"],
    // An update during a run would replace the program that other runs are about to start.
    env: &[("OPENCODE_DISABLE_AUTOUPDATE", "1")],
    root_env: &[],
    // With one of them, the models of GitHub Copilot or GitLab Duo are offered, and may be its default.
    withheld: &["GITHUB_TOKEN", "GITLAB_TOKEN"],
    installation: Installation { command: "npm install -g opencode-ai", page: "https://opencode.ai", runtime: None },
    tested: Some("1.18.33"),
    login: Login {
        command: "opencode auth login",
        then: "",
        elsewhere: true,
        variables: &[],
        any_key: true,
        files: &[UserFile { base: Base::Data, path: "opencode/auth.json" }],
        configured: &[
            (UserFile { base: Base::Config, path: "opencode/opencode.json" }, "\"provider\""),
            (UserFile { base: Base::Config, path: "opencode/opencode.jsonc" }, "\"provider\""),
            (UserFile { base: Base::Config, path: "opencode/config.json" }, "\"provider\""),
        ],
        configured_by: &[("OPENCODE_CONFIG_CONTENT", "\"provider\""), ("OPENCODE_CONFIG", "\"provider\"")],
        methods: &[],
    },
    settings: &[UserFile { base: Base::Config, path: "opencode" }],
    permissions: PermissionControl::OpencodeRules,
    trailers: Trailers::None,
    refs: &[],
    deletion: Deletion::Command(&["session", "delete", "{session}"]),
    attach: Some(Attach { program: None, args: &["--session", "{session}"] }),
    models: Some(&["models"]),
    project_settings: &["opencode.json", "opencode.jsonc", ".opencode"],
    export: Some(&["export", "{session}"]),
    session_file: None,
    usage: UsageReport::Turn,
    reports_cost: Some(true),
    failure: FailureSign::Record,
    failure_texts: &[],
    exceptions: &[Exception::UnaskedCommands, Exception::UnaskedEdits],
    session_tools: SessionTools::Work,
    quirks: Quirks {
        retries_broken_answers: true,
        answers_last: true,
        serves_records: true,
        // It reports every unknown session like this, and no other failure to continue one that was seen.
        lost_session: &[LostSession { message: "opencode service failure", detail: r#""service":"session""# }],
    },
};
