//! Whether an agent is logged in to its model provider, as far as that shows without a model request.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use kugetsu_agent::environment::Variable;
use kugetsu_agent::{Profile, UserFile};
use kugetsu_api::home::Home;
use secrecy::ExposeSecret;
use serde_json::Value;

use crate::env_files;

/// An agent's settings file of more bytes than this is not read.
const FILE_SIZE_MAX: u64 = 4 * 1024 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LoginState {
    /// Where the login is, as a sentence. Only a run shows whether the provider accepts it.
    LoggedIn(String),
    NotLoggedIn,
    /// Nothing is there, but the agent may need no login, or keep it elsewhere.
    Unknown,
}

impl LoginState {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::LoggedIn(_) => "logged in",
            Self::NotLoggedIn => "not logged in",
            Self::Unknown => "unknown",
        }
    }
}

/// Looks for a login file, a key and a configured provider.
pub(crate) fn state(profile: &Profile, variables: &Variables<'_>) -> LoginState {
    if let Some(file) = login_file(profile, variables) {
        LoginState::LoggedIn(format!("{} contains a login", file.display()))
    } else if let Some(variable) = key_variable(profile, variables) {
        LoginState::LoggedIn(format!("the variable {variable} is set"))
    } else if let Some(source) = configured_provider(profile, variables) {
        LoginState::LoggedIn(format!("{source} names a provider"))
    } else if profile.login().elsewhere {
        LoginState::Unknown
    } else {
        LoginState::NotLoggedIn
    }
}

fn path(file: &UserFile, variables: &Variables<'_>) -> Option<PathBuf> {
    file.path_in(|name| variables.get(name).map(Into::into))
}

fn login_file(profile: &Profile, variables: &Variables<'_>) -> Option<PathBuf> {
    profile.login().files.iter().filter_map(|file| path(file, variables)).find(|file| {
        let read = text(file).and_then(|text| serde_json::from_str::<Value>(&text).ok());
        read.is_some_and(|read| read.as_object().is_some_and(|logins| !logins.is_empty()))
    })
}

/// A variable that logs the agent in, or one named like those that providers read their keys from.
fn key_variable(profile: &Profile, variables: &Variables<'_>) -> Option<String> {
    let login = profile.login();
    let withheld: Vec<&str> = profile.withheld(&variables.files).collect();
    let mut names = login.variables.iter().filter(|name| !withheld.contains(name));
    if let Some(name) = names.find(|name| variables.get(name).is_some()) {
        return Some((*name).to_owned());
    }
    if login.any_key { variables.find(|name| name.ends_with("_API_KEY")) } else { None }
}

/// The agent's configuration that names a provider: a file, or a variable that contains the text of one or its path.
fn configured_provider(profile: &Profile, variables: &Variables<'_>) -> Option<String> {
    let login = profile.login();
    for (name, mark) in login.configured_by {
        let value = variables.get(name).unwrap_or_default();
        if value.contains(mark) {
            return Some(format!("the variable {name}"));
        }
        if Path::new(&value).is_absolute() && text(Path::new(&value)).is_some_and(|text| text.contains(mark)) {
            return Some(value);
        }
    }
    let mut files = login.configured.iter().filter_map(|(file, mark)| Some((path(file, variables)?, *mark)));
    let file = files.find(|(file, mark)| text(file).is_some_and(|text| text.contains(mark)));
    file.map(|(file, _)| file.display().to_string())
}

fn text(path: &Path) -> Option<String> {
    let metadata = fs::metadata(path).ok()?;
    (metadata.is_file() && metadata.len() <= FILE_SIZE_MAX).then(|| fs::read_to_string(path).ok())?
}

/// The variables that an agent's runs get: those of its env files, or else those of this process.
pub(crate) struct Variables<'a> {
    /// Those of the env files; the last one wins.
    pub(crate) files: Vec<Variable>,
    /// Looks up a variable of this process.
    environment: &'a dyn Fn(&str) -> Option<OsString>,
}

impl<'a> Variables<'a> {
    /// Reads the env files of these names over `default.env`. Files that cannot be read are left out: they have checks of their
    /// own.
    pub(crate) fn read(home: &Home, files: &[&str], environment: &'a dyn Fn(&str) -> Option<OsString>) -> Self {
        let read = env_files::merged(home, files).or_else(|_| env_files::merged(home, &[]));
        Self { files: read.map(|read| read.variables).unwrap_or_default(), environment }
    }

    /// The value of a variable; `None` if it is blank.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        let file = self.files.iter().rev().find(|variable| variable.name == name);
        let value = match file {
            Some(variable) => Some(variable.value.expose_secret().to_owned()),
            None => (self.environment)(name).and_then(|value| value.into_string().ok()),
        };
        value.filter(|value| !value.trim().is_empty())
    }

    /// The first variable with such a name that has a value.
    pub(crate) fn find(&self, is_it: impl Fn(&str) -> bool) -> Option<String> {
        let own = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        let mut names = self.files.iter().map(|variable| variable.name.clone()).chain(own);
        names.find(|name| is_it(name) && self.get(name).is_some())
    }

    pub(crate) fn search_path(&self) -> OsString {
        self.get("PATH").map(OsString::from).or_else(|| (self.environment)("PATH")).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use kugetsu_agent::profile;

    use super::*;

    fn logged_in(agent: &str, user: &Path, set: &[(&str, &str)]) -> LoginState {
        let home = Home::new(user.join("kugetsu"));
        let environment = |name: &str| match name {
            "HOME" => Some(user.as_os_str().to_owned()),
            name => set.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value)),
        };
        state(&profile(agent, &[]).unwrap(), &Variables::read(&home, &[agent], &environment))
    }

    #[test]
    fn login_is_in_a_file_a_variable_or_a_configuration() {
        let directory = tempfile::tempdir().unwrap();
        let user = directory.path();
        assert_eq!(logged_in("claude", user, &[]), LoginState::NotLoggedIn);
        assert_eq!(logged_in("copilot", user, &[]), LoginState::Unknown, "it may use another program's login");
        assert_eq!(logged_in("opencode", user, &[]), LoginState::Unknown, "some models need none");
        let by_variable = logged_in("claude", user, &[("ANTHROPIC_API_KEY", "x")]);
        assert_eq!(by_variable, LoginState::LoggedIn("the variable ANTHROPIC_API_KEY is set".to_owned()));
        assert_eq!(logged_in("codex", user, &[("ANTHROPIC_API_KEY", "x")]), LoginState::NotLoggedIn);
        assert_eq!(logged_in("claude", user, &[("ANTHROPIC_API_KEY", " ")]), LoginState::NotLoggedIn);
        for (path, text, agent) in [
            (".claude/.credentials.json", r#"{"claudeAiOauth":{}}"#, "claude"),
            (".codex/config.toml", "model_provider = \"x\"", "codex"),
            (".vibe/.env", "MISTRAL_API_KEY=x", "vibe"),
        ] {
            fs::create_dir_all(user.join(path).parent().unwrap()).unwrap();
            fs::write(user.join(path), text).unwrap();
            let LoginState::LoggedIn(source) = logged_in(agent, user, &[]) else { panic!("{agent}") };
            assert!(source.contains(path), "{source}");
        }
        fs::write(user.join(".claude/.credentials.json"), "{}").unwrap();
        assert_eq!(logged_in("claude", user, &[]), LoginState::NotLoggedIn, "a file without a login");
    }

    #[test]
    fn env_file_of_the_agent_logs_it_in_and_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let env = directory.path().join("kugetsu/env");
        fs::create_dir_all(&env).unwrap();
        fs::write(env.join("claude.env"), "CLAUDE_CODE_OAUTH_TOKEN=x\nOPENAI_API_KEY=y\n").unwrap();
        assert_eq!(logged_in("claude", directory.path(), &[]).name(), "logged in");
        assert_eq!(logged_in("codex", directory.path(), &[]).name(), "not logged in");
    }

    #[test]
    fn token_of_a_forge_is_a_login_in_the_own_env_file_only() {
        let directory = tempfile::tempdir().unwrap();
        let env = directory.path().join("kugetsu/env");
        fs::create_dir_all(&env).unwrap();
        fs::write(env.join("default.env"), "GITHUB_TOKEN=x\n").unwrap();
        let of_user = [("GH_TOKEN", "y")];
        assert_eq!(logged_in("copilot", directory.path(), &of_user), LoginState::Unknown, "both are withheld");
        fs::write(env.join("copilot.env"), "GITHUB_TOKEN=z\n").unwrap();
        let own = LoginState::LoggedIn("the variable GITHUB_TOKEN is set".to_owned());
        assert_eq!(logged_in("copilot", directory.path(), &of_user), own);
    }
}
