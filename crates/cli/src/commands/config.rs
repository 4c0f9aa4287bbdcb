//! `kugetsu config`: every setting with its value and where it came from.

use clap::{Args, Subcommand};
use kugetsu_api::home::Home;
use serde::Serialize;

use crate::config::edit::edit;
use crate::config::error::ConfigError;
use crate::config::file::Part;
use crate::config::key::{self, Key};
use crate::config::load::{Loaded, has_good, look, own_environment};
use crate::config::source::Source;
use crate::config::write;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::{completions, connect, setup, ui};

/// See and change the settings.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu config list
  kugetsu config set agents.max 5")]
pub(crate) struct Config {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List every setting with its value and where it came from.
    #[command(after_help = "\
Examples:
  kugetsu config list
  kugetsu config list --json")]
    List {
        /// Show objects for programs.
        #[arg(long)]
        json: bool,
    },
    /// Show one setting's value.
    #[command(after_help = "\
Examples:
  kugetsu config get agents.max")]
    Get {
        /// The setting, such as agents.max.
        #[arg(add = completions::settings())]
        key: String,
        /// Show an object for programs.
        #[arg(long)]
        json: bool,
    },
    /// Change a setting in config.toml; the running daemon follows at once.
    #[command(after_help = "\
Examples:
  kugetsu config set agents.max 5
  kugetsu config set run.timeout 2h
  kugetsu config set servers.work.url https://git.example.com")]
    Set {
        /// The setting, such as agents.max.
        #[arg(add = completions::settings())]
        key: String,
        /// Its new value.
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
}

#[derive(Debug, Clone, Serialize)]
struct Setting {
    key: String,
    value: String,
    source: String,
}

/// Does what is asked.
pub(crate) async fn run(home: &Home, arguments: Config) -> Result<Exit, Failure> {
    match arguments.action {
        Action::List { json } => {
            let loaded = look(home, &own_environment)?;
            let settings = settings(&loaded);
            if json {
                ui::json(&settings)?;
            } else {
                // Which home it is is known; the file and the line are not.
                let within = format!("{}/", home.path().display());
                let row = |one: &Setting| vec![one.key.clone(), one.value.clone(), one.source.replace(&within, "")];
                let rows: Vec<Vec<String>> = settings.iter().map(row).collect();
                ui::table_with_free(&["SETTING", "VALUE", "FROM"], &rows, 1);
            }
            for fault in &loaded.warnings {
                ui::warning(fault);
            }
            if let Some(failure) = mistaken(home, &loaded) {
                return Err(failure);
            }
        }
        Action::Get { key, json } => {
            let loaded = look(home, &own_environment)?;
            let settings = settings(&loaded);
            let found = settings.iter().find(|one| one.key == key);
            let found =
                found.ok_or_else(|| Failure::usage(key::unknown(&key)).hint("`kugetsu config list` shows all"))?;
            if json {
                ui::json(found)?
            } else {
                ui::value(&found.value)
            }
            for mistake in &loaded.invalid {
                ui::warning(mistake.error.to_string());
            }
        }
        Action::Set { key, value } => set(home, &key, &value).await?,
    }
    Ok(Exit::Done)
}

/// Changes a setting, and says so.
pub(super) async fn set(home: &Home, key: &str, value: &str) -> Result<(), Failure> {
    put(home, key, value)?;
    ui::line(format!("{key} is {value} in {}", home.config().display()));
    let loaded = look(home, &own_environment)?;
    for mistake in &loaded.invalid {
        ui::warning(mistake.error.to_string());
    }
    if let Some((_, Source::Environment(name))) = Key::from_name(key).and_then(|key| loaded.values.get(&key)) {
        ui::warning(format!("here ${name} wins over it"));
    }
    connect::reload_if_running(home).await
}

/// Changes a setting in the file, and nothing more.
pub(super) fn put(home: &Home, key: &str, value: &str) -> Result<(), Failure> {
    setup::ensure_home(home)?;
    let parts: Vec<Part> = Key::from_name(key).map(Part::Value).into_iter().collect();
    edit(home, &parts, |path, text| Ok(Some(write::set(path, text, key, value)?))).map(drop)
}

/// What is wrong in config.toml: told line by line, with what holds in its place.
fn mistaken(home: &Home, loaded: &Loaded) -> Option<Failure> {
    let first = loaded.invalid.first()?;
    let more = &loaded.invalid[1..];
    let message = more.iter().fold(first.error.to_string(), |said, one| format!("{said}\n{}", one.error));
    let meanwhile = match has_good(home) {
        true => "what was set before holds until it is corrected; the file is read again at once",
        false => "no daemon starts until it is corrected",
    };
    Some(Failure::usage(message).hint(meanwhile))
}

/// Every setting, those with names of people's own at the end.
fn settings(loaded: &Loaded) -> Vec<Setting> {
    let one = |key: String, value: &str, source: Option<&Source>| Setting {
        key,
        value: value.to_owned(),
        source: source.unwrap_or(&Source::Default).to_string(),
    };
    let mut all: Vec<Setting> =
        loaded.values.iter().map(|(key, (value, source))| one(key.name().to_owned(), value, Some(source))).collect();
    for server in loaded.settings.servers.list() {
        let source = loaded.server_sources.get(&server.name);
        let name = |part: &str| format!("servers.{}.{part}", server.name);
        all.push(one(name("url"), server.base.as_str(), source));
        if let Some(kind) = server.kind {
            all.push(one(name("kind"), kind.name(), source));
        }
        if let Some(api) = &server.api_url {
            all.push(one(name("api_url"), api, source));
        }
        if let Some(variable) = &server.token_env {
            all.push(one(name("token_env"), variable, source));
        }
    }
    for agent in &loaded.settings.agents {
        let source = loaded.agent_sources.get(&agent.name);
        let name = |part: &str| format!("agents.{}.{part}", agent.name);
        all.push(one(name("program"), &agent.program.display().to_string(), source));
        for (part, words) in
            [("args", Some(&agent.args)), ("delete", agent.delete.as_ref()), ("attach", agent.attach.as_ref())]
        {
            if let Some(words) = words.filter(|words| !words.is_empty()) {
                all.push(one(name(part), &format!("{words:?}"), source));
            }
        }
        for (variable, _) in &agent.env {
            // A value there may be a secret, and its name alone says what is set.
            all.push(one(name(&format!("env.{variable}")), "(set)", source));
        }
    }
    all
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let failure = Self::usage(error.to_string());
        match error.place.strip_prefix('$') {
            Some(variable) => failure.hint(format!("correct the variable, or do without it: unset {variable}")),
            None if error.place == write::NOT_SET => failure.hint("`kugetsu config list` shows what is set"),
            None => failure.hint("correct the file; it is read again at once"),
        }
    }
}
