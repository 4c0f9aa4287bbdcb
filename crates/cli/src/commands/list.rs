//! `kugetsu list`: every issue with its latest run.

use clap::Args;
use clap::builder::PossibleValuesParser;
use jiff::Timestamp;
use kugetsu_api::endpoint::NoFields;
use kugetsu_api::endpoints;
use kugetsu_api::home::Home;
use kugetsu_api::issue::{DESTROYED, IssuesQuery};
use kugetsu_api::run::RunObject;
use kugetsu_api::stream::List as ListResponse;
use kugetsu_domain::machine::Machine;
use kugetsu_domain::task::TaskState;
use kugetsu_domain::text::counted;
use kugetsu_engine::home::open::{LostWork, lost_work};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::table::Fit;
use crate::{connect, format, paths, ui};

/// List issues, each with its latest run.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu list
  kugetsu list --state blocked,failed
  kugetsu list --repo acme/api --limit 100
  kugetsu list --json")]
pub(crate) struct List {
    /// Include destroyed issues.
    #[arg(long, conflicts_with = "state")]
    all: bool,
    /// Only issues in these states, such as blocked,failed. `destroyed` is one of them.
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = PossibleValuesParser::new(state_names()))]
    state: Vec<String>,
    /// Only issues of this repository: its name, owner/repo, URL or path.
    #[arg(long, value_name = "REPO")]
    repo: Option<String>,
    /// Maximum number of issues, newest first; defaults to 30, and to all with --json.
    #[arg(long, value_name = "N", value_parser = limit)]
    limit: Option<u32>,
    /// Print the result as JSON. Always includes destroyed issues.
    #[arg(long)]
    json: bool,
}

/// How many issues or tasks are listed without `--limit`.
pub(crate) const DEFAULT_LIMIT: u32 = 30;

/// Width of the terminal from which the table has a column for the branch, which the reason often names.
const WIDTH_WITH_BRANCH: usize = 110;

fn state_names() -> Vec<&'static str> {
    TaskState::STATES.iter().map(|state| state.name()).chain([DESTROYED]).collect()
}

pub(crate) async fn run(home: &Home, arguments: List) -> Result<Exit, Failure> {
    let cwd = if arguments.repo.is_some() { paths::cwd()? } else { String::new() };
    let named = (!arguments.state.is_empty()).then(|| arguments.state.join(","));
    let query = IssuesQuery { repo: arguments.repo, cwd, limit: arguments.limit, ..IssuesQuery::default() };
    if arguments.json {
        let query = IssuesQuery { states: named, ..query };
        print_json(connect::stream_list(home, &endpoints::LIST_ISSUES, &query).await?).await?;
        return Ok(Exit::Done);
    }
    let filtered = filtered(&arguments.state, query.repo.as_deref(), arguments.all);
    let is_filtered = named.is_some() || query.repo.is_some();
    let states = if arguments.all { None } else { Some(named.unwrap_or_else(|| states(TaskState::STATES))) };
    let limit = arguments.limit.unwrap_or(DEFAULT_LIMIT);
    // The additional one shows whether there are more.
    let query = IssuesQuery { states, limit: Some(limit.saturating_add(1)), ..query };
    let mut runs = connect::list(home, &endpoints::LIST_ISSUES, &query).await?;
    let has_more = runs.len() > limit as usize;
    runs.truncate(limit as usize);
    if !runs.is_empty() {
        print_table(&runs);
    }
    if is_filtered {
        if runs.is_empty() {
            ui::line("no such issues");
        } else if has_more {
            let more = limit.saturating_mul(10);
            ui::note(format!("older issues not shown; list more with `{filtered} --limit {more}`"));
        }
        return Ok(Exit::Done);
    }
    let counts = connect::call(home, &endpoints::COUNT_ISSUES, &NoFields {}).await?;
    let hidden = if arguments.all { 0 } else { counts.destroyed() };
    let total = counts.in_states(TaskState::STATES) + counts.destroyed() - hidden;
    if runs.is_empty() && hidden == 0 {
        print_empty(home).await?;
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

/// Says that there are no issues, and what a database that was lost leaves in the home.
async fn print_empty(home: &Home) -> Result<(), Failure> {
    let looked_at = home.clone();
    let lost = tokio::task::spawn_blocking(move || lost_work(&looked_at)).await;
    match lost.map_err(std::io::Error::from).flatten() {
        Ok(lost) if lost.is_nothing() => ui::line("no issues yet; start with `kugetsu start <issue> \"<message>\"`"),
        Ok(LostWork { worktrees, runs, rescues }) => {
            let kinds = [(worktrees, "worktree"), (runs, "run"), (rescues, "rescue")];
            let found: Vec<String> =
                kinds.into_iter().filter(|(count, _)| *count > 0).map(|(count, name)| counted(count, name)).collect();
            ui::line(format!("no issues, but the home has {} that the database does not know", found.join(", ")));
            ui::note(
                "bring them back with `kugetsu db rebuild` or, if there is a backup, `kugetsu db restore`, after `kugetsu \
                 daemon stop`",
            );
        }
        Err(error) => {
            ui::line("no issues yet; start with `kugetsu start <issue> \"<message>\"`");
            ui::warning(format!("whether the home holds work that the database does not know is not known: {error}"));
        }
    }
    Ok(())
}

/// The command that lists the same issues, without the limit.
fn filtered(state: &[String], repo: Option<&str>, all: bool) -> String {
    let all = if all { " --all" } else { "" };
    let state = if state.is_empty() { String::new() } else { format!(" --state {}", state.join(",")) };
    // Names that a shell would change are quoted.
    let is_plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || "/._-:@~+".contains(c));
    let quoted =
        |name: &str| if is_plain(name) { name.to_owned() } else { format!("'{}'", name.replace('\'', "'\\''")) };
    let repo = repo.map(|repo| format!(" --repo {}", quoted(repo))).unwrap_or_default();
    format!("kugetsu list{all}{state}{repo}")
}

/// Parses the number of issues or tasks to list.
pub(crate) fn limit(typed: &str) -> Result<u32, String> {
    match typed.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("expected a whole number from 1 on".to_owned()),
    }
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

/// Prints a table of runs. It has columns for the agent, pull request and cost only if they tell something.
pub(crate) fn print_table(runs: &[RunObject]) {
    let now = Timestamp::now();
    let mut columns = vec![("ISSUE", Fit::Middle(20)), ("STATE", Fit::Whole), ("AGE", Fit::Whole)];
    let mut rows: Vec<Vec<String>> = runs
        .iter()
        .map(|run| vec![run.issue.clone(), run.state.name().to_owned(), format::age(run.since(), now)])
        .collect();
    let mut add = |heading, fit, cell: &dyn Fn(&RunObject) -> String| {
        columns.push((heading, fit));
        rows.iter_mut().zip(runs).for_each(|(row, run)| row.push(cell(run)));
    };
    if runs.iter().any(|run| run.agent != runs[0].agent) {
        add("AGENT", Fit::Middle(8), &|run| run.agent.clone());
    }
    if runs.iter().any(|run| run.pr_url.is_some()) {
        add("PR", Fit::Middle(10), &pull_request);
    }
    if runs.iter().any(|run| run.usage.cost_usd.is_some_and(|usd| usd > 0.0)) {
        add("COST", Fit::Whole, &|run| format::cost(run.usage.cost_usd));
    }
    if ui::width().is_none_or(|width| width >= WIDTH_WITH_BRANCH) {
        add("BRANCH", Fit::Middle(16), &|run| run.branch.clone().unwrap_or_default());
    }
    add("REASON", Fit::Free, &|run| match (&run.reason, run.destroyed) {
        (Some(reason), true) => format!("destroyed; {reason}"),
        (None, true) => "destroyed".to_owned(),
        (_, false) => format::reason(run).unwrap_or_default(),
    });
    ui::table_with_tones(&columns, &rows, |row| (1, format::tone(runs[row].state)));
}

/// The number of the pull request, which ends its URL, and its state.
fn pull_request(run: &RunObject) -> String {
    let Some(url) = &run.pr_url else { return String::new() };
    let number = url.trim_end_matches('/').rsplit('/').next().unwrap_or(url);
    let state = run.change_state.map(|state| format!(" {}", state.name())).unwrap_or_default();
    format!("{number}{state}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_that_lists_more_repeats_the_filters() {
        let states = ["blocked", "failed"].map(str::to_owned);
        assert_eq!(filtered(&states, Some("acme/api"), false), "kugetsu list --state blocked,failed --repo acme/api");
        assert_eq!(filtered(&[], Some("my shop"), true), "kugetsu list --all --repo 'my shop'");
    }

    #[test]
    fn a_limit_is_a_whole_number_from_1_on() {
        assert_eq!(limit("20"), Ok(20));
        for typed in ["0", "x", "-1", "1.5", "99999999999"] {
            assert_eq!(limit(typed), Err("expected a whole number from 1 on".to_owned()), "{typed}");
        }
    }
}
