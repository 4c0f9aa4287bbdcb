//! Repositories that kugetsu works on.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepoObject {
    /// The whole name, such as `github.com/acme/api` or `local/shop`.
    pub name: String,
    /// The address or path that it is cloned from and pushed to, without credentials.
    pub source: String,
    /// The kind of its server; `local` for a path. `None` while it is unknown.
    pub kind: Option<String>,
    /// Number of open issues.
    pub open_issues: u64,
    /// Size of the mirror on the disk, in bytes. Objects that it shares with a local repository count.
    pub mirror_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepoQuery {
    /// The repository in any accepted form.
    pub repo: String,
    /// The caller's absolute directory.
    pub cwd: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveRepoRequest {
    #[serde(flatten)]
    pub repo: RepoQuery,
    /// Where the repository is now.
    pub path: String,
}

/// The webhook of a watched repository. A person who knows the secret can report changes, which are then looked up on the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookObject {
    /// The name of the watch.
    pub watch: String,
    /// The address that gets the deliveries.
    pub url: String,
    /// Only for a person who creates the webhook.
    pub secret: Option<String>,
    /// Whether it was created now.
    pub created: bool,
}
