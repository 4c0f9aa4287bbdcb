//! Candidates for shell completion. The script that `kugetsu completions` prints calls this program with [`ENV_VAR`] set
//! while the user types, so nothing here starts a daemon or waits long.

use std::time::Duration;

use clap::Command;
use clap_complete::env::{Bash, CompleteEnv, Fish, Shells, Zsh};
use clap_complete::{ArgValueCandidates, CompletionCandidate};
use kugetsu_agent::agent_names;
use kugetsu_api::client::Client;
use kugetsu_api::endpoints;
use kugetsu_api::home::Home;
use kugetsu_api::issue::IssuesQuery;
use kugetsu_api::run::RunObject;
use kugetsu_domain::machine::Machine;
use tokio::runtime::Builder;

use crate::config::load::{load, own_environment};
use crate::config::schema;
use crate::env_files;
use crate::paths;
use crate::ui::one_line;

/// The environment variable by which a shell asks for candidates. Its value is the name of the shell.
pub(crate) const ENV_VAR: &str = "KUGETSU_COMPLETE";

const SHELLS: Shells<'static> = Shells(&[&Bash, &Zsh, &Fish]);

/// How long the daemon may take to list the issues. The user has just pressed Tab.
const TIMEOUT: Duration = Duration::from_millis(250);

/// How many issues are offered, newest first.
const ISSUES_MAX: u32 = 500;

/// Prints candidates and returns true if a shell asks for them. Must be called before anything else is printed.
pub(crate) fn complete(command: fn() -> Command, topics: &'static [(&str, &str)]) -> clap::error::Result<bool> {
    let cwd = std::env::current_dir().ok();
    let complete = CompleteEnv::with_factory(move || with_help_names(command(), topics)).var(ENV_VAR).shells(SHELLS);
    complete.try_complete(std::env::args_os(), cwd.as_deref())
}

/// `kugetsu help` takes the names of all commands, which only the whole command line knows, and of the topics.
fn with_help_names(command: Command, topics: &[(&str, &str)]) -> Command {
    let commands = command.get_subcommands().filter(|command| !command.is_hide_set()).map(Command::get_name);
    let names: Vec<String> = commands.chain(topics.iter().map(|(name, _)| *name)).map(str::to_owned).collect();
    command.mut_subcommand("help", |help| {
        help.mut_arg("names", |arg| arg.add(ArgValueCandidates::new(move || candidates(names.clone()))))
    })
}

/// The issues that the running daemon knows; none if no daemon runs.
pub(crate) fn issues() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let Some(socket) = paths::home().ok().and_then(|home| home.socket().ok()) else { return Vec::new() };
        let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return Vec::new() };
        let runs = runtime.block_on(async {
            let query = IssuesQuery { limit: Some(ISSUES_MAX), ..IssuesQuery::default() };
            let request =
                async { Client::connect(&socket).await?.list(&endpoints::LIST_ISSUES, &query).await?.collect().await };
            tokio::time::timeout(TIMEOUT, request).await
        });
        runs.ok().and_then(Result::ok).unwrap_or_default().iter().map(issue).collect()
    })
}

fn issue(run: &RunObject) -> CompletionCandidate {
    let help = one_line(&format!("{} {}", run.state.name(), run.reason.as_deref().unwrap_or_default()));
    CompletionCandidate::new(one_line(&run.issue)).help(Some(help.into()))
}

/// The agents that can run.
pub(crate) fn agents() -> ArgValueCandidates {
    ArgValueCandidates::new(|| paths::home().map(|home| candidates(configured_agents(&home))).unwrap_or_default())
}

/// The agents and everything else that has an env file.
pub(crate) fn env_files() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let Ok(home) = paths::home() else { return Vec::new() };
        let mut names = configured_agents(&home);
        names.extend(env_files::agents(&home).unwrap_or_default());
        names.extend([env_files::DEFAULT, env_files::PM_AGENT].map(str::to_owned));
        candidates(names)
    })
}

fn configured_agents(home: &Home) -> Vec<String> {
    let configured = load(home, &own_environment).map(|loaded| loaded.settings.profiles).unwrap_or_default();
    agent_names(&configured)
}

pub(crate) fn settings() -> ArgValueCandidates {
    ArgValueCandidates::new(|| candidates(schema::settings().map(|field| field.key.to_string()).collect()))
}

/// The watched repositories by the names of their watches.
pub(crate) fn watches() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let loaded = paths::home().ok().and_then(|home| load(&home, &own_environment).ok());
        let watches = loaded.map(|loaded| loaded.settings.watches).unwrap_or_default();
        candidates(watches.into_iter().map(|watch| watch.name).collect())
    })
}

/// The variables that env files set.
pub(crate) fn variables() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let Ok(home) = paths::home() else { return Vec::new() };
        candidates(env_files::all_variables(&home).into_iter().map(|variable| variable.name).collect())
    })
}

fn candidates(mut names: Vec<String>) -> Vec<CompletionCandidate> {
    names.sort();
    names.dedup();
    names.into_iter().map(CompletionCandidate::new).collect()
}
