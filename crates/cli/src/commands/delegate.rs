//! `kugetsu delegate` (C4): hands a message over to the coordinator.

use std::cell::Cell;

use clap::Args;
use kugetsu_api::client::{Client, ClientError};
use kugetsu_api::delegate::{CandidateObject, DelegateObject, DelegateRequest};
use kugetsu_api::event::EventObject;
use kugetsu_api::home::Home;
use kugetsu_api::path;
use kugetsu_api::task::TaskObject;
use kugetsu_domain::reference::COORDINATOR;
use uuid::Uuid;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::{self, Tone};
use crate::wait::{Waited, wait_for_task};
use crate::{completions, connect, format, paths};

use crate::queued_task;

/// Hand a message over to the coordinator: it begins and watches the work on issues, and reports.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu delegate \"work on acme/api#12 and acme/api#14\"
  kugetsu delegate \"fix the build of acme/api#12\" --wait
  kugetsu delegate --worktree acme/api#12 \"add a test to it\"
  kugetsu delegate --anyway \"see what is left of #12\"")]
pub(crate) struct Delegate {
    /// What is to be done; `-` reads it from stdin. Issues are named in it as people write them.
    message: String,
    /// The issue whose work is meant, where the message may mean one that was worked on.
    #[arg(long, value_name = "REFERENCE", conflicts_with = "anyway", add = completions::issues())]
    worktree: Option<String>,
    /// Hand it over without saying which work is meant.
    #[arg(long)]
    anyway: bool,
    /// Wait for the report; the exit code says how the coordinator ended.
    #[arg(long)]
    wait: bool,
    /// Show an object for programs.
    #[arg(long)]
    json: bool,
}

/// Queues the message.
pub(crate) async fn run(home: &Home, arguments: Delegate) -> Result<Exit, Failure> {
    let mut request = DelegateRequest {
        task: Uuid::now_v7().to_string(),
        message: queued_task::read_message(Some(arguments.message))?.unwrap_or_default(),
        cwd: paths::cwd()?,
        worktree: arguments.worktree,
        anyway: arguments.anyway,
    };
    if request.worktree.is_none() && !request.anyway && ui::can_ask() && !ask(home, &mut request).await? {
        ui::line("nothing was handed over");
        return Ok(Exit::NeedsPerson);
    }
    let task: TaskObject = connect::delegate(home, &request).await?;
    if arguments.wait {
        return wait(home, task, &request.cwd, arguments.json).await;
    }
    let now: TaskObject = connect::ask(home, &path::with(path::TASK, &task.run.task)).await?;
    if arguments.json {
        ui::json(&now)?;
    } else {
        ui::line(format!("{}; its report: kugetsu logs -f {COORDINATOR}", standing(&now)));
    }
    Ok(Exit::Done)
}

fn standing(task: &TaskObject) -> String {
    match task.place {
        Some(0) => "your message is queued for the coordinator, next in line".to_owned(),
        Some(before) => format!("your message is queued for the coordinator, {before} before it"),
        None => format!("the coordinator has your message, which is {}", task.run.state.name()),
    }
}

/// Asks which of the issues that the message may mean is the one; false when the person wants none of it.
async fn ask(home: &Home, request: &mut DelegateRequest) -> Result<bool, Failure> {
    let candidates: Vec<CandidateObject> =
        connect::ready(home).await?.post(path::DELEGATE_CANDIDATES, &*request).await?;
    if candidates.is_empty() {
        return Ok(true);
    }
    ui::note("your message may mean work that was begun already:");
    for (number, candidate) in (1..).zip(&candidates) {
        let run = &candidate.run;
        let reason = run.reason.as_deref().map(|reason| format!(": {}", ui::one_line(reason))).unwrap_or_default();
        ui::note(format!("  {number}  {} is {}{reason}", run.issue, run.state.name()));
    }
    let answer = ui::choose("which one is it about? (its number, or `a` to hand it over as it is)")?;
    if matches!(answer.as_str(), "a" | "anyway") {
        request.anyway = true;
        return Ok(true);
    }
    let chosen = answer.parse::<usize>().ok().and_then(|number| candidates.get(number.checked_sub(1)?));
    request.worktree = chosen.map(|candidate| candidate.run.issue.clone());
    Ok(request.worktree.is_some())
}

/// Waits until nothing more comes of the message by itself.
async fn wait(home: &Home, first: TaskObject, cwd: &str, json: bool) -> Result<Exit, Failure> {
    let message = Followed { task: first.run.task.clone(), queued_at: first.run.queued_at.clone(), seen: Cell::new(0) };
    let mut next = first;
    let interrupted = || {
        ui::note(format!("\nno longer waiting; the work goes on. its report: kugetsu logs -f {COORDINATOR}"));
        Ok(Exit::Canceled)
    };
    loop {
        ui::note(format!("· {}", format::task_status(&next)));
        let ended = match wait_for_task(home, &next, cwd).await? {
            Waited::Ended(ended) => *ended,
            Waited::Interrupted => return interrupted(),
        };
        let all: DelegateObject = connect::ask(home, &path::with(path::DELEGATED, &message.task)).await?;
        let going_on = all.asked.iter().filter(|run| !run.state.is_final()).map(|run| run.issue.as_str());
        let going_on = going_on.collect::<Vec<_>>().join(", ");
        if !going_on.is_empty() {
            ui::note(format!("· waiting until it has ended: {going_on}"));
        }
        let shown = |all: &DelegateObject| all.tasks.iter().position(|task| task.run.task == ended.run.task);
        let all = tokio::select! {
            all = change(home, &message, |all| all.over || shown(all).is_some_and(|at| at + 1 < all.tasks.len())) => all?,
            _ = tokio::signal::ctrl_c() => return interrupted(),
        };
        match shown(&all).and_then(|at| all.tasks.get(at + 1)) {
            Some(report) => next = report.clone(),
            None => return end(&ended, &all, json),
        }
    }
}

fn end(last: &TaskObject, all: &DelegateObject, json: bool) -> Result<Exit, Failure> {
    if json {
        ui::json(all)?;
    } else {
        ui::toned(format::tone(last.run.state), last.run.state.name());
        ui::line(last.run.reason.as_deref().unwrap_or_default());
        for run in &all.asked {
            ui::toned(Tone::Dim, format!("  {} is {}", run.issue, run.state.name()));
        }
    }
    Ok(Exit::of_state(last.run.state))
}

/// A message whose consequences are followed.
struct Followed {
    task: String,
    queued_at: String,
    /// The last event that was seen.
    seen: Cell<i64>,
}

/// Waits until what became of the message is as it is wanted.
async fn change(
    home: &Home,
    message: &Followed,
    is_wanted: impl Fn(&DelegateObject) -> bool,
) -> Result<DelegateObject, Failure> {
    loop {
        match look(home, message, &is_wanted).await {
            Ok(found) => return Ok(found),
            Err(ClientError::Broken(_) | ClientError::NotRunning { .. }) => {
                connect::back_or_tell(home, "runs go on without it", &message.task).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Looks each time that the coordinator gets a task or ends one, as long as the connection holds.
async fn look(
    home: &Home,
    message: &Followed,
    is_wanted: impl Fn(&DelegateObject) -> bool,
) -> Result<DelegateObject, ClientError> {
    let socket = paths::socket(home).map_err(|failure| ClientError::Broken(failure.message))?;
    let seen = message.seen.get().to_string();
    let events = path::with_query(
        path::EVENTS,
        &[
            ("reference", Some(COORDINATOR)),
            ("follow", Some("1")),
            ("after", Some(&seen)),
            ("since", Some(&message.queued_at)),
        ],
    );
    let mut events = Client::connect(&socket).await?.stream::<EventObject>(&events).await?;
    let mut asking = Client::connect(&socket).await?;
    let asked = path::with(path::DELEGATED, &message.task);
    loop {
        let found: DelegateObject = asking.get(&asked).await?;
        if is_wanted(&found) {
            return Ok(found);
        }
        let event = events.next().await?;
        message.seen.set(event.ok_or_else(|| ClientError::Broken("the daemon ended the stream".to_owned()))?.seq);
    }
}
