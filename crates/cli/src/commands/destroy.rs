//! `kugetsu destroy` (C5, C6): removes an issue's files and session, or the base context.

use std::fs;
use std::io;

use clap::Args;
use kugetsu_api::home::Home;
use kugetsu_api::issue::{AtRisk, DestroyRequest, Destroyed, IssueQuery};
use kugetsu_api::path;
use kugetsu_api::status::StatusObject;
use kugetsu_domain::reference::COORDINATOR;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::slow_notice::notify_if_slow;
use crate::ui::{self, Tone};
use crate::{completions, connect, paths};

/// Remove an issue's worktree and session. Work that is nowhere else is rescued first.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu destroy .
  kugetsu destroy acme/api#12 --yes
  kugetsu destroy . --discard
  kugetsu destroy --base --yes")]
pub(crate) struct Destroy {
    /// The issue, or the identifier of its session.
    #[arg(required_unless_present_any = ["base", "pm_agent"], add = completions::issues())]
    reference: Option<String>,
    /// Answer the plain question with yes.
    #[arg(short, long)]
    yes: bool,
    /// Go on although there is work that is neither committed nor pushed; it is rescued all the same.
    #[arg(long)]
    discard: bool,
    /// Remove the base context, and the coordinator with it.
    #[arg(long, conflicts_with_all = ["reference", "pm_agent"])]
    base: bool,
    /// Remove the coordinator's session.
    #[arg(long, conflicts_with = "reference")]
    pm_agent: bool,
    /// Show an object for programs.
    #[arg(long)]
    json: bool,
}

/// Asks where it must, and removes.
pub(crate) async fn run(home: &Home, arguments: Destroy) -> Result<Exit, Failure> {
    match arguments.reference {
        Some(reference) if reference == COORDINATOR => {
            Err(Failure::usage("the coordinator is no issue").hint("to remove its session: kugetsu destroy --pm-agent"))
        }
        Some(reference) => {
            let query = IssueQuery { reference, cwd: paths::cwd()? };
            issue(home, query, arguments.yes, arguments.discard, arguments.json).await
        }
        None if arguments.base => base(home, arguments.yes).await,
        None => {
            if !agreed(arguments.yes, "the coordinator's session", "kugetsu destroy --pm-agent -y")? {
                ui::line("nothing was removed");
                return Ok(Exit::NeedsPerson);
            }
            coordinator(home, arguments.json).await
        }
    }
}

/// Whether the person says yes, or said so before.
fn agreed(yes: bool, what: &str, command: &str) -> Result<bool, Failure> {
    if yes {
        return Ok(true);
    }
    if !ui::can_ask() {
        return Err(
            Failure::needs_person(format!("removing {what} wants a yes, and nobody can be asked")).hint(command)
        );
    }
    ui::ask(&format!("remove {what}?"))
}

/// Removes the coordinator's session (C6). Its skill and its notes stay.
async fn coordinator(home: &Home, json: bool) -> Result<Exit, Failure> {
    let status: StatusObject = connect::ask(home, path::STATUS).await?;
    if status.coordinator.is_none_or(|latest| latest.destroyed) {
        ui::line("the coordinator has no session, so there is nothing to remove");
        return Ok(Exit::Done);
    }
    let query = IssueQuery { reference: COORDINATOR.to_owned(), cwd: paths::cwd()? };
    let request = DestroyRequest { issue: query, discard: false };
    let destroyed: Destroyed = connect::ready(home).await?.post(path::ISSUE_DESTROY, &request).await?;
    if json {
        ui::json(&destroyed)?;
    } else {
        ui::toned(Tone::Good, "the coordinator's session is removed; the next message begins another one");
    }
    Ok(Exit::Done)
}

async fn issue(home: &Home, query: IssueQuery, yes: bool, discard: bool, json: bool) -> Result<Exit, Failure> {
    let mut client = connect::ready(home).await?;
    let question =
        path::with_query(path::ISSUE_AT_RISK, &[("reference", Some(&query.reference)), ("cwd", Some(&query.cwd))]);
    let at_risk: AtRisk = notify_if_slow("looking at what would be lost", client.get(&question)).await?;
    if let Some(change) = at_risk.change.as_ref().filter(|change| !change.is_open) {
        ui::note(format!("· {change}"));
    }
    if let Some(unseen) = &at_risk.change_unseen {
        ui::note(format!("· {unseen}"));
    }
    let discard = match consent(&at_risk, yes, discard)? {
        Consent::Given { discard } => discard,
        Consent::Refused => {
            ui::line("nothing was removed");
            return Ok(Exit::NeedsPerson);
        }
    };
    let request = DestroyRequest { issue: query, discard };
    let removing = "rescuing what is nowhere else, and removing the session and the worktree";
    let destroyed: Destroyed = notify_if_slow(removing, client.post(path::ISSUE_DESTROY, &request)).await?;
    if json {
        ui::json(&destroyed)?;
        return Ok(Exit::Done);
    }
    ui::toned(Tone::Good, format!("{}: worktree and session are removed", destroyed.issue));
    if let Some(rescue) = &destroyed.rescue {
        ui::line(format!("rescued to {rescue}; bring it back: kugetsu rescue restore {}", destroyed.issue));
    }
    for note in &destroyed.notes {
        ui::warning(note);
    }
    Ok(Exit::Done)
}

enum Consent {
    Given { discard: bool },
    Refused,
}

/// `--discard` says yes to everything, `--yes` to the plain question only; the rest is asked, where somebody can be.
fn consent(at_risk: &AtRisk, yes: bool, discard: bool) -> Result<Consent, Failure> {
    let issue = &at_risk.issue;
    if discard || (yes && at_risk.is_nothing()) {
        return Ok(Consent::Given { discard });
    }
    if at_risk.is_nothing() {
        if !ui::can_ask() {
            return Err(Failure::needs_person(format!("removing {issue} wants a yes, and nobody can be asked"))
                .hint(format!("kugetsu destroy {issue} -y")));
        }
        let agreed = ui::ask(&format!("remove the worktree and the session of {issue}?"))?;
        return Ok(if agreed { Consent::Given { discard: false } } else { Consent::Refused });
    }
    if !ui::can_ask() {
        let failure = Failure::needs_person(format!("{issue} is not removed: {at_risk}"));
        return Err(hints(at_risk).into_iter().fold(failure, Failure::hint));
    }
    ui::warning(format!("{issue}: {at_risk}"));
    let agreed = ui::ask("remove its worktree and session all the same? what is nowhere else is rescued first")?;
    Ok(if agreed { Consent::Given { discard: true } } else { Consent::Refused })
}

/// What can be done about each thing that stands in the way.
fn hints(at_risk: &AtRisk) -> Vec<String> {
    let issue = &at_risk.issue;
    let mut hints = Vec::new();
    if at_risk.uncommitted + at_risk.unpushed > 0 {
        hints.push(format!("to keep the work, go on with it: kugetsu continue {issue} \"commit your work\""));
    }
    if at_risk.change_unknown.is_some() {
        hints.push("to remove without asking the server: kugetsu config set destroy.check_change false".to_owned());
    }
    let rescued =
        if at_risk.change.is_some() { "the pull or merge request stays as it is" } else { "it is rescued first" };
    hints.push(format!("to remove it all the same ({rescued}): kugetsu destroy {issue} --discard"));
    hints
}

/// The base context goes back to the built-in one, as before `init`.
async fn base(home: &Home, yes: bool) -> Result<Exit, Failure> {
    let path = home.base_context();
    if !agreed(yes, "the base context and the coordinator's session", "kugetsu destroy --base -y")? {
        ui::line("nothing was removed");
        return Ok(Exit::NeedsPerson);
    }
    match fs::remove_file(&path) {
        Ok(()) => ui::toned(
            Tone::Good,
            format!("{} is removed; new sessions begin with the built-in context", path.display()),
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            ui::line("there is no base context of your own, so there is none to remove");
        }
        Err(error) => return Err(Failure::new(format!("{} could not be removed: {error}", path.display()))),
    }
    coordinator(home, false).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_risk(uncommitted: u64, unpushed: u64) -> AtRisk {
        AtRisk { issue: "h/o/r#1".to_owned(), uncommitted, unpushed, ..AtRisk::default() }
    }

    // Tests have no terminal, so nobody can be asked.
    #[test]
    fn work_is_never_removed_by_a_plain_yes() {
        let failure = consent(&at_risk(2, 1), true, false).err().unwrap();
        assert_eq!(failure.exit, Exit::NeedsPerson);
        assert!(failure.message.contains("2 files") && failure.message.contains("1 commit "), "{}", failure.message);
        assert!(failure.hints.iter().any(|hint| hint.contains("--discard")));
        let unknown = AtRisk { unknown: Some("no mirror".to_owned()), ..at_risk(0, 0) };
        assert!(consent(&unknown, true, false).is_err(), "what is not known counts as work");
    }

    #[test]
    fn without_work_a_yes_is_enough() {
        assert!(matches!(consent(&at_risk(0, 0), true, false), Ok(Consent::Given { discard: false })));
        assert!(matches!(consent(&at_risk(3, 0), false, true), Ok(Consent::Given { discard: true })));
        assert!(consent(&at_risk(0, 0), false, false).is_err());
    }
}
