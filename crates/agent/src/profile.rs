//! What is special about one agent: how it is started, and what it does otherwise than the protocol says.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::permission::{InvalidPermissionRules, PERMISSION, permission};
use crate::policy::Policy;
use crate::session_id::SessionId;

/// What stands for the session's id in a command template.
const SESSION: &str = "{session}";

/// An agent that is not built in: any program that speaks ACP on stdin and stdout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CustomProfile {
    /// What it is called in commands and settings.
    pub name: String,
    /// Its program: a name that is looked up, or an absolute path.
    pub program: PathBuf,
    /// Arguments that make it speak ACP.
    pub args: Vec<String>,
    /// Variables that are set for it, on top of everything else.
    pub env: Vec<(String, String)>,
    /// Arguments that make it forget a session, with `{session}` for the id; `None` if it cannot.
    pub delete: Option<Vec<String>>,
    /// Arguments that open its own screen on a session, with `{session}` for the id; `None` if it has none.
    pub attach: Option<Vec<String>>,
}

/// One agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    /// Arguments that make it forget a session.
    pub(crate) delete: Option<Vec<String>>,
    /// Arguments that open its own screen on a session.
    pub(crate) attach: Option<Vec<String>>,
    /// Arguments that print a session, in opencode's format.
    pub(crate) record: Option<Vec<String>>,
    /// Where it keeps its login, below the user's data home.
    pub(crate) login_files: Vec<&'static str>,
    /// Where its settings lie, below the user's configuration home.
    pub(crate) config_directories: Vec<&'static str>,
    /// The version that what is special about it was measured with.
    pub(crate) tested_version: Option<&'static str>,
    pub(crate) install_hint: String,
    pub(crate) login_command: String,
    pub(crate) quirks: Quirks,
}

/// What an agent does otherwise than the protocol says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Quirks {
    /// A message that begins with "/" is taken for a command of the agent's own.
    pub(crate) slash_commands: bool,
    /// When the model's answer breaks off, it asks again at once and for ever, in a new message.
    pub(crate) asks_again_when_cut: bool,
    /// The tokens it reports are those of the last step, and 0 if that step broke off.
    pub(crate) reports_last_step: bool,
    /// It takes its permission rules from `OPENCODE_PERMISSION`.
    pub(crate) opencode_permission: bool,
}

/// How to run an agent's program: what comes after its name, and what is added to its environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The arguments, without the program's name.
    pub args: Vec<OsString>,
    env: Vec<(String, String)>,
    permissions: Option<Policy>,
}

impl Profile {
    /// An agent that somebody configured.
    pub(crate) fn custom(own: &CustomProfile) -> Self {
        let program = own.program.display();
        Self {
            name: own.name.clone(),
            program: own.program.clone(),
            args: own.args.clone(),
            env: own.env.clone(),
            delete: own.delete.clone(),
            attach: own.attach.clone(),
            record: None,
            login_files: Vec::new(),
            config_directories: Vec::new(),
            tested_version: None,
            install_hint: format!("install it, or correct `program` of the agent {} in the configuration", own.name),
            login_command: program.to_string(),
            quirks: Quirks::default(),
        }
    }

    /// What the agent is called in commands and settings.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The files that hold its login, below the user's data home (`$XDG_DATA_HOME`, `~/.local/share`): what it needs in a
    /// home of its own.
    pub fn login_files(&self) -> &[&'static str] {
        &self.login_files
    }

    /// The directories that hold its settings, below the user's configuration home (`$XDG_CONFIG_HOME`, `~/.config`), which
    /// it also writes to.
    pub fn config_directories(&self) -> &[&'static str] {
        &self.config_directories
    }

    /// The version that what is special about it was measured with; none for agents that nothing is known of.
    pub fn tested_version(&self) -> Option<&'static str> {
        self.tested_version
    }

    /// What makes it log in to its model: a command.
    pub fn login_command(&self) -> &str {
        &self.login_command
    }

    /// Starts the agent, to speak ACP on its stdin and stdout.
    pub fn launch(&self, policy: Policy) -> Launch {
        let permissions = self.quirks.opencode_permission.then_some(policy);
        Launch { permissions, ..self.run(&self.args, "") }
    }

    /// Makes the agent forget a session; `None` if it cannot.
    pub fn delete_session(&self, session: &SessionId) -> Option<Launch> {
        self.delete.as_ref().map(|args| self.run(args, session.as_str()))
    }

    /// Opens the agent's own screen on a session, in the session's directory; `None` if it has none.
    pub fn attach(&self, session: &SessionId) -> Option<Launch> {
        self.attach.as_ref().map(|args| self.run(args, session.as_str()))
    }

    /// Prints a session on stdout, for [`SessionExport::read`](crate::SessionExport::read); `None` if the agent keeps no
    /// such record. It can be large: send it to a file.
    pub fn export_session(&self, session: &SessionId) -> Option<Launch> {
        self.record.as_ref().map(|args| self.run(args, session.as_str()))
    }

    fn run(&self, args: &[String], session: &str) -> Launch {
        Launch {
            args: args.iter().map(|arg| arg.replace(SESSION, session).into()).collect(),
            env: self.env.clone(),
            permissions: None,
        }
    }

    /// The program's name or path, as it is to be found.
    pub(crate) fn program_name(&self) -> &OsStr {
        self.program.as_os_str()
    }
}

impl Launch {
    /// Adds what the agent needs to the environment it is going to get. The user's own permission rules there are kept.
    ///
    /// # Errors
    /// [`InvalidPermissionRules`] if those rules cannot be read.
    pub fn extend_env(&self, env: &mut Vec<(OsString, OsString)>) -> Result<(), InvalidPermissionRules> {
        for (name, value) in &self.env {
            set(env, name, value);
        }
        if let Some(policy) = self.permissions {
            let own = env.iter().rev().find(|(name, _)| name == PERMISSION).map(|(_, value)| value.as_os_str());
            let rules = permission(policy, own)?;
            set(env, PERMISSION, &rules);
        }
        Ok(())
    }
}

fn set(env: &mut Vec<(OsString, OsString)>, name: &str, value: &str) {
    env.retain(|(known, _)| known != name);
    env.push((name.into(), value.into()));
}
