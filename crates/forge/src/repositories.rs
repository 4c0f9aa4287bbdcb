//! The entries of `repos.json`: repositories that are cloned from elsewhere than the usual address of their server.
//!
//! The file is a JSON object. Its keys name repositories (`owner/repo` on any server, or with a host before it), its values
//! are what to clone. The caller reads the file.

use kugetsu_domain::reference::{ProjectPath, RepoRef, ServerBase};
use serde_json::Value;
use thiserror::Error;

use crate::references::address::Target;
use crate::references::clone_url::CloneUrl;
use crate::references::error::AddressError;
use crate::references::parser::parse;
use crate::references::server_index::KnownServer;

/// The valid entries of `repos.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repositories {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// `None` for an entry that applies to any server.
    base: Option<ServerBase>,
    project: ProjectPath,
    clone_url: CloneUrl,
}

/// `repos.json` is not a JSON object.
#[derive(Debug, Error)]
#[error("repos.json is not valid: {0}")]
pub struct RepositoriesError(String);

impl RepositoriesError {
    pub fn hint(&self) -> Option<String> {
        Some("write a JSON object such as {\"owner/repo\": \"https://host/owner/repo.git\"}".to_owned())
    }
}

/// An entry of `repos.json` that is not valid. It does not affect the others.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EntryError {
    #[error("repos.json: the name of an entry is not a repository: {0}")]
    Name(AddressError),
    #[error("repos.json: the entry {0:?} does not name a repository")]
    NotARepository(String),
    /// The value is neither a string nor an object with a string `url`.
    #[error("repos.json: the entry {0:?} has no address")]
    NoAddress(String),
    #[error("repos.json: the entry {0:?}: {1}")]
    Address(String, AddressError),
}

impl EntryError {
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Name(_) | Self::NotARepository(_) => Some("write owner/repo or host/owner/repo".to_owned()),
            Self::NoAddress(name) => Some(format!("write \"{name}\": \"https://host/owner/repo.git\"")),
            Self::Address(_, error) => error.hint(),
        }
    }
}

impl Repositories {
    /// Parses the text of the file; an empty one has no entries. Entries that are not valid are returned as errors beside
    /// the valid ones.
    ///
    /// # Errors
    /// [`RepositoriesError`] if the text is not a JSON object.
    pub fn parse(text: &str, servers: &[KnownServer]) -> Result<(Self, Vec<EntryError>), RepositoriesError> {
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() {
            return Ok((Self::default(), Vec::new()));
        }
        let value: Value = serde_json::from_str(text).map_err(|error| RepositoriesError(error.to_string()))?;
        let Value::Object(object) = value else {
            return Err(RepositoriesError("it is not an object".to_owned()));
        };
        let mut repositories = Self::default();
        let mut errors = Vec::new();
        for (name, value) in &object {
            match Entry::parse(name, value, servers) {
                Ok(entry) => repositories.entries.push(entry),
                Err(error) => errors.push(error),
            }
        }
        Ok((repositories, errors))
    }

    /// The address to clone a repository from. An entry with the server's name wins over one without.
    pub fn clone_url(&self, repo: &RepoRef) -> Option<&CloneUrl> {
        let is_on_server = |entry: &&Entry| entry.project == repo.project && entry.base.as_ref() == Some(&repo.base);
        let named = self.entries.iter().find(is_on_server);
        named.or_else(|| self.on_any_server(&repo.project)).map(|entry| &entry.clone_url)
    }

    /// The address to clone a project from whose server is not named.
    pub fn clone_url_of_project(&self, project: &ProjectPath) -> Option<&CloneUrl> {
        self.on_any_server(project).map(|entry| &entry.clone_url)
    }

    fn on_any_server(&self, project: &ProjectPath) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.base.is_none() && entry.project == *project)
    }
}

impl Entry {
    fn parse(name: &str, value: &Value, servers: &[KnownServer]) -> Result<Self, EntryError> {
        let address = parse(name, servers, None).map_err(EntryError::Name)?;
        if address.target != Target::Repo || address.ssh.is_some() {
            return Err(EntryError::NotARepository(address.to_string()));
        }
        let text = match value {
            Value::String(text) => text,
            Value::Object(fields) => match fields.get("url") {
                Some(Value::String(text)) => text,
                _ => return Err(EntryError::NoAddress(address.to_string())),
            },
            _ => return Err(EntryError::NoAddress(address.to_string())),
        };
        let clone_url = CloneUrl::parse(text).map_err(|error| EntryError::Address(address.to_string(), error))?;
        Ok(Self { base: address.base, project: address.project, clone_url })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_entries_are_named_and_the_others_are_kept() {
        let text = r#"{"acme/api": "git@work:acme/api.git", "acme": "x", "a/b": 3, "a/c": {"url": "/srv/c.git"},
            "a/d": "https://bot:SECRET@", "a/e#3": "/srv/e", "git.example.co/a/f": "https://bot:SECRET@mirror/f.git"}"#;
        let (repositories, errors) = Repositories::parse(text, &[]).unwrap();
        let url = |project: &str| {
            let project = ProjectPath::new(project).unwrap();
            repositories.clone_url_of_project(&project).map(|url| url.to_string())
        };
        assert_eq!(url("acme/api").as_deref(), Some("git@work:acme/api.git"));
        assert_eq!(url("a/c").as_deref(), Some("/srv/c.git"));
        assert_eq!(url("a/f"), None);
        let messages: Vec<_> = errors.iter().map(ToString::to_string).collect();
        for name in ["\"acme\"", "\"a/b\"", "\"a/d\"", "a/e#3"] {
            assert!(messages.iter().any(|message| message.contains(name)), "{name}: {messages:?}");
        }
        assert_eq!(messages.len(), 4, "{messages:?}");
        assert!(!format!("{messages:?} {errors:?} {repositories:?}").contains("SECRET"));
    }

    #[test]
    fn only_an_object_or_an_empty_file_is_valid() {
        assert_eq!(Repositories::parse("\u{feff} \n", &[]).unwrap(), (Repositories::default(), Vec::new()));
        for text in ["[]", "{", "3", "{\"a/b\": \"x\",}"] {
            let error = Repositories::parse(text, &[]).unwrap_err();
            assert!(error.to_string().contains("repos.json"), "{error}");
            assert!(error.hint().unwrap().contains("owner/repo"), "{error}");
        }
    }
}
