//! Fills a new worktree with the files of a commit. A quicker way than a plain checkout would be put in here.

use std::path::Path;

use crate::command::progress::{Progress, ProgressSink};
use crate::command::runner::{GitError, TRANSFER_TIMEOUT};
use crate::lfs::setup::Lfs;
use crate::mirror::repo::Mirror;
use crate::names::Oid;

/// Puts the files of `commit` into `dir`, whose git directory was just made, and writes its index. Conversions and
/// filters of the user's config take effect, as in a clone of the user's own.
pub(crate) async fn fill(
    mirror: &Mirror,
    dir: &Path,
    commit: &Oid,
    lfs: &Lfs,
    progress: ProgressSink<'_>,
) -> Result<(), GitError> {
    progress(Progress::new(format!("checking out {}", commit.short())));
    let command = mirror.git().command("read-tree", format!("check out {} in {}", commit.short(), dir.display()));
    let command = command.git_dir(&dir.join(".git")).work_tree(dir).timeout(TRANSFER_TIMEOUT);
    let command = lfs.permit_pointers(command.args(["--reset", "-u", "-v"]).arg(commit.as_str()));
    // Contents that a partial clone left out, and large files, come from the server now.
    mirror.reach(command).await.run_with_progress(progress).await.map(drop)
}
