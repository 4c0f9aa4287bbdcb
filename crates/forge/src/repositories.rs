//! The entries of `repos.json`: which repository is cloned from somewhere else than its server's usual address (B4).
//!
//! The file is one JSON object whose keys name repositories (`owner/repo` on any server, or with the host in front) and
//! whose values say what to clone. Reading the file from disk is the caller's work.

use kugetsu_domain::reference::{ProjectPath, RepoRef, ServerBase};
use serde_json::Value;
use thiserror::Error;

use crate::address::Target;
use crate::clone_url::CloneUrl;
use crate::error::AddressError;
use crate::known::KnownServer;
use crate::parser::parse;

/// The readable entries of `repos.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repositories {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    base: Option<ServerBase>,
    project: ProjectPath,
    clone_url: CloneUrl,
}

/// `repos.json` is not a JSON object.
#[derive(Debug, Error)]
#[error(
    "repos.json cannot be read: {0}; it must be one JSON object such as {{\"owner/repo\": \"https://host/owner/repo.git\"}}"
)]
pub struct RepositoriesError(String);

/// One entry of `repos.json` that cannot be used; the others can.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EntryError {
    /// The key names no repository.
    #[error("repos.json: an entry's name is not a repository: {0}")]
    Name(AddressError),
    /// The key names an issue or a change.
    #[error("repos.json: the entry {0:?} names an issue, not a repository; write owner/repo")]
    NotARepository(String),
    /// The value is neither a text nor an object with a `url`.
    #[error("repos.json: the entry {0:?} has no address; write \"{0}\": \"https://host/owner/repo.git\"")]
    NoAddress(String),
    /// The value is not an address that git can clone from.
    #[error("repos.json: the entry {0:?} has no usable address: {1}")]
    Address(String, AddressError),
}

impl Repositories {
    /// Reads the file's text. An entry that cannot be understood is set aside with an error that names it; an empty
    /// file has no entries.
    ///
    /// # Errors
    /// Fails as a whole only where the text is not a JSON object.
    pub fn read(text: &str, servers: &[KnownServer]) -> Result<(Self, Vec<EntryError>), RepositoriesError> {
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() {
            return Ok((Self::default(), Vec::new()));
        }
        let value: Value = serde_json::from_str(text).map_err(|error| RepositoriesError(error.to_string()))?;
        let Value::Object(object) = value else {
            return Err(RepositoriesError("it holds no object".to_owned()));
        };
        let mut read = Self::default();
        let mut faults = Vec::new();
        for (name, value) in &object {
            match Entry::read(name, value, servers) {
                Ok(entry) => read.entries.push(entry),
                Err(fault) => faults.push(fault),
            }
        }
        Ok((read, faults))
    }

    /// What to clone for a repository of a known server: an entry with the server's name wins over one without.
    pub fn clone_url(&self, repo: &RepoRef) -> Option<&CloneUrl> {
        let own = |entry: &&Entry| entry.project == repo.project && entry.base.as_ref() == Some(&repo.base);
        let named = self.entries.iter().find(own);
        named.or_else(|| self.without_server(&repo.project)).map(|entry| &entry.clone_url)
    }

    /// What to clone for a project whose server is not named.
    pub fn clone_url_of_project(&self, project: &ProjectPath) -> Option<&CloneUrl> {
        self.without_server(project).map(|entry| &entry.clone_url)
    }

    fn without_server(&self, project: &ProjectPath) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.base.is_none() && entry.project == *project)
    }
}

impl Entry {
    fn read(name: &str, value: &Value, servers: &[KnownServer]) -> Result<Self, EntryError> {
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
        let clone_url = CloneUrl::read(text).map_err(|error| EntryError::Address(address.to_string(), error))?;
        Ok(Self { base: address.base, project: address.project, clone_url })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_entry_is_named_and_the_rest_is_read() {
        let text = r#"{"acme/api": "git@work:acme/api.git", "acme": "x", "a/b": 3, "a/c": {"url": "/srv/c.git"},
            "a/d": "https://bot:SECRET@", "a/e#3": "/srv/e", "git.example.co/a/f": "https://bot:SECRET@mirror/f.git"}"#;
        let (read, faults) = Repositories::read(text, &[]).unwrap();
        let url = |project: &str| {
            let project = ProjectPath::new(project).unwrap();
            read.clone_url_of_project(&project).map(|url| url.to_string())
        };
        assert_eq!(url("acme/api").as_deref(), Some("git@work:acme/api.git"));
        assert_eq!(url("a/c").as_deref(), Some("/srv/c.git"));
        assert_eq!(url("a/f"), None);
        let said: Vec<_> = faults.iter().map(ToString::to_string).collect();
        for name in ["\"acme\"", "\"a/b\"", "\"a/d\"", "a/e#3"] {
            assert!(said.iter().any(|fault| fault.contains(name)), "{name}: {said:?}");
        }
        assert_eq!(said.len(), 4, "{said:?}");
        assert!(!format!("{said:?} {faults:?} {read:?}").contains("SECRET"));
    }

    #[test]
    fn a_file_that_is_no_object_is_an_error_and_an_empty_one_is_not() {
        assert_eq!(Repositories::read("\u{feff} \n", &[]).unwrap(), (Repositories::default(), Vec::new()));
        for text in ["[]", "{", "3", "{\"a/b\": \"x\",}"] {
            let error = Repositories::read(text, &[]).unwrap_err().to_string();
            assert!(error.contains("repos.json") && error.contains("owner/repo"), "{error}");
        }
    }
}
