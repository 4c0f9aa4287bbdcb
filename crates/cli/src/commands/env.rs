//! `kugetsu env` (C9): the variables that reach agents.

use std::collections::BTreeMap;
use std::io::{self, Read};

use clap::{Args, Subcommand};
use kugetsu_api::home::Home;
use secrecy::ExposeSecret;
use serde::Serialize;

use crate::env_files::{self, DEFAULT};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::{completions, connect, setup, ui};

/// No variable is longer: the system would not start a program with it (MAX_ARG_STRLEN of Linux).
const VALUE_MAX: u64 = 128 * 1024;

/// See and change the variables that reach agents.
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
    /// List the env files.
    #[command(after_help = "\
Examples:
  kugetsu env list")]
    List {
        /// Show objects for programs.
        #[arg(long)]
        json: bool,
    },
    /// Show a file's variables; secrets are masked.
    #[command(after_help = "\
Examples:
  kugetsu env show
  kugetsu env show opencode")]
    Show {
        /// The agent; what every agent gets otherwise.
        #[arg(default_value = DEFAULT, add = completions::agents())]
        agent: String,
        /// Show an object for programs.
        #[arg(long)]
        json: bool,
    },
    /// Set a variable.
    #[command(after_help = "\
Examples:
  kugetsu env set GITHUB_TOKEN -
  kugetsu env set MY_MODE quiet opencode")]
    Set {
        /// Its name.
        #[arg(add = completions::variables())]
        key: String,
        /// Its value; `-` reads it from stdin, which keeps a secret out of the shell's history.
        #[arg(allow_hyphen_values = true)]
        value: String,
        /// The agent; every agent otherwise.
        #[arg(default_value = DEFAULT, add = completions::agents())]
        agent: String,
    },
    /// Show a variable's value as it is.
    #[command(after_help = "\
Examples:
  kugetsu env get MY_MODE opencode")]
    Get {
        /// Its name.
        #[arg(add = completions::variables())]
        key: String,
        /// The agent; what every agent gets otherwise.
        #[arg(default_value = DEFAULT, add = completions::agents())]
        agent: String,
        /// Show an object for programs.
        #[arg(long)]
        json: bool,
    },
    /// Remove a variable.
    #[command(after_help = "\
Examples:
  kugetsu env rm MY_MODE opencode")]
    Rm {
        /// Its name.
        #[arg(add = completions::variables())]
        key: String,
        /// The agent; what every agent gets otherwise.
        #[arg(default_value = DEFAULT, add = completions::agents())]
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

/// Does what is asked.
pub(crate) async fn run(home: &Home, arguments: Env) -> Result<Exit, Failure> {
    match arguments.action {
        Action::List { json } => list(home, json)?,
        Action::Show { agent, json } => show(home, &agent, json)?,
        Action::Set { key, value, agent } => {
            setup::ensure_home(home)?;
            let path = env_files::path(home, &agent)?;
            env_files::set(&path, &key, &if value == "-" { from_stdin()? } else { value })?;
            ui::line(format!("{key} is set in {}", path.display()));
            connect::reload_if_running(home).await?;
        }
        Action::Get { key, agent, json } => {
            let path = env_files::path(home, &agent)?;
            let file = env_files::read(&path).map_err(|error| env_files::unreadable(&path, &error))?;
            let found = file.variables.iter().find(|one| one.name == key);
            let found = found.ok_or_else(|| missing(&key, &agent))?.value.expose_secret();
            if json { ui::json(&Value { key: &key, value: found })? } else { ui::value(found) }
        }
        Action::Rm { key, agent } => {
            let path = env_files::path(home, &agent)?;
            if !env_files::remove(&path, &key)? {
                return Err(missing(&key, &agent));
            }
            ui::line(format!("{key} is removed from {}", path.display()));
            connect::reload_if_running(home).await?;
        }
    }
    Ok(Exit::Done)
}

fn missing(key: &str, agent: &str) -> Failure {
    Failure::usage(format!("{key} is not set for {agent}")).hint(format!("`kugetsu env show {agent}` shows what is"))
}

fn list(home: &Home, json: bool) -> Result<(), Failure> {
    let mut files = Vec::new();
    for agent in env_files::agents(home).map_err(|error| env_files::unreadable(&home.env(), &error))? {
        let path = env_files::path(home, &agent)?;
        let file = env_files::read(&path).map_err(|error| env_files::unreadable(&path, &error))?;
        let variables = file.variables.into_iter().map(|one| one.name).collect();
        files.push(Listed { agent, path: path.display().to_string(), variables });
    }
    if json {
        return ui::json(&files);
    }
    if files.is_empty() {
        ui::line("there are no env files; `kugetsu env set <name> <value>` makes one");
        return Ok(());
    }
    let row = |one: &Listed| vec![one.agent.clone(), one.path.clone(), one.variables.join(" ")];
    ui::table(&["AGENT", "FILE", "VARIABLES"], &files.iter().map(row).collect::<Vec<_>>());
    Ok(())
}

fn show(home: &Home, agent: &str, json: bool) -> Result<(), Failure> {
    let path = env_files::path(home, agent)?;
    let file = env_files::read(&path).map_err(|error| env_files::unreadable(&path, &error))?;
    let redactor = env_files::redactor(&file.variables);
    let shown: BTreeMap<&str, String> =
        file.variables.iter().map(|one| (one.name.as_str(), env_files::display_value(one, &redactor))).collect();
    if json {
        ui::json(&shown)?;
    } else {
        for (name, value) in &shown {
            ui::line(format!("{name}={value}"));
        }
        if shown.is_empty() {
            ui::note(format!("{} sets nothing", path.display()));
        }
    }
    for fault in &file.diagnostics {
        ui::warning(fault);
    }
    Ok(())
}

/// The value without the line's end that `echo` adds.
fn from_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    io::stdin()
        .lock()
        .take(VALUE_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|error| Failure::new(format!("the value could not be read from stdin: {error}")))?;
    if text.len() as u64 > VALUE_MAX {
        return Err(Failure::usage(format!("the value on stdin is longer than {VALUE_MAX} bytes")));
    }
    let value = text.strip_suffix('\n').unwrap_or(&text);
    Ok(value.strip_suffix('\r').unwrap_or(value).to_owned())
}
