//! `kugetsu start`: queues a task for an issue.

use std::path::Path;

use clap::Args;
use kugetsu_api::endpoints;
use kugetsu_api::home::Home;
use kugetsu_api::task::{TaskKind, TaskRequest};
use kugetsu_forge::references::local::is_path_like;
use uuid::Uuid;

use super::agents::{chosen_default, keep_default};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::message::{Message, TypedMessage};
use crate::{completions, connect, paths, queued_task, ui};

/// Start an agent on an issue, in its own worktree.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu start . \"fix the flaky test\"
  kugetsu start acme/api#12 \"fix it and add a test\" --wait
  kugetsu start . \"use the new API\" --base develop --agent opencode
  kugetsu start acme/web#4 \"use the new endpoint\" --after acme/api#12
  kugetsu start . -")]
pub(crate) struct Start {
    /// The issue: its URL, owner/repo#12, #12 inside a clone, or `.` or another directory for a new local issue.
    #[arg(add = completions::issues())]
    reference: String,
    /// The task; `-` reads it from stdin. Defaults to the title and description of the issue; for a new local issue, an
    /// editor opens.
    #[arg(allow_hyphen_values = true)]
    message: Option<String>,
    /// The URL of the issue's pull request.
    #[arg(value_name = "PR_URL")]
    rest: Vec<String>,
    /// The agent; defaults to the setting agent.default.
    #[arg(long, value_name = "NAME", add = completions::agents())]
    agent: Option<String>,
    /// The model, as the agent names it.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// The branch to start from; defaults to the repository's default branch.
    #[arg(long, value_name = "BRANCH", allow_hyphen_values = true)]
    base: Option<String>,
    /// Tasks with a higher priority run first.
    #[arg(long, value_name = "NUMBER", default_value_t = 0, allow_negative_numbers = true, value_parser = priority)]
    priority: i32,
    /// Do not run before the latest task of this issue is done.
    #[arg(long, value_name = "REFERENCE", add = completions::issues())]
    after: Option<String>,
    /// Fail with exit code 75 instead of queueing if all slots are in use.
    #[arg(long)]
    no_queue: bool,
    /// Wait for the end of the task; the exit code reports its state.
    #[arg(long)]
    wait: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn priority(typed: &str) -> Result<i32, String> {
    typed.parse().map_err(|_| "expected an integer such as 5 or -1".to_owned())
}

pub(crate) async fn run(home: &Home, arguments: Start) -> Result<Exit, Failure> {
    let cwd = paths::cwd()?;
    let mut typed = TypedMessage::new(arguments.message, arguments.rest)?;
    let is_directory = is_path_like(&arguments.reference) || Path::new(&arguments.reference).is_dir();
    let message = typed.read(is_directory, &format!("a new issue of {}", arguments.reference))?;
    let chosen = if arguments.agent.is_none() { chosen_default(home).await } else { None };
    let request = TaskRequest {
        task: Uuid::now_v7().to_string(),
        kind: TaskKind::Start,
        reference: arguments.reference,
        cwd,
        message: message.as_ref().map(|message| message.text.clone()),
        agent: arguments.agent.or_else(|| chosen.as_ref().map(|chosen| chosen.profile.name().to_owned())),
        model: arguments.model,
        base: arguments.base,
        priority: arguments.priority,
        after: arguments.after,
        pr_url: typed.pr_url,
        no_queue: arguments.no_queue,
        ..TaskRequest::default()
    };
    let notice = format!("looking up the repository of {}", request.reference);
    let task = ui::notify_if_slow(&notice, connect::call(home, &endpoints::QUEUE_TASK, &request)).await;
    let task = task.map_err(|failure| Message::keep(message, failure))?;
    if let Some(chosen) = chosen {
        keep_default(home, &chosen).await;
    }
    queued_task::report(home, task, &request.cwd, arguments.wait, arguments.json).await
}
