//! The table of all kinds.

use kugetsu_domain::reference::ForgeKind;

use super::dialect::{Dialect, PublicServer};
use super::{gitea, github, gitlab};
use crate::user::TokenNeeds;

/// The dialect of a kind; `None` for local repositories, which have no server.
pub(crate) fn dialect(kind: ForgeKind) -> Option<&'static Dialect> {
    Some(match kind {
        ForgeKind::GitHub => &github::GITHUB,
        ForgeKind::GitLab => &gitlab::GITLAB,
        ForgeKind::Gitea => &gitea::GITEA,
        ForgeKind::Forgejo => &gitea::FORGEJO,
        ForgeKind::Local => return None,
    })
}

/// All dialects, in the order of [`ForgeKind::ALL`].
pub(crate) fn dialects() -> impl DoubleEndedIterator<Item = &'static Dialect> {
    ForgeKind::ALL.into_iter().filter_map(dialect)
}

/// The servers that are known without configuration.
pub(crate) fn public_servers() -> impl Iterator<Item = (&'static Dialect, &'static PublicServer)> {
    dialects().flat_map(|dialect| dialect.public.iter().map(move |server| (dialect, server)))
}

/// The term for a pull request on this kind of forge. `None` is a kind that is not known.
pub fn pull_request_name(kind: Option<ForgeKind>) -> &'static str {
    kind.and_then(dialect).map_or("pull request", |dialect| dialect.pull_request_name)
}

/// The rights that the token of a watched project needs on this kind of forge; `None` for local repositories.
pub fn token_needs(kind: ForgeKind) -> Option<&'static TokenNeeds> {
    dialect(kind).map(|dialect| &dialect.needs)
}
