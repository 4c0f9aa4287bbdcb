//! Carries a call out, by asking the daemon.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kugetsu_api::client::{Client, ClientError};
use kugetsu_api::endpoint::{Endpoint, ListEndpoint};
use kugetsu_api::endpoints;
use kugetsu_api::issue::{IssueQuery, IssuesQuery};
use kugetsu_api::record::TranscriptQuery;
use kugetsu_api::run::RunObject;
use kugetsu_api::task::{TaskKind, TaskRequest, TasksQuery};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use super::arguments::{Continue, Issue, List, Logs, Start};
use super::bounds::{BoundedList, bounded_message, bounded_reason, issue_entry, short, task_entry, told};

/// Lines of a transcript that are shown: where nothing is said, and at most.
const LINES: usize = 40;
const LINES_MAX: usize = 200;
/// A daemon that is upgraded is away for a moment: how often it is tried again, and after what pause.
const AGAIN: usize = 20;
const PAUSE: Duration = Duration::from_millis(500);

/// The way to the daemon, on behalf of one task of the coordinator's.
#[derive(Clone, Debug)]
pub(super) struct Calls {
    pub(super) socket: PathBuf,
    pub(super) task: String,
    pub(super) cwd: String,
}

/// What a tool answers: an object, or what went wrong in words for the agent.
pub(super) type Answer = Result<Value, String>;

impl Calls {
    pub(super) async fn list(&self, List { repository }: List) -> Answer {
        let entry = |run: &RunObject| issue_entry(run, repository.as_deref());
        self.read_list(&endpoints::LIST_ISSUES, &IssuesQuery::default(), "issues", entry).await
    }

    pub(super) async fn show(&self, Issue { issue }: Issue) -> Answer {
        let task = self.call(&endpoints::ISSUE_TASK, &self.named(&issue)).await?;
        let mut shown = short(&task.run);
        shown["kind"] = json!(task.kind.verb());
        shown["message"] = bounded_message(&task.message).into();
        shown["place_in_line"] = task.place.into();
        shown["queued_at"] = task.run.queued_at.into();
        shown["started_at"] = task.run.started_at.into();
        shown["ended_at"] = task.run.ended_at.into();
        shown["worktree"] = task.run.worktree.into();
        Ok(shown)
    }

    pub(super) async fn queue(&self) -> Answer {
        self.read_list(&endpoints::LIST_TASKS, &TasksQuery::default(), "tasks", task_entry).await
    }

    pub(super) async fn start(&self, asked: Start) -> Answer {
        // An issue that was worked on has a session which knows what was done; another one beside it would not.
        let known = self.call(&endpoints::ISSUE_TASK, &self.named(&asked.issue)).await;
        if let Ok(known) = known
            && !is_path(&asked.issue)
            && known.run.session_id.is_some()
            && !known.run.destroyed
        {
            return Err(format!(
                "{} was worked on already and is {}: use `continue`, which goes on in its session",
                known.run.issue,
                known.run.state.name()
            ));
        }
        self.ask(TaskRequest {
            kind: TaskKind::Start,
            reference: asked.issue,
            message: asked.message,
            base: asked.base,
            after: asked.after,
            priority: asked.priority,
            ..TaskRequest::default()
        })
        .await
    }

    pub(super) async fn go_on(&self, asked: Continue) -> Answer {
        self.ask(TaskRequest {
            kind: TaskKind::Continue,
            reference: asked.issue,
            message: Some(asked.message),
            ..TaskRequest::default()
        })
        .await
    }

    pub(super) async fn why(&self, Issue { issue }: Issue) -> Answer {
        let why = self.call(&endpoints::ISSUE_WHY, &self.named(&issue)).await?;
        Ok(
            json!({"issue": why.issue, "state": why.state.name(), "because": why.because.iter().map(|why| bounded_reason(why)).collect::<Vec<_>>()}),
        )
    }

    pub(super) async fn logs(&self, Logs { issue, lines }: Logs) -> Answer {
        let wanted = lines.unwrap_or(LINES).clamp(1, LINES_MAX);
        let mut patience = Patience::default();
        let kept = loop {
            match self.transcript(&issue, wanted).await {
                Err(error) if patience.lasts(&error).await => {}
                kept => break kept.map_err(|error| said(&error))?,
            }
        };
        // What agents print is theirs: it is data here, whatever it says.
        Ok(json!({"issue": issue, "transcript": kept}))
    }

    async fn ask(&self, request: TaskRequest) -> Answer {
        let request = TaskRequest {
            task: Uuid::now_v7().to_string(),
            cwd: self.cwd.clone(),
            asked_by: Some(self.task.clone()),
            ..request
        };
        let task = self.call(&endpoints::QUEUE_TASK, &request).await?;
        Ok(json!({"issue": task.run.issue, "state": task.run.state.name(), "notes": task.notes}))
    }

    /// The last lines of an issue's transcript.
    async fn transcript(&self, issue: &str, wanted: usize) -> Result<VecDeque<String>, ClientError> {
        let client = Client::connect(&self.socket).await?;
        let query =
            TranscriptQuery { reference: issue.to_owned(), cwd: self.cwd.clone(), ..TranscriptQuery::default() };
        let mut stream = client.stream(&endpoints::TRANSCRIPT, &query).await?;
        let mut kept: VecDeque<String> = VecDeque::new();
        while let Some(record) = stream.next().await? {
            for line in told(&record.body) {
                if kept.len() == wanted {
                    kept.pop_front();
                }
                kept.push_back(line);
            }
        }
        Ok(kept)
    }

    fn named(&self, issue: &str) -> IssueQuery {
        IssueQuery { reference: issue.to_owned(), cwd: self.cwd.clone() }
    }

    /// Reads a list item by item. One that breaks off is read again from the beginning.
    async fn read_list<Request: Serialize, Item: DeserializeOwned>(
        &self,
        endpoint: &ListEndpoint<Request, Item>,
        request: &Request,
        name: &str,
        entry: impl Fn(&Item) -> Option<Value>,
    ) -> Answer {
        let mut patience = Patience::default();
        loop {
            let read = async {
                let mut list = BoundedList::default();
                let mut items = Client::connect(&self.socket).await?.list(endpoint, request).await?;
                while let Some(item) = items.next().await? {
                    list.extend(entry(&item));
                }
                Ok(list.named(name))
            };
            match read.await {
                Err(error) if patience.lasts(&error).await => {}
                result => return result.map_err(|error: ClientError| said(&error)),
            }
        }
    }

    /// Sends a request, on a new connection each time that one breaks. A task carries its own identifier, so that one which
    /// a daemon stored and did not live to confirm is not queued twice.
    async fn call<Request: Serialize, Response: DeserializeOwned>(
        &self,
        endpoint: &Endpoint<Request, Response>,
        request: &Request,
    ) -> Result<Response, String> {
        let mut patience = Patience::default();
        loop {
            let response = match Client::connect(&self.socket).await {
                Ok(mut client) => client.call(endpoint, request).await,
                Err(error) => Err(error),
            };
            match response {
                Err(error) if patience.lasts(&error).await => {}
                response => return response.map_err(|error| said(&error)),
            }
        }
    }
}

/// How often a daemon was away during one call.
#[derive(Debug, Default)]
struct Patience(usize);

impl Patience {
    /// Whether to try again after this error; waits first.
    async fn lasts(&mut self, error: &ClientError) -> bool {
        let is_away = matches!(error, ClientError::NotRunning { .. } | ClientError::Broken(_));
        if !is_away || self.0 == AGAIN {
            return false;
        }
        self.0 += 1;
        tokio::time::sleep(PAUSE).await;
        true
    }
}

fn is_path(issue: &str) -> bool {
    Path::new(issue).is_absolute()
}

/// A problem with what to do about it, as a person would read it.
fn said(error: &ClientError) -> String {
    match error {
        ClientError::Problem(problem) => match &problem.hint {
            Some(hint) => format!("{problem} (for a person: {hint})"),
            None => problem.to_string(),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{UnixListener, UnixStream};

    use super::*;

    /// What is asked on a connection: its first line, and the body.
    async fn asked(stream: &mut UnixStream) -> (String, String) {
        let mut text = String::new();
        loop {
            let mut piece = vec![0; 4096];
            let count = stream.read(&mut piece).await.unwrap();
            text.push_str(std::str::from_utf8(&piece[..count]).unwrap());
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                    return (head.lines().next().unwrap().to_owned(), body.to_owned());
                }
            }
        }
    }

    async fn answer(stream: &mut UnixStream, status: &str, body: &str) {
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}", body.len());
        stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_daemon_did_not_live_to_confirm_is_said_again_and_is_the_same_task() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("s");
        let calls = Calls { socket: socket.clone(), task: Uuid::now_v7().to_string(), cwd: "/".to_owned() };
        let going_on =
            tokio::spawn(
                async move { calls.go_on(Continue { issue: "a/b#1".to_owned(), message: "go".to_owned() }).await },
            );
        tokio::task::yield_now().await;
        // There is no daemon at first. Each of the next two takes the task in and ends before it answers.
        let daemon = UnixListener::bind(&socket).unwrap();
        let mut tasks = Vec::new();
        for _ in 0..3 {
            let accepted = tokio::time::timeout(PAUSE * 4, daemon.accept()).await.expect("it is said again");
            let (mut stream, _) = accepted.unwrap();
            let (line, body) = asked(&mut stream).await;
            assert_eq!(line, "POST /v1/tasks HTTP/1.1");
            tasks.push(serde_json::from_str::<TaskRequest>(&body).unwrap().task);
            if tasks.len() == 3 {
                answer(&mut stream, "409 Conflict", r#"{"kind":"conflict","message":"heard three times"}"#).await;
            }
        }
        assert_eq!(going_on.await.unwrap(), Err("heard three times".to_owned()));
        assert!(tasks.iter().all(|task| *task == tasks[0]), "{tasks:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_daemon_that_stays_away_is_given_up() {
        let directory = tempfile::tempdir().unwrap();
        let calls = Calls { socket: directory.path().join("s"), task: String::new(), cwd: "/".to_owned() };
        assert!(calls.queue().await.unwrap_err().contains("no daemon listens"));
        let logs = Logs { issue: "a/b#1".to_owned(), lines: None };
        assert!(calls.logs(logs).await.unwrap_err().contains("no daemon listens"));
    }
}
