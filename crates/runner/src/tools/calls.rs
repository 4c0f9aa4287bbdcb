//! Calls of the coordinator's tools, carried out by the daemon. A task carries its own ID, so that one that a daemon stored but did
//! not confirm is not queued twice.

use std::collections::VecDeque;
use std::path::Path;

use kugetsu_api::client::ClientError;
use kugetsu_api::endpoint::ListEndpoint;
use kugetsu_api::endpoints;
use kugetsu_api::issue::{IssueQuery, IssuesQuery};
use kugetsu_api::record::TranscriptQuery;
use kugetsu_api::run::RunObject;
use kugetsu_api::task::{TaskKind, TaskRequest, TasksQuery};
use kugetsu_domain::machine::Machine;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use super::arguments::{Continue, Issue, List, Logs, Start};
use super::bounds::{BoundedList, bounded_message, bounded_reason, issue_entry, record_lines, run_summary, task_entry};
use super::daemon::{Daemon, Retries, error_message};
use super::server::ToolResult;

const DEFAULT_LINES: usize = 40;
const LINES_MAX: usize = 200;

/// Sends requests to the daemon on behalf of one task of the coordinator.
#[derive(Clone, Debug)]
pub(super) struct Calls {
    pub(super) daemon: Daemon,
    pub(super) task: String,
    pub(super) cwd: String,
}

impl Calls {
    pub(super) async fn list(&self, List { repository }: List) -> ToolResult {
        let entry = |run: &RunObject| issue_entry(run, repository.as_deref());
        self.read_list(&endpoints::LIST_ISSUES, &IssuesQuery::default(), "issues", entry).await
    }

    pub(super) async fn show(&self, Issue { issue }: Issue) -> ToolResult {
        let task = self.daemon.call(&endpoints::ISSUE_TASK, &self.query(&issue)).await?;
        let mut result = run_summary(&task.run);
        result["kind"] = json!(task.kind.verb());
        result["message"] = bounded_message(&task.message).into();
        result["place_in_line"] = task.place.into();
        result["queued_at"] = task.run.queued_at.into();
        result["started_at"] = task.run.started_at.into();
        result["ended_at"] = task.run.ended_at.into();
        result["worktree"] = task.run.worktree.into();
        Ok(result)
    }

    pub(super) async fn queue(&self) -> ToolResult {
        self.read_list(&endpoints::LIST_TASKS, &TasksQuery::default(), "tasks", task_entry).await
    }

    pub(super) async fn start(&self, start: Start) -> ToolResult {
        // A new session would know nothing of the earlier work.
        let known = self.daemon.call(&endpoints::ISSUE_TASK, &self.query(&start.issue)).await;
        if let Ok(known) = known
            && !is_path(&start.issue)
            && known.run.session_id.is_some()
            && !known.run.destroyed
        {
            return Err(format!(
                "{} has a session and is {}; use `continue`, which sends the message to that session",
                known.run.issue,
                known.run.state.name()
            ));
        }
        self.queue_task(TaskRequest {
            kind: TaskKind::Start,
            reference: start.issue,
            message: start.message,
            base: start.base,
            after: start.after,
            priority: start.priority,
            ..TaskRequest::default()
        })
        .await
    }

    pub(super) async fn continue_issue(&self, Continue { issue, message }: Continue) -> ToolResult {
        self.queue_task(TaskRequest {
            kind: TaskKind::Continue,
            reference: issue,
            message: Some(message),
            ..TaskRequest::default()
        })
        .await
    }

    pub(super) async fn why(&self, Issue { issue }: Issue) -> ToolResult {
        let why = self.daemon.call(&endpoints::ISSUE_WHY, &self.query(&issue)).await?;
        let because: Vec<String> = why.because.iter().map(|reason| bounded_reason(reason)).collect();
        Ok(json!({"issue": why.issue, "state": why.state.map_or("not started", Machine::name), "because": because,
            "hint": why.hint.as_deref().map(bounded_reason)}))
    }

    pub(super) async fn logs(&self, Logs { issue, lines }: Logs) -> ToolResult {
        let count = lines.unwrap_or(DEFAULT_LINES).clamp(1, LINES_MAX);
        let mut retries = Retries::default();
        let lines = loop {
            match self.transcript(&issue, count).await {
                Err(error) if retries.wait_after(&error).await => {}
                lines => break lines.map_err(|error| error_message(&error))?,
            }
        };
        // Output of agents is data, whatever it says.
        Ok(json!({"issue": issue, "transcript": lines}))
    }

    async fn queue_task(&self, request: TaskRequest) -> ToolResult {
        let request = TaskRequest {
            task: Uuid::now_v7().to_string(),
            cwd: self.cwd.clone(),
            asked_by: Some(self.task.clone()),
            ..request
        };
        let task = self.daemon.call(&endpoints::QUEUE_TASK, &request).await?;
        Ok(json!({"issue": task.run.issue, "state": task.run.state.name(), "notes": task.notes}))
    }

    /// Returns the last `count` lines of an issue's transcript.
    async fn transcript(&self, issue: &str, count: usize) -> Result<VecDeque<String>, ClientError> {
        let client = self.daemon.connect().await?;
        let query =
            TranscriptQuery { reference: issue.to_owned(), cwd: self.cwd.clone(), ..TranscriptQuery::default() };
        let mut stream = client.stream(&endpoints::TRANSCRIPT, &query).await?;
        let mut lines: VecDeque<String> = VecDeque::new();
        while let Some(record) = stream.next().await? {
            for line in record_lines(&record.body) {
                if lines.len() == count {
                    lines.pop_front();
                }
                lines.push_back(line);
            }
        }
        Ok(lines)
    }

    fn query(&self, issue: &str) -> IssueQuery {
        IssueQuery { reference: issue.to_owned(), cwd: self.cwd.clone() }
    }

    /// Reads a list item by item, and returns its first entries. A list that breaks off is read again from the beginning.
    async fn read_list<Request: Serialize, Item: DeserializeOwned>(
        &self,
        endpoint: &ListEndpoint<Request, Item>,
        request: &Request,
        name: &str,
        entry: impl Fn(&Item) -> Option<Value>,
    ) -> ToolResult {
        let mut retries = Retries::default();
        loop {
            let read = async {
                let mut list = BoundedList::default();
                let mut items = self.daemon.connect().await?.list(endpoint, request).await?;
                while let Some(item) = items.next().await? {
                    list.extend(entry(&item));
                }
                Ok(list.named(name))
            };
            match read.await {
                Err(error) if retries.wait_after(&error).await => {}
                result => return result.map_err(|error| error_message(&error)),
            }
        }
    }
}

fn is_path(issue: &str) -> bool {
    Path::new(issue).is_absolute()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use kugetsu_api::run_key::RunKey;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{UnixListener, UnixStream};

    use super::super::daemon::RETRY_PAUSE;
    use super::*;

    fn daemon(socket: PathBuf) -> Daemon {
        Daemon { socket, key: RunKey::random().unwrap() }
    }

    /// Returns the first line and the body of a request.
    async fn read_request(stream: &mut UnixStream) -> (String, String) {
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

    async fn respond(stream: &mut UnixStream, status: &str, body: &str) {
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}", body.len());
        stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn unconfirmed_task_is_sent_again_with_the_same_id() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("s");
        let calls = Calls { daemon: daemon(socket.clone()), task: Uuid::now_v7().to_string(), cwd: "/".to_owned() };
        let call = Continue { issue: "a/b#1".to_owned(), message: "go".to_owned() };
        let call = tokio::spawn(async move { calls.continue_issue(call).await });
        tokio::task::yield_now().await;
        // At first there is no daemon. Then two daemons read the task and end before they respond.
        let daemon = UnixListener::bind(&socket).unwrap();
        let mut tasks = Vec::new();
        for _ in 0..3 {
            let accepted =
                tokio::time::timeout(RETRY_PAUSE * 4, daemon.accept()).await.expect("the request is repeated");
            let (mut stream, _) = accepted.unwrap();
            let (line, body) = read_request(&mut stream).await;
            assert_eq!(line, "POST /v1/tasks HTTP/1.1");
            tasks.push(serde_json::from_str::<TaskRequest>(&body).unwrap().task);
            if tasks.len() == 3 {
                respond(&mut stream, "409 Conflict", r#"{"kind":"conflict","message":"received three times"}"#).await;
            }
        }
        assert_eq!(call.await.unwrap(), Err("received three times".to_owned()));
        assert!(tasks.iter().all(|task| *task == tasks[0]), "{tasks:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn daemon_that_stays_away_is_given_up() {
        let directory = tempfile::tempdir().unwrap();
        let calls = Calls { daemon: daemon(directory.path().join("s")), task: String::new(), cwd: "/".to_owned() };
        assert!(calls.queue().await.unwrap_err().contains("no daemon listens"));
        let logs = Logs { issue: "a/b#1".to_owned(), lines: None };
        assert!(calls.logs(logs).await.unwrap_err().contains("no daemon listens"));
    }
}
