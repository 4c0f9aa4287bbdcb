//! `kugetsu server`: lists and changes the configured git servers.

use clap::{Args, Subcommand};
use kugetsu_api::home::Home;
use kugetsu_domain::reference::{ForgeKind, ServerBase};
use kugetsu_forge::http::limits::Limits;
use kugetsu_forge::http::transport::Transport;
use kugetsu_forge::kinds::detect::{DetectError, detect};
use kugetsu_forge::servers::{Server as Known, ServerAddress};

use crate::config::layer::Origin;
use crate::config::load::{Loaded, load, own_environment};
use crate::config::schema::Key;
use crate::config::{edit, entries};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::names::{did_you_mean, is_plain};
use crate::read_only_db;
use crate::servers::{self, ServerObject};
use crate::table::Fit;
use crate::ui::Tone;
use crate::{connect, setup, ui};

/// List, add and remove git servers.
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
    /// List the servers with their URL, kind, token variable and source.
    #[command(after_help = "\
Examples:
  kugetsu server list
  kugetsu server list --json")]
    List {
        /// Print the result as JSON.
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
    /// Remove a server from config.toml. Nothing else is removed.
    #[command(after_help = "\
Examples:
  kugetsu server remove work")]
    Remove {
        /// The name of the server.
        name: String,
    },
    /// Show or set the server that owner/repo#12 refers to outside a clone.
    #[command(after_help = "\
Examples:
  kugetsu server default
  kugetsu server default work")]
    Default {
        /// The new default server; without it, the current one is shown.
        name: Option<String>,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the URL of a server.
    #[command(after_help = "\
Examples:
  kugetsu server get
  kugetsu server get work")]
    Get {
        /// The name of the server; defaults to the default server.
        name: Option<String>,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct Add {
    /// A name for the server.
    name: String,
    /// Its URL, such as https://git.example.com.
    url: String,
    #[arg(long, help = format!("Its kind: {}", ForgeKind::server_names("or")))]
    kind: Option<String>,
    /// The URL of its API, if not the usual one of its kind.
    #[arg(long, value_name = "URL")]
    api_url: Option<String>,
    /// The environment variable of its token, if not the usual one of its kind.
    #[arg(long, value_name = "VARIABLE")]
    token_env: Option<String>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(home: &Home, arguments: Server) -> Result<Exit, Failure> {
    match arguments.action {
        Action::List { json } => {
            let loaded = load(home, &own_environment)?;
            let servers = servers::objects(&loaded);
            if json {
                ui::json(&servers)?
            } else {
                print_table(&servers)
            }
            loaded.errors.iter().for_each(|error| ui::warning(error.to_string()));
        }
        Action::Add(arguments) => add(home, arguments).await?,
        Action::Remove { name } => remove(home, &name).await?,
        Action::Default { name: Some(name), json } => set_default(home, &name, json).await?,
        Action::Default { name: None, json } => {
            let loaded = load(home, &own_environment)?;
            let name = servers::default_name(&loaded);
            if json { ui::json(&find(&loaded, &name)?)? } else { ui::value(&name) }
        }
        Action::Get { name, json } => {
            let loaded = load(home, &own_environment)?;
            let server = find(&loaded, &name.unwrap_or_else(|| servers::default_name(&loaded)))?;
            if json { ui::json(&server)? } else { ui::value(&server.url) }
        }
    }
    Ok(Exit::Done)
}

fn print_table(servers: &[ServerObject]) {
    let or_dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
    let row = |server: &ServerObject| {
        let token = server
            .token_env
            .as_ref()
            .map(|name| format!("{name} {}", if server.token_set { "(set)" } else { "(not set)" }));
        let mark = if server.default { " (default)" } else { "" };
        vec![
            format!("{}{mark}", server.name),
            server.url.clone(),
            or_dash(server.kind),
            or_dash(token.as_deref()),
            server.source.clone(),
        ]
    };
    let columns = [
        ("SERVER", Fit::Middle(14)),
        ("URL", Fit::Middle(18)),
        ("KIND", Fit::Whole),
        ("TOKEN", Fit::Middle(14)),
        ("SOURCE", Fit::Middle(12)),
    ];
    ui::table_with_tones(&columns, &servers.iter().map(row).collect::<Vec<_>>(), |_| (0, Tone::Plain));
}

fn find(loaded: &Loaded, name: &str) -> Result<ServerObject, Failure> {
    let all = servers::objects(loaded);
    all.iter().find(|server| server.name == name).cloned().ok_or_else(|| {
        let suggestion = did_you_mean(name, all.iter().map(|server| server.name.as_str()));
        Failure::usage(format!("no server {name:?}{suggestion}"))
            .hint("list the servers with `kugetsu server list`, or add one with `kugetsu server add <name> <url>`")
    })
}

async fn add(home: &Home, arguments: Add) -> Result<(), Failure> {
    let Add { name, url, kind, api_url, token_env, json } = arguments;
    if !is_plain(&name) || name == "local" {
        return Err(Failure::usage(format!("invalid server name {name:?}"))
            .hint("use letters, digits, `-`, `_` and `.`; `local` is reserved for this machine"));
    }
    if entries::has_credentials(&url) {
        return Err(Failure::usage("the URL must not contain a user, a password or a query")
            .hint("set a token with `kugetsu env set GITEA_TOKEN -` (or the variable of another kind)"));
    }
    let invalid = |reason: String| Failure::usage(format!("could not add the server {name}: {reason}"));
    let base = ServerAddress::parse(&url)
        .map_err(|error| {
            invalid(format!("invalid URL: {}", error.reason())).hint("use a URL such as https://git.example.com")
        })?
        .base;
    let given = kind.as_deref().map(forge_kind).transpose().map_err(invalid)?;
    let api_url = api_url.as_deref().map(entries::api_address).transpose().map_err(invalid)?;
    let token_env = token_env.as_deref().map(entries::token_variable).transpose().map_err(invalid)?;
    let loaded = load(home, &own_environment)?;
    let same = same_server(&loaded, &name, &base)?;

    let (kind, version) = match given.or(same.and_then(|server| server.kind)) {
        Some(kind) => (kind, None),
        None => detect_kind(&base).await?,
    };
    let usual = Known { name: name.clone(), base, kind: Some(kind), api_url: None, token_env: None };
    // The usual URL need not be written down.
    let api_url = api_url.filter(|api| usual.api().as_ref() != Some(api));
    let mut fields = vec![("url", usual.base.as_str().into()), ("kind", kind.name().into())];
    fields.extend(api_url.as_ref().map(|api| ("api_url", api.as_str().into())));
    fields.extend(token_env.as_ref().map(|variable| ("token_env", variable.as_str().into())));
    setup::ensure_home(home)?;
    edit::set_entry(home, "servers", &name, &fields)?;

    let loaded = load(home, &own_environment)?;
    if let Some(error) = loaded.errors.first() {
        let added = format!("added {name} to {}, but it has no effect yet: {error}", home.config().display());
        return Err(Failure::new(added).hint("correct the file; until then, the last valid settings stay in effect"));
    }
    let server = find(&loaded, &name)?;
    for other in servers::all(&loaded).iter().filter(|server| server.name != name && server.base == usual.base) {
        ui::warning(format!("{} is also the URL of the server {}", other.base, other.name));
    }
    if json {
        ui::json(&server)?;
    } else {
        print_added(home, &server, version.as_deref());
    }
    connect::reload_if_running(home).await
}

fn forge_kind(name: &str) -> Result<ForgeKind, String> {
    let kind = ForgeKind::from_name(name).filter(|kind| *kind != ForgeKind::Local);
    kind.ok_or_else(|| format!("unknown kind {name:?}; use {}", ForgeKind::server_names("or")))
}

/// The configured server with this name and base URL.
///
/// # Errors
/// The name belongs to another server.
fn same_server<'a>(loaded: &'a Loaded, name: &str, base: &ServerBase) -> Result<Option<&'a Known>, Failure> {
    let configured = loaded.settings.servers.list().iter().find(|server| server.name == name);
    let Some(other) = servers::all(loaded).into_iter().find(|server| server.name == name && server.base != *base)
    else {
        return Ok(configured);
    };
    let failure = Failure::usage(format!("the server {name} already exists with the URL {}", other.base));
    Err(match servers::origin(loaded, name) {
        None => failure.hint("choose another name; this one is built in"),
        Some(_) if name.contains('.') => {
            failure.hint(format!("choose another name, or first run `kugetsu server remove {name}`"))
        }
        Some(_) => failure.hint(format!(
            "choose another name, or change the URL with `kugetsu config set servers.{name}.url {base}`"
        )),
    })
}

/// Detects the kind of a server.
async fn detect_kind(base: &ServerBase) -> Result<(ForgeKind, Option<String>), Failure> {
    let transport =
        Transport::new(Limits::default()).map_err(|error| Failure::new(error.to_string()).hints(error.hint()))?;
    let notice = format!("detecting the kind of {base}");
    let detected = ui::notify_if_slow(&notice, detect(&transport, base)).await.map_err(|error| {
        let skip = format!("to skip detection, pass --kind {}", ForgeKind::server_names("or"));
        let skip = matches!(error, DetectError::Forge(_)).then_some(skip);
        Failure::new(error.to_string()).hints(error.hint()).hints(skip)
    })?;
    Ok((detected.kind, detected.version))
}

fn print_added(home: &Home, server: &ServerObject, version: Option<&str>) {
    let kind = server.kind.unwrap_or("unknown kind");
    let version = version.map(|version| format!(" {version}")).unwrap_or_default();
    let config = home.config();
    ui::line(format!("added {} ({}, {kind}{version}) to {}", server.name, server.url, config.display()));
    match &server.token_env {
        Some(variable) if !server.token_set => {
            ui::line(format!("set its token with `kugetsu env set {variable} -`"));
        }
        Some(variable) => ui::line(format!("its token is {variable}")),
        None => {}
    }
}

async fn remove(home: &Home, name: &str) -> Result<(), Failure> {
    let loaded = load(home, &own_environment)?;
    let is_own = |key: &Key| key.section == "servers" && key.entry.as_deref() == Some(name);
    let is_invalid = loaded.errors.iter().any(|error| error.key.as_ref().is_some_and(is_own));
    let server = match find(&loaded, name) {
        Ok(server) => Some(server),
        // An invalid entry is not among the servers, but can be removed.
        Err(_) if is_invalid => None,
        Err(failure) => return Err(failure),
    };
    match servers::origin(&loaded, name) {
        Some(Origin::Script(location)) => {
            return Err(Failure::usage(format!(
                "cannot remove {name}: it comes from {location}, which kugetsu never writes"
            ))
            .hint("remove it from GIT_SERVERS in that file")
            .hint(format!("or override it with `kugetsu config set servers.{name}.url <url>`")));
        }
        None if !is_invalid => {
            return Err(Failure::usage(format!("cannot remove {name}: it is built in"))
                .hint("kugetsu contacts it only for issues on it"));
        }
        _ => {}
    }
    if server.as_ref().is_some_and(|server| server.default) {
        let default = loaded.values.get(&Key::new("server", None, "default"));
        let from = default.map(|(_, origin)| format!(" ({origin})")).unwrap_or_default();
        return Err(Failure::usage(format!("cannot remove {name}: it is the default server{from}"))
            .hint("choose another default first, for example with `kugetsu server default github.com`"));
    }
    if !edit::remove_entry(home, "servers", name)? {
        return Err(Failure::new(format!("{} no longer contains {name}", home.config().display())));
    }
    ui::line(format!("removed {name} from {}", home.config().display()));
    let after = load(home, &own_environment)?;
    if let Some(source) = servers::origin(&after, name) {
        ui::warning(format!("{name} is also in {source}, which is now in effect"));
    }
    if let Some(server) =
        server.filter(|server| !servers::all(&after).iter().any(|other| other.base.as_str() == server.url))
    {
        warn_of_repositories(home, &server).await;
    }
    connect::reload_if_running(home).await
}

/// The server's repositories stay in the database, but their runs no longer get a token.
async fn warn_of_repositories(home: &Home, server: &ServerObject) {
    let projects = match read_only_db::open(home).await {
        Ok(Some(db)) => db.projects_on(&server.url).await,
        Ok(None) => return,
        Err(unreadable) => Err(unreadable.message),
    };
    match projects {
        Ok(projects) if projects.is_empty() => {}
        Ok(projects) => ui::warning(format!(
            "issues of {} are on this server, and get no token without it; add it again with `kugetsu server add {} {}`",
            projects.join(", "),
            server.name,
            server.url
        )),
        Err(reason) => ui::warning(format!("could not check for issues on this server: {reason}")),
    }
}

async fn set_default(home: &Home, name: &str, json: bool) -> Result<(), Failure> {
    let loaded = load(home, &own_environment)?;
    let server = find(&loaded, name)?;
    let key = "server.default";
    if json {
        setup::ensure_home(home)?;
        edit::set(home, key, name)?;
        connect::reload_if_running(home).await?;
        return ui::json(&ServerObject { default: true, ..server });
    }
    super::config::set(home, key, name).await
}
