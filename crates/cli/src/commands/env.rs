//! `kugetsu env`: lists and changes the environment variables of agents.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use kugetsu_agent::UnknownAgent;
use kugetsu_api::home::Home;
use secrecy::ExposeSecret;
use serde::Serialize;

use crate::config::load::{load, own_environment};
use crate::env_files::{self, DEFAULT, PM_AGENT};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::{completions, connect, setup, ui};

/// Linux starts no program with a longer variable (MAX_ARG_STRLEN), in bytes.
const VALUE_MAX: u64 = 128 * 1024;

/// List and change the environment variables of agents.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu env set GITHUB_TOKEN -
  kugetsu env show")]
pub(crate) struct Env {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the env files and the variables that they set.
    #[command(after_help = "\
Examples:
  kugetsu env list")]
    List {
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show the variables of an env file. Secrets are masked.
    #[command(after_help = "\
Examples:
  kugetsu env show
  kugetsu env show opencode")]
    Show {
        /// The agent whose env file is read.
        #[arg(default_value = DEFAULT, add = completions::env_files())]
        agent: String,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Set a variable in an env file.
    #[command(after_help = "\
Examples:
  kugetsu env set GITHUB_TOKEN -
  kugetsu env set MY_MODE quiet opencode")]
    Set {
        /// The name of the variable.
        #[arg(add = completions::variables())]
        key: String,
        /// The value; `-` reads it from stdin, which keeps a secret out of the shell history.
        #[arg(allow_hyphen_values = true)]
        value: String,
        /// The agent that gets the variable; `default` stands for all agents.
        #[arg(default_value = DEFAULT, add = completions::env_files())]
        agent: String,
    },
    /// Print the value of a variable, unmasked.
    #[command(after_help = "\
Examples:
  kugetsu env get MY_MODE opencode")]
    Get {
        /// The name of the variable.
        #[arg(add = completions::variables())]
        key: String,
        /// The agent whose env file is read.
        #[arg(default_value = DEFAULT, add = completions::env_files())]
        agent: String,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove a variable from an env file.
    #[command(after_help = "\
Examples:
  kugetsu env rm MY_MODE opencode")]
    Rm {
        /// The name of the variable.
        #[arg(add = completions::variables())]
        key: String,
        /// The agent whose env file is read.
        #[arg(default_value = DEFAULT, add = completions::env_files())]
        agent: String,
    },
}

#[derive(Serialize)]
struct Listed {
    agent: String,
    path: String,
    variables: Vec<String>,
}

#[derive(Serialize)]
struct Value<'a> {
    key: &'a str,
    value: &'a str,
}

pub(crate) async fn run(home: &Home, arguments: Env) -> Result<Exit, Failure> {
    match arguments.action {
        Action::List { json } => list(home, json)?,
        Action::Show { agent, json } => show(home, &agent, json)?,
        Action::Set { key, value, agent } => {
            setup::ensure_home(home)?;
            let path = env_files::path(home, &agent)?;
            env_files::set(&path, &key, &if value == "-" { value_from_stdin()? } else { value })?;
            ui::line(format!("set {key} in {}", path.display()));
            if let Some(why) = env_files::concern(&key) {
                ui::warning(format!("{key} is set for agents: {why}; to undo this: kugetsu env rm {key} {agent}"));
            }
            if let Some(unknown) = unknown_agent(home, &agent) {
                ui::warning(format!("{unknown}, so no agent gets {key}; to undo this: kugetsu env rm {key} {agent}"));
            }
            connect::reload_if_running(home).await?;
        }
        Action::Get { key, agent, json } => {
            let path = env_files::path(home, &agent)?;
            let file = env_files::read(&path).map_err(|error| env_files::unreadable(&path, &error))?;
            let variable = file.variables.iter().find(|variable| variable.name == key);
            let value = variable.ok_or_else(|| missing(&key, &agent))?.value.expose_secret();
            if json { ui::json(&Value { key: &key, value })? } else { ui::value(value) }
        }
        Action::Rm { key, agent } => {
            let path = env_files::path(home, &agent)?;
            if !env_files::remove(&path, &key)? {
                return Err(missing(&key, &agent));
            }
            ui::line(format!("removed {key} from {}", path.display()));
            connect::reload_if_running(home).await?;
        }
    }
    Ok(Exit::Done)
}

/// The error about a name that no agent has.
fn unknown_agent(home: &Home, agent: &str) -> Option<UnknownAgent> {
    if [DEFAULT, PM_AGENT].contains(&agent) {
        return None;
    }
    let settings = load(home, &own_environment).ok()?.settings;
    kugetsu_agent::profile(agent, &settings.profiles).err()
}

fn missing(key: &str, agent: &str) -> Failure {
    Failure::usage(format!("{key} is not set in {agent}.env"))
        .hint(format!("list its variables with `kugetsu env show {agent}`"))
}

fn list(home: &Home, json: bool) -> Result<(), Failure> {
    let mut files = Vec::new();
    for agent in env_files::agents(home).map_err(|error| env_files::unreadable(&home.env(), &error))? {
        let path = env_files::path(home, &agent)?;
        let file = env_files::read(&path).map_err(|error| env_files::unreadable(&path, &error))?;
        let variables = file.variables.into_iter().map(|variable| variable.name).collect();
        files.push(Listed { agent, path: path.display().to_string(), variables });
    }
    if json {
        return ui::json(&files);
    }
    if files.is_empty() {
        ui::line("no env files; create one with `kugetsu env set <name> <value>`");
        return Ok(());
    }
    let row = |file: &Listed| vec![file.agent.clone(), file.path.clone(), file.variables.join(" ")];
    ui::table(&["AGENT", "FILE", "VARIABLES"], &files.iter().map(row).collect::<Vec<_>>());
    Ok(())
}

fn show(home: &Home, agent: &str, json: bool) -> Result<(), Failure> {
    let path = env_files::path(home, agent)?;
    let file = env_files::read(&path).map_err(|error| env_files::unreadable(&path, &error))?;
    let redactor = env_files::redactor(&file.variables);
    let shown: BTreeMap<&str, String> = file
        .variables
        .iter()
        .map(|variable| (variable.name.as_str(), env_files::display_value(variable, &redactor)))
        .collect();
    if json {
        ui::json(&shown)?;
    } else {
        for (name, value) in &shown {
            ui::line(format!("{name}={value}"));
        }
        if shown.is_empty() {
            ui::note(format!("{} sets no variables", path.display()));
        }
    }
    for warning in &file.diagnostics {
        ui::warning(warning);
    }
    Ok(())
}

/// Without the line end that `echo` adds.
fn value_from_stdin() -> Result<String, Failure> {
    let text = ui::read_stdin("value", VALUE_MAX)?;
    let value = text.strip_suffix('\n').unwrap_or(&text);
    Ok(value.strip_suffix('\r').unwrap_or(value).to_owned())
}
