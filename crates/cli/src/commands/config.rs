//! `kugetsu config`: lists and changes settings.

use std::collections::BTreeSet;

use clap::{Args, Subcommand};
use kugetsu_api::home::Home;
use serde::Serialize;
use serde_json::Value;

use crate::config::edit;
use crate::config::layer::{ConfigError, Origin, renamed};
use crate::config::load::{Loaded, load, own_environment};
use crate::config::schema::{self, Field, Key};
use crate::editor::{Editor, draft};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::names::did_you_mean;
use crate::{completions, connect, setup, ui};

/// List and change settings.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu config list
  kugetsu config set agents.max 5
  kugetsu config edit")]
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
    /// Remove a value from config.toml, so that the default applies.
    #[command(after_help = "\
Examples:
  kugetsu config unset agents.max")]
    Unset {
        /// The setting, such as agents.max.
        #[arg(add = completions::settings())]
        key: String,
    },
    /// Open config.toml in the editor. It is replaced only if it is valid.
    #[command(after_help = "\
Examples:
  kugetsu config edit")]
    Edit,
}

#[derive(Debug, Clone, Serialize)]
struct Row {
    key: String,
    value: String,
    /// The value with its JSON type; null if it is not set.
    parsed: Value,
    source: String,
}

pub(crate) async fn run(home: &Home, arguments: Config) -> Result<Exit, Failure> {
    match arguments.action {
        Action::List { json } => list(home, json)?,
        Action::Get { key, json } => get(home, &key, json)?,
        Action::Set { key, value } => set(home, &key, &value).await?,
        Action::Unset { key } => unset(home, &key).await?,
        Action::Edit => edit_file(home).await?,
    }
    Ok(Exit::Done)
}

fn list(home: &Home, json: bool) -> Result<(), Failure> {
    let loaded = load(home, &own_environment)?;
    let rows = rows(&loaded);
    if json {
        ui::json(&rows)?;
    } else {
        // Paths are shown relative to the home.
        let within = format!("{}/", home.path().display());
        let row = |row: &Row| vec![row.key.clone(), row.value.clone(), row.source.replace(&within, "")];
        ui::table_with_free(&["SETTING", "VALUE", "SOURCE"], &rows.iter().map(row).collect::<Vec<_>>(), 1);
    }
    loaded.warnings.iter().for_each(ui::warning);
    if loaded.errors.is_empty() {
        return Ok(());
    }
    let errors: Vec<String> = loaded.errors.iter().map(ToString::to_string).collect();
    Err(Failure::usage(errors.join("\n")).hint(match loaded.has_last_valid {
        true => "correct the file; until then, the last valid settings stay in effect",
        false => "correct the file; until then, no daemon starts",
    }))
}

fn get(home: &Home, name: &str, json: bool) -> Result<(), Failure> {
    let loaded = load(home, &own_environment)?;
    let rows = rows(&loaded);
    let known = Key::parse(name).and_then(|key| schema::find(&key));
    let present = known.as_ref().map_or_else(|| name.to_owned(), |(key, _)| key.to_string());
    let row = match (rows.into_iter().find(|row| row.key == present), known) {
        (Some(row), _) => row,
        (None, Some((key, _))) => unset_row(&loaded, &key)?,
        (None, None) => return Err(edit::unknown(name)),
    };
    if json {
        ui::json(&row)?
    } else {
        ui::value(&row.value)
    }
    warn_of_rename(name, &present);
    loaded.errors.iter().for_each(|error| ui::warning(error.to_string()));
    Ok(())
}

/// A field of a named entry that does not set it.
///
/// # Errors
/// There is no such entry.
fn unset_row(loaded: &Loaded, key: &Key) -> Result<Row, Failure> {
    let names =
        loaded.values.keys().filter(|other| other.section == key.section).filter_map(|other| other.entry.as_deref());
    let names: BTreeSet<&str> = names.collect();
    let entry = key.entry.as_deref().unwrap_or_default();
    if !names.contains(entry) {
        let near = did_you_mean(entry, names);
        let message = format!("no section [{}.{entry}] in config.toml{near}", key.section);
        return Err(Failure::usage(message).hint("list all settings with `kugetsu config list`"));
    }
    Ok(Row { key: key.to_string(), value: String::new(), parsed: Value::Null, source: Origin::Default.to_string() })
}

/// Changes a setting and reports it.
pub(super) async fn set(home: &Home, name: &str, value: &str) -> Result<(), Failure> {
    setup::ensure_home(home)?;
    let key = edit::set(home, name, value)?;
    ui::line(format!("set {key} to {value} in {}", home.config().display()));
    warn_of_rename(name, &key.to_string());
    let loaded = load(home, &own_environment)?;
    for error in &loaded.errors {
        ui::warning(format!("{error}; the change takes effect once this is corrected"));
    }
    let unknown_agents = loaded.unknown_agents().into_iter().filter(|error| error.key.as_ref() == Some(&key));
    unknown_agents.for_each(|error| ui::warning(error.message));
    if let Some(Origin::Environment(variable)) = loaded.values.get(&key).map(|(_, origin)| origin) {
        ui::warning(format!("the environment variable {variable} overrides it in this shell"));
    }
    connect::reload_if_running(home).await
}

async fn unset(home: &Home, name: &str) -> Result<(), Failure> {
    let (key, removed) = edit::unset(home, name)?;
    if !removed {
        ui::line(format!("{key} is not set in {}", home.config().display()));
        return Ok(());
    }
    ui::line(format!("removed {key} from {}", home.config().display()));
    warn_of_rename(name, &key.to_string());
    connect::reload_if_running(home).await
}

/// Lets the user edit a copy until it is valid, and replaces the file by it.
async fn edit_file(home: &Home) -> Result<(), Failure> {
    setup::ensure_home(home)?;
    let path = home.config();
    if !ui::is_interactive() {
        return Err(Failure::needs_person("an editor needs a terminal")
            .hint(format!("edit {}, or use `kugetsu config set`", path.display())));
    }
    let editor = Editor::from_environment().ok_or_else(|| {
        Failure::new("neither VISUAL nor EDITOR is set").hint(format!("set one of them, or edit {}", path.display()))
    })?;
    let failed = |error: std::io::Error| Failure::new(format!("could not copy {}: {error}", path.display()));
    let before = edit::read(home).map_err(failed)?;
    let copy = draft("config-", ".toml", &before).map_err(failed)?;
    loop {
        let after = editor.edit(&copy)?;
        if after == before {
            ui::line("changed nothing");
            return Ok(());
        }
        let Some(error) = edit::replace(home, &before, &after)? else { break };
        ui::warning(error.to_string());
        if !ui::confirm("edit it again?")? {
            return Err(Failure::usage(format!("{} was not changed", path.display())));
        }
    }
    ui::line(format!("changed {}", path.display()));
    connect::reload_if_running(home).await
}

fn warn_of_rename(name: &str, present: &str) {
    if name != present {
        ui::warning(renamed(name, present));
    }
}

/// All settings, then the fields of the named entries.
fn rows(loaded: &Loaded) -> Vec<Row> {
    let row = |key: String, field: Option<&Field>, value: Option<&Value>, origin: &Origin| Row {
        key,
        value: value.map(schema::text).unwrap_or_default(),
        parsed: value.map(|value| field.map_or_else(|| value.clone(), |field| field.parsed(value))).unwrap_or_default(),
        source: origin.to_string(),
    };
    let settings = schema::settings().map(|field| match loaded.values.get(&field.key) {
        Some((value, origin)) => row(field.key.to_string(), Some(field), Some(value), origin),
        None => row(field.key.to_string(), Some(field), field.default(), &Origin::Default),
    });
    // Values of variables may be secrets.
    let masked = Value::from("(set)");
    let entries = loaded.values.iter().filter(|(key, _)| key.entry.is_some());
    let entries = entries.flat_map(|(key, (value, origin))| match value.as_object() {
        Some(table) => {
            table.keys().map(|name| row(format!("{key}.{name}"), None, Some(&masked), origin)).collect::<Vec<_>>()
        }
        None => vec![row(key.to_string(), None, Some(value), origin)],
    });
    settings.chain(entries).collect()
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let failure = Self::usage(error.to_string());
        match error.location.strip_prefix('$') {
            Some(variable) => {
                failure.hint(format!("correct the environment variable, or remove it with `unset {variable}`"))
            }
            None => failure.hint("correct the file; it is read again at once"),
        }
    }
}
