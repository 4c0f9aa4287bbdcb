//! `kugetsu server` (C10): the git servers, and what serves them.

use clap::{Args, Subcommand};
use kugetsu_api::home::Home;
use kugetsu_domain::reference::{ForgeKind, ServerBase};
use kugetsu_forge::http::limits::Limits;
use kugetsu_forge::http::transport::Transport;
use kugetsu_forge::kinds::detect::{DetectError, detect};
use kugetsu_forge::servers::{Server as Known, ServerAddress};

use crate::config::edit::edit;
use crate::config::file::Part;
use crate::config::key::Key;
use crate::config::layer;
use crate::config::load::{Loaded, look, own_environment};
use crate::config::source::Source;
use crate::config::write;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::names::{is_plain, suggestions};
use crate::read_only_db;
use crate::servers::{self, ServerObject};
use crate::{connect, setup, slow_notice, ui};

use super::config;

/// What an address holds that is never kept.
const CREDENTIALS: &str = "the address holds a user, a password or a query, which are kept nowhere";

/// See, name and forget git servers.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu server list
  kugetsu server add work https://git.example.com")]
pub(crate) struct Server {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the servers: address, kind, where each comes from, its token's variable.
    #[command(after_help = "\
Examples:
  kugetsu server list
  kugetsu server list --json")]
    List {
        /// Show objects for programs.
        #[arg(long)]
        json: bool,
    },
    /// Add a server. Without --kind its kind is detected; no token is sent.
    #[command(after_help = "\
Examples:
  kugetsu server add work https://git.example.com
  kugetsu server add work https://git.example.com --kind gitea
  kugetsu server add two https://two.example.com --token-env TWO_TOKEN")]
    Add(Add),
    /// Forget a server that stands in config.toml. Nothing else is removed.
    #[command(after_help = "\
Examples:
  kugetsu server remove work")]
    Remove {
        /// Its name.
        name: String,
    },
    /// Show or choose the server that owner/repo#12 means outside a clone.
    #[command(after_help = "\
Examples:
  kugetsu server default
  kugetsu server default work")]
    Default {
        /// The server to choose; shows the present one otherwise.
        name: Option<String>,
        /// Show an object for programs.
        #[arg(long)]
        json: bool,
    },
    /// Show a server's address alone.
    #[command(after_help = "\
Examples:
  kugetsu server get
  kugetsu server get work")]
    Get {
        /// Its name; the default server otherwise.
        name: Option<String>,
        /// Show an object for programs.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct Add {
    /// What it is to be called.
    name: String,
    /// Its address, such as https://git.example.com.
    url: String,
    #[arg(long, help = format!("What serves there: {}", ForgeKind::server_names("or")))]
    kind: Option<String>,
    /// Where its API begins, if not at the usual place.
    #[arg(long, value_name = "URL")]
    api_url: Option<String>,
    /// The variable that holds its token, if not the one of its kind.
    #[arg(long, value_name = "VARIABLE")]
    token_env: Option<String>,
    /// Show an object for programs.
    #[arg(long)]
    json: bool,
}

/// Does what is asked.
pub(crate) async fn run(home: &Home, arguments: Server) -> Result<Exit, Failure> {
    match arguments.action {
        Action::List { json } => {
            let loaded = look(home, &own_environment)?;
            let servers = servers::objects(&loaded);
            if json {
                ui::json(&servers)?
            } else {
                list(&servers)
            }
            for mistake in loaded.invalid.iter().filter(|one| matches!(one.part, Part::Server(_) | Part::Everything)) {
                ui::warning(mistake.error.to_string());
            }
        }
        Action::Add(arguments) => add(home, arguments).await?,
        Action::Remove { name } => remove(home, &name).await?,
        Action::Default { name: Some(name), json } => choose(home, &name, json).await?,
        Action::Default { name: None, json } => {
            let loaded = look(home, &own_environment)?;
            let name = servers::default_name(&loaded);
            if json { ui::json(&found(&loaded, &name)?)? } else { ui::value(&name) }
        }
        Action::Get { name, json } => {
            let loaded = look(home, &own_environment)?;
            let server = found(&loaded, &name.unwrap_or_else(|| servers::default_name(&loaded)))?;
            if json { ui::json(&server)? } else { ui::value(&server.url) }
        }
    }
    Ok(Exit::Done)
}

fn list(servers: &[ServerObject]) {
    let or_dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
    let row = |one: &ServerObject| {
        let token =
            one.token_env.as_ref().map(|name| format!("{name} {}", if one.token_set { "set" } else { "not set" }));
        let mark = if one.default { " (default)" } else { "" };
        vec![
            format!("{}{mark}", one.name),
            one.url.clone(),
            or_dash(one.kind),
            or_dash(token.as_deref()),
            one.source.clone(),
        ]
    };
    ui::table(&["SERVER", "ADDRESS", "KIND", "TOKEN", "FROM"], &servers.iter().map(row).collect::<Vec<_>>());
}

fn found(loaded: &Loaded, name: &str) -> Result<ServerObject, Failure> {
    let all = servers::objects(loaded);
    let near = suggestions(name, all.iter().map(|one| one.name.as_str())).join(" or ");
    all.iter().find(|one| one.name == name).cloned().ok_or_else(|| {
        Failure::usage(format!("there is no server {name:?}; did you mean {near}?"))
            .hint("`kugetsu server list` shows them; `kugetsu server add <name> <url>` names another")
    })
}

async fn add(home: &Home, arguments: Add) -> Result<(), Failure> {
    let Add { name, url, kind, api_url, token_env, json } = arguments;
    if !is_plain(&name) || name == "local" {
        return Err(Failure::usage(format!("a server cannot be called {name:?}"))
            .hint("a name has letters, digits, `-`, `_` and `.` only; `local` is this machine"));
    }
    if layer::holds_credentials(&url) {
        return Err(Failure::usage(CREDENTIALS)
            .hint("leave them out; a token goes into the env file: kugetsu env set GITEA_TOKEN - (or the variable of another kind)"));
    }
    let refused = |why: String| Failure::usage(format!("the server {name}: {why}"));
    let base = ServerAddress::parse(&url)
        .map_err(|error| {
            refused(format!("its address is none: {}", error.reason())).hint("such as https://git.example.com")
        })?
        .base;
    let said = kind.as_deref().map(|kind| layer::server(&name, &url, Some(kind), None)).transpose().map_err(refused)?;
    let api_url = api_url.as_deref().map(layer::api_address).transpose().map_err(refused)?;
    let token_env = token_env.as_deref().map(layer::token_variable).transpose().map_err(refused)?;
    let before = look(home, &own_environment)?;
    let same = taken(&before, &name, &base)?;

    let (kind, version) = match said.and_then(|server| server.kind).or(same.and_then(|server| server.kind)) {
        Some(kind) => (kind, None),
        None => ask(&base).await?,
    };
    let usual = Known { name: name.clone(), base, kind: Some(kind), api_url: None, token_env: None };
    // What is at its usual place needs no words.
    let api_url = api_url.filter(|api| usual.api().as_ref() != Some(api));
    let mut parts = vec![("url", Some(usual.base.as_str())), ("kind", Some(kind.name()))];
    parts.extend(api_url.as_ref().map(|api| ("api_url", Some(api.as_str()))));
    parts.extend(token_env.as_ref().map(|variable| ("token_env", Some(variable.as_str()))));
    setup::ensure_home(home)?;
    edit(home, &[Part::Server(name.clone())], |path, text| Ok(Some(write::set_server(path, text, &name, &parts)?)))?;

    let loaded = look(home, &own_environment)?;
    let server = found(&loaded, &name)?;
    for other in servers::all(&loaded).iter().filter(|one| one.name != name && one.base == usual.base) {
        ui::warning(format!("{} is the address of {} as well; one of the two names would do", other.base, other.name));
    }
    if json {
        ui::json(&server)?;
    } else {
        tell(home, &server, version.as_deref());
    }
    connect::reload_if_running(home).await
}

/// The server that has the name already, if it is the same one.
fn taken<'a>(loaded: &'a Loaded, name: &str, base: &ServerBase) -> Result<Option<&'a Known>, Failure> {
    let configured = loaded.settings.servers.list().iter().find(|server| server.name == name);
    let Some(other) = servers::all(loaded).into_iter().find(|server| server.name == name && server.base != *base)
    else {
        return Ok(configured);
    };
    let failure = Failure::usage(format!("{name} is the name of {} already", other.base));
    Err(match servers::source(loaded, name) {
        None => failure.hint("that one is built in; choose another name"),
        Some(_) if name.contains('.') => {
            failure.hint(format!("choose another name, or forget that one first: kugetsu server remove {name}"))
        }
        Some(_) => failure.hint(format!(
            "choose another name; or to change its address: kugetsu config set servers.{name}.url {base}"
        )),
    })
}

/// Detects the kind of a server.
async fn ask(base: &ServerBase) -> Result<(ForgeKind, Option<String>), Failure> {
    let transport = Transport::new(Limits::default())
        .map_err(|error| error.hint().into_iter().fold(Failure::new(error.to_string()), Failure::hint))?;
    let asked = slow_notice::notify_if_slow(&format!("detecting the kind of {base}"), detect(&transport, base)).await;
    let found = asked.map_err(|error| {
        let named = format!("to name it without asking: --kind {}", ForgeKind::server_names("or"));
        let named = matches!(error, DetectError::Forge(_)).then_some(named);
        error.hint().into_iter().chain(named).fold(Failure::new(error.to_string()), Failure::hint)
    })?;
    Ok((found.kind, found.version))
}

fn tell(home: &Home, server: &ServerObject, version: Option<&str>) {
    let kind = server.kind.unwrap_or("of no known kind");
    let version = version.map(|version| format!(" {version}")).unwrap_or_default();
    ui::line(format!("{} is {} ({kind}{version}) in {}", server.name, server.url, home.config().display()));
    match &server.token_env {
        Some(variable) if !server.token_set => {
            ui::line(format!("give it a token: kugetsu env set {variable} -   (reads it from standard input)"));
        }
        Some(variable) => ui::line(format!("its token is the one in {variable}")),
        None => {}
    }
}

async fn remove(home: &Home, name: &str) -> Result<(), Failure> {
    let loaded = look(home, &own_environment)?;
    let broken = loaded.invalid.iter().any(|one| one.part == Part::Server(name.to_owned()));
    let server = match found(&loaded, name) {
        Ok(server) => Some(server),
        // One that cannot be used can be taken away all the same.
        Err(_) if broken => None,
        Err(failure) => return Err(failure),
    };
    match servers::source(&loaded, name) {
        Some(Source::OldFile { path, line }) => {
            return Err(Failure::usage(format!(
                "{name} stands in the script's file, {}:{line}, which kugetsu reads and never writes",
                path.display()
            ))
            .hint("take it out of GIT_SERVERS there")
            .hint(format!(
                "or overrule it: kugetsu config set servers.{name}.url <another address>; config.toml wins"
            )));
        }
        None if !broken => {
            return Err(Failure::usage(format!("{name} is built in and cannot be removed"))
                .hint("nothing goes there unless an issue is on it"));
        }
        _ => {}
    }
    if server.as_ref().is_some_and(|server| server.default) {
        let default = loaded.values.get(&Key::ServerDefault);
        let from = default.map(|(_, source)| format!(" ({source})")).unwrap_or_default();
        return Err(Failure::usage(format!("{name} is the default server{from}"))
            .hint("choose another one first: kugetsu server default github.com"));
    }
    let removed = edit(home, &[], |path, text| Ok(write::remove_server(path, text, name)?))?;
    if !removed {
        return Err(Failure::new(format!("{} does not name {name} any more", home.config().display())));
    }
    ui::line(format!("{name} is removed from {}", home.config().display()));
    let after = look(home, &own_environment)?;
    if let Some(old) = servers::source(&after, name) {
        ui::warning(format!("{name} stands in {old} too, and counts again as it is there"));
    }
    if let Some(server) =
        server.filter(|server| !servers::all(&after).iter().any(|one| one.base.as_str() == server.url))
    {
        warn_of_repositories(home, &server).await;
    }
    connect::reload_if_running(home).await
}

/// What is stored of a server's repositories stays; only the token does not reach them any more.
async fn warn_of_repositories(home: &Home, server: &ServerObject) {
    let projects = match read_only_db::open(home).await {
        Ok(Some(db)) => db.projects_on(&server.url).await,
        Ok(None) => return,
        Err(unreadable) => Err(unreadable.message),
    };
    match projects {
        Ok(projects) if projects.is_empty() => {}
        Ok(projects) => ui::warning(format!(
            "issues of {} are on it; without a name it gets no token. To name it again: kugetsu server add {} {}",
            projects.join(", "),
            server.name,
            server.url
        )),
        Err(why) => ui::warning(format!("whether issues are on it could not be looked up: {why}")),
    }
}

async fn choose(home: &Home, name: &str, json: bool) -> Result<(), Failure> {
    let loaded = look(home, &own_environment)?;
    let server = found(&loaded, name)?;
    let key = Key::ServerDefault.name();
    if json {
        config::put(home, key, name)?;
        connect::reload_if_running(home).await?;
        return ui::json(&ServerObject { default: true, ..server });
    }
    config::set(home, key, name).await
}
