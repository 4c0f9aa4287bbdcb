//! Carries out a plan, issue by issue. Imported files move into the backup; everything else stays in its directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kugetsu_api::adopt::{AdoptRequest, AdoptedObject};
use kugetsu_api::client::{Client, ClientError};
use kugetsu_api::delegate::DelegateRequest;
use kugetsu_api::endpoint::Endpoint;
use kugetsu_api::endpoints;
use kugetsu_api::home::Home;
use kugetsu_api::issue::IssuesQuery;
use kugetsu_api::run::RunObject;
use kugetsu_domain::text::shell_word;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::backup::Backup;
use crate::names::relative;
use crate::plan::{Plan, Work};
use crate::row::{Outcome, Row};

/// Directories that only the script creates, innermost first.
const SCRIPT_DIRECTORIES: [&str; 3] = ["sessions", "queue/items", "queue"];
/// How often a request is sent if the connection breaks. All requests are idempotent.
const ATTEMPTS: usize = 3;
const RETRY_DELAY: Duration = Duration::from_millis(50);

/// The result of an import.
#[derive(Debug, Default)]
pub struct Imported {
    pub rows: Vec<Row>,
    /// The directory of the backup, if anything was kept.
    pub backup: Option<String>,
}

/// An error of the daemon, or of the connection to it.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub message: String,
    pub hint: Option<String>,
}

/// Why an import stopped. The next import continues where it stopped.
#[derive(Debug, Error)]
pub enum ImportError {
    #[error("{}", .0.message)]
    Daemon(Refusal),
    #[error("could not move {} into the backup: {why}", path.display())]
    NotKept { path: PathBuf, why: String },
}

impl ImportError {
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Daemon(refusal) => refusal.hint.clone(),
            Self::NotKept { .. } => Some("when the cause is gone, run `kugetsu init` again".to_owned()),
        }
    }
}

/// Imports everything in the plan that can be imported. `connect` opens a connection to the daemon, `progress` prints a line.
///
/// # Errors
/// The daemon cannot be reached, or a file cannot be moved into the backup.
pub async fn apply(
    home: &Home,
    plan: Plan,
    connect: impl AsyncFn() -> Result<Client, Refusal>,
    progress: impl Fn(String),
) -> Result<Imported, ImportError> {
    let backup = Backup::new(home);
    let mut rows = Vec::new();
    let mut imported = Vec::new();
    let mut is_index_needed = false;
    let known: Vec<RunObject> = match plan.work.is_empty() {
        true => Vec::new(),
        false => known_issues(&connect).await.map_err(ImportError::Daemon)?,
    };
    for work in &plan.work {
        let row = match known.iter().find(|run| work.session.file.is_none() && run.issue == work.reference) {
            // An earlier import copied this directory, or the issue was started again.
            Some(run) => Row::left(
                &work.what,
                format!("kugetsu already has a worktree of {}; this one is not changed", run.issue),
            ),
            None => import_issue(home, work, &backup, &connect, &progress).await,
        };
        let is_imported = row.outcome == Outcome::Taken;
        rows.push(row);
        match &work.session.file {
            Some(file) if is_imported => imported.push(file.clone()),
            _ => is_index_needed |= !is_imported,
        }
    }
    let mut waiting: Vec<&PathBuf> = Vec::new();
    for (file, item) in &plan.messages {
        let request = DelegateRequest {
            task: item.task_id(),
            message: item.full_message(),
            cwd: home.path().display().to_string(),
            worktree: None,
            anyway: true,
        };
        rows.push(match call(&connect, &endpoints::DELEGATE, &request).await {
            Ok(_) => {
                Row::taken(&item.what, "a message for the coordinator").because("follow it with `kugetsu logs -f pm`")
            }
            Err(refusal) => {
                waiting.push(file);
                left(&item.what, refusal)
            }
        });
    }
    let mut unused: Vec<&PathBuf> = Vec::new();
    for (path, row) in &plan.unused {
        rows.extend(row.clone());
        if !unused.contains(&path) && !plan.queues.contains(path) {
            unused.push(path);
        }
    }
    rows.extend(plan.left);

    let index = plan.index.iter().filter(|_| !is_index_needed);
    let queues = plan.queues.iter().filter(|path| !waiting.contains(path));
    let kept: Vec<&PathBuf> = imported.iter().chain(queues).chain(unused).chain(index).collect();
    if !kept.is_empty() || !plan.broken.is_empty() || backup.path().is_some() {
        backup.copy()?;
    }
    for path in kept {
        backup.keep(path)?;
    }
    for (path, why) in &plan.broken {
        rows.push(Row::set_aside(relative(home.path(), path), why.clone()));
        backup.set_aside(path)?;
    }
    for name in SCRIPT_DIRECTORIES {
        // Fails if the directory is not empty, because something in it was left.
        let _ = fs::remove_dir(home.path().join(name));
    }
    Ok(Imported { rows, backup: backup.path() })
}

async fn import_issue(
    home: &Home,
    work: &Work,
    backup: &Backup,
    connect: &impl AsyncFn() -> Result<Client, Refusal>,
    progress: &impl Fn(String),
) -> Row {
    let what = format!("{} ({})", work.reference, work.what);
    if let Some(pid) = work.running_agent() {
        return Row::left(what, format!("its agent (process {pid}) is still working"))
            .next(format!("wait until it ends, or run `kill {pid}`; then run `kugetsu init` again"));
    }
    let clone = match &work.clone {
        Ok(clone) => clone,
        Err(why) => {
            let base = work.session.branch.as_ref().map(|branch| format!(" --base {}", shell_word(branch)));
            let start = format!("kugetsu start {} \"<message>\"", shell_word(&work.reference));
            return Row::left(what, why.clone())
                .next(format!("start again from the server with `{start}{}`", base.unwrap_or_default()));
        }
    };
    progress(format!("importing {} from {}", work.reference, clone.display()));
    let session = &work.session;
    let request = AdoptRequest {
        reference: work.reference.clone(),
        clone: clone.display().to_string(),
        session: session.id.clone(),
        branch: session.branch.clone(),
        pr_url: session.pr_url.clone(),
        message: session.message.clone(),
        state: session.state.clone(),
        backup: backup.name().to_owned(),
    };
    match call(connect, &endpoints::ADOPT, &request).await {
        Ok(adopted) => imported(home.path(), &what, work, clone, &adopted),
        Err(refusal) => left(&what, refusal),
    }
}

fn imported(home: &Path, what: &str, work: &Work, clone: &Path, adopted: &AdoptedObject) -> Row {
    let worktree = adopted.worktree.as_deref().map(Path::new);
    let mut parts = vec![worktree.map_or_else(|| "an issue".to_owned(), |worktree| relative(home, worktree))];
    parts.extend(adopted.branch.as_ref().map(|branch| format!("on {branch}")));
    if work.session.id.is_some() && !adopted.known {
        parts.push(if adopted.resumable { "in its session" } else { "with a new session" }.to_owned());
    }
    let mut why = adopted.notes.clone();
    if adopted.known {
        why.insert(0, "already imported".to_owned());
    }
    if worktree != Some(clone) && clone.exists() {
        why.push(format!("{} is not changed", clone.display()));
    }
    Row::taken(what, parts.join(" "))
        .because(why.join("; "))
        .next(format!("continue with `kugetsu continue {} \"<message>\"`", shell_word(&adopted.issue)))
}

fn left(what: &str, refusal: Refusal) -> Row {
    Row::left(what, refusal.message).next(refusal.hint.unwrap_or_default())
}

async fn known_issues(connect: &impl AsyncFn() -> Result<Client, Refusal>) -> Result<Vec<RunObject>, Refusal> {
    let issues = connect().await?.list(&endpoints::LIST_ISSUES, &IssuesQuery::default()).await?;
    Ok(issues.collect().await?)
}

/// Sends a request, on a new connection each time one breaks.
async fn call<Request: Serialize + Sync, Response: DeserializeOwned>(
    connect: &impl AsyncFn() -> Result<Client, Refusal>,
    endpoint: &Endpoint<Request, Response>,
    request: &Request,
) -> Result<Response, Refusal> {
    for _ in 1..ATTEMPTS {
        match connect().await?.call(endpoint, request).await {
            Err(ClientError::Broken(_)) => tokio::time::sleep(RETRY_DELAY).await,
            response => return Ok(response?),
        }
    }
    Ok(connect().await?.call(endpoint, request).await?)
}

impl From<ClientError> for Refusal {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Problem(problem) => Self { message: problem.message, hint: problem.hint },
            error => Self { message: error.to_string(), hint: None },
        }
    }
}
