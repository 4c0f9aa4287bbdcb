//! Combines the packs of a mirror: every fetch and every large rescue adds one, and git looks for an object in each.
//!
//! No object is removed, reachable or not, since worktrees borrow them. Git writes the new pack before it removes the ones
//! that it replaces, and a git that reads meanwhile looks for the new one when an old one is gone.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::files::access::{FileError, IoContext, blocking, read_dir_if_there};
use crate::files::lock;
use crate::mirror::repo::{Mirror, MirrorError};

/// Number of packs from which on they are combined.
const PACKS: usize = 20;
/// Number of loose objects in one of 256 directories from which on they are packed: git counts them the same way.
const LOOSE: usize = 27;
/// How long a run may have to wait for the mirror's lock because of this.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Age from which on a temporary file of a pack is one that a killed git left. No command of git lasts this long.
const ABANDONED: Duration = Duration::from_hours(24);

impl Mirror {
    /// Combines the packs if there are many. Small packs are combined first, so it is quick also in a large mirror. Does nothing
    /// while another process uses the mirror, and in a partial clone, some of whose packs git must tell apart. Returns the
    /// numbers of packs before and after.
    pub async fn combine_packs(&self) -> Result<Option<(usize, usize)>, MirrorError> {
        let objects = self.objects();
        self.remove_abandoned().await?;
        let (before, loose) = (packs(&objects)?.len(), files(&objects.join("17"))?.len());
        if self.promisor().is_some() || (before < PACKS && loose < LOOSE) {
            return Ok(None);
        }
        let Some(_lock) = lock::try_acquire(self.dir())? else { return Ok(None) };
        let command = self.command("repack", "combine packs").args(["-d", "-l", "-n", "-q", "--geometric=2"]);
        // One thread: agents need the others.
        command.config("pack.threads", "1").timeout(TIMEOUT).once().run().await?;
        Ok(Some((before, packs(&objects)?.len())))
    }

    /// Removes temporary files that a killed git left among the objects. Does nothing while another process uses the mirror.
    async fn remove_abandoned(&self) -> Result<(), FileError> {
        let objects = self.objects();
        let found = {
            let objects = objects.clone();
            blocking(&self.objects(), move || abandoned(&objects)).await?
        };
        if found.is_empty() {
            return Ok(());
        }
        let Some(_lock) = lock::try_acquire(self.dir())? else { return Ok(()) };
        blocking(&objects, move || {
            for path in found {
                match std::fs::remove_file(&path) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(error).context("remove", &path);
                    }
                    _ => {}
                }
            }
            Ok(())
        })
        .await
    }
}

/// Returns the old temporary files of packs and of loose objects.
fn abandoned(objects: &Path) -> Result<Vec<PathBuf>, FileError> {
    let mut found = Vec::new();
    for dir in files(objects)?.into_iter().filter(|path| path.is_dir()) {
        found.extend(files(&dir)?.into_iter().filter(|path| is_abandoned(path)));
    }
    Ok(found)
}

fn is_abandoned(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let is_temporary = name.starts_with(b"tmp_") || name.starts_with(b".tmp-");
    let modified = || path.symlink_metadata().and_then(|meta| meta.modified());
    is_temporary && modified().is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > ABANDONED))
}

fn packs(objects: &Path) -> Result<Vec<PathBuf>, FileError> {
    let mut all = files(&objects.join("pack"))?;
    all.retain(|path| path.extension().is_some_and(|ending| ending == "pack"));
    Ok(all)
}

fn files(dir: &Path) -> Result<Vec<PathBuf>, FileError> {
    Ok(read_dir_if_there(dir)?.unwrap_or_default())
}
