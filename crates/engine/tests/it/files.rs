//! Worktrees, which the scripted runner reports but does not create.

use std::path::PathBuf;

use kugetsu_domain::naming;
use kugetsu_git::mirror::{Mirror, Source};
use kugetsu_git::names::BranchName;
use kugetsu_git::worktree::{Worktree, WorktreeSpec};

use crate::world::{Daemon, World};

/// Opens the mirror of the world's repository, whose source is a directory.
pub(crate) async fn mirror(world: &World) -> Mirror {
    let directory = world.home.mirrors().join(naming::mirror_directory(&world.repo.name));
    let source = Source::Path(world.repo.source.clone().into());
    Mirror::open_or_create(&world.git, &directory, &source, &mut |_| ()).await.unwrap()
}

/// Creates the worktree of an issue. Returns its directory.
pub(crate) async fn create_worktree(world: &World, daemon: &Daemon, number: u64) -> PathBuf {
    let files = daemon.issue(number).await.worktree.unwrap();
    let (dir, relay) = world.home.files(&files.directory);
    let mirror = mirror(world).await;
    let base = mirror.resolve_base(None).await.unwrap();
    let branch = BranchName::new(files.branch).unwrap();
    let spec = WorktreeSpec { dir: dir.clone(), relay, branch, base };
    Worktree::create(&mirror, spec, &mut |_| ()).await.unwrap();
    dir
}
