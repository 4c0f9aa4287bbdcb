//! `kugetsu list`: every issue with its latest run.

use clap::Args;
use jiff::Timestamp;
use kugetsu_api::endpoint::NoFields;
use kugetsu_api::endpoints;
use kugetsu_api::home::Home;
use kugetsu_api::run::RunObject;
use kugetsu_domain::text::counted;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::{connect, format, ui};

/// List issues, each with its latest run.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu list
  kugetsu list --all
  kugetsu list --json")]
pub(crate) struct List {
    /// Include destroyed issues.
    #[arg(long)]
    all: bool,
    /// Print the result as JSON. Always includes destroyed issues.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(home: &Home, arguments: List) -> Result<Exit, Failure> {
    let runs = connect::call(home, &endpoints::LIST_ISSUES, &NoFields {}).await?;
    if arguments.json {
        ui::json(&runs)?;
        return Ok(Exit::Done);
    }
    let (destroyed, kept): (Vec<RunObject>, Vec<RunObject>) = runs.into_iter().partition(|run| run.destroyed);
    let hidden = if arguments.all { 0 } else { destroyed.len() as u64 };
    let shown = if arguments.all { [kept, destroyed].concat() } else { kept };
    if !shown.is_empty() {
        print_table(&shown);
    } else if hidden == 0 {
        ui::line("no issues yet; start with `kugetsu start <issue> \"<message>\"`");
    }
    if hidden > 0 {
        ui::note(format!("{} hidden; list them with `kugetsu list --all`", counted(hidden, "destroyed issue")));
    }
    Ok(Exit::Done)
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
