//! `kugetsu destroy`: removes the worktrees and the sessions of issues, the session of the coordinator, or the base context.

use std::fs;
use std::io;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use kugetsu_api::endpoint::NoFields;
use kugetsu_api::endpoints;
use kugetsu_api::home::Home;
use kugetsu_api::issue::{AtRisk, DestroyRequest, Destroyed, IssueQuery, IssuesQuery};
use kugetsu_api::run::RunObject;
use kugetsu_domain::duration;
use kugetsu_domain::machine::Machine;
use kugetsu_domain::pull_request::PrState;
use kugetsu_domain::reference::COORDINATOR;
use kugetsu_domain::task::TaskState;
use kugetsu_domain::text::counted;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::{self, Tone};
use crate::{completions, connect, paths};

use super::list;

/// Remove the worktrees and sessions of issues. Work that exists nowhere else is rescued first.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu destroy .
  kugetsu destroy acme/api#12 acme/api#13 --yes
  kugetsu destroy . --discard
  kugetsu destroy --merged
  kugetsu destroy --done --older-than 7d --yes
  kugetsu destroy --base --yes")]
pub(crate) struct Destroy {
    /// The issues, or the IDs of their sessions.
    #[arg(
        required_unless_present_any = ["base", "pm_agent", "merged", "done", "older_than"],
        add = completions::issues()
    )]
    references: Vec<String>,
    /// All issues whose pull request was merged.
    #[arg(long, conflicts_with = "references")]
    merged: bool,
    /// All issues whose latest task is done.
    #[arg(long, conflicts_with = "references")]
    done: bool,
    /// All issues whose latest task ended longer ago than this, such as 7d. With --merged or --done, only those of them.
    #[arg(long, value_name = "TIME", value_parser = duration::parse, conflicts_with = "references")]
    older_than: Option<Duration>,
    /// Do not ask for confirmation if there is no work to lose.
    #[arg(short, long)]
    yes: bool,
    /// Remove the worktree even if it has uncommitted or unpushed work. The work is still rescued.
    #[arg(long)]
    discard: bool,
    /// Reset the base context to the built-in one, and remove the coordinator's session.
    #[arg(long, conflicts_with_all = ["references", "pm_agent"])]
    base: bool,
    /// Remove the coordinator's session.
    #[arg(long, conflicts_with = "references")]
    pm_agent: bool,
    /// Print the result as JSON; an array unless one issue was named.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(home: &Home, arguments: Destroy) -> Result<Exit, Failure> {
    if arguments.references.iter().any(|reference| reference == COORDINATOR) {
        return Err(Failure::usage("the coordinator is not an issue")
            .hint("remove its session with `kugetsu destroy --pm-agent`"));
    }
    let options = Options { yes: arguments.yes, discard: arguments.discard };
    match arguments.references.as_slice() {
        [reference] => {
            let query = IssueQuery { reference: reference.clone(), cwd: paths::cwd()? };
            let Some(destroyed) = issue(home, query, options).await? else {
                ui::line("removed nothing");
                return Ok(Exit::NeedsPerson);
            };
            if arguments.json {
                ui::json(&destroyed)?
            } else {
                print(&destroyed)
            }
            Ok(Exit::Done)
        }
        [] if arguments.base => base(home, arguments.yes).await,
        [] if arguments.pm_agent => {
            if !confirmed(arguments.yes, "the coordinator's session", "kugetsu destroy --pm-agent --yes")? {
                ui::line("removed nothing");
                return Ok(Exit::NeedsPerson);
            }
            coordinator(home, arguments.json).await
        }
        [] => {
            let issues = select(home, &arguments).await?;
            if issues.is_empty() {
                ui::note("no such issues");
            } else if !confirmed(arguments.yes, &shown(&issues), &format!("{} --yes", typed(&arguments)))? {
                ui::line("removed nothing");
                return Ok(Exit::NeedsPerson);
            }
            // The confirmation was for all of them.
            several(home, issues, Options { yes: true, ..options }, arguments.json).await
        }
        references => several(home, references.to_vec(), options, arguments.json).await,
    }
}

/// At most this many issues are named in a question.
const NAMED_MAX: usize = 10;

fn shown(issues: &[String]) -> String {
    let more = issues.len().saturating_sub(NAMED_MAX);
    let named = issues.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{named} and {}", counted(more as u64, "other issue")) } else { named }
}

/// The command that selects the same issues.
fn typed(arguments: &Destroy) -> String {
    let flag = |given: bool, flag: &str| if given { format!(" {flag}") } else { String::new() };
    let age = arguments.older_than.map(|age| format!(" --older-than {}s", age.as_secs())).unwrap_or_default();
    let (merged, done) = (flag(arguments.merged, "--merged"), flag(arguments.done, "--done"));
    format!("kugetsu destroy{merged}{done}{age}{}", flag(arguments.discard, "--discard"))
}

/// The issues that `--merged`, `--done` and `--older-than` select.
async fn select(home: &Home, arguments: &Destroy) -> Result<Vec<String>, Failure> {
    let states = TaskState::STATES.iter().copied().filter(|state| state.is_final());
    let states = if arguments.done { vec![TaskState::Done] } else { states.collect() };
    let query = IssuesQuery { states: Some(list::states(&states)), ..IssuesQuery::default() };
    let before = arguments.older_than.map(|age| Timestamp::now().checked_sub(age).unwrap_or(Timestamp::MIN));
    let is_old = |run: &RunObject| {
        before.is_none_or(|before| run.since().parse::<Timestamp>().is_ok_and(|ended| ended < before))
    };
    let is_merged = |run: &RunObject| run.change_state == Some(PrState::Merged);
    let mut runs = connect::stream_list(home, &endpoints::LIST_ISSUES, &query).await?;
    let mut issues = Vec::new();
    while let Some(run) = runs.next().await? {
        if is_old(&run) && (!arguments.merged || is_merged(&run)) {
            issues.push(run.issue);
        }
    }
    Ok(issues)
}

/// Removes one issue after the other. One that cannot be removed does not keep the others.
async fn several(home: &Home, references: Vec<String>, options: Options, json: bool) -> Result<Exit, Failure> {
    let cwd = paths::cwd()?;
    let mut all = Vec::new();
    let mut exit = Exit::Done;
    for reference in references {
        let query = IssueQuery { reference, cwd: cwd.clone() };
        match issue(home, query, options).await {
            Ok(Some(destroyed)) => {
                if !json {
                    print(&destroyed);
                }
                all.push(destroyed);
            }
            Ok(None) => exit = Exit::NeedsPerson,
            Err(failure) => {
                ui::failure(&failure);
                exit = failure.exit;
            }
        }
    }
    if json {
        ui::json(&all)?;
    }
    Ok(exit)
}

/// Whether the user confirms, with `--yes` or at the prompt.
fn confirmed(yes: bool, what: &str, command: &str) -> Result<bool, Failure> {
    if yes {
        return Ok(true);
    }
    if !ui::is_interactive() {
        return Err(needs_confirmation(what).hint(format!("run `{command}`")));
    }
    ui::confirm(&format!("remove {what}?"))
}

fn needs_confirmation(what: &str) -> Failure {
    Failure::needs_person(format!("removing {what} needs confirmation, but stdin is not a terminal"))
}

/// Removes the coordinator's session. Its skill and its notes stay.
async fn coordinator(home: &Home, json: bool) -> Result<Exit, Failure> {
    let status = connect::call(home, &endpoints::STATUS, &NoFields {}).await?;
    if status.coordinator.is_none_or(|latest| latest.destroyed) {
        ui::line("the coordinator has no session");
        return Ok(Exit::Done);
    }
    let query = IssueQuery { reference: COORDINATOR.to_owned(), cwd: paths::cwd()? };
    let request = DestroyRequest { issue: query, discard: false };
    let destroyed = connect::call_once(home, &endpoints::DESTROY_ISSUE, &request).await?;
    if json {
        ui::json(&destroyed)?;
    } else {
        ui::toned(Tone::Good, "removed the coordinator's session; the next message starts a new one");
    }
    Ok(Exit::Done)
}

#[derive(Clone, Copy)]
struct Options {
    yes: bool,
    discard: bool,
}

/// Removes an issue. Returns `None` if the user refuses.
async fn issue(
    home: &Home,
    query: IssueQuery,
    Options { yes, discard }: Options,
) -> Result<Option<Destroyed>, Failure> {
    let at_risk = connect::call(home, &endpoints::ISSUE_AT_RISK, &query);
    let at_risk: AtRisk = ui::notify_if_slow("checking for work that would be lost", at_risk).await?;
    if let Some(change) = at_risk.change.as_ref().filter(|change| !change.is_open) {
        ui::note(format!("· {change}"));
    }
    if let Some(unseen) = &at_risk.change_unseen {
        ui::note(format!("· {unseen}"));
    }
    let Consent::Given { discard } = consent(&at_risk, yes, discard)? else { return Ok(None) };
    let request = DestroyRequest { issue: query, discard };
    let removing = "rescuing unpushed work, removing the session and the worktree";
    let destroyed = connect::call_once(home, &endpoints::DESTROY_ISSUE, &request);
    Ok(Some(ui::notify_if_slow(removing, destroyed).await?))
}

fn print(destroyed: &Destroyed) {
    ui::toned(Tone::Good, format!("removed the worktree and the session of {}", destroyed.issue));
    if let Some(rescue) = &destroyed.rescue {
        let time = rescue.rsplit('/').next().unwrap_or(rescue);
        let restore = format!("kugetsu rescue restore {} --rescue {time}", destroyed.issue);
        ui::line(format!("rescued its work to {rescue}; restore it with `{restore}`"));
    }
    for note in &destroyed.notes {
        ui::warning(note);
    }
}

enum Consent {
    Given { discard: bool },
    Refused,
}

/// `--discard` consents to everything, `--yes` only to a removal that loses nothing. Otherwise the user is asked.
fn consent(at_risk: &AtRisk, yes: bool, discard: bool) -> Result<Consent, Failure> {
    let issue = &at_risk.issue;
    if discard || (yes && at_risk.is_nothing()) {
        return Ok(Consent::Given { discard });
    }
    if at_risk.is_nothing() {
        if !ui::is_interactive() {
            return Err(needs_confirmation(issue).hint(format!("run `kugetsu destroy {issue} --yes`")));
        }
        let confirmed = ui::confirm(&format!("remove the worktree and the session of {issue}?"))?;
        return Ok(if confirmed { Consent::Given { discard: false } } else { Consent::Refused });
    }
    if !ui::is_interactive() {
        let failure = Failure::needs_person(format!("did not remove {issue}: {at_risk}"));
        return Err(hints(at_risk).into_iter().fold(failure, Failure::hint));
    }
    ui::warning(format!("{issue}: {at_risk}"));
    let confirmed = ui::confirm("remove its worktree and session anyway? The work is rescued first.")?;
    Ok(if confirmed { Consent::Given { discard: true } } else { Consent::Refused })
}

/// One hint per obstacle, and the one that overrides all.
fn hints(at_risk: &AtRisk) -> Vec<String> {
    let issue = &at_risk.issue;
    let mut hints = Vec::new();
    if !at_risk.unfinished.is_empty() {
        hints.push(format!(
            "to end it, run `kugetsu continue {issue} \"finish or abort {}\"`",
            at_risk.unfinished.join(" and ")
        ));
    }
    if at_risk.uncommitted + at_risk.unpushed > 0 {
        hints.push(format!("to keep the work, run `kugetsu continue {issue} \"commit your work\"`"));
    }
    if at_risk.change_unknown.is_some() {
        hints.push("to skip the check of the pull request, run `kugetsu config set destroy.check_pr false`".to_owned());
    }
    let kept = if at_risk.change.is_some() { "the pull request stays open" } else { "its work is rescued first" };
    hints.push(format!("to remove it anyway, run `kugetsu destroy {issue} --discard`; {kept}"));
    hints
}

/// Resets the base context to the built-in one.
async fn base(home: &Home, yes: bool) -> Result<Exit, Failure> {
    let path = home.base_context();
    if !confirmed(yes, "the base context and the coordinator's session", "kugetsu destroy --base --yes")? {
        ui::line("removed nothing");
        return Ok(Exit::NeedsPerson);
    }
    match fs::remove_file(&path) {
        Ok(()) => {
            ui::toned(Tone::Good, format!("removed {}; new sessions start with the built-in context", path.display()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            ui::line("the base context is already the built-in one");
        }
        Err(error) => return Err(Failure::new(format!("could not remove {}: {error}", path.display()))),
    }
    coordinator(home, false).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_risk(uncommitted: u64, unpushed: u64) -> AtRisk {
        AtRisk { issue: "h/o/r#1".to_owned(), uncommitted, unpushed, ..AtRisk::default() }
    }

    // Tests have no terminal, so there is no prompt.
    #[test]
    fn yes_alone_does_not_remove_work() {
        let failure = consent(&at_risk(2, 1), true, false).err().unwrap();
        assert_eq!(failure.exit, Exit::NeedsPerson);
        assert!(
            failure.message.contains("2 uncommitted files") && failure.message.contains("1 unpushed commit"),
            "{}",
            failure.message
        );
        assert!(failure.hints.iter().any(|hint| hint.contains("--discard")));
        let unknown = AtRisk { unknown: Some("no mirror".to_owned()), ..at_risk(0, 0) };
        assert!(consent(&unknown, true, false).is_err(), "unknown work counts as work");
    }

    #[test]
    fn yes_is_enough_without_work() {
        assert!(matches!(consent(&at_risk(0, 0), true, false), Ok(Consent::Given { discard: false })));
        assert!(matches!(consent(&at_risk(3, 0), false, true), Ok(Consent::Given { discard: true })));
        assert!(consent(&at_risk(0, 0), false, false).is_err());
    }
}
