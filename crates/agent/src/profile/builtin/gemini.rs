//! Gemini CLI (<https://github.com/google-gemini/gemini-cli>).

use super::definition::{
    Attach, Base, Definition, Deletion, FailureSign, Installation, Login, PermissionControl, Quirks, Runtime,
    SessionFile, SessionFormat, SessionTools, Trailers, UsageReport, UserFile,
};
use super::exception::Exception;

const HOME: Base = Base::Own { variable: "GEMINI_CLI_HOME", below_home: "" };

pub(crate) static GEMINI: Definition = Definition {
    name: "gemini",
    program: "gemini",
    args: &["--acp"],
    env: &[("GEMINI_CLI_TRUST_WORKSPACE", "true"), ("GEMINI_TELEMETRY_ENABLED", "false")],
    root_env: &[],
    withheld: &[],
    installation: Installation {
        command: "npm install -g @google/gemini-cli",
        page: "https://github.com/google-gemini/gemini-cli",
        runtime: Some(Runtime { program: "node", at_least: "20" }),
    },
    tested: Some("0.61.0"),
    login: Login {
        command: "gemini",
        then: "choose how to log in there",
        elsewhere: false,
        variables: &["GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_GCA"],
        any_key: false,
        files: &[UserFile { base: HOME, path: ".gemini/oauth_creds.json" }],
        configured: &[
            (UserFile { base: HOME, path: ".gemini/settings.json" }, "selectedType"),
            (UserFile { base: HOME, path: ".gemini/settings.json" }, "selectedAuthType"),
            (UserFile { base: HOME, path: ".gemini/.env" }, "_API_KEY"),
        ],
        configured_by: &[],
        methods: &[("GEMINI_API_KEY", "gemini-api-key")],
    },
    settings: &[
        UserFile { base: HOME, path: ".gemini/settings.json" },
        UserFile { base: HOME, path: ".gemini/.env" },
        UserFile { base: HOME, path: ".gemini/GEMINI.md" },
        UserFile { base: HOME, path: ".gemini/google_accounts.json" },
    ],
    permissions: PermissionControl::Mode { allow: "yolo", ask: "default" },
    trailers: Trailers::None,
    refs: &[],
    // Its --delete-session works only in the directory of the session, whose settings it would load, and succeeds elsewhere
    // without deleting anything.
    deletion: Deletion::Impossible,
    attach: Some(Attach { program: None, args: &["--resume", "{session}"] }),
    models: None,
    project_settings: &[],
    export: None,
    session_file: Some(SessionFile {
        directory: UserFile { base: HOME, path: ".gemini/tmp" },
        path: &["*", "chats", "session-*-{session:8}.jsonl"],
        format: SessionFormat::Gemini,
    }),
    usage: UsageReport::Quota,
    reports_cost: Some(false),
    failure: FailureSign::NoTokens,
    failure_texts: &[],
    exceptions: &[
        Exception::FullAnswers,
        Exception::FilteredAnswers,
        Exception::NoEditsOutside,
        Exception::YoungSessions,
    ],
    session_tools: SessionTools::Work,
    quirks: Quirks::NONE,
};
