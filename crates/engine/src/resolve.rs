//! Resolves references. Users write URLs, short forms, paths and session ids; the rest of the engine knows repositories
//! and issues only.

use std::path::{Path, PathBuf};

use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_domain::issue::Issue;
use kugetsu_domain::machine::Machine;
use kugetsu_domain::reference::{ForgeKind, IssueRef, ProjectPath, RepoRef, ServerBase};
use kugetsu_forge::clone_source::clone_source;
use kugetsu_forge::kinds::table::pull_request_name;
use kugetsu_forge::references::address::{Address, CurrentRepo, Target};
use kugetsu_forge::references::local::local_name;
use kugetsu_forge::references::parser::{needs_current_repo, parse};
use kugetsu_forge::references::reference::Reference;
use kugetsu_forge::references::server_index::KnownServer;
use kugetsu_git::command::GitError;
use kugetsu_git::mirror::{LocalRepo, SourceError};
use kugetsu_git::names::BranchName;
use kugetsu_store::query::IssueFilter;
use kugetsu_store::view::Repo;

use crate::engine::Engine;
use crate::problems::{internal, problem, store_failed, usage};
use crate::settings::Settings;

/// Maximum number of candidates that an error lists.
const LISTED: usize = 10;

/// The repository and issue of a new task.
#[derive(Clone, Debug)]
pub(crate) struct TaskTarget {
    pub(crate) repo: Repo,
    /// The issue's number; `None` takes the next local one.
    pub(crate) number: Option<u64>,
    /// The user's branch, if the user is in a linked worktree of the repository.
    pub(crate) branch: Option<BranchName>,
}

/// Resolves the reference of a `start`. A new local repository gets its name here; the caller holds the engine's `naming`
/// lock until it is stored.
pub(crate) async fn target(engine: &Engine, reference: &Reference, cwd: &Path) -> Result<TaskTarget, Problem> {
    let reference = &directory_by_name(reference, cwd);
    if let Reference::Path(path) = reference {
        let located = locate(engine, &expand(path, cwd)?).await?;
        let repo = local_repo(engine, &located).await?;
        // A linked worktree has its own HEAD, which is the one that the user sees.
        let is_linked = !located.bare && main_directory(&located) != located.root.canonicalize().unwrap_or_default();
        let branch = if is_linked {
            located.branch(engine.git()).await.map_err(|error| problem(ProblemKind::Failed, &error, error.hint()))?
        } else {
            None
        };
        return Ok(TaskTarget { repo, number: None, branch });
    }
    let settings = engine.settings();
    let address = read(engine, &settings, reference.as_str(), cwd).await?;
    let number = match address.target {
        Target::Issue(number) => number,
        Target::PullRequest(_) => {
            let name = pull_request_name(address.kind);
            return Err(usage(format!("{reference} is a {name}, not an issue")).hint(format!(
                "name the issue, and pass the {name} after the message: `kugetsu start <issue> \"<message>\" {reference}`"
            )));
        }
        Target::Repo => {
            return Err(usage(format!("{reference} names a repository, not an issue")).hint(
                "append the number of an issue, as in owner/repo#12, or run `kugetsu start . \"<message>\"` in a clone",
            ));
        }
    };
    if number == 0 {
        return Err(usage(format!("{reference}: issues are numbered from 1")));
    }
    let repo = repo_of(engine, &settings, &address, number).await?;
    Ok(TaskTarget { repo, number: Some(number), branch: None })
}

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
        Reference::Address(address) => match directory_by_name(reference, cwd) {
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
            match (issue, directory_by_name(reference, cwd)) {
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

/// Turns a reference that names no issue, such as `shop` or `projects/shop/`, into a path if there is such a directory.
fn directory_by_name(reference: &Reference, cwd: &Path) -> Reference {
    let (Reference::Session(text) | Reference::Address(text)) = reference else { return reference.clone() };
    let is_address = text.is_empty() || text.contains(['#', '!', ':']);
    if !is_address && cwd.join(text).is_dir() { Reference::Path(text.clone()) } else { reference.clone() }
}

async fn issue_of(engine: &Engine, reference: &str, cwd: &Path) -> Result<Issue, Problem> {
    let address = read(engine, &engine.settings(), reference, cwd).await?;
    let Target::Issue(number) = address.target else {
        return Err(usage(format!("{reference} does not name an issue")).hint("list issues with `kugetsu list`"));
    };
    let name = match address.repo() {
        Some(repo) => repo,
        None => {
            clone_source(&address, &engine.settings().repositories, &engine.settings().servers)
                .map_err(|error| problem(ProblemKind::Usage, &error, error.hint()))?
                .repo
        }
    };
    let wanted = IssueRef { repo: name, number };
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

/// Returns the stored repository at the path or directory that `typed` names: the local one, or else that of its remote
/// `origin`. The outer `None` means that it names neither.
pub(crate) async fn repo_at(engine: &Engine, typed: &str, cwd: &Path) -> Result<Option<Option<Repo>>, Problem> {
    let Reference::Path(path) = directory_by_name(&Reference::new(typed), cwd) else { return Ok(None) };
    let path = expand(&path, cwd)?;
    if let Some(issue) = worktree_issue(engine, &path).await? {
        return engine.store().repo(&issue.reference.repo).await.map(Some).map_err(store_failed);
    }
    let located = locate(engine, &path).await?;
    if let Some(local) = known_local_repo(engine, &main_directory(&located)).await? {
        return Ok(Some(Some(local)));
    }
    let Some(remote) = context(engine, &engine.settings(), &path).await? else { return Ok(Some(None)) };
    let name = RepoRef { base: remote.base, project: remote.project };
    engine.store().repo(&name).await.map(Some).map_err(store_failed)
}

async fn known_local_repo(engine: &Engine, directory: &Path) -> Result<Option<Repo>, Problem> {
    let known = engine.store().local_repos().await.map_err(store_failed)?;
    Ok(known.into_iter().find(|repo| Path::new(&repo.source) == directory))
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
            Err(usage(format!("{} has {count} open issues: {}", repo.name, names.join(", ")))
                .hint(format!("name one of them, such as {}", names[0])))
        }
    }
}

/// Returns the issue whose worktree contains the path.
async fn worktree_issue(engine: &Engine, path: &Path) -> Result<Option<Issue>, Problem> {
    let Some(directory) = worktree_directory(engine, path) else { return Ok(None) };
    engine.store().issue(IssueFilter::Directory(directory)).await.map_err(store_failed)
}

/// Returns the name of the directory of the issue's worktree that contains the path.
fn worktree_directory(engine: &Engine, path: &Path) -> Option<String> {
    let worktrees = engine.home().worktrees().canonicalize().ok()?;
    let inside = path.canonicalize().ok()?.strip_prefix(worktrees).ok()?.to_owned();
    Some(inside.components().next()?.as_os_str().to_str()?.to_owned())
}

/// Makes a path absolute. `~` is the user's home.
pub(crate) fn expand(reference: &str, cwd: &Path) -> Result<PathBuf, Problem> {
    let path =
        reference.get(..7).filter(|begin| begin.eq_ignore_ascii_case("file://")).map_or(reference, |_| &reference[7..]);
    let path = match path.strip_prefix('~') {
        None => PathBuf::from(path),
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
            let home = home.ok_or_else(|| usage(format!("cannot expand {reference}: HOME is not set")))?;
            PathBuf::from(home).join(rest.trim_start_matches('/'))
        }
        Some(_) => {
            return Err(
                usage(format!("cannot expand {reference}: only your own ~ is supported")).hint("use an absolute path")
            );
        }
    };
    Ok(cwd.join(path))
}

/// Finds the repository at a path. One in kugetsu's directories is refused: agents write there, and git would run the
/// programs that its settings name. The links of the path are resolved before the check, so that none can be changed after
/// it, and the directories that git reports are checked too.
pub(crate) async fn locate(engine: &Engine, path: &Path) -> Result<LocalRepo, Problem> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    refuse_kugetsus(engine, &path)?;
    let located = LocalRepo::find(engine.git(), &path).await.map_err(|error| not_a_repository(&error))?;
    for directory in [&located.root, &located.common_dir] {
        refuse_kugetsus(engine, &directory.canonicalize().unwrap_or_else(|_| directory.clone()))?;
    }
    Ok(located)
}

fn refuse_kugetsus(engine: &Engine, path: &Path) -> Result<(), Problem> {
    if worktree_directory(engine, path).is_some() {
        return Err(usage(format!("{} is the worktree of an issue, not a repository", path.display()))
            .hint("continue the issue with `kugetsu continue . \"<message>\"`"));
    }
    if engine.home().holds(path) {
        return Err(usage(format!("{} is below a directory of kugetsu", path.display()))
            .hint("name one of your own repositories"));
    }
    Ok(())
}

fn not_a_repository(error: &SourceError) -> Problem {
    problem(ProblemKind::Usage, error, error.hint())
}

/// Returns the directory of the repository itself, also for a linked worktree.
pub(crate) fn main_directory(located: &LocalRepo) -> PathBuf {
    let directory = match located.common_dir.file_name() {
        Some(name) if !located.bare && name == ".git" => located.common_dir.parent().unwrap_or(&located.root),
        _ => &located.root,
    };
    directory.canonicalize().unwrap_or_else(|_| directory.to_owned())
}

async fn local_repo(engine: &Engine, located: &LocalRepo) -> Result<Repo, Problem> {
    let directory = main_directory(located);
    let source = directory.to_str().ok_or_else(|| {
        usage(format!("the path {} is not UTF-8", directory.display()))
            .hint("rename the directory, or clone the repository elsewhere")
    })?;
    let known = engine.store().local_repos().await.map_err(store_failed)?;
    let taken: Vec<(ProjectPath, PathBuf)> =
        known.into_iter().map(|repo| (repo.name.project, PathBuf::from(repo.source))).collect();
    let project = local_name(&directory, &taken).map_err(internal)?;
    Ok(Repo {
        name: RepoRef { base: ServerBase::local(), project },
        kind: Some(ForgeKind::Local),
        source: source.to_owned(),
    })
}

/// Parses an address. One without a repository refers to that of the user's directory.
async fn read(engine: &Engine, settings: &Settings, reference: &str, cwd: &Path) -> Result<Address, Problem> {
    let mut known = settings.servers.known();
    if !reference.contains("://") {
        known.extend(stored_servers(engine).await?);
    }
    let context = match needs_current_repo(reference) {
        true => context(engine, settings, cwd).await?,
        false => None,
    };
    match parse(reference, &known, context.as_ref()) {
        Ok(address) => Ok(address),
        Err(error) => match issue_by_repo_name(engine, reference).await? {
            Some(full) => parse(&full, &known, None),
            None => Err(error),
        }
        .map_err(|error| problem(ProblemKind::Usage, &error, error.hint())),
    }
}

/// Completes `name#12`, where `name` is the last part of the name of one stored repository.
///
/// # Errors
/// Several repositories have that name.
async fn issue_by_repo_name(engine: &Engine, reference: &str) -> Result<Option<String>, Problem> {
    let Some((name, number)) = reference.split_once('#') else { return Ok(None) };
    let is_plain = !name.is_empty() && !name.contains(['/', ':']) && number.bytes().all(|byte| byte.is_ascii_digit());
    let Some(number) = number.parse().ok().filter(|_| is_plain) else { return Ok(None) };
    let stored = engine.store().repos().await.map_err(store_failed)?;
    let named = |repo: &Repo| repo.name.project.name().eq_ignore_ascii_case(name) && !repo.name.base.is_coordinator();
    let found = stored.into_iter().filter(named).map(|repo| IssueRef { repo: repo.name, number }.to_string());
    only_named(name, found.collect())
}

/// Returns the only one of the `found` references to repositories called `name`, or to their issues.
///
/// # Errors
/// There are several.
pub(crate) fn only_named(name: &str, mut found: Vec<String>) -> Result<Option<String>, Problem> {
    if found.len() > 1 {
        found.truncate(LISTED);
        return Err(usage(format!("several repositories are called {name}: {}", found.join(", ")))
            .hint(format!("name one of them, such as {}", found[0])));
    }
    Ok(found.pop())
}

/// Returns the servers of stored repositories, configured or not: short references leave out the scheme, and must be
/// understood when the user types them.
pub(crate) async fn stored_servers(engine: &Engine) -> Result<Vec<KnownServer>, Problem> {
    let stored = engine.store().repos().await.map_err(store_failed)?;
    let servers = stored.into_iter().filter(|repo| !repo.name.base.is_local() && !repo.name.base.is_coordinator());
    Ok(servers.map(|repo| KnownServer { kind: repo.kind, base: repo.name.base }).collect())
}

/// Returns the repository of the user's directory: that of its remote `origin`, else the local one.
pub(crate) async fn context(engine: &Engine, settings: &Settings, cwd: &Path) -> Result<Option<CurrentRepo>, Problem> {
    if let Some(issue) = worktree_issue(engine, cwd).await? {
        return Ok(Some(context_of(&issue.reference.repo, None)));
    }
    let located = match LocalRepo::find(engine.git(), cwd).await {
        Ok(located) => located,
        // A repository that git refuses to read, such as another user's, is no context.
        Err(
            SourceError::NoDirectory(_)
            | SourceError::NoRepository(_)
            | SourceError::InvalidUrl { .. }
            | SourceError::Git(GitError::Failed { .. }),
        ) => return Ok(None),
        Err(error) => return Err(unreadable(&error)),
    };
    let known: Vec<KnownServer> = settings.servers.known();
    let origin = located.remote_url(engine.git(), "origin").await;
    if let Some(origin) = origin.map_err(|error| unreadable(&error.into()))?
        && let Ok(address) = parse(&origin, &known, None)
        && let Ok(source) = clone_source(&address, &settings.repositories, &settings.servers)
    {
        return Ok(Some(context_of(&source.repo, source.kind)));
    }
    let local = known_local_repo(engine, &main_directory(&located)).await?;
    Ok(local.map(|repo| context_of(&repo.name, repo.kind)))
}

fn unreadable(error: &SourceError) -> Problem {
    problem(ProblemKind::Failed, format!("cannot read the repository of this directory: {error}"), error.hint())
}

fn context_of(repo: &RepoRef, kind: Option<ForgeKind>) -> CurrentRepo {
    CurrentRepo { kind, base: repo.base.clone(), project: repo.project.clone() }
}

/// Returns the repository of an address, with its clone location.
async fn repo_of(engine: &Engine, settings: &Settings, address: &Address, number: u64) -> Result<Repo, Problem> {
    if address.base.as_ref().is_some_and(ServerBase::is_local) {
        let name = RepoRef { base: ServerBase::local(), project: address.project.clone() };
        let known = IssueRef { repo: name.clone(), number };
        let repo = engine.store().repo(&name).await.map_err(store_failed)?;
        return match (repo, engine.store().issue(&known).await.map_err(store_failed)?) {
            (Some(repo), Some(_)) => Ok(repo),
            (repo, _) => Err(Problem::new(
                ProblemKind::NotFound,
                format!("no issue {known}; local issues are numbered by kugetsu"),
            )
            .hint(match repo {
                Some(repo) => format!("start a new one with `kugetsu start {} \"<message>\"`", repo.source),
                None => "start one inside a git repository with `kugetsu start . \"<message>\"`".to_owned(),
            })),
        };
    }
    let source = clone_source(address, &settings.repositories, &settings.servers)
        .map_err(|error| problem(ProblemKind::Usage, &error, error.hint()))?;
    Ok(Repo { name: source.repo, kind: source.kind, source: source.clone_url.as_str().to_owned() })
}
