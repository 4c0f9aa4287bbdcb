//! What can be typed.

use clap::{Parser, Subcommand};

use crate::commands::attach::Attach;
use crate::commands::completions::Completions;
use crate::commands::config::Config;
use crate::commands::continue_work::Continue;
use crate::commands::daemon::Daemon;
use crate::commands::delegate::Delegate;
use crate::commands::destroy::Destroy;
use crate::commands::doctor::Doctor;
use crate::commands::env::Env;
use crate::commands::help::Help;
use crate::commands::init::Init;
use crate::commands::list::List;
use crate::commands::logs::Logs;
use crate::commands::man::Man;
use crate::commands::queue::Queue;
use crate::commands::rescue::Rescue;
use crate::commands::runner::Runner;
use crate::commands::server::Server;
use crate::commands::set_pr::SetPr;
use crate::commands::start::Start;
use crate::commands::status::Status;
use crate::commands::tools::Tools;
use crate::commands::version::Version;
use crate::commands::why::Why;

/// What is shown below the help.
const MORE: &str = "\
Examples:
  kugetsu start . \"fix the flaky test\"
  kugetsu status
  kugetsu logs -f .

Topics: refs, config, env, agents, exit-codes. Read one with: kugetsu help <topic>";

/// Turns issues into finished, pushed changes, with coding agents that work side by side, each in its own git worktree.
#[derive(Debug, Parser)]
#[command(name = "kugetsu", version, after_help = MORE, propagate_version = false, max_term_width = 80)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Start(Start),
    Continue(Continue),
    Delegate(Delegate),
    Status(Status),
    List(List),
    Logs(Logs),
    Why(Why),
    Queue(Queue),
    Attach(Attach),
    SetPr(SetPr),
    Destroy(Destroy),
    Rescue(Rescue),
    Init(Init),
    Config(Config),
    Env(Env),
    Server(Server),
    Doctor(Doctor),
    Daemon(Daemon),
    Help(Help),
    Completions(Completions),
    Man(Man),
    Version(Version),
    #[command(hide = true)]
    Runner(Runner),
    #[command(hide = true)]
    Tools(Tools),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_make_sense() {
        Arguments::command().debug_assert();
    }

    /// Every command that can be typed, with what stands before it.
    fn commands() -> Vec<(String, clap::Command)> {
        fn add(command: &clap::Command, all: &mut Vec<(String, clap::Command)>) {
            let name = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
            all.push((name, command.clone()));
            command.get_subcommands().filter(|one| !one.is_hide_set()).for_each(|one| add(one, all));
        }
        let mut command = Arguments::command();
        command.build();
        let mut all = Vec::new();
        add(&command, &mut all);
        all
    }

    /// The words of a line, as a shell would split it.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
        for c in line.chars() {
            match c {
                '"' => quoted = !quoted,
                ' ' if !quoted => words.push(std::mem::take(&mut word)),
                c => word.push(c),
            }
        }
        words.push(word);
        words
    }

    #[test]
    fn every_command_says_what_it_does_and_shows_examples_that_can_be_typed() {
        let mut faults = Vec::new();
        for (name, command) in commands() {
            if command.get_about().is_none() {
                faults.push(format!("{name}: nothing is said about it"));
            }
            let arguments = command.get_arguments().filter(|one| one.get_help().is_none() && !one.is_hide_set());
            faults.extend(arguments.map(|one| format!("{name}: nothing is said about {}", one.get_id())));
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples = after.split("Examples:\n").nth(1).unwrap_or_default().lines();
            let examples: Vec<&str> = examples.take_while(|line| line.starts_with("  kugetsu")).collect();
            if examples.is_empty() {
                faults.push(format!("{name}: no examples"));
            }
            for example in examples {
                if let Err(error) = Arguments::try_parse_from(words(example.trim())) {
                    faults.push(format!("{name}: {example}: {error}"));
                }
                if !example.trim().starts_with(&name) {
                    faults.push(format!("{name}: {example}: an example of another command"));
                }
            }
        }
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }

    #[test]
    fn help_fits_the_narrowest_terminal() {
        for (name, mut command) in commands() {
            for help in [command.render_help().to_string(), command.render_long_help().to_string()] {
                let wide: Vec<&str> = help.lines().filter(|line| line.chars().count() > 80).collect();
                assert!(wide.is_empty(), "{name}: {wide:#?}");
            }
        }
    }

    #[test]
    fn start_takes_message_and_pull_request_in_their_places() {
        let typed = ["kugetsu", "start", "#12", "fix it", "https://h/o/r/pulls/3", "--priority", "-2", "--no-queue"];
        let Verb::Start(_) = Arguments::try_parse_from(typed).unwrap().verb else { panic!("another command") };
        Arguments::try_parse_from(["kugetsu", "start", "#12", "-"]).unwrap();
        assert!(Arguments::try_parse_from(["kugetsu", "continue", "#12"]).is_err(), "a message is needed");
        assert!(Arguments::try_parse_from(["kugetsu", "destroy"]).is_err(), "an issue is needed");
        assert!(Arguments::try_parse_from(["kugetsu", "destroy", "--base", "-y"]).is_ok());
        assert!(Arguments::try_parse_from(["kugetsu", "env", "set", "A", "-x-"]).is_ok());
    }
}
