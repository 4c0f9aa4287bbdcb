//! What can be typed.

use clap::{Parser, Subcommand};

use crate::commands::attach::Attach;
use crate::commands::config::Config;
use crate::commands::continue_work::Continue;
use crate::commands::daemon::Daemon;
use crate::commands::delegate::Delegate;
use crate::commands::destroy::Destroy;
use crate::commands::doctor::Doctor;
use crate::commands::env::Env;
use crate::commands::init::Init;
use crate::commands::list::List;
use crate::commands::logs::Logs;
use crate::commands::queue::Queue;
use crate::commands::rescue::Rescue;
use crate::commands::runner::Runner;
use crate::commands::start::Start;
use crate::commands::status::Status;
use crate::commands::tools::Tools;
use crate::commands::version::Version;
use crate::commands::why::Why;

/// What is shown below the help.
const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong command or no such thing, 3 a person is needed, 75 no place free (--no-queue),
124 time limit, 130 canceled or interrupted.

Environment: KUGETSU_HOME (default ~/.kugetsu), KUGETSU_LOG, NO_COLOR, and one variable for each setting, such as
KUGETSU_AGENTS_MAX for agents.max.";

/// Turns issues into finished, pushed changes, with coding agents that work side by side, each in its own git worktree.
#[derive(Debug, Parser)]
#[command(name = "kugetsu", version, after_help = EXIT_CODES, propagate_version = false, max_term_width = 100)]
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
    Destroy(Destroy),
    Rescue(Rescue),
    Init(Init),
    Config(Config),
    Env(Env),
    Doctor(Doctor),
    Daemon(Daemon),
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

    #[test]
    fn c02_start_takes_message_and_pull_request_in_their_places() {
        let typed = ["kugetsu", "start", "#12", "fix it", "https://h/o/r/pulls/3", "--priority", "-2", "--no-queue"];
        let Verb::Start(_) = Arguments::try_parse_from(typed).unwrap().verb else { panic!("another command") };
        Arguments::try_parse_from(["kugetsu", "start", "#12", "-"]).unwrap();
        assert!(Arguments::try_parse_from(["kugetsu", "continue", "#12"]).is_err(), "a message is needed");
        assert!(Arguments::try_parse_from(["kugetsu", "destroy"]).is_err(), "an issue is needed");
        assert!(Arguments::try_parse_from(["kugetsu", "destroy", "--base", "-y"]).is_ok());
        assert!(Arguments::try_parse_from(["kugetsu", "env", "set", "A", "-x-"]).is_ok());
    }
}
