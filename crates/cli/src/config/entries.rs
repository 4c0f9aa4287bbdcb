//! The named entries of the settings: `[servers.<name>]`, `[agents.<name>]` and `[watch.<name>]`.

use kugetsu_agent::{AgentSettings, is_built_in};
use kugetsu_domain::redact::is_secret;
use kugetsu_engine::schema::{AgentEntry, ServerEntry, WatchEntry};
use kugetsu_forge::servers::{Server, ServerAddress};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::assignments;
use crate::names::is_plain;

const NO_CREDENTIALS: &str = "must not contain a user, password or query; set a token with `kugetsu env set \
                              GITEA_TOKEN -`, or the variable of another kind";

/// `[agents.<name>]` and the env file `<name>.env` share the namespace with these.
const RESERVED_AGENTS: [&str; 3] = ["max", "default", "pm-agent"];

/// Validates an entry as a whole, after its single fields.
pub(crate) fn check(section: &str, name: &str, fields: Map<String, Value>) -> Result<(), String> {
    let entry = Value::Object([(name.to_owned(), Value::Object(fields))].into_iter().collect());
    match section {
        "servers" => all(&entry, server).map(drop),
        // Its server may have an entry of its own, which is not known here.
        "watch" => all::<WatchEntry, _>(&entry, |_, _| Ok(())).map(drop),
        _ => all(&entry, profile).map(drop),
    }
}

/// Converts all entries of a section.
pub(crate) fn all<E: DeserializeOwned, T>(
    entries: &Value,
    convert: impl Fn(&str, E) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let convert = |(name, entry): (&String, &Value)| {
        convert(name, serde_json::from_value(entry.clone()).map_err(|error| error.to_string())?)
    };
    entries.as_object().into_iter().flatten().map(convert).collect()
}

pub(crate) fn server(name: &str, entry: ServerEntry) -> Result<Server, String> {
    let address = ServerAddress::parse(&entry.url).map_err(|error| error.to_string())?;
    if address.credentials_dropped {
        return Err(format!("url {NO_CREDENTIALS}"));
    }
    if let Some(api) = &entry.api_url {
        // The error does not repeat it: it may contain a password.
        if !(api.starts_with("https://") || api.starts_with("http://")) {
            return Err("api_url must be an http or https address".to_owned());
        }
        check_api_url(api)?;
    }
    Ok(Server {
        name: name.to_owned(),
        base: address.base,
        kind: entry.kind,
        api_url: entry.api_url,
        token_env: entry.token_env.as_deref().map(token_variable).transpose()?,
    })
}

pub(crate) fn profile(name: &str, entry: AgentEntry) -> Result<AgentSettings, String> {
    if RESERVED_AGENTS.contains(&name) || !is_plain(name) {
        return Err(format!("{name:?} is not a valid name for an agent"));
    }
    match &entry.program {
        Some(program) if program.contains('/') && !program.starts_with('/') => {
            return Err(format!("program must be a name on the PATH or an absolute path, not {program:?}"));
        }
        None if !is_built_in(name) => {
            return Err(format!("{name} is not a built-in agent, so program must name the program to run"));
        }
        _ => {}
    }
    Ok(AgentSettings {
        name: name.to_owned(),
        program: entry.program.map(Into::into),
        args: entry.args,
        env: entry.env.into_iter().collect(),
        delete: entry.delete.filter(|args| !args.is_empty()),
        attach: entry.attach.filter(|args| !args.is_empty()),
        models: entry.models.filter(|args| !args.is_empty()),
    })
}

/// Whether an address contains a user, a password or a query, which must not be shown.
pub(crate) fn has_credentials(url: &str) -> bool {
    ServerAddress::parse(url).is_ok_and(|read| read.credentials_dropped)
}

/// Validates the name of a variable that contains a token. The errors do not repeat it: it may be the token itself.
pub(crate) fn token_variable(name: &str) -> Result<String, String> {
    let upper_case = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    if !assignments::is_name(name) || !name.chars().all(upper_case) {
        return Err(
            "token_env must be the name of a variable in capital letters, such as WORK_TOKEN, not a token; set \
                    the token with `kugetsu env set WORK_TOKEN -`"
                .to_owned(),
        );
    }
    // The value of the variable is masked because of its name.
    if !is_secret(name, "a secret") || name.ends_with("TOKENS") {
        return Err(format!("token_env must contain TOKEN, or the value of {name} would not be masked"));
    }
    Ok(name.to_owned())
}

/// Completes the address of an API: `https://` if it has no scheme, no slash at the end.
pub(crate) fn api_address(text: &str) -> Result<String, String> {
    let text = text.trim().trim_end_matches('/');
    let url = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    check_api_url(&url).map(|()| url)
}

/// The error shows the address without its credentials.
fn check_api_url(url: &str) -> Result<(), String> {
    match ServerAddress::parse(url).map_err(|error| format!("api_url: {error}"))?.credentials_dropped {
        true => Err(format!("api_url {NO_CREDENTIALS}")),
        false => Ok(()),
    }
}
