//! References to servers, projects and issues.
//!
//! The short form of an [`IssueRef`] (`host/owner/repo#12`) is the one that every output shows. The forge crate parses what
//! users type; this module only holds valid names.

use std::fmt;

use thiserror::Error;

/// Server and prefix of repositories without a server: `local/<name>#<n>`.
pub const LOCAL: &str = "local";

/// The reference of the coordinator, which has tasks, runs and a session like an issue, but no repository.
pub const COORDINATOR: &str = "pm";
/// The "server" of the coordinator.
const COORDINATOR_BASE: &str = "coordinator";

/// The program that serves a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ForgeKind {
    /// github.com or a GitHub Enterprise Server.
    GitHub,
    /// gitlab.com or a self-managed GitLab.
    GitLab,
    Gitea,
    /// Including codeberg.org.
    Forgejo,
    /// None: a git repository on this machine. The last variant.
    Local,
}

impl ForgeKind {
    /// All kinds. Lists for users have this order.
    pub const ALL: [Self; 5] = [Self::GitHub, Self::GitLab, Self::Gitea, Self::Forgejo, Self::Local];

    /// The name in settings, output and the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GitHub => "github",
            Self::GitLab => "gitlab",
            Self::Gitea => "gitea",
            Self::Forgejo => "forgejo",
            Self::Local => LOCAL,
        }
    }

    /// The kind with this [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The kinds of servers in a list for users, such as `github, gitlab, gitea or forgejo`.
    pub fn server_names(conjunction: &str) -> String {
        let names: Vec<&str> = Self::ALL.into_iter().filter(|kind| *kind != Self::Local).map(Self::name).collect();
        match names.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} {conjunction} {last}", rest.join(", ")),
            _ => names.join(""),
        }
    }
}

// Fails to compile if `ALL` misses a kind.
const _: () = assert!(ForgeKind::ALL.len() == ForgeKind::Local as usize + 1);

/// A name that is not valid.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{name:?} is not a valid {what}: {reason}")]
pub struct InvalidName {
    what: &'static str,
    name: String,
    reason: &'static str,
}

/// The address at which a server's pages begin: `https://host[:port][/path]` without a trailing slash, user or query. It is
/// `local` for repositories without a server, and a word of its own for the coordinator.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerBase(String);

impl ServerBase {
    /// The "server" of repositories that have none.
    pub fn local() -> Self {
        Self(LOCAL.to_owned())
    }

    /// Takes an address that is normalized already: host in lower case, no default port.
    ///
    /// # Errors
    /// [`InvalidName`] for other schemes than http and https, and for addresses with a user, a query, a fragment, a trailing
    /// slash, white space or control characters.
    pub fn new(base: impl Into<String>) -> Result<Self, InvalidName> {
        let base = base.into();
        let refuse = |reason| Err(InvalidName { what: "server address", name: base.clone(), reason });
        if base == LOCAL || base == COORDINATOR_BASE {
            return Ok(Self(base));
        }
        let Some(rest) = base.strip_prefix("https://").or_else(|| base.strip_prefix("http://")) else {
            return refuse("it begins with neither https:// nor http://");
        };
        if rest.is_empty() || rest.starts_with('/') {
            return refuse("the host is missing");
        }
        if base.ends_with('/') {
            return refuse("it ends with a slash");
        }
        if rest.contains(['@', '?', '#', '\\']) || rest.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return refuse("it contains a user, a query, a fragment or a space");
        }
        Ok(Self(base))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `host[:port][/path]`, or `local`.
    pub fn without_scheme(&self) -> &str {
        self.0.split_once("://").map_or(self.0.as_str(), |(_, rest)| rest)
    }

    pub fn is_local(&self) -> bool {
        self.0 == LOCAL
    }

    pub fn is_coordinator(&self) -> bool {
        self.0 == COORDINATOR_BASE
    }
}

impl fmt::Display for ServerBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The path of a project on its server: `owner/repo`, more parts on GitLab, one part for a local repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectPath(String);

impl ProjectPath {
    /// # Errors
    /// [`InvalidName`] for empty parts, `.` and `..`, parts that begin with `-`, and characters that no forge allows in
    /// names (anything but letters, digits, `.`, `_`, `-`, `+` and `~`).
    pub fn new(path: impl Into<String>) -> Result<Self, InvalidName> {
        let path = path.into();
        for part in path.split('/') {
            let reason = if part.is_empty() {
                "a part of it is empty"
            } else if part == "." || part == ".." {
                "a part of it is `.` or `..`"
            } else if part.starts_with('-') {
                "a part of it begins with `-`"
            } else if part.contains(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '~'))) {
                "it contains a character that project names cannot have"
            } else {
                continue;
            };
            return Err(InvalidName { what: "project path", name: path, reason });
        }
        Ok(Self(path))
    }

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

/// A repository. `Display` shows `host/owner/repo`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoRef {
    /// The server, or `local`.
    pub base: ServerBase,
    pub project: ProjectPath,
}

impl fmt::Display for RepoRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base.without_scheme(), self.project)
    }
}

/// An issue. `Display` shows the short form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IssueRef {
    pub repo: RepoRef,
    /// From 1.
    pub number: u64,
}

impl IssueRef {
    /// The coordinator, which is not an issue but can be referred to like one.
    pub fn coordinator() -> Self {
        let base = ServerBase(COORDINATOR_BASE.to_owned());
        Self { repo: RepoRef { base, project: ProjectPath(COORDINATOR.to_owned()) }, number: 1 }
    }

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
        assert_eq!(issue("coordinator", "pm", 1), IssueRef::coordinator(), "as the database returns it");
    }

    #[test]
    fn names_that_could_escape_their_path_are_refused() {
        for base in ["ftp://x", "https://", "https://h/", "https://u:p@h", "https://h?x", "https:///x", "https://a b"] {
            assert!(ServerBase::new(base).is_err(), "{base}");
        }
        for project in ["", "a//b", "../b", "a/..", "a/b c", "a/$(x)", "-x/y", "a/b;c", "a/b\n", "a\\b"] {
            assert!(ProjectPath::new(project).is_err(), "{project}");
        }
        assert!(ProjectPath::new("group/sub/re.po_1").is_ok());
    }

    #[test]
    fn kinds_are_found_by_name_and_listed() {
        for kind in ForgeKind::ALL {
            assert_eq!(ForgeKind::from_name(kind.name()), Some(kind));
        }
        assert_eq!(ForgeKind::server_names("or"), "github, gitlab, gitea or forgejo");
    }
}
