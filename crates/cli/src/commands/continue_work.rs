//! `kugetsu continue` (C3): goes on in an issue's session.

use clap::Args;
use kugetsu_api::home::Home;
use kugetsu_api::task::{TaskKind, TaskRequest};
use uuid::Uuid;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::{completions, connect, paths};

use crate::queued_task;

/// Go on in an issue's session, with everything the agent knows and has done there.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu continue . \"say in README what it does\"
  kugetsu continue acme/api#12 \"not like that: ...\" --interrupt
  kugetsu continue . \"run the tests once more\" --wait")]
pub(crate) struct Continue {
    /// The issue, or the identifier of its session.
    #[arg(add = completions::issues())]
    reference: String,
    /// What is to be done now; `-` reads it from stdin.
    message: String,
    /// End the turn that is going on first, instead of waiting for its end.
    #[arg(long)]
    interrupt: bool,
    /// The model, in the agent's words.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Wait for the end; the exit code says how it ended.
    #[arg(long)]
    wait: bool,
    /// Show an object for programs.
    #[arg(long)]
    json: bool,
}

/// Queues the task.
pub(crate) async fn run(home: &Home, arguments: Continue) -> Result<Exit, Failure> {
    let request = TaskRequest {
        task: Uuid::now_v7().to_string(),
        kind: TaskKind::Continue,
        reference: arguments.reference,
        cwd: paths::cwd()?,
        message: queued_task::read_message(Some(arguments.message))?,
        model: arguments.model,
        interrupt: arguments.interrupt,
        ..TaskRequest::default()
    };
    let task = connect::queue(home, &request).await?;
    queued_task::report(home, task, &request.cwd, arguments.wait, arguments.json).await
}
