//! `kugetsu diff` and `kugetsu path`: the work of an issue.

use std::io::ErrorKind;
use std::path::Path;

use clap::Args;
use kugetsu_api::endpoints;
use kugetsu_api::home::Home;
use kugetsu_api::issue::{DiffQuery, IssueQuery};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::{completions, connect, paths, ui};

/// Names in one warning.
const NAMED: usize = 8;

/// Show what an issue changes: its commits and everything that is not committed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu diff .
  kugetsu diff acme/api#12 --stat")]
pub(crate) struct Diff {
    /// The issue, or the ID of its session.
    #[arg(add = completions::issues())]
    reference: String,
    /// Print one line per file.
    #[arg(long)]
    stat: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(home: &Home, arguments: Diff) -> Result<Exit, Failure> {
    let query = DiffQuery { reference: arguments.reference, cwd: paths::cwd()?, stat: arguments.stat };
    let diff = connect::call(home, &endpoints::ISSUE_DIFF, &query).await?;
    if arguments.json {
        ui::json(&diff)?;
    } else {
        ui::diff(&diff.diff);
    }
    if diff.truncated {
        ui::warning(format!(
            "the diff is too long and was cut off; `cd \"$(kugetsu path {})\"` and use git",
            diff.issue
        ));
    }
    Ok(Exit::Done)
}

/// Print the path of an issue's worktree.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu path .
  kugetsu path acme/api#12

To go there: cd \"$(kugetsu path .)\"")]
pub(crate) struct WorktreePath {
    /// The issue, or the ID of its session.
    #[arg(add = completions::issues())]
    reference: String,
}

pub(crate) async fn print_path(home: &Home, arguments: WorktreePath) -> Result<Exit, Failure> {
    let query = IssueQuery { reference: arguments.reference, cwd: paths::cwd()? };
    let run = connect::call(home, &endpoints::SHOW_ISSUE, &query).await?;
    let worktree = run.worktree.filter(|_| !run.destroyed).ok_or_else(|| {
        Failure::usage(format!("{} has no worktree", run.issue))
            .hint(format!("list its rescues with `kugetsu rescue list {}`", run.issue))
    })?;
    if Path::new(&worktree).symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        let issue = &run.issue;
        return Err(Failure::new(format!("the worktree of {issue} was removed: {worktree} is missing")).hint(format!(
            "make it again from what was pushed with `kugetsu continue {issue} \"<message>\"`; list rescues with \
             `kugetsu rescue list {issue}`"
        )));
    }
    warn_of_planted(home, &query).await;
    ui::value(&worktree);
    Ok(Exit::Done)
}

/// Warns a person who is about to go to the worktree, and returns whether it did. A check that could not be made is a warning, too.
pub(super) async fn warn_of_planted(home: &Home, query: &IssueQuery) -> bool {
    match connect::call(home, &endpoints::ISSUE_PLANTED, query).await {
        Ok(found) if found.planted.is_empty() => return false,
        Ok(found) => {
            let more = match found.planted.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(", and {more} more"),
            };
            let named: Vec<String> = found.planted.into_iter().take(NAMED).collect();
            ui::warning(format!(
                "the agent changed what programs execute outside of its sandbox: {}{more}; look at it before you open the directory \
                 in an editor or use git there",
                named.join(", ")
            ));
        }
        Err(failure) => ui::warning(format!(
            "it is not known whether the agent left files that programs execute outside of its sandbox: {}",
            failure.message
        )),
    }
    true
}
