//! `kugetsu daemon` (C11): the process that does the work behind the commands.

use std::env;
use std::fs;
use std::os::fd::RawFd;
use std::time::Duration;

use clap::{Args, Subcommand};
use kugetsu_api::home::Home;
use kugetsu_api::path;
use kugetsu_api::status::StatusObject;

use crate::daemon::{lock, start, unit};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::{self, Tone};
use crate::{atomic, connect, setup};

use super::status;

/// How long a daemon may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// The process behind the commands. It starts by itself when a command needs it.
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
    /// Run it here, in the foreground, until it is told to stop.
    #[command(after_help = "\
Examples:
  kugetsu daemon run")]
    Run {
        /// A pipe for the word that it listens, for the command that starts it.
        #[arg(long, hide = true)]
        ready_fd: Option<RawFd>,
    },
    #[command(flatten)]
    Control(Control),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Control {
    /// Start it in the background.
    #[command(after_help = "\
Examples:
  kugetsu daemon start")]
    Start,
    /// End it; runs go on and report when it is back.
    #[command(after_help = "\
Examples:
  kugetsu daemon stop")]
    Stop,
    /// Say whether it runs.
    #[command(after_help = "\
Examples:
  kugetsu daemon status
  kugetsu daemon status --json")]
    Status {
        /// Show an object for programs.
        #[arg(long)]
        json: bool,
    },
    /// Let the user's own systemd start it at login.
    #[command(after_help = "\
Examples:
  kugetsu daemon install")]
    Install,
}

/// Everything but `run`, which has a runtime of its own.
pub(crate) async fn run(home: &Home, action: Control) -> Result<Exit, Failure> {
    match action {
        Control::Start => {
            if connect::running(home).await?.is_some() {
                ui::line("the daemon runs already");
            } else {
                setup::ensure_home(home)?;
                start::start(home).await?;
                ui::line("the daemon is started");
            }
            Ok(Exit::Done)
        }
        Control::Stop => stop(home).await,
        Control::Status { json } => show(home, json).await,
        Control::Install => install(home).await,
    }
}

async fn stop(home: &Home) -> Result<Exit, Failure> {
    let Some(mut client) = connect::running(home).await? else {
        ui::line("no daemon runs");
        return Ok(Exit::Done);
    };
    client.post::<serde_json::Value>(path::STOP, &()).await?;
    let ended = lock::released(home, STOP_LIMIT)
        .await
        .map_err(|error| Failure::new(format!("the daemon's end could not be awaited: {error}")))?;
    if !ended {
        let who = lock::holder(home).map_or_else(String::new, |holder| format!(" (process {})", holder.pid));
        return Err(Failure::new(format!("the daemon{who} was told to stop and has not ended yet"))
            .hint(format!("its log is {}", home.log().display())));
    }
    ui::line("the daemon has ended; runs go on and report when it is back");
    Ok(Exit::Done)
}

async fn show(home: &Home, json: bool) -> Result<Exit, Failure> {
    let status = match connect::running(home).await? {
        Some(mut client) => Some(client.get::<StatusObject>(path::STATUS).await?),
        None => None,
    };
    match &status {
        // `null` when none runs.
        status if json => ui::json(status)?,
        Some(status) => status::daemon(status),
        None => ui::line("no daemon runs; it starts by itself when a command needs it"),
    }
    Ok(if status.is_some() { Exit::Done } else { Exit::Failed })
}

async fn install(home: &Home) -> Result<Exit, Failure> {
    let program =
        env::current_exe().map_err(|error| Failure::new(format!("this program's own path is not known: {error}")))?;
    let search_path = env::var("PATH").map_err(|_| Failure::usage("PATH is not set, or not UTF-8"))?;
    setup::ensure_home(home)?;
    let directory =
        unit::directory().ok_or_else(|| Failure::usage("HOME is not set, so there is no place for the unit"))?;
    let path = directory.join(unit::NAME);
    fs::create_dir_all(&directory)
        .and_then(|()| atomic::write(&path, &unit::text(&program, home.path(), &search_path)))
        .map_err(|error| Failure::new(format!("{} cannot be written: {error}", path.display())))?;
    ui::line(format!("wrote {}", path.display()));
    for arguments in [&["daemon-reload"][..], &["enable", unit::NAME][..]] {
        let said = format!("systemctl --user {}", arguments.join(" "));
        if let Err(why) = unit::systemctl(arguments).await {
            ui::warning(format!("`{said}` did not work: {why}"));
            ui::line(format!(
                "where systemd runs for you, type: systemctl --user daemon-reload && systemctl --user enable {}",
                unit::NAME
            ));
            return Ok(Exit::Failed);
        }
        ui::line(format!("did `{said}`"));
    }
    ui::toned(Tone::Good, "the daemon starts when you log in");
    ui::line(format!("to have it run by systemd now: kugetsu daemon stop && systemctl --user start {}", unit::NAME));
    ui::line("to have it run while you are logged out: loginctl enable-linger");
    Ok(Exit::Done)
}
