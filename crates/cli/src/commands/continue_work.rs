//! `kugetsu continue`: queues another task in an issue's session.

use clap::Args;
use kugetsu_api::endpoints;
use kugetsu_api::home::Home;
use kugetsu_api::task::{TaskKind, TaskRequest};
use uuid::Uuid;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::message::{Message, TypedMessage};
use crate::{completions, connect, paths, queued_task};

/// Continue an issue in the same session and worktree.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu continue . \"document it in the README\"
  kugetsu continue acme/api#12 \"use the existing parser instead\" --interrupt
  kugetsu continue . \"run the tests again\" --wait")]
pub(crate) struct Continue {
    /// The issue, or the ID of its session.
    #[arg(add = completions::issues())]
    reference: String,
    /// The task; `-` reads it from stdin. Without one, an editor opens.
    #[arg(allow_hyphen_values = true)]
    message: Option<String>,
    #[arg(hide = true)]
    rest: Vec<String>,
    /// Cancel the current run first instead of waiting for its end.
    #[arg(long)]
    interrupt: bool,
    /// The agent; defaults to the one that worked on the issue last. Another one starts a new session.
    #[arg(long, value_name = "NAME", add = completions::agents())]
    agent: Option<String>,
    /// The model, as the agent names it.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Wait for the end of the task; the exit code reports its state.
    #[arg(long)]
    wait: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(home: &Home, arguments: Continue) -> Result<Exit, Failure> {
    let mut typed = TypedMessage::new(arguments.message, arguments.rest)?;
    if let Some(url) = typed.pr_url {
        return Err(Failure::usage(format!("unexpected argument '{url}'"))
            .hint(format!("to record the pull request, run `kugetsu set-pr {} {url}`", arguments.reference)));
    }
    let message = typed.read(true, &arguments.reference)?;
    let request = TaskRequest {
        task: Uuid::now_v7().to_string(),
        kind: TaskKind::Continue,
        reference: arguments.reference,
        cwd: paths::cwd()?,
        message: message.as_ref().map(|message| message.text.clone()),
        agent: arguments.agent,
        model: arguments.model,
        interrupt: arguments.interrupt,
        ..TaskRequest::default()
    };
    let task = connect::call(home, &endpoints::QUEUE_TASK, &request).await;
    let task = task.map_err(|failure| Message::keep(message, failure))?;
    queued_task::report(home, task, &request.cwd, arguments.wait, arguments.json).await
}
