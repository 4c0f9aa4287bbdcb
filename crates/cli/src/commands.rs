//! The command line. A new command is a file in `commands/`, its `mod` line here, a variant of [`Command`], and an arm of
//! [`Cli::run`]. Its help, completions and manual page come from its clap attributes.

pub(crate) mod agents;
pub(crate) mod answer;
pub(crate) mod attach;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod continue_work;
pub(crate) mod daemon;
pub(crate) mod db;
pub(crate) mod delegate;
pub(crate) mod destroy;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod env;
pub(crate) mod gc;
pub(crate) mod help;
pub(crate) mod hook;
pub(crate) mod init;
pub(crate) mod list;
pub(crate) mod logs;
pub(crate) mod man;
pub(crate) mod pause;
pub(crate) mod push;
pub(crate) mod queue;
pub(crate) mod repo;
pub(crate) mod rescue;
pub(crate) mod runner;
pub(crate) mod server;
pub(crate) mod set_pr;
pub(crate) mod start;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod tools;
pub(crate) mod validate;
pub(crate) mod version;
pub(crate) mod watch;
pub(crate) mod why;

use std::future::Future;

use clap::{ArgAction, CommandFactory, Parser, Subcommand};
use kugetsu_api::client::ClientError;
use kugetsu_engine::callers::{Caller, refusal_inside_a_run};
use tokio::runtime::Builder;

use crate::command_line::with_groups;
use crate::daemon::{log, serve};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::paths::home;
use crate::setup;

const AFTER_HELP: &str = "\
Examples:
  kugetsu start . \"fix the flaky test\"
  kugetsu status
  kugetsu logs -f .

Topics: refs, config, env, agents, watch, exit-codes. To read one: kugetsu help <topic>";

/// Run coding agents on issues, many at once, each in a git worktree of its own.
#[derive(Debug, Parser)]
#[command(name = "kugetsu", version, after_help = AFTER_HELP, propagate_version = false, max_term_width = 80)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// Log to stderr what the command does; -vv logs more.
    #[arg(short, long, global = true, action = ArgAction::Count, display_order = 900)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

/// In the order in which help lists them.
#[derive(Debug, Subcommand)]
enum Command {
    Start(start::Start),
    Continue(continue_work::Continue),
    Answer(answer::Answer),
    Push(push::Push),
    Delegate(delegate::Delegate),
    Status(status::Status),
    List(list::List),
    Logs(logs::Logs),
    Why(why::Why),
    Diff(diff::Diff),
    Path(diff::WorktreePath),
    Queue(queue::Queue),
    Pause(pause::Pause),
    Resume(pause::Resume),
    Stop(stop::Stop),
    Attach(attach::Attach),
    SetPr(set_pr::SetPr),
    Destroy(destroy::Destroy),
    Rescue(rescue::Rescue),
    Init(init::Init),
    Agents(agents::Agents),
    Config(config::Config),
    Env(env::Env),
    Server(server::Server),
    Repo(repo::Repo),
    Watch(watch::Watch),
    Hook(hook::Hook),
    Validate(validate::Validate),
    Doctor(doctor::Doctor),
    Daemon(daemon::Daemon),
    Db(db::Db),
    Gc(gc::Gc),
    Help(help::Help),
    Completions(completions::Completions),
    Man(man::Man),
    Version(version::Version),
    #[command(hide = true)]
    Runner(runner::Runner),
    #[command(hide = true)]
    Tools(tools::Tools),
}

impl Command {
    /// Whether a process of an agent may run it: it only shows texts, or kugetsu itself starts it in a run.
    fn is_for_agents(&self) -> bool {
        matches!(
            self,
            Self::Help(_) | Self::Completions(_) | Self::Man(_) | Self::Version(_) | Self::Runner(_) | Self::Tools(_)
        )
    }

    /// The daemon and the runner log whether the user asks for it or not.
    fn has_own_log(&self) -> bool {
        matches!(self, Self::Daemon(daemon::Daemon { action: daemon::Action::Run { .. } }) | Self::Runner(_))
    }
}

impl Cli {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        // The daemon refuses its requests, but a command also changes files.
        if !self.command.is_for_agents()
            && let Ok(home) = home()
            && let Some(refusal) = refusal_inside_a_run(&home, Caller::this_process(&home))
        {
            return Err(ClientError::from(refusal).into());
        }
        if !matches!(self.command, Command::Runner(_) | Command::Tools(_))
            && let Ok(home) = home()
        {
            setup::protect_home(home.path())?;
        }
        if self.verbose > 0 && !self.command.has_own_log() {
            log::init_verbose(self.verbose, home().ok().as_ref())?;
        }
        match self.command {
            Command::Start(args) => block_on(start::run(&home()?, args)),
            Command::Continue(args) => block_on(continue_work::run(&home()?, args)),
            Command::Answer(args) => block_on(answer::run(&home()?, args)),
            Command::Push(args) => block_on(push::run(&home()?, args)),
            Command::Delegate(args) => block_on(delegate::run(&home()?, args)),
            Command::Status(args) => block_on(status::run(&home()?, args)),
            Command::List(args) => block_on(list::run(&home()?, args)),
            Command::Logs(args) => block_on(logs::run(&home()?, args)),
            Command::Why(args) => block_on(why::run(&home()?, args)),
            Command::Diff(args) => block_on(diff::run(&home()?, args)),
            Command::Path(args) => block_on(diff::print_path(&home()?, args)),
            Command::Queue(args) => block_on(queue::run(&home()?, args)),
            Command::Pause(args) => block_on(pause::pause(&home()?, args)),
            Command::Stop(args) => block_on(stop::run(&home()?, args)),
            Command::Resume(args) => block_on(pause::resume(&home()?, args)),
            Command::Attach(args) => block_on(attach::run(&home()?, args)),
            Command::SetPr(args) => block_on(set_pr::run(&home()?, args)),
            Command::Destroy(args) => block_on(destroy::run(&home()?, args)),
            Command::Rescue(args) => block_on(rescue::run(&home()?, args)),
            Command::Init(args) => block_on(init::run(&home()?, args)),
            Command::Config(args) => block_on(config::run(&home()?, args)),
            Command::Agents(args) => block_on(agents::run(&home()?, args)),
            Command::Env(args) => block_on(env::run(&home()?, args)),
            Command::Server(args) => block_on(server::run(&home()?, args)),
            Command::Repo(args) => block_on(repo::run(&home()?, args)),
            Command::Watch(args) => block_on(watch::run(&home()?, args)),
            Command::Hook(args) => block_on(hook::run(&home()?, args)),
            Command::Validate(args) => block_on(validate::run(&home()?, args)),
            Command::Doctor(args) => block_on(doctor::run(&home()?, args)),
            // The daemon builds a runtime of its own once it holds its lock.
            Command::Daemon(daemon::Daemon { action: daemon::Action::Run { ready_fd } }) => {
                serve::run(&home()?, ready_fd).map(|()| Exit::Done)
            }
            Command::Daemon(daemon::Daemon { action: daemon::Action::Control(action) }) => {
                block_on(daemon::run(&home()?, action))
            }
            Command::Db(args) => block_on(db::run(&home()?, args)),
            Command::Gc(args) => block_on(gc::run(&home()?, args)),
            Command::Help(args) => help::run(&args, with_groups(Self::command())),
            Command::Completions(args) => completions::run(&args),
            Command::Man(args) => man::run(&args, Self::command()),
            Command::Version(args) => version::run(&args),
            Command::Runner(args) => block_on(runner::run(home()?, args)),
            Command::Tools(_) => block_on(tools::run()),
        }
    }
}

/// Runs a command on the current thread.
fn block_on(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("could not start the async runtime: {error}")))?;
    let result = runtime.block_on(command);
    // A blocking thread may still wait for a file lock; a canceled run must not wait for it.
    runtime.shutdown_background();
    result
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// Every visible command with its full name.
    fn commands() -> Vec<(String, clap::Command)> {
        fn add(command: &clap::Command, all: &mut Vec<(String, clap::Command)>) {
            let name = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
            all.push((name, command.clone()));
            command.get_subcommands().filter(|command| !command.is_hide_set()).for_each(|command| add(command, all));
        }
        let mut command = Cli::command();
        command.build();
        let mut all = Vec::new();
        add(&command, &mut all);
        all
    }

    /// Splits a line as a shell does.
    fn split(line: &str) -> Vec<String> {
        let (mut args, mut arg, mut quoted) = (Vec::new(), String::new(), false);
        for c in line.chars() {
            match c {
                '"' => quoted = !quoted,
                ' ' if !quoted => args.push(std::mem::take(&mut arg)),
                c => arg.push(c),
            }
        }
        args.push(arg);
        args
    }

    #[test]
    fn every_command_is_documented_with_valid_examples() {
        let mut problems = Vec::new();
        for (name, command) in commands() {
            if command.get_about().is_none() {
                problems.push(format!("{name}: no description"));
            }
            let arguments = command.get_arguments().filter(|arg| arg.get_help().is_none() && !arg.is_hide_set());
            problems.extend(arguments.map(|arg| format!("{name}: no description of {}", arg.get_id())));
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples = after.split("Examples:\n").nth(1).unwrap_or_default().lines();
            let examples: Vec<&str> = examples.take_while(|line| line.starts_with("  kugetsu")).collect();
            if examples.is_empty() {
                problems.push(format!("{name}: no examples"));
            }
            for example in examples {
                if let Err(error) = Cli::try_parse_from(split(example.trim())) {
                    problems.push(format!("{name}: {example}: {error}"));
                }
                if !example.trim().starts_with(&name) {
                    problems.push(format!("{name}: {example}: does not start with the command"));
                }
            }
        }
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }

    #[test]
    fn help_fits_a_terminal_of_80_columns() {
        for (name, mut command) in commands() {
            for help in [command.render_help().to_string(), command.render_long_help().to_string()] {
                let wide: Vec<&str> = help.lines().filter(|line| line.chars().count() > 80).collect();
                assert!(wide.is_empty(), "{name}: {wide:#?}");
            }
        }
    }

    #[test]
    fn positional_arguments_are_parsed_in_order() {
        let typed = ["kugetsu", "start", "#12", "fix it", "https://h/o/r/pulls/3", "--priority", "-2", "--no-queue"];
        let Command::Start(_) = Cli::try_parse_from(typed).unwrap().command else { panic!("another command") };
        for typed in [["start", "#12", "-"], ["start", "#12", "- fix it"], ["continue", "#12", "--wait"]] {
            Cli::try_parse_from(std::iter::once("kugetsu").chain(typed)).unwrap();
        }
        assert!(Cli::try_parse_from(["kugetsu", "destroy"]).is_err(), "an issue is required");
        assert!(Cli::try_parse_from(["kugetsu", "destroy", "--base", "-y"]).is_ok());
        assert!(Cli::try_parse_from(["kugetsu", "env", "set", "A", "-x-"]).is_ok());
    }
}
