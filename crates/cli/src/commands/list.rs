//! `kugetsu list`: every issue with its latest run.

use clap::{Args, value_parser};
use jiff::Timestamp;
use kugetsu_api::endpoint::NoFields;
use kugetsu_api::endpoints;
use kugetsu_api::home::Home;
use kugetsu_api::issue::IssuesQuery;
use kugetsu_api::run::RunObject;
use kugetsu_api::stream::List as ListResponse;
use kugetsu_domain::machine::Machine;
use kugetsu_domain::task::TaskState;
use kugetsu_domain::text::counted;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::{connect, format, ui};

/// List issues, each with its latest run.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu list
  kugetsu list --limit 100
  kugetsu list --json")]
pub(crate) struct List {
    /// Include destroyed issues.
    #[arg(long)]
    all: bool,
    /// Maximum number of issues, newest first; defaults to 30, and to all with --json.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Print the result as JSON. Always includes destroyed issues.
    #[arg(long)]
    json: bool,
}

/// How many issues or tasks are listed without `--limit`.
pub(crate) const DEFAULT_LIMIT: u32 = 30;

pub(crate) async fn run(home: &Home, arguments: List) -> Result<Exit, Failure> {
    if arguments.json {
        let query = IssuesQuery { limit: arguments.limit, ..IssuesQuery::default() };
        print_json(connect::stream_list(home, &endpoints::LIST_ISSUES, &query).await?).await?;
        return Ok(Exit::Done);
    }
    let states = if arguments.all { None } else { Some(states(TaskState::STATES)) };
    let query = IssuesQuery { states, limit: Some(arguments.limit.unwrap_or(DEFAULT_LIMIT)), after: None };
    let runs = connect::list(home, &endpoints::LIST_ISSUES, &query).await?;
    let counts = connect::call(home, &endpoints::COUNT_ISSUES, &NoFields {}).await?;
    let hidden = if arguments.all { 0 } else { counts.destroyed() };
    let total = counts.in_states(TaskState::STATES) + counts.destroyed() - hidden;
    if !runs.is_empty() {
        print_table(&runs);
    } else if hidden == 0 {
        ui::line("no issues yet; start with `kugetsu start <issue> \"<message>\"`");
    }
    let more = total.saturating_sub(runs.len() as u64);
    if more > 0 {
        let all = if arguments.all { "--all " } else { "" };
        let issues = counted(more, "older issue");
        ui::note(format!("{issues} not shown; list them with `kugetsu list {all}--limit {total}`"));
    }
    if hidden > 0 {
        ui::note(format!("{} hidden; list them with `kugetsu list --all`", counted(hidden, "destroyed issue")));
    }
    Ok(Exit::Done)
}

/// Prints a list as it arrives.
pub(crate) async fn print_json<Item: DeserializeOwned + Serialize>(
    mut items: ListResponse<Item>,
) -> Result<(), Failure> {
    let mut array = ui::JsonArray::default();
    while let Some(item) = items.next().await? {
        array.push(&item)?;
    }
    array.end();
    Ok(())
}

/// Returns the states as a query names them.
pub(crate) fn states(states: &[TaskState]) -> String {
    states.iter().map(|state| state.name()).collect::<Vec<_>>().join(",")
}

/// Prints a table of runs. It has a column for the agent if there are several.
pub(crate) fn print_table(runs: &[RunObject]) {
    let now = Timestamp::now();
    let several = runs.iter().any(|run| run.agent != runs[0].agent);
    let row = |run: &RunObject| {
        let mut row = vec![run.issue.clone(), run.state.name().to_owned(), format::age(run.since(), now)];
        if several {
            row.push(run.agent.clone());
        }
        row.push(match (&run.reason, run.destroyed) {
            (Some(reason), true) => format!("destroyed; {reason}"),
            (None, true) => "destroyed".to_owned(),
            (reason, false) => reason.clone().unwrap_or_default(),
        });
        row
    };
    let rows: Vec<Vec<String>> = runs.iter().map(row).collect();
    let headings: &[&str] =
        if several { &["ISSUE", "STATE", "AGE", "AGENT", "REASON"] } else { &["ISSUE", "STATE", "AGE", "REASON"] };
    ui::table_with_tones(headings, &rows, |row| (1, format::tone(runs[row].state)));
}
