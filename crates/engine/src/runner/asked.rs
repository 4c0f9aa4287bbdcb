//! What the agent is asked: the rules first, where the session does not know them yet, then the task.

use std::fs;
use std::io;

use kugetsu_api::order::IssueOrder;

use super::at_hand::Run;
use super::desk::Desk;
use super::files::Files;
use crate::context;
use crate::coordinator::prompt;

/// Who asks for what.
pub(crate) enum Asked<'a> {
    /// Work on an issue.
    Issue(&'a IssueOrder, &'a Files),
    /// Coordination.
    Coordination(&'a Desk),
}

impl Asked<'_> {
    /// What a session is told that knows the rules already.
    ///
    /// # Errors
    /// In words: something cannot be read.
    pub(crate) fn again(&self, run: &Run) -> Result<String, String> {
        match self {
            Self::Issue(..) => Ok(run.order.message.clone()),
            Self::Coordination(desk) => {
                let message = prompt::message(&run.order.message, run.order.attempt);
                Ok(match desk.changed_skill()? {
                    Some(skill) => prompt::changed(&skill, &message),
                    None => message,
                })
            }
        }
    }

    /// What a new session begins with; with `hand_over` it takes over from another one.
    ///
    /// # Errors
    /// In words: something cannot be read.
    pub(crate) async fn first(&self, run: &Run, hand_over: bool) -> Result<String, String> {
        match self {
            Self::Issue(issue, files) => on_issue(run, issue, files, hand_over).await,
            Self::Coordination(desk) => {
                let message = prompt::message(&run.order.message, run.order.attempt);
                let first = prompt::first(&desk.skill()?, desk, &message);
                Ok(match hand_over {
                    true => prompt::hand_over(&first, &run.order.asked_before),
                    false => first,
                })
            }
        }
    }
}

async fn on_issue(run: &Run, issue: &IssueOrder, files: &Files, hand_over: bool) -> Result<String, String> {
    let path = run.home.base_context();
    let base = match fs::read_to_string(&path) {
        Ok(base) => base,
        Err(error) if error.kind() == io::ErrorKind::NotFound => context::BASE_CONTEXT.to_owned(),
        Err(error) => return Err(format!("the base context {} cannot be read: {error}", path.display())),
    };
    let base_branch = files.base_branch.as_ref().map(|branch| branch.as_str());
    let first = context::first_prompt(&base, &run.order, issue, files.worktree.dir(), base_branch);
    if !hand_over {
        return Ok(first);
    }
    let survey = files.worktree.survey(files.base.as_ref()).await.map_err(|error| error.to_string())?;
    let commits = format!("{} on top of {}", survey.commits, issue.base_sha.as_deref().unwrap_or("nothing"));
    Ok(context::hand_over(&first, &run.order.asked_before, &commits, &survey.uncommitted.join("\n")))
}
