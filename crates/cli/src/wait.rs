//! Waits for a task's end, whatever happens to the daemon meanwhile.
//!
//! The events say when to look; what is looked at is the task itself. So a lost or repeated event does no harm.

use std::time::Duration;

use jiff::Timestamp;
use kugetsu_api::client::{Client, ClientError};
use kugetsu_api::event::EventObject;
use kugetsu_api::home::Home;
use kugetsu_api::path;
use kugetsu_api::record::{Body, Record};
use kugetsu_api::task::TaskObject;
use tokio::task::JoinHandle;

use crate::connect;
use crate::failure::Failure;
use crate::paths;
use crate::ui::{self, one_line};

/// How long the last steps may take to arrive when the task has ended.
const LAST_STEPS: Duration = Duration::from_millis(500);

/// How the waiting ended.
#[derive(Debug)]
pub(crate) enum Waited {
    /// The task ended.
    Ended(Box<TaskObject>),
    /// The person at the terminal had enough; the run goes on.
    Interrupted,
}

/// Waits for the task's end and shows every step on stderr.
pub(crate) async fn wait_for_task(home: &Home, task: &TaskObject, cwd: &str) -> Result<Waited, Failure> {
    let mut following = Following { home, task, cwd, seen: 0, steps: None };
    let ended = tokio::select! {
        ended = following.follow() => ended,
        _ = tokio::signal::ctrl_c() => return Ok(Waited::Interrupted),
    };
    following.end_steps().await;
    ended.map(|task| Waited::Ended(Box::new(task)))
}

struct Following<'a> {
    home: &'a Home,
    task: &'a TaskObject,
    cwd: &'a str,
    /// The last event that was seen.
    seen: i64,
    steps: Option<JoinHandle<()>>,
}

impl Following<'_> {
    async fn follow(&mut self) -> Result<TaskObject, Failure> {
        loop {
            match self.follow_once().await {
                Ok(task) => return Ok(task),
                Err(ClientError::NotRunning { .. } | ClientError::Broken(_)) => {
                    connect::back_or_tell(self.home, "the run goes on without it", &self.task.run.task).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Until the task has ended or the connection has.
    async fn follow_once(&mut self) -> Result<TaskObject, ClientError> {
        let socket = paths::socket(self.home).map_err(|failure| ClientError::Broken(failure.message))?;
        let seen = self.seen.to_string();
        let mut events = Client::connect(&socket)
            .await?
            .stream::<EventObject>(&path::with_query(
                path::EVENTS,
                &[
                    ("reference", Some(&self.task.run.issue)),
                    ("cwd", Some(self.cwd)),
                    ("follow", Some("1")),
                    ("after", Some(&seen)),
                    ("since", Some(&self.task.run.queued_at)),
                ],
            ))
            .await?;
        let mut asking = Client::connect(&socket).await?;
        let path = path::with_query(&path::with(path::TASK, &self.task.run.task), &[("cwd", Some(self.cwd))]);
        let mut look = true;
        loop {
            if look {
                let task: TaskObject = asking.get(&path).await?;
                if task.run.state.is_final() {
                    return Ok(task);
                }
                if task.run.run.is_some() {
                    self.follow_steps(&socket);
                }
            }
            let event =
                events.next().await?.ok_or_else(|| ClientError::Broken("the daemon ended the stream".to_owned()))?;
            self.seen = event.seq;
            look = event.task.as_deref() == Some(&self.task.run.task);
            if look {
                say(&event);
            }
        }
    }

    /// Shows what the run does, beside.
    fn follow_steps(&mut self, socket: &std::path::Path) {
        if self.steps.as_ref().is_some_and(|steps| !steps.is_finished()) {
            return;
        }
        let path = path::with_query(
            path::TRANSCRIPT,
            &[
                ("reference", Some(&self.task.run.issue)),
                ("cwd", Some(self.cwd)),
                ("follow", Some("1")),
                ("since", Some(&self.task.run.queued_at)),
            ],
        );
        let since = self.task.run.queued_at.parse::<Timestamp>().map_or(0, Timestamp::as_millisecond);
        // A second stream begins anew; what the first one has shown is not shown again.
        let since = if self.steps.is_some() { Timestamp::now().as_millisecond() } else { since };
        let socket = socket.to_owned();
        self.steps = Some(tokio::spawn(async move {
            let Ok(client) = Client::connect(&socket).await else { return };
            let Ok(mut records) = client.stream::<Record>(&path).await else { return };
            // The steps are only told; how the task ends is learned from the events.
            while let Ok(Some(record)) = records.next().await {
                match record.body {
                    Body::Step { text } if record.at >= since => ui::note(format!("· {}", one_line(&text))),
                    Body::Notice { text } if record.at >= since => ui::note(format!("! {text}")),
                    Body::Session { session, .. } if record.at >= since => {
                        ui::note(format!("· session {}", one_line(&session)));
                    }
                    _ => {}
                }
            }
        }));
    }

    async fn end_steps(&mut self) {
        if let Some(mut steps) = self.steps.take()
            && tokio::time::timeout(LAST_STEPS, &mut steps).await.is_err()
        {
            steps.abort();
        }
    }
}

/// One line for an event of the task that the run's own steps do not tell.
fn say(event: &EventObject) {
    let said = |name: &str| event.data.get(name).and_then(|value| value.as_str()).unwrap_or_default();
    match event.kind.as_str() {
        "runner_lost" => ui::note(format!("! the run is lost: {}", said("reason"))),
        "cancel_asked" => ui::note("· somebody asked for the end"),
        "run_ended" => ui::note(format!("· the run ended: {} ({})", said("state"), said("reason"))),
        _ => {}
    }
}
