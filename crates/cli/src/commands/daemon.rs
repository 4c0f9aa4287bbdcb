//! `kugetsu daemon`: controls the process that does the work of the other commands.

use std::env;
use std::fs;
use std::os::fd::RawFd;
use std::time::Duration;

use clap::{Args, Subcommand};
use kugetsu_api::endpoint::NoFields;
use kugetsu_api::endpoints;
use kugetsu_api::home::Home;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::daemon::{lock, start, unit};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::{self, Tone};
use crate::{atomic, connect, setup};

use super::status;

const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// Control the daemon. Commands that need it start it automatically.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu daemon status
  kugetsu daemon stop")]
pub(crate) struct Daemon {
    #[command(subcommand)]
    pub(crate) action: Action,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Run the daemon in the foreground until it is stopped.
    #[command(after_help = "\
Examples:
  kugetsu daemon run")]
    Run {
        /// The pipe on which the daemon reports that it listens.
        #[arg(long, hide = true)]
        ready_fd: Option<RawFd>,
    },
    #[command(flatten)]
    Control(Control),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Control {
    /// Start the daemon in the background.
    #[command(after_help = "\
Examples:
  kugetsu daemon start")]
    Start,
    /// Stop the daemon. Runs continue and report once it is back.
    #[command(after_help = "\
Examples:
  kugetsu daemon stop")]
    Stop,
    /// Stop the daemon and start it again. Runs continue.
    #[command(after_help = "\
Examples:
  kugetsu daemon restart")]
    Restart,
    /// Show whether the daemon is running.
    #[command(after_help = "\
Examples:
  kugetsu daemon status
  kugetsu daemon status --json")]
    Status {
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Install a systemd user unit that starts the daemon at login.
    #[command(after_help = "\
Examples:
  kugetsu daemon install")]
    Install,
}

pub(crate) async fn run(home: &Home, action: Control) -> Result<Exit, Failure> {
    match action {
        Control::Start => {
            if connect::running_or_hidden(home).await?.is_some() {
                ui::line("the daemon is already running");
            } else {
                setup::ensure_home(home)?;
                start::start(home).await?;
                ui::line("started the daemon");
            }
            Ok(Exit::Done)
        }
        Control::Stop => stop(home).await,
        Control::Restart => {
            if end(home).await? {
                ui::line("stopped the daemon");
            }
            setup::ensure_home(home)?;
            start::start(home).await?;
            ui::line("started the daemon");
            Ok(Exit::Done)
        }
        Control::Status { json } => status(home, json).await,
        Control::Install => install(home).await,
    }
}

async fn stop(home: &Home) -> Result<Exit, Failure> {
    ui::line(match end(home).await? {
        true => "stopped the daemon; runs continue and report once it is back",
        false => "the daemon is not running",
    });
    Ok(Exit::Done)
}

/// Stops the daemon and waits for its end. Returns false if none was running.
async fn end(home: &Home) -> Result<bool, Failure> {
    match connect::running_anywhere(home).await? {
        Some(mut client) => drop(client.call(&endpoints::STOP, &NoFields {}).await?),
        // The socket of a long path is elsewhere, and named after the path.
        None if connect::refuse_moved(home).is_err() => terminate(home)?,
        None => return Ok(false),
    }
    let ended = lock::released(home, STOP_TIMEOUT)
        .await
        .map_err(|error| Failure::new(format!("could not wait for the end of the daemon: {error}")))?;
    if !ended {
        let pid = lock::holder(home).map_or_else(String::new, |holder| format!(" (pid {})", holder.pid));
        return Err(Failure::new(format!("the daemon{pid} is still stopping after {} s", STOP_TIMEOUT.as_secs()))
            .hint(format!("read its log {}", home.log().display())));
    }
    Ok(true)
}

/// Ends the process that holds the home's lock.
fn terminate(home: &Home) -> Result<(), Failure> {
    let holder = lock::holder(home).and_then(|holder| i32::try_from(holder.pid).ok());
    let Some(pid) = holder else {
        return Err(Failure::new(format!("could not read which process holds {}", home.lock().display())));
    };
    kill(Pid::from_raw(pid), Signal::SIGTERM)
        .map_err(|error| Failure::new(format!("could not stop the daemon (process {pid}): {error}")))
}

async fn status(home: &Home, json: bool) -> Result<Exit, Failure> {
    let status = match connect::running_or_hidden(home).await? {
        Some(mut client) => Some(client.call(&endpoints::STATUS, &NoFields {}).await?),
        None => None,
    };
    match &status {
        // `null` if no daemon is running.
        status if json => ui::json(status)?,
        Some(status) => status::print_daemon(status),
        None => ui::line("the daemon is not running; commands that need it start it"),
    }
    Ok(if status.is_some() { Exit::Done } else { Exit::Failed })
}

async fn install(home: &Home) -> Result<Exit, Failure> {
    let program = env::current_exe()
        .map_err(|error| Failure::new(format!("could not determine the path of this program: {error}")))?;
    let search_path = env::var("PATH").map_err(|_| Failure::usage("PATH is not set or not valid UTF-8"))?;
    setup::ensure_home(home)?;
    let directory = unit::directory()
        .ok_or_else(|| Failure::usage("cannot determine the directory of user units: HOME is not set"))?;
    let path = directory.join(unit::NAME);
    fs::create_dir_all(&directory)
        .and_then(|()| atomic::write(&path, &unit::text(&program, home.path(), &search_path)))
        .map_err(|error| Failure::new(format!("could not write {}: {error}", path.display())))?;
    ui::line(format!("wrote {}", path.display()));
    for arguments in [&["daemon-reload"][..], &["enable", unit::NAME][..]] {
        let command = format!("systemctl --user {}", arguments.join(" "));
        if let Err(reason) = unit::systemctl(arguments).await {
            return Err(Failure::new(format!("`{command}` failed: {reason}")).hint(format!(
                "in a session with systemd, run `systemctl --user daemon-reload && systemctl --user enable {}`",
                unit::NAME
            )));
        }
        ui::line(format!("ran `{command}`"));
    }
    ui::toned(Tone::Good, "the daemon will start when you log in");
    ui::line(format!("start it with systemd now: `kugetsu daemon stop && systemctl --user start {}`", unit::NAME));
    ui::line("keep it running while you are logged out: `loginctl enable-linger`");
    Ok(Exit::Done)
}
