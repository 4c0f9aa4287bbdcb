//! What one place says about the settings, not yet judged against the others.

use kugetsu_agent::CustomProfile;
use kugetsu_domain::reference::ForgeKind;
use kugetsu_forge::servers::{Server, TypedServer};

use super::key::Key;
use super::source::Source;

/// What one place sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) values: Vec<Entry>,
    pub(crate) servers: Vec<(Server, Source)>,
    pub(crate) agents: Vec<(CustomProfile, Source)>,
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: Key,
    pub(crate) value: String,
    pub(crate) source: Source,
}

/// Whether an address holds what must not be shown: a user, a password or a query. [`server`] leaves it out.
pub(crate) fn holds_credentials(url: &str) -> bool {
    TypedServer::read(url).is_ok_and(|read| read.credentials_dropped)
}

/// A server as it is configured, understood.
///
/// # Errors
/// What cannot be used of it.
pub(crate) fn server(name: &str, url: &str, kind: Option<&str>, api_url: Option<&str>) -> Result<Server, String> {
    let base = TypedServer::read(url).map_err(|error| error.to_string())?.base;
    let kind = match kind {
        None => None,
        Some(kind) => match ForgeKind::from_name(kind) {
            Some(ForgeKind::Local) | None => {
                return Err(format!("{kind:?} is none of github, gitea, forgejo, gitlab"));
            }
            known => known,
        },
    };
    if let Some(api) = api_url
        && !(api.starts_with("https://") || api.starts_with("http://"))
    {
        return Err(format!("api_url {api:?} is not an http or https address"));
    }
    Ok(Server { name: name.to_owned(), base, kind, api_url: api_url.map(str::to_owned) })
}
