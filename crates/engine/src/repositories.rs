//! Opens the mirror and the worktree of an issue.

use std::path::PathBuf;

use kugetsu_domain::issue::Issue;
use kugetsu_domain::naming;
use kugetsu_git::files::FileError;
use kugetsu_git::mirror::{Mirror, MirrorError};
use kugetsu_git::names::BranchName;
use kugetsu_git::worktree::{Worktree, WorktreeError};
use kugetsu_store::error::StoreError;
use kugetsu_store::view::Repo;
use thiserror::Error;

use crate::credentials::{source, with_token};
use crate::engine::Engine;

#[derive(Debug, Error)]
pub(crate) enum RepositoryError {
    #[error("the repository is no longer stored")]
    NoRepository,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    #[error(transparent)]
    Worktree(#[from] WorktreeError),
    #[error("the stored branch name is damaged: {0}")]
    Branch(#[from] kugetsu_git::names::InvalidBranchName),
}

impl RepositoryError {
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint().map(str::to_owned),
            Self::Mirror(error) => error.hint(),
            Self::Worktree(error) => error.hint(),
            Self::NoRepository | Self::Branch(_) => None,
        }
    }
}

/// Opens the mirror of the issue's repository, and creates it if necessary.
pub(crate) async fn mirror(engine: &Engine, issue: &Issue) -> Result<Mirror, RepositoryError> {
    let repo = engine.store().repo(&issue.reference.repo).await?.ok_or(RepositoryError::NoRepository)?;
    Ok(open(engine, &repo).await?)
}

/// Opens the mirror of a repository if it exists. Clones nothing.
pub(crate) async fn mirror_if_there(engine: &Engine, repo: &Repo) -> Result<Option<Mirror>, MirrorError> {
    let path = directory(engine, repo);
    match path.try_exists() {
        Ok(true) => open(engine, repo).await.map(Some),
        Ok(false) => Ok(None),
        Err(source) => Err(FileError { action: "look at", path, source }.into()),
    }
}

async fn open(engine: &Engine, repo: &Repo) -> Result<Mirror, MirrorError> {
    let git = with_token(engine.git(), &engine.settings(), repo.name.base.as_str());
    let source = source(repo.name.base.is_local(), &repo.source);
    Mirror::open_or_create(&git, &directory(engine, repo), &source, &mut |_| ()).await
}

pub(crate) fn directory(engine: &Engine, repo: &Repo) -> PathBuf {
    engine.home().mirrors().join(naming::mirror_directory(&repo.name))
}

/// Opens what exists of the issue's worktree: its files, its relay repository, or both; `None` if there is neither.
pub(crate) async fn worktree(
    engine: &Engine,
    issue: &Issue,
    mirror: &Mirror,
) -> Result<Option<Worktree>, RepositoryError> {
    let Some(files) = &issue.worktree else { return Ok(None) };
    let branch = BranchName::new(files.branch.clone())?;
    let (directory, relay) = engine.home().files(&files.directory);
    Ok(Worktree::remains(mirror, &directory, &relay, &branch).await?)
}
