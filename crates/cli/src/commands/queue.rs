//! `kugetsu queue`: lists and changes queued, running and ended tasks.

use std::collections::HashSet;
use std::time::Duration;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use kugetsu_api::endpoint::{Endpoint, NoFields};
use kugetsu_api::endpoints;
use kugetsu_api::home::Home;
use kugetsu_api::task::{CleanRequest, MoveTaskRequest, QueueTarget, TaskKind, TaskObject, TaskQuery, TasksQuery};
use kugetsu_domain::duration;
use kugetsu_domain::machine::Machine;
use kugetsu_domain::task::TaskState;
use kugetsu_domain::text::counted;
use kugetsu_engine::coordinator::delegate::own_words;

use super::list::{DEFAULT_LIMIT, print_json};
use super::pause;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::table::Fit;
use crate::{completions, connect, format, paths, ui};

/// List and change queued and running tasks.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu queue list
  kugetsu queue cancel .")]
pub(crate) struct Queue {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List queued and running tasks.
    #[command(after_help = "\
Examples:
  kugetsu queue list
  kugetsu queue list --all --limit 100")]
    List(List),
    /// Show a task.
    #[command(after_help = "\
Examples:
  kugetsu queue show acme/api#12")]
    Show(One),
    /// Remove a task from the queue, or end its run. Its work is kept.
    #[command(after_help = "\
Examples:
  kugetsu queue cancel acme/api#12
  kugetsu queue cancel acme/api#12 acme/api#13")]
    Cancel(Several),
    /// Move queued tasks to the beginning or end of the queue, or to another priority.
    #[command(
        override_usage = "kugetsu queue move <--first|--last|--priority <NUMBER>> <TASKS>...",
        after_help = "\
Examples:
  kugetsu queue move acme/api#12 --first
  kugetsu queue move acme/api#12 --priority 5"
    )]
    Move(Move),
    /// Queue an ended task again, or continue a paused one at once.
    #[command(after_help = "\
Examples:
  kugetsu queue retry acme/api#12
  kugetsu queue retry acme/api#12 acme/api#13")]
    Retry(Several),
    /// Delete ended tasks from the history.
    #[command(after_help = "\
Examples:
  kugetsu queue clean
  kugetsu queue clean --older-than 30d")]
    Clean {
        /// Minimum age of deleted tasks; defaults to the setting queue.keep.
        #[arg(long, value_name = "TIME", value_parser = duration::parse)]
        older_than: Option<Duration>,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct List {
    /// Include ended tasks. The newest tasks are listed first.
    #[arg(long)]
    all: bool,
    /// Maximum number of tasks; defaults to 30, and to all with --json.
    #[arg(long, value_name = "N", value_parser = super::list::limit)]
    limit: Option<u32>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Several {
    /// The IDs of the tasks, or issues to select their latest tasks.
    #[arg(required = true, add = completions::issues())]
    tasks: Vec<String>,
    /// Print the result as JSON; an array if several were named.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Move {
    /// The IDs of the tasks, or issues to select their latest tasks.
    #[arg(required = true, add = completions::issues())]
    tasks: Vec<String>,
    #[command(flatten)]
    to: Target,
    /// Print the result as JSON; an array if several were named.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[group(required = true)]
struct Target {
    /// Before all other queued tasks.
    #[arg(long)]
    first: bool,
    /// Behind all other queued tasks.
    #[arg(long)]
    last: bool,
    /// Tasks with a higher priority run first.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, value_parser = super::start::priority)]
    priority: Option<i32>,
}

#[derive(Debug, Args)]
struct One {
    /// The ID of the task, or an issue to select its latest task.
    #[arg(add = completions::issues())]
    task: String,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(home: &Home, arguments: Queue) -> Result<Exit, Failure> {
    match arguments.action {
        Action::List(arguments) => list(home, arguments).await?,
        Action::Show(one) => {
            let query = TaskQuery { task: one.task, cwd: paths::cwd()? };
            let task = connect::call(home, &endpoints::SHOW_TASK, &query).await?;
            if one.json { ui::json(&task)? } else { format::print_task(&task) }
        }
        Action::Cancel(several) => return change_all(home, &endpoints::CANCEL_TASK, several).await,
        Action::Move(arguments) => return move_tasks(home, arguments).await,
        Action::Retry(several) => return change_all(home, &endpoints::RETRY_TASK, several).await,
        Action::Clean { older_than, json } => {
            let request = CleanRequest { older_than_seconds: older_than.map(|age| age.as_secs()) };
            let cleaned = connect::call_once(home, &endpoints::CLEAN_TASKS, &request).await?;
            if json {
                ui::json(&cleaned)?;
            } else {
                ui::line(format!("deleted {}", counted(cleaned.removed, "ended task")));
            }
        }
    }
    Ok(Exit::Done)
}

/// Changes one task after the other. One that cannot be changed does not keep the others.
async fn change_all(
    home: &Home,
    endpoint: &Endpoint<TaskQuery, TaskObject>,
    Several { tasks, json }: Several,
) -> Result<Exit, Failure> {
    let cwd = paths::cwd()?;
    let mut report = Report::new(tasks.len() == 1, json);
    let cancels = endpoint.route.path == endpoints::CANCEL_TASK.route.path;
    for task in tasks {
        let changed = connect::call_once(home, endpoint, &TaskQuery { task, cwd: cwd.clone() }).await;
        report.add(changed, |task| match cancels && task.run.state == TaskState::Running {
            // The run reports its end later.
            true => format!("canceling {}", task.run.issue),
            false => format::task_status(task),
        })?;
    }
    report.end()
}

async fn move_tasks(home: &Home, Move { tasks, to, json }: Move) -> Result<Exit, Failure> {
    let cwd = paths::cwd()?;
    let to = match to.priority {
        Some(priority) => QueueTarget::Priority(priority),
        None if to.first => QueueTarget::First,
        None => QueueTarget::Last,
    };
    let is_one = tasks.len() == 1;
    let mut requests: Vec<_> = tasks.into_iter().map(|task| MoveTaskRequest { task, cwd: cwd.clone(), to }).collect();
    // Each goes before those that were moved earlier. The results are in the order as typed.
    let is_reversed = to == QueueTarget::First;
    if is_reversed {
        requests.reverse();
    }
    let mut moved = Vec::new();
    for request in &requests {
        moved.push(connect::call_once(home, &endpoints::MOVE_TASK, request).await);
    }
    if is_reversed {
        moved.reverse();
    }
    let mut report = Report::new(is_one, json);
    for task in moved {
        let task = match task {
            // The later moves have changed its position.
            Ok(task) if !is_one => {
                let query = TaskQuery { task: task.run.task.clone(), cwd: cwd.clone() };
                let current = connect::call(home, &endpoints::SHOW_TASK, &query).await;
                current.map(|current| TaskObject { notes: task.notes, ..current })
            }
            task => task,
        };
        report.add(task, format::task_status)?;
    }
    report.end()
}

/// The results of a change of tasks. They are printed as they are added, or as JSON at the end.
struct Report {
    is_one: bool,
    json: bool,
    changed: Vec<TaskObject>,
    exit: Exit,
}

impl Report {
    fn new(is_one: bool, json: bool) -> Self {
        Self { is_one, json, changed: vec![], exit: Exit::Done }
    }

    fn add(&mut self, task: Result<TaskObject, Failure>, text: impl Fn(&TaskObject) -> String) -> Result<(), Failure> {
        match task {
            Ok(task) => {
                if !self.json {
                    ui::line(text(&task));
                    task.notes.iter().for_each(ui::warning);
                }
                self.changed.push(task);
            }
            Err(failure) if self.is_one => return Err(failure),
            Err(failure) => {
                ui::failure(&failure);
                self.exit = failure.exit;
            }
        }
        Ok(())
    }

    fn end(self) -> Result<Exit, Failure> {
        match self.changed.first() {
            Some(task) if self.json && self.is_one => ui::json(task)?,
            _ if self.json => ui::json(&self.changed)?,
            _ => {}
        }
        Ok(self.exit)
    }
}

async fn list(home: &Home, List { all, limit, json }: List) -> Result<(), Failure> {
    if json {
        let query = TasksQuery { all, newest_first: all && limit.is_some(), limit, ..TasksQuery::default() };
        return print_json(connect::stream_list(home, &endpoints::LIST_TASKS, &query).await?).await;
    }
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    // The additional one shows whether there are more.
    let query = TasksQuery {
        all,
        newest_first: all,
        by_priority: !all,
        limit: Some(limit.saturating_add(1)),
        ..TasksQuery::default()
    };
    let mut tasks = connect::list(home, &endpoints::LIST_TASKS, &query).await?;
    let has_more = tasks.len() > limit as usize;
    tasks.truncate(limit as usize);
    let status = match all {
        false => Some(connect::call(home, &endpoints::STATUS, &NoFields {}).await?),
        true => None,
    };
    if let Some(status) = &status {
        pause::print_holds(&status.holds);
    }
    if tasks.is_empty() {
        ui::line(if all { "no tasks" } else { "no queued or running tasks" });
        return Ok(());
    }
    print_table(&tasks);
    if has_more && all {
        let more = limit.saturating_mul(10);
        ui::note(format!("older tasks not shown; list more with `kugetsu queue list --all --limit {more}`"));
    } else if let Some(status) = status.filter(|_| has_more) {
        let total = (status.queued + status.running).max(tasks.len() as u64 + 1);
        let more = counted(total - tasks.len() as u64, "more task");
        ui::note(format!("{more} not shown; list them with `kugetsu queue list --limit {total}`"));
    }
    Ok(())
}

/// Least width of the column of IDs, of which 36 characters are whole.
const TASK_MIN: usize = 13;

fn print_table(tasks: &[TaskObject]) {
    let now = Timestamp::now();
    // An issue stands for its latest task. If an issue has several, their IDs are needed to tell them apart.
    let mut seen = HashSet::new();
    let with_ids = !tasks.iter().all(|task| seen.insert(task.run.issue.as_str()));
    let with_priorities = tasks.iter().any(|task| task.priority != 0);
    let mut columns =
        vec![("ISSUE", Fit::Middle(20)), ("STATE", Fit::Whole), ("POSITION", Fit::Whole), ("AGE", Fit::Whole)];
    columns.extend(with_priorities.then_some(("PRIORITY", Fit::Whole)));
    // The end of an ID is random, so it tells tasks apart.
    columns.extend(with_ids.then_some(("TASK", Fit::Middle(TASK_MIN))));
    columns.push(("MESSAGE", Fit::Free));
    let row = |task: &TaskObject| {
        let position = task.place.map_or_else(String::new, |ahead| (ahead + 1).to_string());
        let age = format::age(&task.run.queued_at, now);
        let mut row = vec![task.run.issue.clone(), task.run.state.name().to_owned(), position, age];
        row.extend(with_priorities.then(|| task.priority.to_string()));
        row.extend(with_ids.then(|| task.run.task.clone()));
        // A task that waits for another issue, or for its model, says so.
        let waits = format::reason(&task.run).filter(|_| task.run.state == TaskState::Queued);
        let waits = waits.map(|reason| format!("({reason}) ")).unwrap_or_default();
        let message = match task.kind {
            TaskKind::Push => "(push, without the agent)",
            _ => own_words(&task.message),
        };
        row.push(format!("{waits}{message}"));
        row
    };
    let rows: Vec<Vec<String>> = tasks.iter().map(row).collect();
    ui::table_with_tones(&columns, &rows, |row| (1, format::tone(tasks[row].run.state)));
}
