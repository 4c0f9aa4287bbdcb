//! `kugetsu push`: queues the push of an issue's work, without its agent.

use clap::Args;
use kugetsu_api::endpoints;
use kugetsu_api::home::Home;
use kugetsu_api::task::{TaskKind, TaskRequest};
use uuid::Uuid;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::{completions, connect, paths, queued_task};

/// Push the commits of an issue without running its agent.
///
/// It does what follows the agent's turn in a run: inspects the worktree, looks for secrets, pushes the issue's branch and looks
/// up its pull request. Use it after a push that failed, or when you committed in the worktree yourself.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu push .
  kugetsu push acme/api#12 --wait")]
pub(crate) struct Push {
    /// The issue, or the ID of its session.
    #[arg(add = completions::issues())]
    reference: String,
    /// Wait for the end of the push; the exit code reports its state.
    #[arg(long)]
    wait: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(home: &Home, arguments: Push) -> Result<Exit, Failure> {
    let request = TaskRequest {
        task: Uuid::now_v7().to_string(),
        kind: TaskKind::Push,
        reference: arguments.reference,
        cwd: paths::cwd()?,
        ..TaskRequest::default()
    };
    let task = connect::call(home, &endpoints::QUEUE_TASK, &request).await?;
    queued_task::report(home, task, &request.cwd, arguments.wait, arguments.json).await
}
