//! Trust in users, as the server reports it.

use std::collections::{BTreeMap, BTreeSet};

use kugetsu_domain::reference::ProjectPath;
use kugetsu_domain::watch::publication::is_marked;
use kugetsu_domain::watch::trust::Trust;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::forge::Forge;
use kugetsu_forge::user::User;

/// Returns whether the policy trusts `login`; `None` if the token may not ask for what others may do, which is no trust. A list of
/// names costs no request.
///
/// # Errors
/// The request failed.
pub(crate) async fn is_trusted(
    trust: &Trust,
    forge: &dyn Forge,
    project: &ProjectPath,
    login: &str,
) -> Result<Option<bool>, ForgeError> {
    if let Trust::Names(_) = trust {
        return Ok(Some(trust.includes(login, None)));
    }
    match forge.permission(project, login).await {
        Ok(permission) => Ok(Some(trust.includes(login, Some(permission)))),
        Err(error @ ForgeError::Forbidden { .. }) => {
            tracing::warn!(login, project = %project, %error, "a user whose permission cannot be read is not trusted");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Who among the authors of a discussion is trusted.
pub(crate) struct Trusted {
    /// The login of kugetsu's token.
    own: String,
    by_login: BTreeMap<String, bool>,
}

/// Whose text it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Voice {
    Kugetsu,
    Trusted,
    Other,
}

impl Trusted {
    pub(crate) async fn ask(
        trust: &Trust,
        forge: &dyn Forge,
        project: &ProjectPath,
        own: String,
        authors: impl Iterator<Item = &User>,
    ) -> Result<Self, ForgeError> {
        let logins: BTreeSet<&str> = authors.map(|author| author.login.as_str()).collect();
        let mut by_login = BTreeMap::new();
        for login in logins {
            let is_trusted = is_trusted(trust, forge, project, login).await?;
            by_login.insert(login.to_owned(), is_trusted == Some(true));
        }
        Ok(Self { own, by_login })
    }

    pub(crate) fn includes(&self, author: Option<&User>) -> bool {
        author.is_some_and(|author| self.by_login.get(&author.login).copied().unwrap_or(false))
    }

    /// Whether it is a trusted person. A program that the policy trusts gives remarks, and decides nothing.
    pub(crate) fn includes_person(&self, author: Option<&User>) -> bool {
        author.is_some_and(|author| !author.is_bot) && self.includes(author)
    }

    /// Whose text it is. A person may have lent kugetsu the own account, so what kugetsu wrote has its marker, too.
    pub(crate) fn voice(&self, author: Option<&User>, text: &str) -> Voice {
        match author {
            Some(author) if author.login == self.own && is_marked(text) => Voice::Kugetsu,
            _ if self.includes(author) => Voice::Trusted,
            _ => Voice::Other,
        }
    }
}
