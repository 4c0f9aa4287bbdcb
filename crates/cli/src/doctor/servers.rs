//! The git servers: each one that has a token is asked who we are. A token goes to the server that it is for only.

use std::time::Duration;

use kugetsu_domain::reference::ForgeKind;
use kugetsu_forge::api::error::ForgeError;
use kugetsu_forge::api::forge::Version;
use kugetsu_forge::api::http::credentials::Credentials;
use kugetsu_forge::api::http::limits::Limits;
use kugetsu_forge::api::http::transport::Transport;
use kugetsu_forge::api::open::open;
use kugetsu_forge::servers::Server;
use kugetsu_store::view::Repo;
use tokio::task::JoinSet;

use super::check::Check;
use crate::config::load::Loaded;
use crate::servers;

const ID: &str = "server";
/// For everything that one server is asked.
const LIMIT: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(5);

/// A server that counts here, and what hangs on it.
struct Asked {
    server: Server,
    variable: Option<String>,
    /// The projects on it that issues were worked on.
    projects: Vec<String>,
    needs_token: bool,
}

/// All that are configured, and of the public ones those that are used.
pub(crate) async fn checks(loaded: &Loaded, repositories: Option<&[Repo]>, offline: bool) -> Vec<Check> {
    let transport = Transport::new(Limits { connect: CONNECT, request: LIMIT, tries: 1, ..Limits::default() });
    let mut checks = Vec::new();
    let mut asking = JoinSet::new();
    for (at, asked) in counted(loaded, repositories).into_iter().enumerate() {
        let has_token = asked.variable.as_ref().is_some_and(|variable| servers::is_set(loaded, variable));
        let name = asked.server.name.clone();
        match (&transport, has_token) {
            (_, false) => checks.push((at, without_token(&asked))),
            (_, true) if offline => checks.push((at, Check::unknown(ID, name, "not asked, because of --offline"))),
            (Err(error), true) => checks.push((at, Check::unknown(ID, name, error.to_string()))),
            (Ok(transport), true) => {
                let (transport, login) = (transport.clone(), login(loaded, &asked));
                asking.spawn(async move { (at, ask(&transport, asked, login).await) });
            }
        }
    }
    while let Some(answer) = asking.join_next().await {
        checks.push(answer.unwrap_or_else(|error| (usize::MAX, Check::unknown(ID, "", error.to_string()))));
    }
    checks.sort_by_key(|(at, _)| *at);
    checks.into_iter().map(|(_, check)| check).collect()
}

fn counted(loaded: &Loaded, repositories: Option<&[Repo]>) -> Vec<Asked> {
    let default = servers::default_name(loaded);
    let all = servers::all(loaded).into_iter().filter_map(|server| {
        let base = server.base.as_str();
        let own: Vec<&Repo> = repositories.into_iter().flatten().filter(|repo| repo.name.base == server.base).collect();
        let is_configured = servers::source(loaded, &server.name).is_some();
        // Whoever has a token for servers of their own has said nothing about the public ones.
        if !is_configured && own.is_empty() && server.name != default {
            return None;
        }
        let kind = loaded.settings.servers.kind_of(base);
        Some(Asked {
            variable: loaded.settings.servers.token_variable(base).map(str::to_owned),
            projects: own.iter().map(|repo| repo.name.project.to_string()).collect(),
            needs_token: own.iter().any(|repo| repo.source.starts_with("http")),
            server: Server { kind, ..server },
        })
    });
    all.collect()
}

fn login(loaded: &Loaded, asked: &Asked) -> Result<Credentials, ForgeError> {
    let variable = asked.variable.clone().unwrap_or_default();
    Credentials::new(variable.clone(), loaded.settings.variable(&variable))
}

fn without_token(asked: &Asked) -> Check {
    let name = &asked.server.name;
    match &asked.variable {
        Some(variable) if asked.needs_token => Check::warning(
            ID,
            name,
            format!(
                "{variable} is not set, and {} is cloned from it; only git's own credential helpers can log in there",
                asked.projects.join(", ")
            ),
            format!("kugetsu env set {variable} -   (reads the token from standard input)"),
        ),
        Some(variable) => Check::ok(ID, name, format!("{variable} is not set; nothing needs it so far")),
        None => Check::warning(
            ID,
            name,
            "nobody has said what serves there, so it gets no token",
            format!("kugetsu server add {name} {}", asked.server.base),
        ),
    }
}

async fn ask(transport: &Transport, asked: Asked, login: Result<Credentials, ForgeError>) -> Check {
    let Asked { server, projects, .. } = &asked;
    let name = &server.name;
    let forge = match login.and_then(|login| open(transport, server, login)) {
        Ok(forge) => forge,
        Err(error) => return refused(&asked, &error),
    };
    let both = async {
        let who = forge.whoami().await?;
        Ok::<_, ForgeError>((who, forge.version().await))
    };
    match tokio::time::timeout(LIMIT, both).await {
        Ok(Ok((who, version))) => known(server, &who, version),
        Ok(Err(error)) => refused(&asked, &error),
        Err(_) => unreachable(name, projects, format!("{} did not answer within {} s", server.base, LIMIT.as_secs())),
    }
}

fn known(server: &Server, who: &str, version: Result<Version, ForgeError>) -> Check {
    let (name, kind) = (&server.name, server.kind.map_or("", ForgeKind::name));
    match version {
        Ok(found) if Some(found.kind) != server.kind => Check::warning(
            ID,
            name,
            format!("{who} is known there; it is a {} and not a {kind}, as is configured", found.kind.name()),
            format!("kugetsu server add {name} {} --kind {}", server.base, found.kind.name()),
        ),
        Ok(found) => {
            let version = found.text.map(|text| format!(" {text}")).unwrap_or_default();
            Check::ok(ID, name, format!("{kind}{version} at {} knows {who}", server.base))
        }
        Err(error) => Check::ok(ID, name, format!("{kind} at {} knows {who}; its version: {error}", server.base)),
    }
}

fn refused(asked: &Asked, error: &ForgeError) -> Check {
    let name = &asked.server.name;
    let variable = asked.variable.as_deref().unwrap_or_default();
    let set = format!("make a new token there, then: kugetsu env set {variable} -");
    match error {
        ForgeError::TokenRefused { .. } | ForgeError::TokenMalformed { .. } | ForgeError::TokenMissing { .. } => {
            Check::bad(ID, name, error.to_string(), set)
        }
        // Some rights do not reach as far as asking who one is; whether they reach for the work shows only then.
        ForgeError::Forbidden { .. } => Check::warning(ID, name, error.to_string(), set),
        ForgeError::NoKind { .. } => {
            Check::warning(ID, name, error.to_string(), format!("kugetsu server add {name} {}", asked.server.base))
        }
        error => unreachable(name, &asked.projects, error.to_string()),
    }
}

/// Bad where there is work on it.
fn unreachable(name: &str, projects: &[String], said: String) -> Check {
    let repair = format!("look at its address (kugetsu server get {name}) in a browser; try again later");
    match projects {
        [] => Check::warning(ID, name, said, repair),
        projects => Check::bad(ID, name, format!("{said}; {} is on it", projects.join(", ")), repair),
    }
}
