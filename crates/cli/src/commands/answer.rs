//! `kugetsu answer`: answers the question of an issue's agent.

use clap::Args;
use kugetsu_api::endpoints;
use kugetsu_api::home::Home;
use kugetsu_api::task::{TaskKind, TaskRequest};
use uuid::Uuid;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::message::{Message, TypedMessage};
use crate::{completions, connect, paths, queued_task};

/// Answer the question of an issue's agent.
///
/// An agent that asks ends its turn, and its task is blocked; `kugetsu why` shows the question. It continues in the same session
/// with the answer. A trusted person can answer in a comment on the issue instead.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu answer acme/api#12 \"use port 8080\"
  kugetsu answer . - < answer.md")]
pub(crate) struct Answer {
    /// The issue, or the ID of its session.
    #[arg(add = completions::issues())]
    reference: String,
    /// The answer; `-` reads it from stdin. Without one, an editor opens.
    #[arg(allow_hyphen_values = true)]
    text: Option<String>,
    #[arg(hide = true)]
    rest: Vec<String>,
    /// Wait for the end of the task; the exit code reports its state.
    #[arg(long)]
    wait: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(home: &Home, arguments: Answer) -> Result<Exit, Failure> {
    let message = TypedMessage::all(arguments.text, arguments.rest)?.read(true, &arguments.reference)?;
    let request = TaskRequest {
        task: Uuid::now_v7().to_string(),
        kind: TaskKind::Continue,
        reference: arguments.reference,
        cwd: paths::cwd()?,
        message: message.as_ref().map(|message| message.text.clone()),
        is_answer: true,
        ..TaskRequest::default()
    };
    let task = connect::call(home, &endpoints::QUEUE_TASK, &request).await;
    let task = task.map_err(|failure| Message::keep(message, failure))?;
    queued_task::report(home, task, &request.cwd, arguments.wait, arguments.json).await
}
