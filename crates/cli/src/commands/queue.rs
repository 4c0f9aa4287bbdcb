//! `kugetsu queue` (C12): the tasks in line and what became of them.

use std::collections::HashSet;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use kugetsu_api::home::Home;
use kugetsu_api::path;
use kugetsu_api::run::State;
use kugetsu_api::task::{CleanRequest, TaskObject};
use kugetsu_engine::coordinator::delegate::own_words;
use serde::{Deserialize, Serialize};

use crate::config::duration;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::{completions, connect, format, paths, ui};

/// See and change the queue.
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
    /// List the tasks that wait or run.
    #[command(after_help = "\
Examples:
  kugetsu queue list
  kugetsu queue list --all")]
    List {
        /// Also those that ended.
        #[arg(long)]
        all: bool,
        /// Show objects for programs.
        #[arg(long)]
        json: bool,
    },
    /// Show one task.
    #[command(after_help = "\
Examples:
  kugetsu queue show acme/api#12")]
    Show(One),
    /// End a task: take it out of the line, or end its run. Its work is kept.
    #[command(after_help = "\
Examples:
  kugetsu queue cancel acme/api#12")]
    Cancel(One),
    /// Try an ended task again.
    #[command(after_help = "\
Examples:
  kugetsu queue retry acme/api#12")]
    Retry(One),
    /// Remove ended tasks from the history.
    #[command(after_help = "\
Examples:
  kugetsu queue clean
  kugetsu queue clean --older-than 30d")]
    Clean {
        /// Only those that ended longer ago than this; the setting queue.keep otherwise.
        #[arg(long, value_name = "TIME")]
        older_than: Option<String>,
        /// Show an object for programs.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct One {
    /// The task's identifier, or the issue: its latest task.
    #[arg(add = completions::issues())]
    task: String,
    /// Show an object for programs.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Removed {
    removed: u64,
}

/// Does what is asked.
pub(crate) async fn run(home: &Home, arguments: Queue) -> Result<Exit, Failure> {
    match arguments.action {
        Action::List { all, json } => list(home, all, json).await?,
        Action::Show(one) => {
            let task: TaskObject = connect::ask(home, &address(path::TASK, &one.task)?).await?;
            if one.json { ui::json(&task)? } else { format::print_task(&task) }
        }
        Action::Cancel(one) => change(home, path::TASK_CANCEL, &one).await?,
        Action::Retry(one) => change(home, path::TASK_RETRY, &one).await?,
        Action::Clean { older_than, json } => {
            let age = older_than.as_deref().map(duration::read).transpose();
            let age = age.map_err(|why| Failure::usage(format!("--older-than: {why}")))?;
            let request = CleanRequest { older_than_seconds: age.map(|age| age.as_secs()) };
            let removed: Removed = connect::ready(home).await?.post(path::TASKS_CLEAN, &request).await?;
            if json {
                ui::json(&removed)?;
            } else {
                ui::line(format!("{} ended tasks are removed from the history", removed.removed));
            }
        }
    }
    Ok(Exit::Done)
}

async fn change(home: &Home, path: &str, one: &One) -> Result<(), Failure> {
    let task: TaskObject = connect::ready(home).await?.post(&address(path, &one.task)?, &()).await?;
    if one.json {
        return ui::json(&task);
    }
    // A run that was asked to end says so itself when it has.
    let ending = path == path::TASK_CANCEL && task.run.state == State::Running;
    ui::line(if ending { format!("{} is being ended", task.run.issue) } else { format::task_status(&task) });
    Ok(())
}

fn address(path: &str, task: &str) -> Result<String, Failure> {
    Ok(path::with_query(&path::with(path, task), &[("cwd", Some(&paths::cwd()?))]))
}

async fn list(home: &Home, all: bool, json: bool) -> Result<(), Failure> {
    let path = path::with_query(path::TASKS, &[("all", all.then_some("1"))]);
    let tasks: Vec<TaskObject> = connect::ask(home, &path).await?;
    if json {
        return ui::json(&tasks);
    }
    if tasks.is_empty() {
        ui::line(if all { "there are no tasks" } else { "nothing waits and nothing runs" });
        return Ok(());
    }
    let now = Timestamp::now();
    // An issue names its latest task; only where there are more of them the others need their own names.
    let mut seen = HashSet::new();
    let twice = !tasks.iter().all(|task| seen.insert(task.run.issue.as_str()));
    let rows: Vec<Vec<String>> = tasks
        .iter()
        .map(|task| {
            let place = task.place.map_or_else(String::new, |before| (before + 1).to_string());
            let mut row = vec![task.run.issue.clone(), task.run.state.name().to_owned(), place];
            row.push(format::age(&task.run.queued_at, now));
            if twice {
                row.push(task.run.task.clone());
            }
            row.push(own_words(&task.message).to_owned());
            row
        })
        .collect();
    let heads: &[&str] = if twice {
        &["ISSUE", "STATE", "PLACE", "AGE", "TASK", "MESSAGE"]
    } else {
        &["ISSUE", "STATE", "PLACE", "AGE", "MESSAGE"]
    };
    ui::rows_in_tone(heads, &rows, |row| (1, format::tone(tasks[row].run.state)));
    Ok(())
}
