//! The variables that an agent's runs get: those of its env files, or else those of this process.

use std::env;
use std::ffi::OsString;

use kugetsu_agent::environment::Variable;
use kugetsu_api::home::Home;
use secrecy::ExposeSecret;

use crate::env_files;

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
