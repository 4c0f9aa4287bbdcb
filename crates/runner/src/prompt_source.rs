//! What the agent is asked: the rules first, where the session does not know them yet, then the task.

use std::fs;
use std::io;

use kugetsu_api::run_spec::IssueSpec;

use super::desk::{Desk, Skill};
use super::files::Files;
use super::run_context::RunContext;
use crate::{context, prompt};

/// Who asks for what.
pub(crate) enum PromptSource<'a> {
    /// Work on an issue.
    Issue(&'a IssueSpec, &'a Files),
    /// Coordination.
    Coordination(&'a Desk),
}

/// What a session is told in one turn.
pub(crate) struct Prompt {
    /// The text.
    pub(crate) text: String,
    /// The coordinator's skill, where it is part of it.
    skill: Option<Skill>,
}

impl Prompt {
    fn plain(text: String) -> Self {
        Self { text, skill: None }
    }
}

impl PromptSource<'_> {
    /// What a session is told that knows the rules already.
    ///
    /// # Errors
    /// In words: something cannot be read.
    pub(crate) fn again(&self, run: &RunContext) -> Result<Prompt, String> {
        match self {
            Self::Issue(..) => Ok(Prompt::plain(run.spec.message.clone())),
            Self::Coordination(desk) => {
                let message = prompt::message(&run.spec.message, run.spec.attempt);
                Ok(match desk.changed_skill()? {
                    Some(skill) => Prompt { text: prompt::changed(&skill.text, &message), skill: Some(skill) },
                    None => Prompt::plain(message),
                })
            }
        }
    }

    /// What a new session begins with; with `hand_over` it takes over from another one.
    ///
    /// # Errors
    /// In words: something cannot be read.
    pub(crate) async fn first(&self, run: &RunContext, hand_over: bool) -> Result<Prompt, String> {
        match self {
            Self::Issue(issue, files) => on_issue(run, issue, files, hand_over).await.map(Prompt::plain),
            Self::Coordination(desk) => {
                let message = prompt::message(&run.spec.message, run.spec.attempt);
                desk.forget_told()?;
                let skill = desk.skill()?;
                let first = prompt::first(&skill.text, desk, &message);
                let text = match hand_over {
                    true => prompt::hand_over(&first, &run.spec.earlier_messages),
                    false => first,
                };
                Ok(Prompt { text, skill: Some(skill) })
            }
        }
    }

    /// The session has taken this prompt.
    ///
    /// # Errors
    /// In words: that cannot be kept.
    pub(crate) fn was_taken(&self, prompt: &Prompt) -> Result<(), String> {
        match (self, &prompt.skill) {
            (Self::Coordination(desk), Some(skill)) => desk.keep_told(skill),
            _ => Ok(()),
        }
    }
}

async fn on_issue(run: &RunContext, issue: &IssueSpec, files: &Files, hand_over: bool) -> Result<String, String> {
    let path = run.home.base_context();
    let base = match fs::read_to_string(&path) {
        Ok(base) => base,
        Err(error) if error.kind() == io::ErrorKind::NotFound => context::BASE_CONTEXT.to_owned(),
        Err(error) => return Err(format!("the base context {} cannot be read: {error}", path.display())),
    };
    let base_branch = files.base_branch.as_ref().map(|branch| branch.as_str());
    let first = context::first_prompt(&base, &run.spec, issue, files.worktree.dir(), base_branch);
    if !hand_over {
        return Ok(first);
    }
    let status = files.worktree.status(files.base.as_ref()).await.map_err(|error| error.to_string())?;
    let commits = format!("{} on top of {}", status.commits, issue.base_sha.as_deref().unwrap_or("nothing"));
    Ok(context::hand_over(&first, &run.spec.earlier_messages, &commits, &status.uncommitted.join("\n")))
}
