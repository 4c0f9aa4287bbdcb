//! The tasks of watched issues.

use std::io;

use jiff::Timestamp;
use kugetsu_domain::hash::fnv1a;
use kugetsu_domain::ids::{IssueId, TaskId};
use kugetsu_domain::issue::Issue;
use kugetsu_domain::task::{Task, TaskKind};
use kugetsu_domain::watch::command::commands;
use kugetsu_domain::watch::quote::quoted;
use kugetsu_forge::clone_source::clone_source;
use kugetsu_forge::discussion::Comment;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::forge::{Forge, Subject};
use kugetsu_forge::issue::Issue as OnServer;
use kugetsu_forge::references::parser::parse;
use kugetsu_store::error::StoreError;
use kugetsu_store::view::Repo;
use kugetsu_store::write::{Enqueue, HandedOver, Precondition};
use thiserror::Error;
use uuid::{Builder, Uuid};

use super::own_comment::MAY_EXIST;
use super::trusted::{Trusted, Voice};
use crate::engine::Engine;
use crate::intake::issue_prompt;
use crate::repo_file::RepoFileError;
use crate::watches::Watch;

/// Comments that are in the first prompt: the latest.
const COMMENTS_MAX: usize = 20;

#[derive(Debug, Error)]
pub(crate) enum HandoverError {
    #[error(transparent)]
    Forge(#[from] ForgeError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("its clone location is not known: {0}")]
    Source(String),
    #[error(transparent)]
    RepoFile(RepoFileError),
    #[error("the records of a run cannot be read: {0}")]
    Records(#[source] io::Error),
    #[error("{MAY_EXIST}")]
    MayExist,
}

impl HandoverError {
    /// Whether the same may succeed a little later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Forge(error) => error.is_transient(),
            Self::MayExist => true,
            Self::Store(_) | Self::Source(_) | Self::RepoFile(_) | Self::Records(_) => false,
        }
    }
}

impl From<RepoFileError> for HandoverError {
    fn from(error: RepoFileError) -> Self {
        match error {
            RepoFileError::Forge(error) => Self::Forge(error),
            RepoFileError::Store(error) => Self::Store(error),
            error @ RepoFileError::Invalid(_) => Self::RepoFile(error),
        }
    }
}

/// The task that starts an issue with this text.
pub(crate) async fn first_task(
    engine: &Engine,
    watch: &Watch,
    forge: &dyn Forge,
    issue: &OnServer,
    text: &str,
) -> Result<Enqueue, HandoverError> {
    let settings = engine.settings();
    let prompt = issue_prompt::of(issue);
    let dispatch = watch.dispatch(&issue.labels, issue.kind.as_deref());
    let agent = dispatch.agent.unwrap_or_else(|| settings.default_agent.clone());
    let message = format!("{}{}", prompt.message, discussion(watch, forge, issue.number).await?);
    let message = match dispatch.prompt {
        Some(text) => format!("{}\n\n{message}", text.trim()),
        None => message,
    };
    let (id, now) = (seeded_task_id(&format!("{}#{} {text}", watch.repo, issue.number), engine.now()), engine.now());
    let task = Task::queued(id, TaskKind::Start, agent, message, now);
    Ok(Enqueue {
        repo: repo(engine, watch)?,
        number: Some(issue.number),
        used_numbers: 0,
        new_issue: IssueId::new(Uuid::now_v7()),
        title: prompt.title,
        pr_url: None,
        watch: Some(HandedOver {
            watch: watch.name.clone(),
            rule: watch.limited_rule(&issue.labels, issue.kind.as_deref()),
        }),
        task: Task { model: dispatch.model, base: dispatch.base, priority: dispatch.priority, ..task },
        precondition: Precondition::New,
        interrupt: false,
    })
}

/// Returns whether it was started now, and not before.
pub(crate) async fn start(engine: &Engine, watch: &Watch, first_task: Enqueue) -> Result<bool, StoreError> {
    match engine.store().enqueue(first_task, engine.now()).await {
        Ok(applied) => {
            tracing::info!(issue = %applied.issue.reference, watch = watch.name, "the issue was handed over");
            Ok(true)
        }
        // It was started meanwhile.
        Err(StoreError::Known) => Ok(false),
        Err(error) => Err(error),
    }
}

fn repo(engine: &Engine, watch: &Watch) -> Result<Repo, HandoverError> {
    let settings = engine.settings();
    let address = format!("{}/{}", watch.repo.base, watch.repo.project);
    let address = parse(&address, &settings.servers.known(), None);
    let address = address.map_err(|error| HandoverError::Source(error.to_string()))?;
    let source = clone_source(&address, &settings.repositories, &settings.servers);
    let source = source.map_err(|error| HandoverError::Source(error.to_string()))?;
    Ok(Repo { name: source.repo, kind: source.kind, source: source.clone_url.as_str().to_owned() })
}

/// The comments of trusted people on an issue, quoted.
pub(crate) async fn discussion(watch: &Watch, forge: &dyn Forge, number: u64) -> Result<String, ForgeError> {
    let comments = forge.comments(&watch.repo.project, Subject::Issue(number)).await?.entries;
    if comments.is_empty() {
        return Ok(String::new());
    }
    let own = forge.whoami().await?.login;
    let authors = comments.iter().filter_map(|comment| comment.author.as_ref());
    let people = Trusted::ask(&watch.policy.trust, forge, &watch.repo.project, own, authors).await?;
    let voice = |comment: &Comment| people.voice(comment.author.as_ref(), &comment.body);
    let left_out = comments.iter().filter(|comment| voice(comment) == Voice::Other).count();
    let trusted: Vec<&Comment> = comments
        .iter()
        .filter(|comment| voice(comment) == Voice::Trusted && commands(&comment.body).is_empty())
        .collect();
    let mut text = String::new();
    for comment in &trusted[trusted.len().saturating_sub(COMMENTS_MAX)..] {
        let author = comment.author.as_ref().map_or("a deleted user", |author| author.login.as_str());
        text.push_str(&format!("\n{}\n", quoted(&format!("comment by {author}"), &comment.body)));
    }
    if left_out > 0 {
        text.push_str(&format!("\nComments of others are left out: {left_out}.\n"));
    }
    Ok(text)
}

/// The task that continues the session of an issue; `None` if its repository is not known.
pub(crate) async fn continuation(
    engine: &Engine,
    watch: &Watch,
    issue: &Issue,
    id: TaskId,
    text: String,
) -> Result<Option<Enqueue>, StoreError> {
    let Some(repo) = engine.store().repo(&issue.reference.repo).await? else { return Ok(None) };
    let agent = issue.session.as_ref().map(|session| session.agent.clone());
    let agent = agent.or_else(|| watch.agent.clone()).unwrap_or_else(|| engine.settings().default_agent.clone());
    let task = Task::queued(id, TaskKind::Continue, agent, text, engine.now());
    // As it was chosen for the issue.
    let latest = engine.store().view(issue.id).await?.map(|view| view.task);
    let model = latest.as_ref().and_then(|task| task.model.clone());
    let priority = latest.map_or(0, |task| task.priority);
    Ok(Some(Enqueue {
        repo,
        number: Some(issue.reference.number),
        used_numbers: 0,
        new_issue: issue.id,
        title: issue.title.clone(),
        pr_url: None,
        watch: None,
        task: Task { model, priority, ..task },
        precondition: Precondition::Continuable,
        interrupt: false,
    }))
}

/// An ID that depends on the seed: within a millisecond, the same request is queued once.
pub(crate) fn seeded_task_id(seed: &str, now: Timestamp) -> TaskId {
    let mut random = [0; 10];
    random[..8].copy_from_slice(&fnv1a(seed.as_bytes()).to_be_bytes());
    random[8..].copy_from_slice(&fnv1a(format!("task {seed}").as_bytes()).to_be_bytes()[..2]);
    let millis = u64::try_from(now.as_millisecond()).unwrap_or_default();
    TaskId::new(Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}
