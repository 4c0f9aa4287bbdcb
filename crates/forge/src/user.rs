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

/// A right that the token of a watched project needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenRight {
    /// The action that it allows, such as `push`.
    pub action: &'static str,
    /// The server's term for it.
    pub name: &'static str,
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

/// The rights that the token of a watched project needs, in the terms of its kind of server.
#[derive(Clone, Copy, Debug)]
pub struct TokenNeeds {
    /// The terms for [`Permission`]s, from the least, each for itself and for what is between it and the next one.
    pub(crate) roles: &'static [(Permission, &'static str)],
    /// The least permission of the token's user for looking up what other users may do.
    pub look_up: Permission,
    /// The least permission for webhooks.
    pub hooks: Permission,
    /// The scope for webhooks.
    pub hooks_scope: &'static str,
    /// The least permission for merging into a default branch whose protection is the usual one.
    pub merge: Permission,
    /// Scopes to give a token, as a part of a sentence.
    pub scopes: &'static str,
    /// Of the scopes that a server reports, one of these is enough. Empty if the server reports none.
    pub sufficient: &'static [&'static str],
    /// A scope that pushes to these files need, too.
    pub for_workflows: Option<(&'static str, &'static str)>,
    /// The page of the labels, below that of the project.
    pub labels_page: &'static str,
    /// Whether a label is found in any case of its letters.
    pub labels_ignore_case: bool,
}

impl TokenNeeds {
    /// The server's term for a permission.
    pub fn role(&self, permission: Permission) -> &'static str {
        let known = self.roles.iter().rev().find(|(least, _)| permission >= *least);
        known.map_or("no role", |(_, name)| name)
    }

    /// The scope that pushes to some files need and a server does not report, and these files.
    pub fn lacks_for_workflows(&self, reported: Option<&[String]>) -> Option<(&'static str, &'static str)> {
        self.for_workflows.filter(|(scope, _)| reported.is_some_and(|scopes| !scopes.iter().any(|it| it == scope)))
    }

    /// Whether the scopes that a server reports are not enough.
    pub fn lacks_scope(&self, reported: Option<&[String]>) -> bool {
        let is_enough = |scopes: &[String]| scopes.iter().any(|scope| self.sufficient.contains(&scope.as_str()));
        !self.sufficient.is_empty() && reported.is_some_and(|scopes| !is_enough(scopes))
    }
}
