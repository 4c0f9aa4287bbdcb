//! `kugetsu delegate`: sends a message to the coordinator.

use std::cell::Cell;

use clap::Args;
use kugetsu_api::client::{Client, ClientError};
use kugetsu_api::delegate::{DelegateObject, DelegateRequest};
use kugetsu_api::endpoints;
use kugetsu_api::event::EventsQuery;
use kugetsu_api::home::Home;
use kugetsu_api::task::{TaskObject, TaskQuery};
use kugetsu_domain::machine::Machine;
use kugetsu_domain::reference::COORDINATOR;
use uuid::Uuid;

use super::agents::{chosen_default, keep_default};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::message::{Message, TypedMessage};
use crate::ui::{self, Tone};
use crate::wait::{Waited, wait_for_task};
use crate::{completions, connect, format, paths};

/// Send a message to the coordinator, which starts and supervises work on issues and reports.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu delegate \"work on acme/api#12 and acme/api#14\"
  kugetsu delegate \"fix the build of acme/api#12\" --wait
  kugetsu delegate --worktree acme/api#12 \"add a test\"
  kugetsu delegate --anyway \"summarize what is left of #12\"")]
pub(crate) struct Delegate {
    /// The task; `-` reads it from stdin. Without one, an editor opens. It names issues in any form, such as
    /// owner/repo#12.
    #[arg(allow_hyphen_values = true)]
    message: Option<String>,
    #[arg(hide = true)]
    rest: Vec<String>,
    /// The issue that the message is about, if it may refer to existing work.
    #[arg(long, value_name = "REFERENCE", conflicts_with = "anyway", add = completions::issues())]
    worktree: Option<String>,
    /// Send the message even if it may refer to existing work.
    #[arg(long)]
    anyway: bool,
    /// Wait for the coordinator's report; the exit code reports the state of its task.
    #[arg(long)]
    wait: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(home: &Home, arguments: Delegate) -> Result<Exit, Failure> {
    let message = TypedMessage::all(arguments.message, arguments.rest)?.read(true, "the coordinator")?;
    let mut request = DelegateRequest {
        task: Uuid::now_v7().to_string(),
        message: message.as_ref().map(|message| message.text.clone()).unwrap_or_default(),
        cwd: paths::cwd()?,
        worktree: arguments.worktree,
        anyway: arguments.anyway,
    };
    if request.worktree.is_none()
        && !request.anyway
        && ui::is_interactive()
        && !choose_issue(home, &mut request).await?
    {
        ui::line("sent nothing");
        return Ok(Exit::NeedsPerson);
    }
    // The daemon may have started before the agent was installed.
    if let Some(chosen) = chosen_default(home).await {
        keep_default(home, &chosen).await;
    }
    let task = connect::call(home, &endpoints::DELEGATE, &request).await;
    let task = task.map_err(|failure| Message::keep(message, failure))?;
    if arguments.wait {
        return wait(home, task, &request.cwd, arguments.json).await;
    }
    let task = connect::call(home, &endpoints::SHOW_TASK, &task_query(&task.run.task)).await?;
    if arguments.json {
        ui::json(&task)?;
    } else {
        ui::line(format!("{}; follow it with `kugetsu logs -f {COORDINATOR}`", task_status(&task)));
    }
    Ok(Exit::Done)
}

fn task_query(task: &str) -> TaskQuery {
    TaskQuery { task: task.to_owned(), ..TaskQuery::default() }
}

fn task_status(task: &TaskObject) -> String {
    match task.place {
        Some(ahead) => format!("the message to the coordinator is queued at position {}", ahead + 1),
        None => format!("the message to the coordinator is {}", task.run.state.name()),
    }
}

/// Lets the user choose among the issues that the message may refer to. Returns false if the user chooses nothing.
async fn choose_issue(home: &Home, request: &mut DelegateRequest) -> Result<bool, Failure> {
    let candidates = connect::call(home, &endpoints::DELEGATE_CANDIDATES, &*request).await?;
    if candidates.is_empty() {
        return Ok(true);
    }
    ui::note("the message may refer to existing work:");
    for (number, candidate) in (1..).zip(&candidates) {
        let run = &candidate.run;
        let reason = run.reason.as_deref().map(|reason| format!(": {}", ui::one_line(reason))).unwrap_or_default();
        ui::note(format!("  {number}  {} is {}{reason}", run.issue, run.state.name()));
    }
    let answer = ui::prompt("which issue is it about? [number, or `a` to send it anyway]")?;
    if matches!(answer.as_str(), "a" | "anyway") {
        request.anyway = true;
        return Ok(true);
    }
    let chosen = answer.parse::<usize>().ok().and_then(|number| candidates.get(number.checked_sub(1)?));
    request.worktree = chosen.map(|candidate| candidate.run.issue.clone());
    Ok(request.worktree.is_some())
}

/// Waits until the coordinator and everything that it started for the message have ended.
async fn wait(home: &Home, first: TaskObject, cwd: &str, json: bool) -> Result<Exit, Failure> {
    let message =
        Delegated { task: first.run.task.clone(), queued_at: first.run.queued_at.clone(), last_event: Cell::new(0) };
    let mut next = first;
    let interrupted = || {
        ui::note(format!("\nstopped waiting; the work continues. Follow it with `kugetsu logs -f {COORDINATOR}`"));
        Ok(Exit::Canceled)
    };
    loop {
        ui::note(format!("· {}", format::task_status(&next)));
        let ended = match wait_for_task(home, &next, cwd).await? {
            Waited::Ended(ended) => *ended,
            Waited::Interrupted => return interrupted(),
        };
        let all = connect::call(home, &endpoints::DELEGATED, &task_query(&message.task)).await?;
        let active = all.asked.iter().filter(|run| !run.state.is_final()).map(|run| run.issue.as_str());
        let active = active.collect::<Vec<_>>().join(", ");
        if !active.is_empty() {
            ui::note(format!("· waiting for {active}"));
        }
        let position = |all: &DelegateObject| all.tasks.iter().position(|task| task.run.task == ended.run.task);
        let has_next = |all: &DelegateObject| position(all).is_some_and(|at| at + 1 < all.tasks.len());
        let all = tokio::select! {
            all = wait_until(home, &message, |all| all.over || has_next(all)) => all?,
            _ = tokio::signal::ctrl_c() => return interrupted(),
        };
        match position(&all).and_then(|at| all.tasks.get(at + 1)) {
            Some(report) => next = report.clone(),
            None => return print_end(&ended, &all, json),
        }
    }
}

fn print_end(last: &TaskObject, all: &DelegateObject, json: bool) -> Result<Exit, Failure> {
    if json {
        ui::json(all)?;
    } else {
        ui::toned(format::tone(last.run.state), last.run.state.name());
        ui::line(last.run.reason.as_deref().unwrap_or_default());
        format::print_hint(last.run.hint.as_deref());
        for run in &all.asked {
            ui::toned(Tone::Dim, format!("  {} is {}", run.issue, run.state.name()));
        }
    }
    Ok(Exit::of_state(last.run.state))
}

struct Delegated {
    task: String,
    queued_at: String,
    last_event: Cell<i64>,
}

/// Waits until the state of the message satisfies `condition`, across restarts of the daemon.
async fn wait_until(
    home: &Home,
    message: &Delegated,
    condition: impl Fn(&DelegateObject) -> bool,
) -> Result<DelegateObject, Failure> {
    loop {
        match wait_until_disconnected(home, message, &condition).await {
            Ok(state) => return Ok(state),
            Err(ClientError::Broken(_) | ClientError::NotRunning { .. }) => {
                connect::reconnect(home, "runs continue without it").await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Checks the state at every event of the coordinator. Fails when the connection breaks.
async fn wait_until_disconnected(
    home: &Home,
    message: &Delegated,
    condition: impl Fn(&DelegateObject) -> bool,
) -> Result<DelegateObject, ClientError> {
    let socket = paths::socket(home).map_err(|failure| ClientError::Broken(failure.message))?;
    let query = EventsQuery {
        reference: Some(COORDINATOR.to_owned()),
        after: message.last_event.get(),
        since: Some(message.queued_at.clone()),
        follow: true,
        ..EventsQuery::default()
    };
    let mut events = Client::connect(&socket).await?.stream(&endpoints::EVENTS, &query).await?;
    let mut client = Client::connect(&socket).await?;
    loop {
        let state = client.call(&endpoints::DELEGATED, &task_query(&message.task)).await?;
        if condition(&state) {
            return Ok(state);
        }
        let event = events.next().await?;
        let event = event.ok_or_else(|| ClientError::Broken("the daemon closed the stream".to_owned()))?;
        message.last_event.set(event.seq);
    }
}
