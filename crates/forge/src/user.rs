//! Users of a server, and what they may do in a project.

pub use kugetsu_domain::watch::trust::Permission;

/// A user as the server knows it. Names are the server's; nothing about a user is inferred from one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub login: String,
    /// Whether the server marks the account as a program's.
    pub is_bot: bool,
}

/// The user whom a token belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub login: String,
    /// The permissions of the token itself, where the server reports them.
    pub scopes: Option<Vec<String>>,
}

/// The permission of the token in a project, and the settings that matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectAccess {
    /// The path as the server writes it; another one than requested if the project was renamed.
    pub path: String,
    pub default_branch: String,
    pub permission: Permission,
    /// The methods that the project allows; empty if the server does not say.
    pub merge_methods: Vec<crate::pull_request::MergeMethod>,
    pub is_archived: bool,
}
