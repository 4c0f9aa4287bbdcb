//! What `start` and `continue` have in common: the message, and what is said of the queued task.

use std::io::{self, Read};

use kugetsu_api::home::Home;
use kugetsu_api::path;
use kugetsu_api::run::State;
use kugetsu_api::task::TaskObject;

use crate::connect;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::wait::{Waited, wait_for_task};
use crate::{format, ui};

/// The daemon takes no more; reading more would only fill memory.
const MESSAGE_MAX: u64 = 1024 * 1024;

/// The message: as typed, or from stdin for `-`.
pub(crate) fn read_message(typed: Option<String>) -> Result<Option<String>, Failure> {
    if typed.as_deref() != Some("-") {
        return Ok(typed);
    }
    let mut bytes = Vec::new();
    io::stdin()
        .lock()
        .take(MESSAGE_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::new(format!("the message could not be read from stdin: {error}")))?;
    if bytes.len() as u64 > MESSAGE_MAX {
        return Err(Failure::usage(format!("the message on stdin is longer than {MESSAGE_MAX} bytes")));
    }
    String::from_utf8(bytes).map(Some).map_err(|_| {
        Failure::usage("the message on stdin is not UTF-8")
            .hint("convert it first, for example with: iconv -f latin1 -t utf-8")
    })
}

/// Says where the queued task stands, or waits for its end.
pub(crate) async fn report(home: &Home, task: TaskObject, cwd: &str, wait: bool, json: bool) -> Result<Exit, Failure> {
    for note in &task.notes {
        ui::warning(note);
    }
    if !wait {
        // The answer to a queued task does not count the line, so that queueing costs the same however long it is.
        let now: TaskObject = connect::ask(home, &path::with(path::TASK, &task.run.task)).await?;
        let task = TaskObject { notes: task.notes, ..now };
        if json {
            ui::json(&task)?;
        } else if task.run.state == State::Done {
            ui::line(format::task_status(&task));
        } else {
            ui::line(format!("{}; follow it: kugetsu logs -f {}", format::task_status(&task), task.run.issue));
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
                "\nno longer waiting; the run goes on. follow it: kugetsu logs -f {issue}; end it: kugetsu queue cancel {issue}"
            ));
            Ok(Exit::Canceled)
        }
    }
}
