//! `kugetsu status` (C13): how things stand, on one screen.

use clap::Args;
use jiff::Timestamp;
use kugetsu_api::home::Home;
use kugetsu_api::path;
use kugetsu_api::run::{RunObject, State};
use kugetsu_api::status::StatusObject;
use kugetsu_domain::text::counted;

use crate::connect;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::format;
use crate::ui::{self, Tone};

use super::list;

/// Ended runs that still fit on the screen.
const SHOWN: usize = 15;

/// Show how things stand, on one screen.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu status
  kugetsu status --json")]
pub(crate) struct Status {
    /// Show an object for programs.
    #[arg(long)]
    json: bool,
}

/// Shows.
pub(crate) async fn run(home: &Home, arguments: Status) -> Result<Exit, Failure> {
    let status: StatusObject = connect::ask(home, path::STATUS).await?;
    if arguments.json {
        ui::json(&status)?;
        return Ok(Exit::Done);
    }
    let runs: Vec<RunObject> = connect::ask(home, path::ISSUES).await?;
    daemon(&status);
    coordinator(&status);
    let runs = runs.into_iter().filter(|run| !run.destroyed);
    let (needy, mut rest): (Vec<RunObject>, Vec<RunObject>) =
        runs.partition(|run| !run.state.is_final() || run.state == State::Blocked);
    let more = rest.len().saturating_sub(SHOWN);
    rest.truncate(SHOWN);
    for (head, runs) in [("\ngoing on, or waiting for you", needy), ("\nended", rest)] {
        if !runs.is_empty() {
            ui::toned(Tone::Strong, head);
            list::table(&runs);
        }
    }
    if more > 0 {
        ui::toned(Tone::Dim, format!("and {more} more: kugetsu list"));
    }
    Ok(Exit::Done)
}

/// The coordinator at a glance: what it does, or what it said last.
fn coordinator(status: &StatusObject) {
    let Some(run) = &status.coordinator else { return };
    let waiting = match status.coordinator_queued {
        0 => String::new(),
        more => format!(", {} in line", counted(more, "message")),
    };
    let age = format::ago(run.since(), Timestamp::now());
    ui::piece(Tone::Plain, "coordinator: ");
    ui::piece(format::tone(run.state), run.state.name());
    ui::line(format!(" {age}{waiting}"));
    if let Some(said) = run.reason.as_deref().and_then(|reason| reason.lines().find(|line| !line.trim().is_empty())) {
        ui::line(format!("  {}", ui::fitting(said, 2)));
    }
}

/// The daemon at a glance.
pub(crate) fn daemon(status: &StatusObject) {
    ui::line(format!(
        "{} running ({} of {} places taken), {} queued",
        status.running, status.places_taken, status.places, status.queued
    ));
    ui::toned(
        Tone::Dim,
        format!(
            "daemon {} (pid {}), started {}; ends processes with {}\nhome {}",
            status.version,
            status.pid,
            format::ago(&status.started_at, Timestamp::now()),
            status.containment,
            status.home
        ),
    );
    if let Some(error) = &status.settings_error {
        ui::warning(format!("{error}; until that is right, what was set before holds"));
    }
    for warning in &status.settings_warnings {
        ui::warning(warning);
    }
}
