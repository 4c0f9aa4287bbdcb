//! Gives each command the runtime that it needs, and runs it.

use std::future::Future;

use clap::CommandFactory;
use kugetsu_api::home::Home;
use tokio::runtime::Builder;

use crate::arguments::{Arguments, Verb};
use crate::commands::daemon::Action;
use crate::commands::{
    attach, completions, config, continue_work, daemon, delegate, destroy, doctor, env, help, init, list, logs, man,
    queue, rescue, runner, server, set_pr, start, status, tools, version, why,
};
use crate::daemon::serve;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::place;

/// Runs a command.
pub(crate) fn run(verb: Verb) -> Result<Exit, Failure> {
    match &verb {
        Verb::Version(arguments) => return version::run(arguments),
        Verb::Completions(arguments) => return completions::run(arguments),
        Verb::Help(arguments) => return help::run(arguments, Arguments::command()),
        Verb::Man(arguments) => return man::run(arguments, Arguments::command()),
        _ => {}
    }
    let home = place::home()?;
    match verb {
        Verb::Daemon(arguments) => match arguments.action {
            // The daemon makes its own runtime, with more threads, after it has taken its lock.
            Action::Run { ready_fd } => serve::run(&home, ready_fd).map(|()| Exit::Done),
            action => to_the_end(daemon::run(&home, &action)),
        },
        verb => to_the_end(asking(home, verb)),
    }
}

async fn asking(home: Home, verb: Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Start(arguments) => start::run(&home, arguments).await,
        Verb::Continue(arguments) => continue_work::run(&home, arguments).await,
        Verb::Delegate(arguments) => delegate::run(&home, arguments).await,
        Verb::Why(arguments) => why::run(&home, arguments).await,
        Verb::Status(arguments) => status::run(&home, arguments).await,
        Verb::List(arguments) => list::run(&home, arguments).await,
        Verb::Logs(arguments) => logs::run(&home, arguments).await,
        Verb::Queue(arguments) => queue::run(&home, arguments).await,
        Verb::Attach(arguments) => attach::run(&home, arguments).await,
        Verb::SetPr(arguments) => set_pr::run(&home, arguments).await,
        Verb::Destroy(arguments) => destroy::run(&home, arguments).await,
        Verb::Rescue(arguments) => rescue::run(&home, arguments).await,
        Verb::Config(arguments) => config::run(&home, arguments).await,
        Verb::Env(arguments) => env::run(&home, arguments).await,
        Verb::Server(arguments) => server::run(&home, arguments).await,
        Verb::Doctor(arguments) => doctor::run(&home, arguments).await,
        Verb::Runner(arguments) => runner::run(home, arguments).await,
        Verb::Tools(arguments) => tools::run(arguments).await,
        Verb::Init(arguments) => init::run(&home, &arguments).await,
        Verb::Version(arguments) => version::run(&arguments),
        Verb::Completions(arguments) => completions::run(&arguments),
        Verb::Help(arguments) => help::run(&arguments, Arguments::command()),
        Verb::Man(arguments) => man::run(&arguments, Arguments::command()),
        Verb::Daemon(arguments) => daemon::run(&home, &arguments.action).await,
    }
}

/// A thread is all that a command and a runner need.
fn to_the_end(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("the command could not begin: {error}")))?;
    let ended = runtime.block_on(command);
    // A thread that waits for somebody's lock must not keep a run that was canceled.
    runtime.shutdown_background();
    ended
}
