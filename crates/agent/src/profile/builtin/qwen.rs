//! Qwen Code (<https://github.com/QwenLM/qwen-code>).

use super::definition::{
    Attach, Base, Definition, Deletion, FailureSign, Installation, Login, PermissionControl, Quirks, Runtime,
    SessionTools, Switch, Trailers, UsageReport, UserFile,
};
use super::exception::Exception;

/// The path of a file with settings that those of the user override.
const SYSTEM_DEFAULTS: &str = "QWEN_CODE_SYSTEM_DEFAULTS_PATH";
const HOME: Base = Base::Own { variable: "QWEN_HOME", below_home: ".qwen" };

pub(crate) static QWEN: Definition = Definition {
    name: "qwen",
    program: "qwen",
    args: &["--acp"],
    env: &[],
    root_env: &[],
    withheld: &[],
    installation: Installation {
        command: "npm install -g @qwen-code/qwen-code",
        page: "https://github.com/QwenLM/qwen-code",
        runtime: Some(Runtime { program: "node", at_least: "22" }),
    },
    tested: Some("0.24.4"),
    login: Login {
        command: "qwen",
        then: "type `/auth` there",
        elsewhere: false,
        variables: &["OPENAI_API_KEY", "DASHSCOPE_API_KEY"],
        any_key: false,
        files: &[UserFile { base: HOME, path: "oauth_creds.json" }],
        configured: &[
            (UserFile { base: HOME, path: "settings.json" }, "selectedType"),
            (UserFile { base: HOME, path: ".env" }, "_API_KEY"),
        ],
        configured_by: &[],
        methods: &[],
    },
    settings: &[
        UserFile { base: HOME, path: "settings.json" },
        UserFile { base: HOME, path: ".env" },
        UserFile { base: HOME, path: "QWEN.md" },
    ],
    permissions: PermissionControl::Mode { allow: "yolo", ask: "default" },
    trailers: Trailers::Switch(Switch::Defaults {
        variable: SYSTEM_DEFAULTS,
        settings: r#"{"general":{"gitCoAuthor":{"commit":false,"pr":false}}}"#,
    }),
    // The share of each file that it wrote itself, as a note about each of its commits.
    refs: &["refs/notes/ai-attribution"],
    deletion: Deletion::Impossible,
    attach: Some(Attach { program: None, args: &["--resume", "{session}"] }),
    models: None,
    project_settings: &[],
    export: None,
    session_file: None,
    usage: UsageReport::Pieces,
    reports_cost: Some(false),
    failure: FailureSign::None,
    failure_texts: &[],
    exceptions: &[Exception::FilteredAnswers],
    session_tools: SessionTools::WorkWith(Switch::Defaults {
        variable: SYSTEM_DEFAULTS,
        settings: r#"{"tools":{"toolSearch":{"enabled":false}}}"#,
    }),
    quirks: Quirks::NONE,
};
