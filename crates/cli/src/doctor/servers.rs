//! The git servers: each server with a token is asked for the token's user. A token is sent to its own server only.

use std::time::Duration;

use kugetsu_domain::reference::ForgeKind;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::forge::Version;
use kugetsu_forge::http::credentials::Credentials;
use kugetsu_forge::http::limits::Limits;
use kugetsu_forge::http::transport::Transport;
use kugetsu_forge::open::open;
use kugetsu_forge::servers::Server;
use kugetsu_store::view::Repo;
use tokio::task::JoinSet;

use super::check::Check;
use crate::config::load::Loaded;
use crate::servers;

const ID: &str = "server";
/// For all requests to one server.
const TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

struct Candidate {
    server: Server,
    /// The variable that holds its token.
    variable: Option<String>,
    /// The projects on it that have issues here.
    projects: Vec<String>,
    /// Whether one of them is cloned over HTTP.
    needs_token: bool,
}

/// Checks the configured servers, and the public ones that are in use.
pub(crate) async fn checks(loaded: &Loaded, repositories: Option<&[Repo]>, offline: bool) -> Vec<Check> {
    let limits = Limits { connect: CONNECT_TIMEOUT, request: TIMEOUT, attempts: 1, ..Limits::default() };
    let transport = Transport::new(limits);
    let mut checks = Vec::new();
    let mut requests = JoinSet::new();
    for (index, candidate) in candidates(loaded, repositories).into_iter().enumerate() {
        let has_token = candidate.variable.as_ref().is_some_and(|variable| servers::is_set(loaded, variable));
        let name = candidate.server.name.clone();
        match (&transport, has_token) {
            (_, false) => checks.push((index, without_token(&candidate))),
            (_, true) if offline => checks.push((index, Check::unknown(ID, name, "skipped because of --offline"))),
            (Err(error), true) => checks.push((index, Check::unknown(ID, name, error.to_string()))),
            (Ok(transport), true) => {
                let (transport, login) = (transport.clone(), login(loaded, &candidate));
                requests.spawn(async move { (index, check(&transport, candidate, login).await) });
            }
        }
    }
    while let Some(result) = requests.join_next().await {
        checks.push(result.unwrap_or_else(|error| (usize::MAX, Check::unknown(ID, "", error.to_string()))));
    }
    checks.sort_by_key(|(index, _)| *index);
    checks.into_iter().map(|(_, check)| check).collect()
}

fn candidates(loaded: &Loaded, repositories: Option<&[Repo]>) -> Vec<Candidate> {
    let default = servers::default_name(loaded);
    let all = servers::all(loaded).into_iter().filter_map(|server| {
        let base = server.base.as_str();
        let own: Vec<&Repo> = repositories.into_iter().flatten().filter(|repo| repo.name.base == server.base).collect();
        let is_configured = servers::origin(loaded, &server.name).is_some();
        // An unused public server needs no token.
        if !is_configured && own.is_empty() && server.name != default {
            return None;
        }
        let kind = loaded.settings.servers.kind_of(base);
        Some(Candidate {
            variable: loaded.settings.servers.token_variable(base).map(str::to_owned),
            projects: own.iter().map(|repo| repo.name.project.to_string()).collect(),
            needs_token: own.iter().any(|repo| repo.source.starts_with("http")),
            server: Server { kind, ..server },
        })
    });
    all.collect()
}

fn login(loaded: &Loaded, candidate: &Candidate) -> Result<Credentials, ForgeError> {
    let variable = candidate.variable.clone().unwrap_or_default();
    Credentials::new(variable.clone(), loaded.settings.variable(&variable))
}

fn without_token(candidate: &Candidate) -> Check {
    let name = &candidate.server.name;
    match &candidate.variable {
        Some(variable) if candidate.needs_token => Check::warning(
            ID,
            name,
            format!(
                "{variable} is not set, so only git's own credential helpers can authenticate to clone {}",
                candidate.projects.join(", ")
            ),
            format!("kugetsu env set {variable} -   (reads the token from standard input)"),
        ),
        Some(variable) => Check::ok(ID, name, format!("{variable} is not set, and nothing needs it so far")),
        None => Check::warning(
            ID,
            name,
            "it is not configured, so no token is sent to it",
            format!("kugetsu server add {name} {}", candidate.server.base),
        ),
    }
}

async fn check(transport: &Transport, candidate: Candidate, login: Result<Credentials, ForgeError>) -> Check {
    let Candidate { server, projects, .. } = &candidate;
    let name = &server.name;
    let forge = match login.and_then(|login| open(transport, server, login)) {
        Ok(forge) => forge,
        Err(error) => return failed(&candidate, &error),
    };
    let requests = async {
        let user = forge.whoami().await?;
        Ok::<_, ForgeError>((user, forge.version().await))
    };
    match tokio::time::timeout(TIMEOUT, requests).await {
        Ok(Ok((user, version))) => authenticated(server, &user.login, version),
        Ok(Err(error)) => failed(&candidate, &error),
        Err(_) => unreachable(name, projects, format!("{} did not answer within {} s", server.base, TIMEOUT.as_secs())),
    }
}

fn authenticated(server: &Server, user: &str, version: Result<Version, ForgeError>) -> Check {
    let (name, kind) = (&server.name, server.kind.map_or("", ForgeKind::name));
    match version {
        Ok(found) if Some(found.kind) != server.kind => Check::warning(
            ID,
            name,
            format!("authenticated as {user}, but it is a {} server, not {kind} as configured", found.kind.name()),
            format!("kugetsu server add {name} {} --kind {}", server.base, found.kind.name()),
        ),
        Ok(found) => {
            let version = found.text.map(|text| format!(" {text}")).unwrap_or_default();
            Check::ok(ID, name, format!("{kind}{version} at {}, authenticated as {user}", server.base))
        }
        Err(error) => {
            let message =
                format!("{kind} at {}, authenticated as {user}; could not read its version: {error}", server.base);
            Check::ok(ID, name, message)
        }
    }
}

fn failed(candidate: &Candidate, error: &ForgeError) -> Check {
    let name = &candidate.server.name;
    let variable = candidate.variable.as_deref().unwrap_or_default();
    let set = format!("create a new token there, then: kugetsu env set {variable} -");
    match error {
        ForgeError::TokenRefused { .. } | ForgeError::TokenMalformed { .. } | ForgeError::TokenMissing { .. } => {
            Check::bad(ID, name, error.to_string(), set)
        }
        // A token may be too limited to read its own user, and still be sufficient for the work.
        ForgeError::Forbidden { .. } => Check::warning(ID, name, error.to_string(), set),
        ForgeError::NoKind { .. } => {
            Check::warning(ID, name, error.to_string(), format!("kugetsu server add {name} {}", candidate.server.base))
        }
        error => unreachable(name, &candidate.projects, error.to_string()),
    }
}

/// Bad if issues here depend on the server.
fn unreachable(name: &str, projects: &[String], message: String) -> Check {
    let repair = format!("open its address (kugetsu server get {name}) in a browser, or try again later");
    match projects {
        [] => Check::warning(ID, name, message, repair),
        projects => Check::bad(ID, name, format!("{message}; {} depends on it", projects.join(", ")), repair),
    }
}
