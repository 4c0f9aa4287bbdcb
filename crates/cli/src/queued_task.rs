//! Shared by the commands that queue a task: reporting its state, or waiting for its end.

use kugetsu_api::endpoints;
use kugetsu_api::home::Home;
use kugetsu_api::task::{TaskObject, TaskQuery};
use kugetsu_domain::task::TaskState;

use crate::connect;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::wait::{Waited, wait_for_task};
use crate::{format, ui};

/// Prints the state of the queued task, or waits for its end with `wait`.
pub(crate) async fn report(home: &Home, task: TaskObject, cwd: &str, wait: bool, json: bool) -> Result<Exit, Failure> {
    for note in &task.notes {
        ui::warning(note);
    }
    if !wait {
        // The response to queueing has no position, so that its cost does not grow with the queue.
        let query = TaskQuery { task: task.run.task.clone(), cwd: cwd.to_owned() };
        let current = connect::call(home, &endpoints::SHOW_TASK, &query).await?;
        let task = TaskObject { notes: task.notes, ..current };
        if json {
            ui::json(&task)?;
        } else if task.run.state == TaskState::Done {
            ui::line(format::task_status(&task));
        } else {
            let follow = format!("follow it with `kugetsu logs -f {}`", task.run.issue);
            ui::line(format!("{}; {follow}", format::task_status(&task)));
        }
        return Ok(Exit::Done);
    }
    ui::note(format!("· {}", format::task_status(&task)));
    match wait_for_task(home, &task, cwd).await? {
        Waited::Ended(task) => {
            if json {
                ui::json(&task.run)?;
            } else {
                format::print_run(&task.run);
            }
            Ok(Exit::of_state(task.run.state))
        }
        Waited::Interrupted => {
            let issue = &task.run.issue;
            ui::note(format!(
                "\nstopped waiting; the run continues. Follow it with `kugetsu logs -f {issue}`, cancel it with `kugetsu \
                 queue cancel {issue}`"
            ));
            Ok(Exit::Canceled)
        }
    }
}
