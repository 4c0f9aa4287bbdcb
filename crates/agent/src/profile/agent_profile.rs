//! A configured agent: its description, with the fields that the user's settings replace.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::builtin::definition::{
    Definition, Deletion, FailureSign, Installation, Login, PermissionControl, Quirks, SessionFile, SessionTools,
    Switch, Trailers, UsageReport, UserFile,
};
use super::builtin::exception::Exception;
use super::permission_rules::{InvalidPermissionRules, VARIABLE, merge};
use crate::environment::Variable;
use crate::question::Policy;
use crate::session_id::SessionId;

/// The placeholder of the session's id in the arguments of a profile.
const SESSION: &str = "{session}";

/// An agent's entry in the settings. It replaces single fields of a built-in agent, or describes another program that speaks
/// ACP on stdin and stdout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentSettings {
    /// Its name in commands and settings.
    pub name: String,
    /// A name that is looked up on `PATH`, or an absolute path.
    pub program: Option<PathBuf>,
    /// Arguments that make it speak ACP.
    pub args: Option<Vec<String>>,
    /// Variables that override all others.
    pub env: Vec<(String, String)>,
    /// Arguments that delete a session, with `{session}` for its id.
    pub delete: Option<Vec<String>>,
    /// Arguments that open a session in the agent's own user interface, with `{session}` for its id.
    pub attach: Option<Vec<String>>,
    /// Arguments that print its models, one per line.
    pub models: Option<Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    pub(super) name: String,
    pub(super) program: PathBuf,
    args: Vec<String>,
    /// Variables that the user's environment overrides.
    defaults: Vec<(String, String)>,
    /// Variables that override all others.
    env: Vec<(String, String)>,
    delete: SessionDeletion,
    attach: Option<AttachCommand>,
    models: Option<Vec<String>>,
    definition: &'static Definition,
}

/// How a session is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionDeletion {
    /// By a request to the running agent; see [`Connection::delete_session`](crate::Connection::delete_session).
    Protocol,
    /// By a command of the agent.
    Command(Vec<String>),
    Impossible,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct AttachCommand {
    /// `None` for the agent's program.
    program: Option<PathBuf>,
    args: Vec<String>,
}

/// How to run an agent's program once: its arguments, and additions to its environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The arguments, without the program's name.
    pub args: Vec<OsString>,
    defaults: Vec<(String, String)>,
    env: Vec<(String, String)>,
    withheld: &'static [&'static str],
    permissions: Option<Policy>,
}

impl Profile {
    /// `settings` has the agent's name.
    pub(super) fn new(definition: &'static Definition, settings: Option<&AgentSettings>) -> Self {
        let strings = |strings: &[&str]| strings.iter().map(|&string| string.to_owned()).collect::<Vec<_>>();
        let none = AgentSettings { name: definition.name.to_owned(), ..AgentSettings::default() };
        let settings = settings.unwrap_or(&none);
        let mut env = if nix::unistd::geteuid().is_root() { pairs(definition.root_env) } else { Vec::new() };
        env.extend(settings.env.clone());
        let delete = match (&settings.delete, definition.deletion) {
            (Some(args), _) => SessionDeletion::Command(args.clone()),
            (None, Deletion::Protocol) => SessionDeletion::Protocol,
            (None, Deletion::Command(args)) => SessionDeletion::Command(strings(args)),
            (None, Deletion::Impossible) => SessionDeletion::Impossible,
        };
        let attach = match (&settings.attach, definition.attach) {
            (Some(args), _) => Some(AttachCommand { program: None, args: args.clone() }),
            (None, Some(attach)) => {
                Some(AttachCommand { program: attach.program.map(PathBuf::from), args: strings(attach.args) })
            }
            (None, None) => None,
        };
        Self {
            name: settings.name.clone(),
            program: settings.program.clone().unwrap_or_else(|| PathBuf::from(definition.program)),
            args: settings.args.clone().unwrap_or_else(|| strings(definition.args)),
            defaults: pairs(definition.env),
            env,
            delete,
            attach,
            models: settings.models.clone().or_else(|| definition.models.map(strings)),
            definition,
        }
    }

    /// Returns the agent's name in commands and settings.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the name or the path of its program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Whether kugetsu knows the agent, rather than only its entry in the settings.
    pub fn is_built_in(&self) -> bool {
        !self.definition.name.is_empty()
    }

    pub fn installation(&self) -> &Installation {
        &self.definition.installation
    }

    pub fn login(&self) -> &Login {
        &self.definition.login
    }

    /// Returns the files and directories with its settings.
    pub fn settings(&self) -> &[UserFile] {
        self.definition.settings
    }

    /// Returns the version that its description was measured with; `None` for agents that are not built in.
    pub fn tested_version(&self) -> Option<&'static str> {
        self.definition.tested
    }

    /// Returns the guarantees of kugetsu that do not hold with the agent.
    pub fn exceptions(&self) -> &'static [Exception] {
        self.definition.exceptions
    }

    /// Returns what logs the agent in to its model provider: a command between backticks, and what to do in it.
    pub fn how_to_log_in(&self) -> String {
        match (self.definition.login.command, self.definition.login.then) {
            ("", _) => format!("`{}`", self.program.display()),
            (command, "") => format!("`{command}`"),
            (command, then) => format!("`{command}`, and {then}"),
        }
    }

    /// Runs the agent, which then speaks ACP on stdin and stdout.
    pub fn launch(&self, policy: Policy) -> Launch {
        let mut launch = self.run(&self.args, "");
        match self.definition.permissions {
            PermissionControl::OpencodeRules => launch.permissions = Some(policy),
            PermissionControl::Variable { name, allow, ask } => {
                launch.set_env(name, chosen(policy, allow, ask));
            }
            PermissionControl::Mode { .. } | PermissionControl::Option { .. } | PermissionControl::Unknown => {}
        }
        launch
    }

    /// Returns how the agent is kept from naming itself in messages of commits.
    pub fn trailers(&self) -> Trailers {
        self.definition.trailers
    }

    /// Returns how the agent deletes a session.
    pub fn deletion(&self) -> &SessionDeletion {
        &self.delete
    }

    /// Deletes a session; `None` if the agent has no command for it.
    pub fn delete_session(&self, session: &SessionId) -> Option<Launch> {
        match &self.delete {
            SessionDeletion::Command(args) => Some(self.run(args, session.as_str())),
            SessionDeletion::Protocol | SessionDeletion::Impossible => None,
        }
    }

    /// Opens a session in the agent's own user interface; `None` if it has none. To be run in the session's directory, with
    /// the program that [`attach_program`](Self::attach_program) names.
    pub fn attach(&self, session: &SessionId) -> Option<Launch> {
        self.attach.as_ref().map(|attach| self.run(&attach.args, session.as_str()))
    }

    /// Returns the arguments of [`attach`](Self::attach), with `{session}` for the session's id.
    pub fn attach_args(&self) -> Option<&[String]> {
        self.attach.as_ref().map(|attach| attach.args.as_slice())
    }

    /// Returns the name or the path of the program with the agent's own user interface.
    pub fn attach_program(&self) -> &Path {
        self.attach.as_ref().and_then(|attach| attach.program.as_deref()).unwrap_or(&self.program)
    }

    /// Prints the agent's models, one per line, for [`models_in`](crate::models_in); `None` if the agent cannot do that. Its
    /// stdout must be a file.
    pub fn list_models(&self) -> Option<Launch> {
        self.models.as_ref().map(|args| self.run(args, ""))
    }

    /// Returns the files and directories at the root of a repository that may define models which
    /// [`list_models`](Self::list_models) does not print elsewhere.
    pub fn project_settings(&self) -> &[&'static str] {
        self.definition.project_settings
    }

    /// Whether the running agent serves the records of its sessions; see [`read_live_record`](crate::read_live_record).
    pub fn serves_records(&self) -> bool {
        self.quirks().serves_records
    }

    /// Prints a session on stdout, for [`SessionExport::read`](crate::SessionExport::read); `None` if the agent cannot do
    /// that. Its stdout must be a file: opencode 1.18.33 writes no more than 64 KiB of it to a pipe.
    pub fn export_session(&self, session: &SessionId) -> Option<Launch> {
        let args: Vec<String> = self.definition.export?.iter().map(|&arg| arg.to_owned()).collect();
        Some(self.run(&args, session.as_str()))
    }

    /// Returns the id of the protocol's method that logs the agent in with a variable that is set; `None` if no method fits,
    /// or more than one.
    pub fn login_method(&self, is_set: impl Fn(&str) -> bool) -> Option<&'static str> {
        let mut fitting: Vec<&str> = Vec::new();
        for (variable, method) in self.definition.login.methods {
            if is_set(variable) && !fitting.contains(method) {
                fitting.push(method);
            }
        }
        match fitting.as_slice() {
            [method] => Some(method),
            _ => None,
        }
    }

    /// Returns all variables that may be [withheld](Self::withheld).
    pub fn forge_tokens(&self) -> &'static [&'static str] {
        self.definition.withheld
    }

    /// Returns the variables that the agent does not get: tokens for git servers that it would take for its own login, unless
    /// its own env file sets them. `files` are the variables of all env files.
    pub fn withheld(&self, files: &[Variable]) -> impl Iterator<Item = &'static str> {
        withheld(self.definition.withheld, files)
    }

    fn run(&self, args: &[String], session: &str) -> Launch {
        Launch {
            args: args.iter().map(|arg| arg.replace(SESSION, session).into()).collect(),
            defaults: self.defaults.clone(),
            env: self.env.clone(),
            withheld: self.definition.withheld,
            permissions: None,
        }
    }

    /// Whether the agent reports what a session costs; `None` if that is not known.
    pub fn reports_cost(&self) -> Option<bool> {
        self.definition.reports_cost
    }

    /// Returns why the agent cannot be the coordinator, as the end of a sentence; `None` if it can, or if that is not known.
    pub fn no_coordinator(&self) -> Option<&'static str> {
        match self.definition.session_tools {
            SessionTools::Refused(why) => Some(why),
            SessionTools::Work | SessionTools::WorkWith(_) | SessionTools::Unknown => None,
        }
    }

    /// Returns what makes the tools of a session visible to the model at once; `None` if nothing need be set.
    pub fn tools_switch(&self) -> Option<Switch> {
        match self.definition.session_tools {
            SessionTools::WorkWith(switch) => Some(switch),
            SessionTools::Work | SessionTools::Unknown | SessionTools::Refused(_) => None,
        }
    }

    pub(crate) fn session_tools(&self) -> SessionTools {
        self.definition.session_tools
    }

    pub(crate) fn permissions(&self) -> PermissionControl {
        self.definition.permissions
    }

    /// Returns the directory in which the agent keeps its sessions, if the end of a turn is read there. `variable` looks a
    /// variable of the agent's environment up.
    pub fn session_directory(&self, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
        self.definition.session_file?.directory.path_in(variable)
    }

    pub(crate) fn session_file(&self) -> Option<&'static SessionFile> {
        self.definition.session_file.as_ref()
    }

    pub(crate) fn usage_report(&self) -> UsageReport {
        self.definition.usage
    }

    pub(crate) fn failure_texts(&self) -> &'static [&'static str] {
        self.definition.failure_texts
    }

    pub(crate) fn failure_sign(&self) -> FailureSign {
        self.definition.failure
    }

    pub(crate) fn quirks(&self) -> Quirks {
        self.definition.quirks
    }

    /// The variables of a command that runs in no environment of a run.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.defaults.iter().chain(&self.env).map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Returns the value for a policy. Under [`Policy::Refuse`] the agent has to ask, too: the question is what is refused.
pub(crate) fn chosen<'a>(policy: Policy, allow: &'a str, ask: &'a str) -> &'a str {
    match policy {
        Policy::Allow => allow,
        Policy::Ask | Policy::Refuse => ask,
    }
}

impl Launch {
    /// Sets a variable that overrides all others.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// Sets a variable that the user's environment overrides.
    pub fn set_default_env(&mut self, name: &str, value: &str) {
        self.defaults.retain(|(known, _)| known != name);
        self.defaults.push((name.to_owned(), value.to_owned()));
    }

    /// Adds the agent's variables to an environment that contains those of the env files, and removes those that are
    /// [withheld](Profile::withheld). Permission rules of the user in that environment have precedence.
    ///
    /// # Errors
    /// [`InvalidPermissionRules`] if those rules cannot be read.
    pub fn extend_env(
        &self,
        env: &mut Vec<(OsString, OsString)>,
        files: &[Variable],
    ) -> Result<(), InvalidPermissionRules> {
        for name in withheld(self.withheld, files) {
            env.retain(|(known, _)| known != name);
        }
        for (name, value) in &self.defaults {
            if !env.iter().any(|(existing, _)| existing == OsStr::new(name)) {
                set(env, name, value);
            }
        }
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

fn withheld(names: &'static [&'static str], files: &[Variable]) -> impl Iterator<Item = &'static str> {
    names.iter().copied().filter(|name| !files.iter().any(|variable| variable.is_own && variable.name == *name))
}

fn set(env: &mut Vec<(OsString, OsString)>, name: &str, value: &str) {
    env.retain(|(existing, _)| existing != OsStr::new(name));
    env.push((name.into(), value.into()));
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}
