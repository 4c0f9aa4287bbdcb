//! `kugetsu config`: lists and changes settings.

use clap::{Args, Subcommand};
use kugetsu_api::home::Home;
use serde::Serialize;

use crate::config::edit::edit;
use crate::config::error::ConfigError;
use crate::config::file::Part;
use crate::config::key::{self, Key};
use crate::config::load::{Loaded, has_good, look, own_environment};
use crate::config::source::Source;
use crate::config::write as toml;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::{completions, connect, setup, ui};

/// List and change settings.
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
    /// List every setting with its value and its source.
    #[command(after_help = "\
Examples:
  kugetsu config list
  kugetsu config list --json")]
    List {
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the value of a setting.
    #[command(after_help = "\
Examples:
  kugetsu config get agents.max")]
    Get {
        /// The setting, such as agents.max.
        #[arg(add = completions::settings())]
        key: String,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Set a value in config.toml. A running daemon applies it at once.
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

const LIST_SETTINGS: &str = "list all settings with `kugetsu config list`";

#[derive(Debug, Clone, Serialize)]
struct Setting {
    key: String,
    value: String,
    source: String,
}

pub(crate) async fn run(home: &Home, arguments: Config) -> Result<Exit, Failure> {
    match arguments.action {
        Action::List { json } => {
            let loaded = look(home, &own_environment)?;
            let settings = settings(&loaded);
            if json {
                ui::json(&settings)?;
            } else {
                // Relative to the home, so that the table stays narrow.
                let within = format!("{}/", home.path().display());
                let row = |setting: &Setting| {
                    vec![setting.key.clone(), setting.value.clone(), setting.source.replace(&within, "")]
                };
                let rows: Vec<Vec<String>> = settings.iter().map(row).collect();
                ui::table_with_free(&["SETTING", "VALUE", "SOURCE"], &rows, 1);
            }
            for warning in &loaded.warnings {
                ui::warning(warning);
            }
            if let Some(failure) = invalid_settings(home, &loaded) {
                return Err(failure);
            }
        }
        Action::Get { key, json } => {
            let loaded = look(home, &own_environment)?;
            let settings = settings(&loaded);
            let setting = settings.iter().find(|setting| setting.key == key);
            let setting = setting.ok_or_else(|| Failure::usage(key::unknown(&key)).hint(LIST_SETTINGS))?;
            if json {
                ui::json(setting)?
            } else {
                ui::value(&setting.value)
            }
            for mistake in &loaded.invalid {
                ui::warning(mistake.error.to_string());
            }
        }
        Action::Set { key, value } => set(home, &key, &value).await?,
    }
    Ok(Exit::Done)
}

/// Sets a value and reports it.
pub(super) async fn set(home: &Home, key: &str, value: &str) -> Result<(), Failure> {
    write(home, key, value)?;
    ui::line(format!("set {key} to {value} in {}", home.config().display()));
    let loaded = look(home, &own_environment)?;
    for mistake in &loaded.invalid {
        ui::warning(mistake.error.to_string());
    }
    if let Some((_, Source::Environment(name))) = Key::from_name(key).and_then(|key| loaded.values.get(&key)) {
        ui::warning(format!("the environment variable {name} overrides it in this shell"));
    }
    connect::reload_if_running(home).await
}

/// Sets a value in config.toml.
pub(super) fn write(home: &Home, key: &str, value: &str) -> Result<(), Failure> {
    setup::ensure_home(home)?;
    let parts: Vec<Part> = Key::from_name(key).map(Part::Value).into_iter().collect();
    edit(home, &parts, |path, text| Ok(Some(toml::set(path, text, key, value)?))).map(drop)
}

/// All mistakes in config.toml, one per line.
fn invalid_settings(home: &Home, loaded: &Loaded) -> Option<Failure> {
    let first = loaded.invalid.first()?;
    let more = &loaded.invalid[1..];
    let message = more.iter().fold(first.error.to_string(), |text, mistake| format!("{text}\n{}", mistake.error));
    let hint = match has_good(home) {
        true => "correct the file; until then, the previous values stay in effect",
        false => "correct the file; until then, no daemon starts",
    };
    Some(Failure::usage(message).hint(hint))
}

/// Every setting; those of servers and agents last.
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
        for (part, args) in
            [("args", Some(&agent.args)), ("delete", agent.delete.as_ref()), ("attach", agent.attach.as_ref())]
        {
            if let Some(args) = args.filter(|args| !args.is_empty()) {
                all.push(one(name(part), &format!("{args:?}"), source));
            }
        }
        for (variable, _) in &agent.env {
            // The value may be a secret.
            all.push(one(name(&format!("env.{variable}")), "(set)", source));
        }
    }
    all
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let failure = Self::usage(error.to_string());
        match error.place.strip_prefix('$') {
            Some(variable) => {
                failure.hint(format!("correct the environment variable, or remove it with `unset {variable}`"))
            }
            None if error.place == toml::NOT_SET => failure.hint(LIST_SETTINGS),
            None => failure.hint("correct the file; it is read again at once"),
        }
    }
}
