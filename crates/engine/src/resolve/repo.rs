//! The repository at a path or an address.

use std::path::{Path, PathBuf};

use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_domain::reference::{ForgeKind, IssueRef, ProjectPath, RepoRef, ServerBase};
use kugetsu_forge::clone_source::clone_source;
use kugetsu_forge::references::address::{Address, Target};
use kugetsu_forge::references::local::local_name;
use kugetsu_forge::references::reference::Reference;
use kugetsu_store::view::Repo;

use crate::engine::Engine;
use crate::problems::{internal, problem, store_failed, usage};
use crate::resolve::address::{context, read};
use crate::resolve::directory::{directory_by_name, expand, known_local_repo, locate, main_directory, worktree_issue};
use crate::settings::Settings;

/// Returns the stored repository at the path or directory that `typed` names: the local one, or else that of its remote
/// `origin`. The outer `None` means that it names neither.
pub(crate) async fn repo_at(engine: &Engine, typed: &str, cwd: &Path) -> Result<Option<Option<Repo>>, Problem> {
    let Reference::Path(path) = directory_by_name(&Reference::new(typed), cwd).await? else { return Ok(None) };
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

/// Returns the local repository in a directory, with its name, or with the one that it would get now if it is new.
pub(crate) async fn local_repo(engine: &Engine, directory: &Path) -> Result<Repo, Problem> {
    let source = directory.to_str().ok_or_else(|| {
        usage(format!("the path {} is not UTF-8", directory.display()))
            .hint("rename the directory, or clone the repository elsewhere")
    })?;
    let known = engine.store().local_repos().await.map_err(store_failed)?;
    let taken: Vec<(ProjectPath, PathBuf)> =
        known.into_iter().map(|repo| (repo.name.project, PathBuf::from(repo.source))).collect();
    let project = local_name(directory, &taken).map_err(internal)?;
    Ok(Repo {
        name: RepoRef { base: ServerBase::local(), project },
        kind: Some(ForgeKind::Local),
        source: source.to_owned(),
    })
}

/// Returns the repository on a server that `typed` names: an address, `owner/repo`, or a directory whose remote `origin` is one.
pub(crate) async fn repo_on_server(engine: &Engine, typed: &str, cwd: &Path) -> Result<RepoRef, Problem> {
    let settings = engine.settings();
    let reference = directory_by_name(&Reference::new(typed), cwd).await?;
    if let Reference::Path(path) = &reference {
        let path: PathBuf = expand(path, cwd)?.components().collect();
        let found = context(engine, &settings, &path).await?.filter(|found| !found.base.is_local());
        return found.map(|found| RepoRef { base: found.base, project: found.project }).ok_or_else(|| {
            usage(format!("{} is no clone of a repository on a known server", path.display())).hint(
                "name the repository by its address, such as https://git.example.com/owner/repo, or add its server with \
                 `kugetsu server add <name> <url>`",
            )
        });
    }
    let address = read(engine, &settings, typed, cwd).await?;
    if address.target != Target::Repo {
        return Err(usage(format!("{typed} does not name a repository")).hint("leave out the number: owner/repo"));
    }
    if address.base.as_ref().is_some_and(ServerBase::is_local) {
        return Err(usage(format!("{typed} is a local repository, whose issues have no labels"))
            .hint("name a repository on a server, such as https://git.example.com/owner/repo"));
    }
    let source = clone_source(&address, &settings.repositories, &settings.servers);
    source.map(|source| source.repo).map_err(|error| problem(ProblemKind::Usage, &error, error.hint()))
}

/// Returns the repository of an address, with its clone location.
pub(super) async fn repo_of(
    engine: &Engine,
    settings: &Settings,
    address: &Address,
    number: u64,
) -> Result<Repo, Problem> {
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
