//! Carries a call out, by asking the daemon.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kugetsu_api::client::{Client, ClientError};
use kugetsu_api::path;
use kugetsu_api::record::{Body, Record};
use kugetsu_api::run::RunObject;
use kugetsu_api::task::{TaskKind, TaskObject, TaskRequest};
use kugetsu_api::why::WhyObject;
use kugetsu_domain::reference::COORDINATOR;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use super::arguments::{Continue, Issue, Logs, Start};

/// Lines of a transcript that are shown: where nothing is said, and at most.
const LINES: usize = 40;
const LINES_MAX: usize = 200;
/// Longest line of a transcript, in characters.
const LINE_MAX: usize = 400;
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
    pub(super) async fn list(&self) -> Answer {
        let issues: Vec<RunObject> = self.get(path::ISSUES).await?;
        Ok(json!({"issues": issues.iter().map(short).collect::<Vec<_>>()}))
    }

    pub(super) async fn show(&self, Issue { issue }: Issue) -> Answer {
        let task: TaskObject = self.get(&self.about(path::ISSUE_TASK, &issue)).await?;
        let mut shown = short(&task.run);
        shown["kind"] = json!(task.kind.verb());
        shown["message"] = task.message.into();
        shown["place_in_line"] = task.place.into();
        shown["queued_at"] = task.queued_at.into();
        shown["started_at"] = task.run.started_at.into();
        shown["ended_at"] = task.run.ended_at.into();
        shown["worktree"] = task.run.worktree.into();
        Ok(shown)
    }

    pub(super) async fn queue(&self) -> Answer {
        let tasks: Vec<TaskObject> = self.get(path::TASKS).await?;
        let shown = tasks.iter().filter(|task| task.run.issue != COORDINATOR).map(|task| {
            json!({"issue": task.run.issue, "state": task.run.state.name(), "kind": task.kind.verb(),
                "place_in_line": task.place, "reason": task.run.reason})
        });
        Ok(json!({"tasks": shown.collect::<Vec<_>>()}))
    }

    pub(super) async fn start(&self, asked: Start) -> Answer {
        // An issue that was worked on has a session which knows what was done; another one beside it would not.
        let known: Result<TaskObject, String> = self.get(&self.about(path::ISSUE_TASK, &asked.issue)).await;
        if let Ok(known) = known
            && !is_path(&asked.issue)
            && known.run.session_id.is_some()
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
        let why: WhyObject = self.get(&self.about(path::ISSUE_WHY, &issue)).await?;
        Ok(json!({"issue": why.issue, "state": why.state.name(), "because": why.because}))
    }

    pub(super) async fn logs(&self, Logs { issue, lines }: Logs) -> Answer {
        let wanted = lines.unwrap_or(LINES).clamp(1, LINES_MAX);
        let client = self.connected().await?;
        let stream = client.stream::<Record>(&self.about(path::TRANSCRIPT, &issue)).await;
        let mut stream = stream.map_err(|error| said(&error))?;
        let mut kept: VecDeque<String> = VecDeque::new();
        while let Some(record) = stream.next().await.map_err(|error| said(&error))? {
            for line in told(&record.body) {
                if kept.len() == wanted {
                    kept.pop_front();
                }
                kept.push_back(line);
            }
        }
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
        let mut client = self.connected().await?;
        let task: TaskObject = client.post(path::TASKS, &request).await.map_err(|error| said(&error))?;
        Ok(json!({"issue": task.run.issue, "state": task.run.state.name(), "notes": task.notes}))
    }

    fn about(&self, path: &str, issue: &str) -> String {
        path::with_query(path, &[("reference", Some(issue)), ("cwd", Some(&self.cwd))])
    }

    async fn get<Object: DeserializeOwned>(&self, path: &str) -> Result<Object, String> {
        self.connected().await?.get(path).await.map_err(|error| said(&error))
    }

    async fn connected(&self) -> Result<Client, String> {
        let mut tries = 0;
        loop {
            match Client::connect(&self.socket).await {
                Err(ClientError::NotRunning { .. }) if tries < AGAIN => tries += 1,
                connected => return connected.map_err(|error| said(&error)),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn is_path(issue: &str) -> bool {
    Path::new(issue).is_absolute()
}

fn short(run: &RunObject) -> Value {
    json!({"issue": run.issue, "state": run.state.name(), "reason": run.reason, "branch": run.branch,
        "commits": run.commits, "pushed": run.pushed, "change": run.change_url, "agent": run.agent})
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

/// A record in plain lines.
fn told(body: &Body) -> Vec<String> {
    let text = match body {
        Body::Step { text } => format!("· {text}"),
        Body::Notice { text } => format!("! {text}"),
        Body::Text { text } => text.clone(),
        Body::ToolStarted { title, input, .. } => format!("> {title} {input}"),
        Body::ToolEnded { ok, output, .. } => format!("{} {output}", if *ok { "=" } else { "failed:" }),
        Body::Permission { title, answer } => format!("? {title}: {answer}"),
        Body::Ended { state, reason, .. } => format!("■ {state}: {reason}"),
        _ => return Vec::new(),
    };
    text.lines().filter(|line| !line.trim().is_empty()).map(|line| line.chars().take(LINE_MAX).collect()).collect()
}
