//! The description of an agent as data: its program, and where it differs from the protocol and from other agents.
//!
//! A difference between agents is a field here, never a comparison with an agent's name.

use super::exception::Exception;

/// The description of a built-in agent, measured with the version [`tested`](Self::tested).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Definition {
    /// Its name in commands and settings.
    pub name: &'static str,
    /// The name of its program on `PATH`.
    pub program: &'static str,
    /// Arguments that make it speak ACP.
    pub args: &'static [&'static str],
    /// Variables for unattended work: no telemetry, no updates during a run, a bounded number of retries.
    pub env: &'static [(&'static str, &'static str)],
    /// Variables without which it refuses to work as root. They override those of the user.
    pub root_env: &'static [(&'static str, &'static str)],
    /// Variables with tokens for git servers that it would take for its own login.
    pub withheld: &'static [&'static str],
    pub installation: Installation,
    /// The version that this description was measured with; `None` for agents that are not built in.
    pub tested: Option<&'static str>,
    pub login: Login,
    /// Files and directories with its settings.
    pub settings: &'static [UserFile],
    pub permissions: PermissionControl,
    pub trailers: Trailers,
    /// Refs that it makes in a repository for itself. They contain nothing of its work.
    pub refs: &'static [&'static str],
    pub deletion: Deletion,
    /// How to open a session in its own user interface; `None` if it has none.
    pub attach: Option<Attach>,
    /// Arguments that print its models, one per line; `None` if it cannot do that.
    pub models: Option<&'static [&'static str]>,
    /// Files and directories at the root of a repository in which its models may be defined, too.
    pub project_settings: &'static [&'static str],
    /// Arguments that print a session in opencode's format.
    pub export: Option<&'static [&'static str]>,
    /// Where it keeps a session, if it reports over the protocol neither failures of its model nor broken answers.
    pub session_file: Option<SessionFile>,
    pub usage: UsageReport,
    /// Whether it reports what a session costs; `None` if that is not known.
    pub reports_cost: Option<bool>,
    pub failure: FailureSign,
    /// How texts begin in which it reports a failure of the model as if the model had answered.
    pub failure_texts: &'static [&'static str],
    /// Guarantees of kugetsu that do not hold with it.
    pub exceptions: &'static [Exception],
    pub session_tools: SessionTools,
    pub quirks: Quirks,
}

/// Any other program that speaks ACP.
pub(crate) static UNKNOWN: Definition = Definition {
    name: "",
    program: "",
    args: &[],
    env: &[],
    root_env: &[],
    withheld: &[],
    installation: Installation { command: "", page: "", runtime: None },
    tested: None,
    login: Login {
        command: "",
        then: "",
        elsewhere: true,
        variables: &[],
        any_key: false,
        files: &[],
        configured: &[],
        configured_by: &[],
        methods: &[],
    },
    settings: &[],
    permissions: PermissionControl::Unknown,
    trailers: Trailers::Unknown,
    refs: &[],
    deletion: Deletion::Impossible,
    attach: None,
    models: None,
    project_settings: &[],
    export: None,
    session_file: None,
    usage: UsageReport::Turn,
    reports_cost: None,
    failure: FailureSign::None,
    failure_texts: &[],
    exceptions: &[],
    session_tools: SessionTools::Unknown,
    quirks: Quirks::NONE,
};

/// How users get the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Installation {
    /// The command that installs it; empty for agents that are not built in.
    pub command: &'static str,
    pub page: &'static str,
    pub runtime: Option<Runtime>,
}

/// A program that runs the agent. An older version installs an older agent, without a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runtime {
    pub program: &'static str,
    /// For example `22` or `3.12`.
    pub at_least: &'static str,
}

/// How the agent is logged in to its model provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Login {
    /// The command that users type to log in.
    pub command: &'static str,
    /// The steps in the program that the command starts, as a part of a sentence; empty if it needs none.
    pub then: &'static str,
    /// Whether it can be logged in although none of the following is there: by a keyring or another program, or because a model
    /// needs no login.
    pub elsewhere: bool,
    /// Variables of which one is enough.
    pub variables: &'static [&'static str],
    /// Whether the key of any provider is enough: a variable whose name ends in `_API_KEY`.
    pub any_key: bool,
    /// Files of which one is enough.
    pub files: &'static [UserFile],
    /// Settings files, each with a text that it contains if a provider is configured there.
    pub configured: &'static [(UserFile, &'static str)],
    /// Variables with the text or the path of such a file.
    pub configured_by: &'static [(&'static str, &'static str)],
    /// Variables, each with the id of the protocol's method that logs in with it.
    pub methods: &'static [(&'static str, &'static str)],
}

/// A file or directory of the agent in a user's home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserFile {
    pub base: Base,
    /// Relative to the base.
    pub path: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// `$XDG_DATA_HOME`, `~/.local/share`.
    Data,
    /// `$XDG_CONFIG_HOME`, `~/.config`.
    Config,
    /// `$XDG_STATE_HOME`, `~/.local/state`.
    State,
    /// `$XDG_CACHE_HOME`, `~/.cache`.
    Cache,
    /// The directory that a variable names, or else one below the home.
    Own { variable: &'static str, below_home: &'static str },
}

/// The file of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionFile {
    pub directory: UserFile,
    /// The components of the path below it. `*` matches any text, `{session}` the session's id, and `{session:8}` the first 8
    /// characters of it.
    pub path: &'static [&'static str],
    pub format: SessionFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionFormat {
    Gemini,
    Kimi,
}

/// How `agent.permissions` reaches the agent. All of them ask over the protocol for what they do not decide themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PermissionControl {
    /// Rules in the variable `OPENCODE_PERMISSION`.
    OpencodeRules,
    /// The session's mode.
    Mode { allow: &'static str, ask: &'static str },
    /// A variable of its environment.
    Variable { name: &'static str, allow: &'static str, ask: &'static str },
    /// A session option.
    Option { id: &'static str, allow: &'static str, ask: &'static str },
    /// Not known: it asks or it does not.
    Unknown,
}

/// How the agent is kept from naming itself in messages of commits and in pull requests (`Co-authored-by`, "Generated with").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trailers {
    /// It does not name itself.
    None,
    Switch(Switch),
    /// By settings in `_meta.claudeCode.options.settings` of the request that opens a session, as a JSON object.
    SessionSettings(&'static str),
    /// It has no switch that kugetsu could set: its prompt asks it.
    Prompt,
    /// Not known: its prompt asks it.
    Unknown,
}

/// A setting of the agent that kugetsu changes for a run. The user's own has precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// By a variable of its environment.
    Variable { name: &'static str, value: &'static str },
    /// By a file with its default settings, whose path is in a variable.
    Defaults { variable: &'static str, settings: &'static str },
}

/// Whether the model can call the tools of a session, which the coordinator needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionTools {
    Work,
    /// They work if the model sees them at once. Otherwise the agent lets it search for tools, which not every model does.
    WorkWith(Switch),
    Unknown,
    /// The reason, as the end of a sentence.
    Refused(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deletion {
    /// The protocol's `session/delete`.
    Protocol,
    /// A command with `{session}` in its arguments.
    Command(&'static [&'static str]),
    /// It has no way.
    Impossible,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attach {
    /// Another program than the one that speaks the protocol, if it is another.
    pub program: Option<&'static str>,
    /// With `{session}` for the session's id.
    pub args: &'static [&'static str],
}

/// Where the agent reports the tokens of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UsageReport {
    /// In `usage` of the response to the prompt.
    Turn,
    /// There, but those of the last model step only: known for a turn without tool calls, which has one step.
    LastStep,
    /// There, but those of the whole session.
    Session,
    /// There, but those of all turns of this connection.
    Connection,
    /// In `_meta.quota.token_count` of the response.
    Quota,
    /// In `_meta.usage` of pieces of the answer, one for each model step.
    Pieces,
    /// Nowhere but in the file of the session.
    SessionFile,
}

/// How a turn whose model failed differs from one that ended well, for agents that end both alike and report the failure as a
/// text of the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FailureSign {
    /// In no way that is known, or the agent answers the prompt with an error.
    #[default]
    None,
    /// The response reports no tokens, but some providers do not count them. The agent's record of the session tells.
    Record,
    /// The response reports no tokens. It does whenever a model has answered.
    NoTokens,
    /// The latest `_meta.codex.threadStatus` of the session is `systemError`; or as [`NoTokens`](Self::NoTokens).
    ThreadStatus,
}

/// Deviations from the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quirks {
    /// When the model's answer breaks off, the agent requests another one at once, endlessly, as a new message.
    pub(crate) retries_broken_answers: bool,
    /// A turn that ends after a tool call, without an answer of the model to it, did not end well.
    pub(crate) answers_last: bool,
    /// It serves the records of its sessions on a loopback port.
    pub(crate) serves_records: bool,
    /// Its error responses for a session that does not exist, besides that with the protocol's code.
    pub(crate) lost_session: &'static [LostSession],
}

impl Quirks {
    /// For agents of which no deviation is known.
    pub(crate) const NONE: Self = Self {
        retries_broken_answers: false,
        answers_last: false,
        serves_records: false,
        lost_session: &[
            LostSession { message: "session not found", detail: "" },
            // gemini 0.61.0, codex 2.6.0, kimi 2.1.0.
            LostSession { message: "internal error", detail: "no previous sessions found" },
            LostSession { message: "internal error", detail: "no rollout found for thread id" },
            LostSession { message: "unknown sessionid", detail: "" },
        ],
    };
}

impl Default for Quirks {
    fn default() -> Self {
        Self::NONE
    }
}

/// An error response for a session that does not exist. Anything vaguer would also match other failures, such as a model or a
/// command that is not found, and a new session would silently take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LostSession {
    /// The beginning of the message, in lower case.
    pub(crate) message: &'static str,
    /// A part of the further information, in lower case.
    pub(crate) detail: &'static str,
}
