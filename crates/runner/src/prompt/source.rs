//! Makes the prompt of a turn.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use kugetsu_api::regular_file;
use kugetsu_api::run_spec::IssueSpec;
use kugetsu_git::worktree::StatusError;
use thiserror::Error;

use super::issue::{Cause, Existing};
use super::{coordinator, issue};
use crate::coordinator::workspace::{Skill, Workspace, WorkspaceError};
use crate::issue::files::Files;
use crate::run_context::RunContext;
use crate::tools::listener::ToolServer;

/// Longest wait for an agent that loads the tools after it has opened its session, and would ask its model without them. On a
/// busy machine that takes seconds.
const LOAD_LIMIT: Duration = Duration::from_secs(15);
/// The same for the agent of an issue, which can work without its tools.
const ISSUE_LOAD_LIMIT: Duration = Duration::from_secs(5);

/// The source of a prompt.
pub(crate) enum PromptSource<'a> {
    Issue {
        issue: &'a IssueSpec,
        files: &'a Files,
        tools: Option<&'a ToolServer>,
        /// Facts about its sandbox for the agent.
        sandbox: Option<&'a str>,
    },
    Coordination(&'a Workspace, &'a ToolServer),
}

#[derive(Debug)]
pub(crate) struct Prompt {
    pub(crate) text: String,
    /// The coordinator's skill, if the text contains it.
    skill: Option<Skill>,
}

impl Prompt {
    fn without_skill(text: String) -> Self {
        Self { text, skill: None }
    }
}

#[derive(Debug, Error)]
pub(crate) enum PromptError {
    #[error("cannot read the base context {}: {error}", path.display())]
    BaseContext { path: PathBuf, error: io::Error },
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    #[error("cannot inspect the worktree for the hand-over: {0}")]
    Status(#[from] StatusError),
}

impl PromptSource<'_> {
    /// Waits until the agent has what the prompt relies on.
    pub(crate) async fn ready(&self) {
        match self {
            Self::Issue { tools: Some(tools), .. } => tools.loaded(ISSUE_LOAD_LIMIT).await,
            Self::Issue { tools: None, .. } => {}
            Self::Coordination(_, tools) => tools.loaded(LOAD_LIMIT).await,
        }
    }

    /// The prompt for a session that was resumed and knows the rules.
    pub(crate) async fn next(&self, run: &RunContext) -> Result<Prompt, PromptError> {
        match self {
            Self::Issue { issue, files, sandbox, .. } => {
                let Some(cause) = interruption(run, issue) else {
                    return Ok(Prompt::without_skill(issue::next_prompt(&files.notes, &run.spec.message)));
                };
                // Without a list it is still true.
                let existing = existing(issue, files).await.unwrap_or_default();
                // An agent whose first request failed may not have kept its prompt.
                let prompt = match cause {
                    Cause::Pause if existing.is_empty() => first_prompt(run, issue, files, *sandbox)?,
                    _ => issue::next_prompt(&files.notes, &run.spec.message),
                };
                Ok(Prompt::without_skill(issue::interrupted(&prompt, cause, &existing)))
            }
            Self::Coordination(workspace, _) => {
                let message = coordinator::message(&run.spec.message, run.spec.attempt);
                Ok(match workspace.changed_skill()? {
                    Some(skill) => Prompt { text: coordinator::changed(&skill.text, &message), skill: Some(skill) },
                    None => Prompt::without_skill(message),
                })
            }
        }
    }

    /// The prompt for a new session. With `hand_over` it takes over from one that is lost.
    pub(crate) async fn first(&self, run: &RunContext, hand_over: bool) -> Result<Prompt, PromptError> {
        match self {
            Self::Issue { issue, files, sandbox, .. } => {
                issue_prompt(run, issue, files, *sandbox, hand_over).await.map(Prompt::without_skill)
            }
            Self::Coordination(workspace, _) => {
                let message = coordinator::message(&run.spec.message, run.spec.attempt);
                workspace.forget_sent_skill()?;
                let skill = workspace.skill()?;
                let first = coordinator::first(&skill.text, workspace, &message);
                let text = match hand_over {
                    true => coordinator::hand_over(&first, &run.spec.earlier_messages),
                    false => first,
                };
                Ok(Prompt { text, skill: Some(skill) })
            }
        }
    }

    /// Notes that the session has taken the prompt.
    pub(crate) fn sent(&self, prompt: &Prompt) -> Result<(), WorkspaceError> {
        match (self, &prompt.skill) {
            (Self::Coordination(workspace, _), Some(skill)) => workspace.keep_sent_skill(skill),
            _ => Ok(()),
        }
    }
}

fn first_prompt(
    run: &RunContext,
    issue: &IssueSpec,
    files: &Files,
    sandbox: Option<&str>,
) -> Result<String, PromptError> {
    let path = run.home.base_context();
    let base = match regular_file::read_to_string(&path) {
        Ok(base) => base,
        Err(error) if error.kind() == io::ErrorKind::NotFound => issue::BASE_CONTEXT.to_owned(),
        Err(error) => return Err(PromptError::BaseContext { path, error }),
    };
    let base_branch = files.base_branch.as_ref().map(|branch| branch.as_str());
    Ok(issue::first_prompt(&base, &run.spec, issue, sandbox, &files.notes, files.worktree.dir(), base_branch))
}

async fn issue_prompt(
    run: &RunContext,
    issue: &IssueSpec,
    files: &Files,
    sandbox: Option<&str>,
    hand_over: bool,
) -> Result<String, PromptError> {
    let first = first_prompt(run, issue, files, sandbox)?;
    if !hand_over {
        return Ok(match interruption(run, issue) {
            Some(cause) => issue::interrupted(&first, cause, &existing(issue, files).await.unwrap_or_default()),
            None => first,
        });
    }
    let existing = existing(issue, files).await?;
    Ok(issue::hand_over(&first, &run.spec.earlier_messages, &existing))
}

/// Why an earlier run of the task did not end, if one did not.
fn interruption(run: &RunContext, issue: &IssueSpec) -> Option<Cause> {
    match issue.lost_before {
        Some(_) => Some(Cause::Loss),
        None => (run.spec.pauses > 0).then_some(Cause::Pause),
    }
}

async fn existing(issue: &IssueSpec, files: &Files) -> Result<Existing, StatusError> {
    let status = files.worktree.status(files.base.as_ref()).await?;
    Ok(Existing {
        commits: format!("{} on top of {}", status.commits, issue.base_sha.as_deref().unwrap_or("nothing")),
        changes: status.uncommitted.join("\n"),
    })
}
