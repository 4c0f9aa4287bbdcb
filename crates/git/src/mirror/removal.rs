//! Removal of mirrors that nothing uses.

use std::path::{Path, PathBuf};

use crate::files::access::{FileError, IoContext, read_dir_if_there};
use crate::files::lock;
use crate::files::removal::{STAGING_MARK, remove_staging, remove_tree, staging_path};
use crate::mirror::repo::{Mirror, MirrorError, PUSHED};
use crate::printable::printable;

impl Mirror {
    /// Returns the name of a branch that was pushed and has commits which the source does not have any more, as of the last
    /// update: the mirror may be their only copy. Commits that were squashed into others count.
    pub async fn pushed_only_here(&self) -> Result<Option<String>, MirrorError> {
        for (name, oid) in self.refs(&[PUSHED.trim_end_matches('/')]).await? {
            let new = self.command("rev-list", "compare a pushed branch with the source's branches");
            let new = new.args(["--max-count=1", oid.as_str(), "--not", "--remotes=origin"]).run().await?;
            if new.lines().next().is_some() {
                let branch = name.strip_prefix(PUSHED.as_bytes()).unwrap_or(&name);
                return Ok(Some(printable(branch)));
            }
        }
        Ok(None)
    }

    /// Removes the mirror, unless another process is using it. `is_unused` is awaited when no process can open it any more; if
    /// it is false, the mirror is put back. Returns whether it is gone. If this is interrupted, the mirror is gone or as it was.
    pub async fn remove_if(self, is_unused: impl Future<Output = bool>) -> Result<bool, MirrorError> {
        let dir = self.dir();
        let Some(held) = lock::try_acquire(dir)? else { return Ok(false) };
        let Some(_rescue) = lock::try_acquire(&dir.join("rescue"))? else { return Ok(false) };
        let aside = staging_path(dir);
        std::fs::rename(dir, &aside).context("rename", dir)?;
        if !is_unused.await {
            std::fs::rename(&aside, dir).context("rename", &aside)?;
            return Ok(false);
        }
        remove_tree(&aside).await?;
        lock::remove_file(dir, held)?;
        Ok(true)
    }
}

/// Removes what killed processes left of mirrors that they were creating or removing in this directory.
///
/// # Errors
/// The first failure; the others are removed anyway.
pub async fn remove_abandoned(mirrors: &Path) -> Result<(), FileError> {
    let mut result = Ok(());
    for path in read_dir_if_there(mirrors)?.unwrap_or_default() {
        let Some(guarded) = name_before_mark(&path) else { continue };
        // Its creator holds the lock for as long as it lives.
        let removed = match lock::try_acquire(&guarded) {
            Ok(Some(_lock)) => remove_staging(&guarded).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        result = result.and(removed);
    }
    result
}

fn name_before_mark(path: &Path) -> Option<PathBuf> {
    let (name, _) = path.file_name()?.to_str()?.rsplit_once(STAGING_MARK)?;
    Some(path.with_file_name(name))
}
