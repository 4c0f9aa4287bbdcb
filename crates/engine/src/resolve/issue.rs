//! Resolves references to issues that kugetsu has worked on.

use std::path::Path;

use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_domain::issue::Issue;
use kugetsu_domain::machine::Machine;
use kugetsu_domain::reference::IssueRef;
use kugetsu_forge::clone_source::clone_source;
use kugetsu_forge::references::address::Target;
use kugetsu_forge::references::reference::Reference;
use kugetsu_git::mirror::LocalRepo;
use kugetsu_store::query::IssueFilter;

use crate::engine::Engine;
use crate::problems::{problem, store_failed, usage};
use crate::resolve::address::{LISTED, read};
use crate::resolve::directory::{directory_by_name, expand, known_local_repo, locate, main_directory, worktree_issue};

/// The choice if a path names a repository with several open issues.
#[derive(Clone, Copy)]
enum Several {
    /// Take the newest for which this is true, or else the newest.
    Choose(fn(&Issue) -> bool),
    Refuse,
}

/// Resolves a reference to an issue that kugetsu has worked on. If the repository at a path has several open issues, it is
/// the newest.
pub(crate) async fn issue(engine: &Engine, reference: &Reference, cwd: &Path) -> Result<Issue, Problem> {
    find_issue(engine, reference, cwd, Several::Choose(|_| true)).await
}

/// Like [`issue`], but prefers an issue with a queued or running task.
pub(crate) async fn live_issue(engine: &Engine, reference: &Reference, cwd: &Path) -> Result<Issue, Problem> {
    let is_live = |issue: &Issue| issue.tasks.iter().any(|task| !task.state.is_final());
    find_issue(engine, reference, cwd, Several::Choose(is_live)).await
}

/// Like [`issue`], but refuses a repository with several open issues: for what cannot be undone.
pub(crate) async fn unambiguous_issue(engine: &Engine, reference: &Reference, cwd: &Path) -> Result<Issue, Problem> {
    find_issue(engine, reference, cwd, Several::Refuse).await
}

async fn find_issue(engine: &Engine, reference: &Reference, cwd: &Path, several: Several) -> Result<Issue, Problem> {
    match reference {
        Reference::Path(path) => issue_at(engine, path, cwd, several).await,
        Reference::Address(address) => match directory_by_name(reference, cwd).await? {
            Reference::Path(path) => issue_at(engine, &path, cwd, several).await,
            _ => issue_of(engine, address, cwd).await,
        },
        Reference::Coordinator => {
            let issue = engine.store().issue(&IssueRef::coordinator()).await.map_err(store_failed)?;
            issue.ok_or_else(|| {
                Problem::new(ProblemKind::NotFound, "the coordinator has no messages yet")
                    .hint("send it one with `kugetsu delegate \"<message>\"`")
            })
        }
        Reference::Session(session) => {
            let issue = engine.store().issue(IssueFilter::Session(session.clone())).await.map_err(store_failed)?;
            match (issue, directory_by_name(reference, cwd).await?) {
                (Some(issue), _) => Ok(issue),
                (None, Reference::Path(path)) => issue_at(engine, &path, cwd, several).await,
                (None, _) => Err(Problem::new(
                    ProblemKind::NotFound,
                    format!("{session:?} is neither an issue, nor the ID of a session, nor a directory"),
                )
                .hint(
                    "list issues with `kugetsu list`; name one as owner/repo#12, or `.` for the one of this directory",
                )),
            }
        }
    }
}

/// Returns the issue that a reference names on a server, whether kugetsu has worked on it or not; `None` if it names none there.
pub(crate) async fn issue_on_server(
    engine: &Engine,
    reference: &Reference,
    cwd: &Path,
) -> Result<Option<IssueRef>, Problem> {
    let Reference::Address(address) = reference else { return Ok(None) };
    if let Reference::Path(_) = directory_by_name(reference, cwd).await? {
        return Ok(None);
    }
    let named = named(engine, address, cwd).await?;
    Ok(Some(named).filter(|issue| !issue.repo.base.is_local()))
}

async fn named(engine: &Engine, reference: &str, cwd: &Path) -> Result<IssueRef, Problem> {
    let address = read(engine, &engine.settings(), reference, cwd).await?;
    let Target::Issue(number) = address.target else {
        return Err(usage(format!("{reference} does not name an issue")).hint("list issues with `kugetsu list`"));
    };
    let repo = match address.repo() {
        Some(repo) => repo,
        None => {
            clone_source(&address, &engine.settings().repositories, &engine.settings().servers)
                .map_err(|error| problem(ProblemKind::Usage, &error, error.hint()))?
                .repo
        }
    };
    Ok(IssueRef { repo, number })
}

async fn issue_of(engine: &Engine, reference: &str, cwd: &Path) -> Result<Issue, Problem> {
    let wanted = named(engine, reference, cwd).await?;
    let number = wanted.number;
    let found = engine.store().issue(&wanted).await.map_err(store_failed)?;
    let local = match is_number(reference) && !wanted.repo.base.is_local() {
        true => local_issue(engine, cwd, number).await?,
        false => None,
    };
    match (found, local) {
        (Some(found), Some(local)) => Err(usage(format!(
            "{reference} is ambiguous: it is {} on the server and {} on this machine",
            found.reference, local.reference
        ))
        .hint(format!("name one of them, such as {}", local.reference))),
        (Some(only), None) | (None, Some(only)) => Ok(only),
        (None, None) => {
            // kugetsu numbers local issues itself, so a new one cannot be started by its number.
            let begin = if wanted.repo.base.is_local() { ".".to_owned() } else { wanted.to_string() };
            Err(Problem::new(ProblemKind::NotFound, format!("kugetsu has not worked on {wanted}"))
                .hint(format!("list issues with `kugetsu list`, or start with `kugetsu start {begin} \"<message>\"`")))
        }
    }
}

/// Whether a reference is only a number, such as `#12`.
fn is_number(reference: &str) -> bool {
    reference.strip_prefix('#').is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Returns the local issue with this number of the repository that the user is in. A clone of a server's repository has
/// some if it was named by its path.
async fn local_issue(engine: &Engine, cwd: &Path, number: u64) -> Result<Option<Issue>, Problem> {
    let Ok(located) = LocalRepo::find(engine.git(), cwd).await else { return Ok(None) };
    let Some(repo) = known_local_repo(engine, &main_directory(&located)).await? else { return Ok(None) };
    engine.store().issue(&IssueRef { repo: repo.name, number }).await.map_err(store_failed)
}

/// Returns the issue whose worktree contains the path, or else the open issue of the repository there.
async fn issue_at(engine: &Engine, reference: &str, cwd: &Path, several: Several) -> Result<Issue, Problem> {
    let path = expand(reference, cwd)?;
    if let Some(issue) = worktree_issue(engine, &path).await? {
        return Ok(issue);
    }
    let located = locate(engine, &path).await?;
    let directory = main_directory(&located);
    let Some(repo) = known_local_repo(engine, &directory).await? else {
        return Err(Problem::new(ProblemKind::NotFound, format!("kugetsu has not worked in {}", directory.display()))
            .hint(format!("start with `kugetsu start {reference} \"<message>\"`")));
    };
    let open = engine.store().issues(IssueFilter::OpenIn(repo.name.clone()), LISTED).await.map_err(store_failed)?;
    let (mut open, count) = (open.issues, open.total);
    if let Several::Choose(fits) = several
        && !open.is_empty()
    {
        let chosen = open.iter().position(fits).unwrap_or(0);
        return Ok(open.swap_remove(chosen));
    }
    match (open.pop(), count) {
        (Some(only), 1) => Ok(only),
        (None, _) => Err(Problem::new(ProblemKind::NotFound, format!("{} has no open issue", repo.name))
            .hint(format!("start one with `kugetsu start {reference} \"<message>\"`"))),
        (Some(oldest), count) => {
            let names: Vec<String> = open.iter().chain([&oldest]).map(|issue| issue.reference.to_string()).collect();
            let more = match count.saturating_sub(names.len()) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            Err(usage(format!("{} has {count} open issues: {}{more}", repo.name, names.join(", ")))
                .hint(format!("name one of them, such as {}", names[0])))
        }
    }
}
