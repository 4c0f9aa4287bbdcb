//! Fills a new worktree with the files of a commit. A faster way than a plain checkout belongs here.

use std::fs::File;
use std::path::Path;
use std::time::SystemTime;

use crate::command::progress::{Progress, ProgressSink};
use crate::command::runner::TRANSFER_TIMEOUT;
use crate::files::access::IoContext;
use crate::lfs::setup::Lfs;
use crate::mirror::repo::Mirror;
use crate::names::Oid;
use crate::untrusted::changes::StatusError;

/// Writes the files and the index of `commit` into `dir`, whose git directory is new. Conversions and filters of the user's
/// config take effect, as in a clone.
pub(crate) async fn check_out(
    mirror: &Mirror,
    dir: &Path,
    commit: &Oid,
    lfs: &Lfs,
    progress: ProgressSink<'_>,
) -> Result<(), StatusError> {
    progress(Progress::new(format!("checking out {}", commit.short())));
    let command = mirror.git().command("read-tree", format!("check out {} in {}", commit.short(), dir.display()));
    let command = command.owned_git_dir(&dir.join(".git")).work_tree(dir).timeout(TRANSFER_TIMEOUT);
    let command = lfs.allow_pointers(command.args(["--reset", "-u", "-v"]).arg(commit.as_str()));
    // The server may be needed: for objects that a partial clone left out, and for LFS files.
    mirror.authenticate(command).await.run_with_progress(progress).await?;
    // No file is as new as the index, so each that is not written again is unmodified: `untrusted::unmodified`. Files have times
    // of the kernel's last tick, which is before now.
    let index = dir.join(".git/index");
    let now = SystemTime::now();
    Ok(File::options()
        .write(true)
        .open(&index)
        .and_then(|file| file.set_modified(now))
        .context("set the time of", &index)?)
}
