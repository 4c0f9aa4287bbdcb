//! Fills a new worktree with the files of a commit. A quicker way than a plain checkout would be put in here.

use std::path::Path;

use crate::door::{GitError, TRANSFER_LIMIT};
use crate::lfs::Lfs;
use crate::mirror::Mirror;
use crate::names::Oid;
use crate::progress::{Progress, ProgressSink};

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
    let call = mirror.git().call("read-tree", format!("check out {} in {}", commit.short(), dir.display()));
    let call = call.git_dir(&dir.join(".git")).work_tree(dir).limit(TRANSFER_LIMIT);
    let call = lfs.permit_pointers(call.args(["--reset", "-u", "-v"]).arg(commit.as_str()));
    // Contents that a partial clone left out, and large files, come from the server now.
    mirror.reach(call).await.run_telling(progress).await.map(drop)
}
