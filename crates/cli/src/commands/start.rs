//! `kugetsu start` (C2): begins work on an issue.

use clap::Args;
use kugetsu_api::home::Home;
use kugetsu_api::task::{TaskKind, TaskRequest};
use uuid::Uuid;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::slow_notice::notify_if_slow;
use crate::{completions, connect, paths};

use crate::queued_task;

/// Begin work on an issue: queue it, and let an agent work on it in a worktree of its own.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu start . \"fix the flaky test\"
  kugetsu start acme/api#12 \"add a test for it\" --wait
  kugetsu start . \"use the new API\" --base develop --agent opencode
  kugetsu start acme/web#4 \"use it\" --after acme/api#12
  kugetsu start . -")]
pub(crate) struct Start {
    /// The issue: its address, owner/repo#12, #12 inside a clone, or `.` for a new local one.
    #[arg(add = completions::issues())]
    reference: String,
    /// What is to be done; `-` reads it from stdin.
    message: Option<String>,
    /// The address of the pull or merge request that belongs to the issue.
    pr_url: Option<String>,
    /// The agent that works; the setting agent.default otherwise.
    #[arg(long, value_name = "NAME", add = completions::agents())]
    agent: Option<String>,
    /// The model, in the agent's words.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// The branch to begin from; the repository's default branch otherwise.
    #[arg(long, value_name = "BRANCH", allow_hyphen_values = true)]
    base: Option<String>,
    /// Larger comes first.
    #[arg(long, value_name = "NUMBER", default_value_t = 0, allow_negative_numbers = true, value_parser = whole_number)]
    priority: i32,
    /// Not before this issue's latest task is done.
    #[arg(long, value_name = "REFERENCE", add = completions::issues())]
    after: Option<String>,
    /// Refuse with exit code 75 instead of waiting in line when every place is taken.
    #[arg(long)]
    no_queue: bool,
    /// Wait for the end; the exit code says how it ended.
    #[arg(long)]
    wait: bool,
    /// Show an object for programs.
    #[arg(long)]
    json: bool,
}

fn whole_number(typed: &str) -> Result<i32, String> {
    typed.parse().map_err(|_| "write a whole number, such as 5 or -1".to_owned())
}

/// Queues the task.
pub(crate) async fn run(home: &Home, arguments: Start) -> Result<Exit, Failure> {
    let cwd = paths::cwd()?;
    let request = TaskRequest {
        task: Uuid::now_v7().to_string(),
        kind: TaskKind::Start,
        reference: arguments.reference,
        cwd,
        message: queued_task::read_message(arguments.message)?,
        agent: arguments.agent,
        model: arguments.model,
        base: arguments.base,
        priority: arguments.priority,
        after: arguments.after,
        pr_url: arguments.pr_url,
        no_queue: arguments.no_queue,
        ..TaskRequest::default()
    };
    let looking = format!("looking for the repository of {}", request.reference);
    let task = notify_if_slow(&looking, connect::queue(home, &request)).await?;
    queued_task::report(home, task, &request.cwd, arguments.wait, arguments.json).await
}
