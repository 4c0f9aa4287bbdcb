//! `kugetsu list` (C13): every issue with its latest run.

use clap::Args;
use jiff::Timestamp;
use kugetsu_api::home::Home;
use kugetsu_api::path;
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
    /// Also those whose worktree and session are removed.
    #[arg(long)]
    all: bool,
    /// Show objects for programs: of every issue, also those that are destroyed.
    #[arg(long)]
    json: bool,
}

/// Lists.
pub(crate) async fn run(home: &Home, arguments: List) -> Result<Exit, Failure> {
    let runs: Vec<RunObject> = connect::ask(home, path::ISSUES).await?;
    if arguments.json {
        ui::json(&runs)?;
        return Ok(Exit::Done);
    }
    let (gone, there): (Vec<RunObject>, Vec<RunObject>) = runs.into_iter().partition(|run| run.destroyed);
    let left_out = if arguments.all { 0 } else { gone.len() as u64 };
    let shown = if arguments.all { [there, gone].concat() } else { there };
    if !shown.is_empty() {
        table(&shown);
    } else if left_out == 0 {
        ui::line("nothing yet; begin with: kugetsu start <issue> \"<message>\"");
    }
    if left_out > 0 {
        ui::note(format!("{} destroyed; to see them too: kugetsu list --all", counted(left_out, "issue")));
    }
    Ok(Exit::Done)
}

/// Runs below each other. Who worked is told where it was not the same agent everywhere.
pub(crate) fn table(runs: &[RunObject]) {
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
    let heads: &[&str] =
        if several { &["ISSUE", "STATE", "AGE", "AGENT", "WHY"] } else { &["ISSUE", "STATE", "AGE", "WHY"] };
    ui::rows_in_tone(heads, &rows, |row| (1, format::tone(runs[row].state)));
}
