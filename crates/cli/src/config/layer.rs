//! What one place says about the settings, not yet judged against the others.

use kugetsu_agent::CustomProfile;
use kugetsu_domain::redact::is_secret;
use kugetsu_domain::reference::ForgeKind;
use kugetsu_forge::servers::{Server, ServerAddress};

use crate::assignments;

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
    ServerAddress::parse(url).is_ok_and(|read| read.credentials_dropped)
}

/// The variable that holds a server's token, as it is configured: its name, and never a token itself.
///
/// # Errors
/// It is none, or its value would not be masked. The text is not repeated: it may be a token.
pub(crate) fn token_variable(name: &str) -> Result<String, String> {
    let capital = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    if !assignments::is_name(name) || !name.chars().all(capital) {
        return Err("token_env is the name of a variable in capital letters, such as WORK_TOKEN, and never a token; \
                    the token goes into the env file: kugetsu env set WORK_TOKEN -"
            .to_owned());
    }
    // What such a variable holds is masked by its name, wherever it turns up.
    if !is_secret(name, "a secret") || name.ends_with("TOKENS") {
        return Err(format!(
            "token_env: {name} is no name of a secret, so its value would be shown; put TOKEN into it"
        ));
    }
    Ok(name.to_owned())
}

/// Where a server's API is, as people paste it: `https://` where no scheme was written, no slash at the end.
///
/// # Errors
/// It is no address of the web, or holds a user, a password or a query, which are not repeated.
pub(crate) fn api_address(text: &str) -> Result<String, String> {
    let text = text.trim().trim_end_matches('/');
    let whole = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let read = ServerAddress::parse(&whole).map_err(|error| format!("api_url: {error}"))?;
    if read.credentials_dropped {
        return Err("api_url holds no user, password or query; a token goes into the env file".to_owned());
    }
    Ok(whole)
}

/// A server as it is configured, understood.
///
/// # Errors
/// What cannot be used of it.
pub(crate) fn server(name: &str, url: &str, kind: Option<&str>, api_url: Option<&str>) -> Result<Server, String> {
    let base = ServerAddress::parse(url).map_err(|error| error.to_string())?.base;
    let kind = match kind {
        None => None,
        Some(kind) => match ForgeKind::from_name(kind) {
            Some(ForgeKind::Local) | None => {
                return Err(format!("{kind:?} is none of {}", ForgeKind::server_names("and")));
            }
            known => known,
        },
    };
    if let Some(api) = api_url
        && !(api.starts_with("https://") || api.starts_with("http://"))
    {
        return Err(format!("api_url {api:?} is not an http or https address"));
    }
    Ok(Server { name: name.to_owned(), base, kind, api_url: api_url.map(str::to_owned), token_env: None })
}
