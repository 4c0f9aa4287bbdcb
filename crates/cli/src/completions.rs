//! What the shell offers while a command is typed. Asked by the script that `kugetsu completions` prints, through a
//! variable of the environment; nothing is started for it and nothing waits long.

use std::time::Duration;

use clap::Command;
use clap_complete::env::{Bash, CompleteEnv, Fish, Shells, Zsh};
use clap_complete::{ArgValueCandidates, CompletionCandidate};
use kugetsu_api::client::Client;
use kugetsu_api::path;
use kugetsu_api::run::RunObject;
use tokio::runtime::Builder;

use crate::config::key::Key;
use crate::config::load::{look, own_environment};
use crate::env_files;
use crate::help::topics::TOPICS;
use crate::place;
use crate::ui::one_line;

/// The variable by which a shell asks. Its value is the shell's name.
pub(crate) const ENV_VAR: &str = "KUGETSU_COMPLETE";

/// The shells that can ask.
pub(crate) const SHELLS: Shells<'static> = Shells(&[&Bash, &Zsh, &Fish]);

/// How long the daemon may take to answer. Whoever waits has a key under the finger.
const LIMIT: Duration = Duration::from_millis(250);

/// Answers a shell, if this is one that asks. Must be called before anything is printed.
///
/// # Errors
/// The shell is not known, or its answer could not be written.
pub(crate) fn complete(command: fn() -> Command) -> clap::error::Result<bool> {
    let here = std::env::current_dir().ok();
    let complete = CompleteEnv::with_factory(move || with_completions(command())).var(ENV_VAR).shells(SHELLS);
    complete.try_complete(std::env::args_os(), here.as_deref())
}

/// The command with what can stand for its arguments.
fn with_completions(command: Command) -> Command {
    let commands = command.get_subcommands().filter(|one| !one.is_hide_set()).map(Command::get_name);
    let readable: Vec<String> = commands.chain(TOPICS.iter().map(|(name, _)| *name)).map(str::to_owned).collect();
    add(command, "", &readable)
}

/// An argument is known by its name, and where that says too little by its command.
fn add(command: Command, before: &str, readable: &[String]) -> Command {
    let of = format!("{before} {}", command.get_name());
    let command = command.mut_subcommands(|inner| add(inner, &of, readable));
    command.mut_args(|argument| match (of.trim(), argument.get_id().as_str()) {
        (_, "reference" | "after" | "task") => argument.add(ArgValueCandidates::new(issues)),
        (_, "agent") => argument.add(ArgValueCandidates::new(agents)),
        ("kugetsu config get" | "kugetsu config set", "key") => argument.add(ArgValueCandidates::new(settings)),
        ("kugetsu env get" | "kugetsu env set" | "kugetsu env rm", "key") => {
            argument.add(ArgValueCandidates::new(variables))
        }
        ("kugetsu help", "words") => {
            let readable = readable.to_vec();
            argument.add(ArgValueCandidates::new(move || offered(readable.clone())))
        }
        _ => argument,
    })
}

fn offered(mut names: Vec<String>) -> Vec<CompletionCandidate> {
    names.sort();
    names.dedup();
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// The issues that a running daemon knows. A daemon that does not run is not started.
fn issues() -> Vec<CompletionCandidate> {
    let Some(socket) = place::home().ok().and_then(|home| home.socket().ok()) else { return Vec::new() };
    let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return Vec::new() };
    let asked = runtime.block_on(async {
        let asking = async { Client::connect(&socket).await?.get::<Vec<RunObject>>(path::ISSUES).await };
        tokio::time::timeout(LIMIT, asking).await
    });
    let runs = asked.ok().and_then(Result::ok).unwrap_or_default();
    let said =
        |run: &RunObject| one_line(&format!("{} {}", run.state.name(), run.reason.as_deref().unwrap_or_default()));
    runs.iter().map(|run| CompletionCandidate::new(one_line(&run.issue)).help(Some(said(run).into()))).collect()
}

/// The agents that can be named.
fn agents() -> Vec<CompletionCandidate> {
    let Ok(home) = place::home() else { return Vec::new() };
    let own = look(&home, &own_environment).map(|loaded| loaded.settings.agents).unwrap_or_default();
    let mut names: Vec<String> = own.into_iter().map(|agent| agent.name).collect();
    names.push(Key::AgentDefault.default().to_owned());
    names.extend(env_files::agents(&home).unwrap_or_default().into_iter().filter(|name| name != env_files::DEFAULT));
    offered(names)
}

fn settings() -> Vec<CompletionCandidate> {
    offered(Key::ALL.iter().map(|key| key.name().to_owned()).collect())
}

/// The names that env files set.
fn variables() -> Vec<CompletionCandidate> {
    let Ok(home) = place::home() else { return Vec::new() };
    let agents = env_files::agents(&home).unwrap_or_default();
    let files = agents.iter().filter_map(|agent| env_files::read(&env_files::path(&home, agent).ok()?).ok());
    offered(files.flat_map(|file| file.variables).map(|one| one.name).collect())
}
