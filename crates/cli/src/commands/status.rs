//! `kugetsu status`: the daemon, the coordinator and the latest runs on one screen.

use clap::Args;
use jiff::Timestamp;
use kugetsu_api::endpoint::NoFields;
use kugetsu_api::endpoints;
use kugetsu_api::home::Home;
use kugetsu_api::issue::{IssueCounts, IssuesQuery};
use kugetsu_api::run::RunObject;
use kugetsu_api::status::StatusObject;
use kugetsu_api::watch::WatchObject;
use kugetsu_domain::machine::Machine;
use kugetsu_domain::task::TaskState;
use kugetsu_domain::text::counted;
use serde::Serialize;

use crate::connect;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::format;
use crate::ui::{self, Tone};

use super::{gc, list, pause, watch};

/// How many issues are listed where stdout is not a terminal, whose height limits them otherwise.
const LISTED_MAX: usize = 30;
/// How many issues are listed on the smallest terminal.
const LISTED_MIN: usize = 5;
/// Lines of the terminal that are not for issues: the daemon, the coordinator, headings, the count of others, the prompt.
const OTHER_LINES: usize = 12;

const ATTENTION: &[TaskState] = &[TaskState::Blocked, TaskState::Failed, TaskState::Timeout];
const ENDED: &[TaskState] = &[TaskState::Done, TaskState::Canceled];

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

/// The result as JSON: what the command shows, without a limit by the terminal.
#[derive(Serialize)]
struct StatusJson {
    #[serde(flatten)]
    status: StatusObject,
    /// Number of issues by state.
    issues: IssueCounts,
    attention: Vec<RunObject>,
    open: Vec<RunObject>,
    ended: Vec<RunObject>,
    /// The watches whose last poll failed.
    failing_watches: Vec<WatchObject>,
}

pub(crate) async fn run(home: &Home, arguments: Status) -> Result<Exit, Failure> {
    // Alone, because it may start the daemon.
    let status = connect::call(home, &endpoints::STATUS, &NoFields {}).await?;
    let height = if arguments.json { None } else { ui::height() };
    let max = height.map_or(LISTED_MAX, |height| height.saturating_sub(OTHER_LINES).max(LISTED_MIN));
    let (issues, mut failing_watches, mut attention, mut open, queued, mut ended) = tokio::try_join!(
        connect::call(home, &endpoints::COUNT_ISSUES, &NoFields {}),
        connect::call(home, &endpoints::LIST_WATCHES, &NoFields {}),
        newest(home, ATTENTION, max),
        newest(home, &[TaskState::Running], max),
        newest(home, &[TaskState::Queued], max),
        newest(home, ENDED, max),
    )?;
    failing_watches.retain(|watch| watch.error.is_some() && !watch.paused);
    // Running issues are shown even if the queue is long.
    open.extend(queued);
    // No group hides the others.
    attention.truncate((max / 2).max(max.saturating_sub(open.len() + ended.len())));
    open.truncate((max / 3).max(max.saturating_sub(attention.len() + ended.len())));
    ended.truncate(max.saturating_sub(attention.len() + open.len()));
    if arguments.json {
        ui::json(&StatusJson { status, issues, attention, open, ended, failing_watches })?;
        return Ok(Exit::Done);
    }
    print_daemon(&status);
    for watch in &failing_watches {
        let error = watch.error.as_deref().unwrap_or_default();
        ui::warning(format!("{}; check it with `kugetsu validate`", watch::failed_poll(watch, error)));
    }
    print_coordinator(&status);
    let mut shown = 0;
    for (heading, runs) in [("\nneed attention", &attention), ("\nopen", &open), ("\nended", &ended)] {
        if !runs.is_empty() {
            ui::toned(Tone::Strong, heading);
            list::print_table(runs);
            shown += runs.len() as u64;
        }
    }
    let total = issues.in_states(TaskState::STATES);
    if total > shown {
        ui::toned(Tone::Dim, format!("{} more; list all with `kugetsu list --limit {total}`", total - shown));
    }
    Ok(Exit::Done)
}

async fn newest(home: &Home, states: &[TaskState], max: usize) -> Result<Vec<RunObject>, Failure> {
    let limit = u32::try_from(max).unwrap_or(u32::MAX);
    let query = IssuesQuery { states: Some(list::states(states)), limit: Some(limit), ..IssuesQuery::default() };
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
    if let Some(line) =
        format::reason(run).as_deref().and_then(|reason| reason.lines().find(|line| !line.trim().is_empty()))
    {
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
            "daemon {} (pid {}), started {}; ends processes with {}\nhome {}, default agent {}{}",
            status.version,
            status.pid,
            format::ago(&status.started_at, Timestamp::now()),
            status.containment,
            status.home,
            status.default_agent,
            match status.sandbox.as_str() {
                "" => String::new(),
                sandbox => format!("\nsandbox of agents: {sandbox}"),
            }
        ),
    );
    if let Some(storage) = &status.storage {
        gc::print_storage(storage);
    }
    if status.quarantined > 0 {
        ui::warning(format!(
            "{} in quarantine: in the home, but not known to the database; list them with `kugetsu db check`",
            counted(status.quarantined, "thing")
        ));
    }
    pause::print_holds(&status.holds);
    if let Some(stall) = &status.stall {
        ui::warning(format!("{}; see why with `kugetsu why <issue>`", format::stall(stall)));
    }
    if let Some(error) = &status.settings_error {
        ui::warn_once(&format!("{error}; the last valid settings stay in effect"));
    }
    for warning in &status.settings_warnings {
        ui::warning(warning);
    }
}
