//! What people call things: servers, projects and issues.
//!
//! The short form of an [`IssueRef`] (`host/owner/repo#12`) is the one that every output shows. Reading the many shapes
//! that people type is the forge crate's work; this module only holds the words and keeps them valid.

use std::fmt;

use thiserror::Error;

/// The project name space of repositories that live on no server: `local/<name>#<n>`.
pub const LOCAL: &str = "local";

/// What stands for the coordinator where an issue is named: it has tasks, runs and a session as an issue has, and no
/// repository.
pub const COORDINATOR: &str = "pm";
/// The "server" of the coordinator.
const COORDINATOR_BASE: &str = "coordinator";

/// Which program serves a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ForgeKind {
    /// github.com or a GitHub Enterprise Server.
    GitHub,
    /// A Gitea instance.
    Gitea,
    /// A Forgejo instance, such as codeberg.org.
    Forgejo,
    /// gitlab.com or a self-managed GitLab.
    GitLab,
    /// A git repository on this machine, without any server.
    Local,
}

impl ForgeKind {
    /// The name in configuration, output and database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GitHub => "github",
            Self::Gitea => "gitea",
            Self::Forgejo => "forgejo",
            Self::GitLab => "gitlab",
            Self::Local => LOCAL,
        }
    }

    /// The kind that [`name`](Self::name) gave.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::GitHub, Self::Gitea, Self::Forgejo, Self::GitLab, Self::Local]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

/// Why a word was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{word:?} is not a {what}: {why}")]
pub struct BadWord {
    what: &'static str,
    word: String,
    why: &'static str,
}

/// Where a server's pages begin: `https://host[:port][/path]`, without a trailing slash, user or query; `local` for
/// repositories that have none, and a word of its own for the coordinator.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerBase(String);

impl ServerBase {
    /// The "server" of repositories that have none.
    pub fn local() -> Self {
        Self(LOCAL.to_owned())
    }

    /// Takes an address that its reader has already normalised (lower-case host, no default port).
    ///
    /// # Errors
    /// Refuses anything but `http://` and `https://` addresses, and addresses with a user, a query, a fragment,
    /// a trailing slash, white space or control characters.
    pub fn new(base: impl Into<String>) -> Result<Self, BadWord> {
        let base = base.into();
        let refuse = |why| Err(BadWord { what: "server address", word: base.clone(), why });
        if base == LOCAL || base == COORDINATOR_BASE {
            return Ok(Self(base));
        }
        let Some(rest) = base.strip_prefix("https://").or_else(|| base.strip_prefix("http://")) else {
            return refuse("it starts with neither https:// nor http://");
        };
        if rest.is_empty() || rest.starts_with('/') {
            return refuse("the host is missing");
        }
        if base.ends_with('/') {
            return refuse("it ends with a slash");
        }
        if rest.contains(['@', '?', '#', '\\']) || rest.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return refuse("it holds a user, a query, a fragment or a space");
        }
        Ok(Self(base))
    }

    /// The whole address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address without its scheme: `host[:port][/path]`, or `local`.
    pub fn without_scheme(&self) -> &str {
        self.0.split_once("://").map_or(self.0.as_str(), |(_, rest)| rest)
    }

    /// Whether this stands for "no server".
    pub fn is_local(&self) -> bool {
        self.0 == LOCAL
    }

    /// Whether this is the coordinator's.
    pub fn is_coordinator(&self) -> bool {
        self.0 == COORDINATOR_BASE
    }
}

impl fmt::Display for ServerBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A project's path on its server: `owner/repo`, with more levels on GitLab; one level for a local repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectPath(String);

impl ProjectPath {
    /// Takes a path such as `owner/repo`.
    ///
    /// # Errors
    /// Refuses empty parts, `.` and `..`, parts that begin with `-`, and every character that no forge allows in a name
    /// (anything but letters, digits, `.`, `_`, `-`, `+` and `~`).
    pub fn new(path: impl Into<String>) -> Result<Self, BadWord> {
        let path = path.into();
        for part in path.split('/') {
            let why = if part.is_empty() {
                "a part of it is empty"
            } else if part == "." || part == ".." {
                "a part of it is `.` or `..`"
            } else if part.starts_with('-') {
                "a part of it begins with `-`"
            } else if part.contains(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '~'))) {
                "it holds a character that no project name has"
            } else {
                continue;
            };
            return Err(BadWord { what: "project path", word: path, why });
        }
        Ok(Self(path))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last part: the repository's own name.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl fmt::Display for ProjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A repository: its server and its project there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoRef {
    /// The server, or `local`.
    pub base: ServerBase,
    /// The project on that server.
    pub project: ProjectPath,
}

impl fmt::Display for RepoRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base.without_scheme(), self.project)
    }
}

/// An issue: its repository and its number there. `Display` gives the short form that every output shows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IssueRef {
    /// Where the issue belongs.
    pub repo: RepoRef,
    /// Its number, from 1.
    pub number: u64,
}

impl IssueRef {
    /// The coordinator, which is no issue and is asked like one.
    pub fn coordinator() -> Self {
        let base = ServerBase(COORDINATOR_BASE.to_owned());
        Self { repo: RepoRef { base, project: ProjectPath(COORDINATOR.to_owned()) }, number: 1 }
    }

    /// Whether it is the coordinator.
    pub fn is_coordinator(&self) -> bool {
        self.repo.base.is_coordinator()
    }
}

impl fmt::Display for IssueRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_coordinator() {
            return f.write_str(COORDINATOR);
        }
        write!(f, "{}#{}", self.repo, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issue(base: &str, project: &str, number: u64) -> IssueRef {
        IssueRef {
            repo: RepoRef { base: ServerBase::new(base).unwrap(), project: ProjectPath::new(project).unwrap() },
            number,
        }
    }

    #[test]
    fn the_short_form_names_host_project_and_number() {
        assert_eq!(issue("https://github.com", "acme/api", 12).to_string(), "github.com/acme/api#12");
        assert_eq!(issue("http://127.0.0.1:3000", "a/b", 1).to_string(), "127.0.0.1:3000/a/b#1");
        assert_eq!(issue("https://code.example.org/git", "a/b", 7).to_string(), "code.example.org/git/a/b#7");
        assert_eq!(issue("local", "demo", 3).to_string(), "local/demo#3");
        assert_eq!(IssueRef::coordinator().to_string(), "pm");
        assert_eq!(issue("coordinator", "pm", 1), IssueRef::coordinator(), "as it comes back from the database");
    }

    #[test]
    fn words_that_could_leave_their_place_are_refused() {
        for base in ["ftp://x", "https://", "https://h/", "https://u:p@h", "https://h?x", "https:///x", "https://a b"] {
            assert!(ServerBase::new(base).is_err(), "{base}");
        }
        for project in ["", "a//b", "../b", "a/..", "a/b c", "a/$(x)", "-x/y", "a/b;c", "a/b\n", "a\\b"] {
            assert!(ProjectPath::new(project).is_err(), "{project}");
        }
        assert!(ProjectPath::new("group/sub/re.po_1").is_ok());
    }
}
