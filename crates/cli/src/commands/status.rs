//! `kugetsu status`: the daemon, the coordinator and the latest runs on one screen.

use clap::Args;
use jiff::Timestamp;
use kugetsu_api::endpoint::NoFields;
use kugetsu_api::endpoints;
use kugetsu_api::home::Home;
use kugetsu_api::issue::IssuesQuery;
use kugetsu_api::run::RunObject;
use kugetsu_api::status::StatusObject;
use kugetsu_domain::machine::Machine;
use kugetsu_domain::task::TaskState;
use kugetsu_domain::text::counted;

use crate::connect;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::format;
use crate::ui::{self, Tone};

use super::list;

/// How many open and how many ended issues are listed, so that the output fits on a screen.
const LISTED_MAX: usize = 15;
const ENDED: &[TaskState] = &[TaskState::Done, TaskState::Failed, TaskState::Timeout, TaskState::Canceled];

/// Show the daemon, the coordinator and recent runs.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu status
  kugetsu status --json")]
pub(crate) struct Status {
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(home: &Home, arguments: Status) -> Result<Exit, Failure> {
    let status = connect::call(home, &endpoints::STATUS, &NoFields {}).await?;
    if arguments.json {
        ui::json(&status)?;
        return Ok(Exit::Done);
    }
    print_daemon(&status);
    print_coordinator(&status);
    let counts = connect::call(home, &endpoints::COUNT_ISSUES, &NoFields {}).await?;
    // What needs attention is shown even if the queue is long.
    let mut open = newest(home, &[TaskState::Running, TaskState::Blocked]).await?;
    open.extend(newest(home, &[TaskState::Queued]).await?);
    open.truncate(LISTED_MAX);
    let ended = newest(home, ENDED).await?;
    for (heading, runs) in [("\nopen", &open), ("\nended", &ended)] {
        if !runs.is_empty() {
            ui::toned(Tone::Strong, heading);
            list::print_table(runs);
        }
    }
    let total = counts.in_states(TaskState::STATES);
    let more = total.saturating_sub((open.len() + ended.len()) as u64);
    if more > 0 {
        ui::toned(Tone::Dim, format!("{more} more; list all with `kugetsu list --limit {total}`"));
    }
    Ok(Exit::Done)
}

async fn newest(home: &Home, states: &[TaskState]) -> Result<Vec<RunObject>, Failure> {
    let query = IssuesQuery { states: Some(list::states(states)), limit: Some(LISTED_MAX as u32), after: None };
    connect::list(home, &endpoints::LIST_ISSUES, &query).await
}

fn print_coordinator(status: &StatusObject) {
    let Some(run) = &status.coordinator else { return };
    let queued = match status.coordinator_queued {
        0 => String::new(),
        count => format!(", {} queued", counted(count, "message")),
    };
    let age = format::ago(run.since(), Timestamp::now());
    ui::piece(Tone::Plain, "coordinator: ");
    ui::piece(format::tone(run.state), run.state.name());
    ui::line(format!(" {age}{queued}"));
    if let Some(line) = run.reason.as_deref().and_then(|reason| reason.lines().find(|line| !line.trim().is_empty())) {
        ui::line(format!("  {}", ui::truncated_line(line, 2)));
    }
}

pub(crate) fn print_daemon(status: &StatusObject) {
    ui::line(format!(
        "{} running ({} of {} slots in use), {} queued",
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
        ui::warning(format!("{error}; the last valid settings stay in effect"));
    }
    for warning in &status.settings_warnings {
        ui::warning(warning);
    }
}
