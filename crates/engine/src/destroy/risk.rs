//! The work that removing an issue's files would lose.

use std::path::Path;

use kugetsu_api::issue::{AtRisk, IssueQuery, PrObject};
use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_domain::flow::{Event, step};
use kugetsu_domain::issue::{Issue, IssueState};
use kugetsu_domain::reason::Reason;
use kugetsu_forge::references::reference::Reference;
use kugetsu_git::rescue::{self, AtRisk as WorktreeRisk};
use kugetsu_store::error::StoreError;

use crate::engine::Engine;
use crate::home::reserve;
use crate::problems::not_stored;
use crate::pull_requests::{self, PrStatus};
use crate::{repositories, resolve};

/// Returns what removing an issue's files would lose.
///
/// # Errors
/// There is no such issue, or it is already destroyed.
pub async fn at_risk(engine: &Engine, query: &IssueQuery) -> Result<AtRisk, Problem> {
    let issue = resolve::unambiguous_issue(engine, &Reference::new(&query.reference), Path::new(&query.cwd)).await?;
    refuse_destroyed(&issue)?;
    refuse_busy(engine, &issue)?;
    Ok(of_issue(engine, &issue).await)
}

/// While an issue has a run or queued tasks, its files are not removed, whatever they hold.
fn refuse_busy(engine: &Engine, issue: &Issue) -> Result<(), Problem> {
    if issue.state != IssueState::Open {
        return Ok(());
    }
    let step = step(issue.clone(), Event::DestroyRequested, engine.now());
    step.map(drop).map_err(|why| not_stored(&issue.reference, StoreError::Refused(why)))
}

pub(super) fn refuse_destroyed(issue: &Issue) -> Result<(), Problem> {
    if issue.state != IssueState::Destroyed {
        return Ok(());
    }
    Err(Problem::new(ProblemKind::NotFound, format!("{} is already destroyed", issue.reference))
        .hint(format!("list its rescues with `kugetsu rescue list {}`", issue.reference)))
}

/// An unknown state counts as a risk.
pub(super) async fn of_issue(engine: &Engine, issue: &Issue) -> AtRisk {
    reserve::give_up_if_full(engine.home());
    let mut at_risk = AtRisk { issue: issue.reference.to_string(), ..AtRisk::default() };
    if issue.reference.is_coordinator() {
        return at_risk;
    }
    match worktree(engine, issue).await {
        Ok(None) => {}
        Ok(Some(risk)) => {
            at_risk.uncommitted = risk.uncommitted_total as u64;
            at_risk.unfinished = risk.operations.iter().map(ToString::to_string).collect();
            at_risk.unpushed = u64::from(risk.unpushed) + risk.other_branches.len() as u64;
        }
        Err(why) => at_risk.unknown = Some(why),
    }
    if engine.settings().destroy.check_pr {
        match pull_requests::refresh(engine, issue).await {
            PrStatus::None => {}
            PrStatus::Hidden { why } => at_risk.change_unseen = Some(why),
            PrStatus::Known { url, state } => {
                at_risk.change = Some(PrObject { url, state, is_open: state.is_open() });
            }
            PrStatus::Unknown { url: Some(url), why } => {
                at_risk.change_unknown = Some(format!("the state of {url} is unknown ({why})"));
            }
            PrStatus::Unknown { url: None, why } => {
                at_risk.change_unknown = Some(format!("it is unknown whether it has a pull request ({why})"));
            }
        }
    }
    at_risk
}

async fn worktree(engine: &Engine, issue: &Issue) -> Result<Option<WorktreeRisk>, String> {
    let mirror =
        repositories::mirror(engine, issue).await.map_err(|error| Reason::new(&error, error.hint()).in_one_line())?;
    let worktree = repositories::worktree(engine, issue, &mirror)
        .await
        .map_err(|error| Reason::new(&error, error.hint()).in_one_line())?;
    let Some(worktree) = worktree else { return Ok(None) };
    rescue::work_at_risk(&mirror, &worktree)
        .await
        .map(Some)
        .map_err(|error| Reason::new(&error, error.hint()).in_one_line())
}
