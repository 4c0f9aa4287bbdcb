//! `kugetsu list` (C13): every issue with its latest run.

use clap::Args;
use jiff::Timestamp;
use kugetsu_api::path;
use kugetsu_api::run::RunObject;
use kugetsu_engine::Home;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::{connect, show, ui};

/// List every issue with its latest run.
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
    /// Show objects for programs.
    #[arg(long)]
    json: bool,
}

/// Lists.
pub(crate) async fn run(home: &Home, arguments: List) -> Result<Exit, Failure> {
    let runs: Vec<RunObject> = connect::ask(home, path::ISSUES).await?;
    if arguments.json {
        ui::json(&runs)?;
    } else if runs.is_empty() {
        ui::line("nothing yet; begin with: kugetsu start <issue> \"<message>\"");
    } else {
        table(&runs);
    }
    Ok(Exit::Done)
}

/// Runs below each other.
pub(crate) fn table(runs: &[RunObject]) {
    let now = Timestamp::now();
    let rows: Vec<Vec<String>> = runs
        .iter()
        .map(|run| {
            let time = run.ended_at.as_deref().or(run.started_at.as_deref());
            vec![
                run.issue.clone(),
                run.state.name().to_owned(),
                run.agent.clone(),
                if run.pushed { format!("{} pushed", run.commits) } else { run.commits.to_string() },
                time.map_or_else(String::new, |time| show::ago(time, now)),
                show::cell(run.reason.as_deref().unwrap_or_default()),
            ]
        })
        .collect();
    ui::table(&["ISSUE", "STATE", "AGENT", "COMMITS", "WHEN", "WHY"], &rows);
}
