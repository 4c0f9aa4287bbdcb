//! The description of one agent: how its program is run, and its deviations from the protocol.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::permission_rules::{InvalidPermissionRules, VARIABLE, merge};
use crate::question::Policy;
use crate::session_id::SessionId;

/// Stands for the session's id in the arguments of a profile.
const SESSION: &str = "{session}";

/// An agent that is not built in: any program that speaks ACP on stdin and stdout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CustomProfile {
    /// Its name in commands and settings.
    pub name: String,
    /// A name that is looked up on `PATH`, or an absolute path.
    pub program: PathBuf,
    /// Arguments that make it speak ACP.
    pub args: Vec<String>,
    /// Variables that override all others.
    pub env: Vec<(String, String)>,
    /// Arguments that delete a session, with `{session}` for its id; `None` if the agent cannot do that.
    pub delete: Option<Vec<String>>,
    /// Arguments that open a session in the agent's own user interface, with `{session}` for its id; `None` if it has none.
    pub attach: Option<Vec<String>>,
    /// Arguments that print its models, one per line; `None` if it cannot do that.
    pub models: Option<Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    pub(super) name: String,
    pub(super) program: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    /// Arguments that delete a session.
    pub(super) delete: Option<Vec<String>>,
    /// Arguments that open a session in the agent's own user interface.
    pub(super) attach: Option<Vec<String>>,
    /// Arguments that print its models, one per line.
    pub(super) models: Option<Vec<String>>,
    /// Files and directories of a repository in which its models may be defined, too.
    pub(super) project_settings: Vec<&'static str>,
    /// Arguments that print a session in opencode's format.
    pub(super) export: Option<Vec<String>>,
    /// Files with its login, relative to the user's data directory.
    pub(super) login_files: Vec<&'static str>,
    /// Directories with its settings, relative to the user's configuration directory.
    pub(super) config_directories: Vec<&'static str>,
    /// The version that its quirks were measured with.
    pub(super) tested_version: Option<&'static str>,
    pub(super) install_hint: String,
    pub(super) login_command: String,
    pub(super) quirks: Quirks,
}

/// Deviations from the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Quirks {
    /// A message that begins with "/" is taken as a command of the agent.
    pub(crate) slash_commands: bool,
    /// When the model's answer breaks off, the agent requests another one at once, endlessly, as a new message.
    pub(crate) retries_broken_answers: bool,
    /// The usage in a response is that of the last model step, with 0 tokens if that step broke off.
    pub(crate) reports_last_step: bool,
    /// It serves the records of its sessions on a loopback port.
    pub(crate) serves_records: bool,
    /// It takes permission rules from `OPENCODE_PERMISSION`.
    pub(crate) opencode_permission: bool,
    /// Its error responses for a session that does not exist, besides that with the protocol's code.
    pub(crate) lost_session: &'static [LostSession],
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

/// For agents whose quirks are not known.
const LOST_SESSION: &[LostSession] = &[
    LostSession { message: "session not found", detail: "" },
    // gemini 0.61.0.
    LostSession { message: "internal error", detail: "no previous sessions found" },
];

/// How to run an agent's program once: its arguments, and additions to its environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The arguments, without the program's name.
    pub args: Vec<OsString>,
    env: Vec<(String, String)>,
    permissions: Option<Policy>,
}

impl Profile {
    pub(super) fn custom(custom: &CustomProfile) -> Self {
        let program = custom.program.display();
        Self {
            name: custom.name.clone(),
            program: custom.program.clone(),
            args: custom.args.clone(),
            env: custom.env.clone(),
            delete: custom.delete.clone(),
            attach: custom.attach.clone(),
            models: custom.models.clone(),
            project_settings: Vec::new(),
            export: None,
            login_files: Vec::new(),
            config_directories: Vec::new(),
            tested_version: None,
            install_hint: format!("install it, or correct the setting agents.{}.program", custom.name),
            login_command: program.to_string(),
            quirks: Quirks { lost_session: LOST_SESSION, ..Quirks::default() },
        }
    }

    /// Returns the agent's name in commands and settings.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the files with its login, relative to the user's data directory (`$XDG_DATA_HOME`, `~/.local/share`). The
    /// agent needs them in a home of its own.
    pub fn login_files(&self) -> &[&'static str] {
        &self.login_files
    }

    /// Returns the directories with its settings, relative to the user's configuration directory (`$XDG_CONFIG_HOME`,
    /// `~/.config`). The agent also writes to them.
    pub fn config_directories(&self) -> &[&'static str] {
        &self.config_directories
    }

    /// Returns the version that its quirks were measured with; `None` for custom agents.
    pub fn tested_version(&self) -> Option<&'static str> {
        self.tested_version
    }

    /// Returns the command that logs the agent in to its model provider.
    pub fn login_command(&self) -> &str {
        &self.login_command
    }

    /// Runs the agent, which then speaks ACP on stdin and stdout.
    pub fn launch(&self, policy: Policy) -> Launch {
        let permissions = self.quirks.opencode_permission.then_some(policy);
        Launch { permissions, ..self.run(&self.args, "") }
    }

    /// Deletes a session; `None` if the agent cannot do that.
    pub fn delete_session(&self, session: &SessionId) -> Option<Launch> {
        self.delete.as_ref().map(|args| self.run(args, session.as_str()))
    }

    /// Opens a session in the agent's own user interface; `None` if it has none. To be run in the session's directory.
    pub fn attach(&self, session: &SessionId) -> Option<Launch> {
        self.attach.as_ref().map(|args| self.run(args, session.as_str()))
    }

    /// Prints the agent's models, one per line, for [`models_in`](crate::models_in); `None` if the agent cannot do that. Its
    /// stdout must be a file.
    pub fn list_models(&self) -> Option<Launch> {
        self.models.as_ref().map(|args| self.run(args, ""))
    }

    /// Returns the files and directories at the root of a repository that may define models which
    /// [`list_models`](Self::list_models) does not print elsewhere.
    pub fn project_settings(&self) -> &[&'static str] {
        &self.project_settings
    }

    /// Whether the running agent serves the records of its sessions; see [`read_live_record`](crate::read_live_record).
    pub fn serves_records(&self) -> bool {
        self.quirks.serves_records
    }

    /// Prints a session on stdout, for [`SessionExport::read`](crate::SessionExport::read); `None` if the agent cannot do
    /// that. Its stdout must be a file: opencode 1.18.33 writes no more than 64 KiB of it to a pipe.
    pub fn export_session(&self, session: &SessionId) -> Option<Launch> {
        self.export.as_ref().map(|args| self.run(args, session.as_str()))
    }

    fn run(&self, args: &[String], session: &str) -> Launch {
        Launch {
            args: args.iter().map(|arg| arg.replace(SESSION, session).into()).collect(),
            env: self.env.clone(),
            permissions: None,
        }
    }

    pub(crate) fn quirks(&self) -> Quirks {
        self.quirks
    }
}

impl Launch {
    /// Adds the agent's variables to an environment. Permission rules of the user in that environment have precedence.
    ///
    /// # Errors
    /// [`InvalidPermissionRules`] if those rules cannot be read.
    pub fn extend_env(&self, env: &mut Vec<(OsString, OsString)>) -> Result<(), InvalidPermissionRules> {
        for (name, value) in &self.env {
            set(env, name, value);
        }
        if let Some(policy) = self.permissions {
            let users = env.iter().rev().find(|(name, _)| name == VARIABLE).map(|(_, value)| value.as_os_str());
            let rules = merge(policy, users)?;
            set(env, VARIABLE, &rules);
        }
        Ok(())
    }
}

fn set(env: &mut Vec<(OsString, OsString)>, name: &str, value: &str) {
    env.retain(|(existing, _)| existing != OsStr::new(name));
    env.push((name.into(), value.into()));
}
