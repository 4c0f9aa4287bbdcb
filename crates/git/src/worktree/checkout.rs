//! Fills a new worktree with the files of a commit. A faster way than a plain checkout belongs here.

use std::fs::File;
use std::path::Path;
use std::time::SystemTime;

use crate::command::progress::{Progress, ProgressSink};
use crate::command::runner::TRANSFER_TIMEOUT;
use crate::files::access::IoContext;
use crate::lfs::objects::{copy_objects, stored_objects};
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
    if *lfs == Lfs::Ready {
        copy_large_files(mirror, commit).await?;
    }
    let command = mirror.git().command("read-tree", format!("check out {}", commit.short()));
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

/// Copies the large files of a commit that the local source repository has into the mirror, where the checkout finds them. They
/// may be nowhere else. No link, since git-lfs links them into the worktree, where the agent can write.
async fn copy_large_files(mirror: &Mirror, commit: &Oid) -> Result<(), StatusError> {
    let Ok(Some(local)) = mirror.local_repo().await else { return Ok(()) };
    if stored_objects(&local.common_dir)?.is_empty() {
        return Ok(());
    }
    let list = mirror.command("lfs", "list the large files").args(["ls-files", "--long", commit.as_str()]);
    let listed = list.run().await?;
    let first_word = |line: &[u8]| Some(String::from_utf8_lossy(line.split(|byte| *byte == b' ').next()?).into_owned());
    let wanted = listed.lines().filter_map(first_word).collect();
    Ok(copy_objects(&local.common_dir, mirror.dir(), Some(wanted)).await?)
}
