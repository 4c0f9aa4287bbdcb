//! Waits for the end of a task, across crashes and restarts of the daemon.
//!
//! Events only trigger a look at the task itself, so a lost or repeated event does no harm.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use kugetsu_api::client::{Client, ClientError};
use kugetsu_api::endpoints;
use kugetsu_api::event::{EventObject, EventsQuery};
use kugetsu_api::home::Home;
use kugetsu_api::record::{Body, TranscriptQuery};
use kugetsu_api::task::{TaskObject, TaskQuery};
use kugetsu_domain::machine::Machine;
use tokio::task::JoinHandle;

use crate::connect;
use crate::failure::Failure;
use crate::format;
use crate::paths;
use crate::ui::{self, one_line};

/// How long the last steps may take to arrive after the task has ended.
const LAST_STEPS_TIMEOUT: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(crate) enum Waited {
    Ended(Box<TaskObject>),
    /// The user pressed Ctrl-C; the run continues.
    Interrupted,
}

/// Waits for the end of the task and prints on stderr the steps of its run and what the agent says.
pub(crate) async fn wait_for_task(home: &Home, task: &TaskObject, cwd: &str) -> Result<Waited, Failure> {
    let mut watch = Watch { home, task, cwd, last_event: 0, steps: None };
    let ended = tokio::select! {
        ended = watch.until_ended() => ended,
        _ = tokio::signal::ctrl_c() => return Ok(Waited::Interrupted),
    };
    watch.finish_steps().await;
    ended.map(|task| Waited::Ended(Box::new(task)))
}

struct Watch<'a> {
    home: &'a Home,
    task: &'a TaskObject,
    cwd: &'a str,
    last_event: i64,
    /// Prints the steps of the run.
    steps: Option<JoinHandle<()>>,
}

impl Watch<'_> {
    async fn until_ended(&mut self) -> Result<TaskObject, Failure> {
        loop {
            match self.until_ended_or_disconnected().await {
                Ok(task) => return Ok(task),
                Err(ClientError::NotRunning { .. } | ClientError::Broken(_)) => {
                    connect::reconnect(self.home, "the run continues without it").await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn until_ended_or_disconnected(&mut self) -> Result<TaskObject, ClientError> {
        let socket = paths::socket(self.home).map_err(|failure| ClientError::Broken(failure.message))?;
        let query = EventsQuery {
            reference: Some(self.task.run.issue.clone()),
            cwd: self.cwd.to_owned(),
            after: self.last_event,
            since: Some(self.task.run.queued_at.clone()),
            follow: true,
        };
        let mut events = Client::connect(&socket).await?.stream(&endpoints::EVENTS, &query).await?;
        let mut client = Client::connect(&socket).await?;
        let query = TaskQuery { task: self.task.run.task.clone(), cwd: self.cwd.to_owned() };
        let mut may_have_changed = true;
        loop {
            if may_have_changed {
                let task = client.call(&endpoints::SHOW_TASK, &query).await?;
                if task.run.state.is_final() {
                    return Ok(task);
                }
                if task.run.run.is_some() {
                    self.print_steps(&socket);
                }
            }
            let event = events.next().await?;
            let event = event.ok_or_else(|| ClientError::Broken("the daemon closed the stream".to_owned()))?;
            self.last_event = event.seq;
            may_have_changed = event.task.as_deref() == Some(&self.task.run.task);
            if may_have_changed {
                print_event(&event);
            }
        }
    }

    /// Starts to print the steps of the run in the background, unless a task already does.
    fn print_steps(&mut self, socket: &Path) {
        if self.steps.as_ref().is_some_and(|steps| !steps.is_finished()) {
            return;
        }
        let query = TranscriptQuery {
            reference: self.task.run.issue.clone(),
            cwd: self.cwd.to_owned(),
            since: Some(self.task.run.queued_at.clone()),
            follow: true,
            ..TranscriptQuery::default()
        };
        let since = self.task.run.queued_at.parse::<Timestamp>().map_or(0, Timestamp::as_millisecond);
        // Every stream starts from the beginning. Steps of the previous stream are not printed again.
        let since = if self.steps.is_some() { Timestamp::now().as_millisecond() } else { since };
        let socket = socket.to_owned();
        self.steps = Some(tokio::spawn(async move {
            // The end of the task comes from the events, so an error here only ends the output of steps.
            let Ok(client) = Client::connect(&socket).await else { return };
            let Ok(mut records) = client.stream(&endpoints::TRANSCRIPT, &query).await else { return };
            let mut text_of_agent = Lines::default();
            while let Ok(Some(record)) = records.next().await {
                if record.at < since {
                    continue;
                }
                if let Body::Text { text } = &record.body {
                    text_of_agent.push(text);
                    continue;
                }
                text_of_agent.end();
                match record.body {
                    Body::Step { text } => ui::note(format!("· {}", one_line(&text))),
                    Body::Notice { text } => ui::note(format!("! {text}")),
                    Body::Session { session, .. } => ui::note(format!("· session {}", one_line(&session))),
                    _ => {}
                }
            }
            text_of_agent.end();
        }));
    }

    async fn finish_steps(&mut self) {
        if let Some(mut steps) = self.steps.take()
            && tokio::time::timeout(LAST_STEPS_TIMEOUT, &mut steps).await.is_err()
        {
            steps.abort();
        }
    }
}

/// Prints what the agent says on stderr, line by line: its text arrives in pieces that end anywhere.
#[derive(Default)]
struct Lines {
    open: String,
}

impl Lines {
    fn push(&mut self, text: &str) {
        self.open.push_str(text);
        if let Some(end) = self.open.rfind('\n') {
            let rest = self.open.split_off(end + 1);
            ui::agent_text(std::mem::replace(&mut self.open, rest).trim_end_matches('\n'));
        }
    }

    fn end(&mut self) {
        let open = std::mem::take(&mut self.open);
        if !open.is_empty() {
            ui::agent_text(&open);
        }
    }
}

/// Prints an event of the task that is not among the steps of its run.
fn print_event(event: &EventObject) {
    let field = |name: &str| event.data.get(name).and_then(|value| value.as_str()).unwrap_or_default();
    match event.kind.as_str() {
        "runner_lost" => ui::note(format!("! lost the run: {}", field("reason"))),
        "run_paused" => ui::note(format!(
            "! waiting until {}: {}; {}",
            format::local_time(field("not_before")),
            field("reason"),
            field("hint")
        )),
        "pause_ended" => ui::note("· the pause is over"),
        "cancel_asked" => ui::note("· canceling the run"),
        "run_ended" => ui::note(format!("· the run ended: {} ({})", field("state"), field("reason"))),
        _ => {}
    }
}
