//! Repairs a mirror whose objects or refs are damaged, as after a power loss: it is fetched again beside the damaged one, and
//! gets from that everything that is whole.

use std::path::{Path, PathBuf};

use crate::command::progress::{Progress, ProgressSink};
use crate::files::access::{FileError, IoContext, read_dir_if_there, unique_suffix};
use crate::files::atomic_swap::atomic_swap;
use crate::files::lock;
use crate::files::removal::{remove_tree, staging_path};
use crate::git_dir::mend::{MendError, remove_damaged_objects};
use crate::git_dir::objects::{Take, take_objects};
use crate::mirror::repo::{Mirror, MirrorError};
use crate::names::Oid;
use crate::printable::printable;

/// The parts of a mirror that are replaced. Everything else stays: LFS objects, files of rescues, temporary directories.
const REPLACED: [&str; 5] = ["objects", "refs", "packed-refs", "shallow", "HEAD"];

/// The result of a repair.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// The directory with what was replaced.
    pub damaged: PathBuf,
    /// Refs of kugetsu's own whose objects are damaged. Escaped.
    pub lost: Vec<String>,
}

impl From<MendError> for MirrorError {
    fn from(error: MendError) -> Self {
        match error {
            MendError::Git(error) => Self::Git(error),
            MendError::File(error) => Self::File(error),
        }
    }
}

impl Mirror {
    /// Fetches the source again and keeps every whole object, and those of kugetsu's own refs that are whole. The damaged
    /// parts are kept in `<mirror>.damaged-...`. If it fails, for example because the source cannot be reached, the mirror is
    /// as it was.
    pub async fn repair(&self, progress: ProgressSink<'_>) -> Result<Repaired, MirrorError> {
        let _lock = lock::acquire(self.dir(), "", progress).await?;
        self.repair_locked(progress).await
    }

    /// Repairs it if a crash of the machine has emptied files.
    pub(crate) async fn repair_if_emptied(&self) -> Result<(), MirrorError> {
        if has_empty_files(self.dir())? {
            self.repair(&mut |_| ()).await?;
        }
        Ok(())
    }

    /// The same for a caller that holds the lock.
    pub(super) async fn repair_if_emptied_locked(&self, progress: ProgressSink<'_>) -> Result<(), MirrorError> {
        if has_empty_files(self.dir())? {
            self.repair_locked(progress).await?;
        }
        Ok(())
    }

    pub(super) async fn repair_locked(&self, progress: ProgressSink<'_>) -> Result<Repaired, MirrorError> {
        tracing::warn!(mirror = %self.dir().display(), "the mirror is damaged; it is fetched again");
        progress(Progress::new(format!("the mirror of {} is damaged; fetching it again", self.source())));
        let new = staging_path(self.dir());
        let prepared = self.prepare_repair(&new, progress).await;
        let lost = match prepared {
            Ok(lost) => lost,
            Err(error) => {
                remove_tree(&new).await?;
                return Err(error);
            }
        };
        for part in REPLACED {
            replace(&new.join(part), &self.dir().join(part))?;
        }
        let mut name = self.dir().file_name().unwrap_or_default().to_owned();
        name.push(format!(".damaged-{}", unique_suffix()));
        let damaged = self.dir().with_file_name(name);
        std::fs::rename(&new, &damaged).context("rename", &new)?;
        for name in &lost {
            tracing::warn!(%name, kept = %damaged.display(), "objects of this ref are damaged");
        }
        Ok(Repaired { damaged, lost })
    }

    /// Makes the new mirror. Returns the names of refs that are not whole.
    async fn prepare_repair(&self, new: &Path, progress: ProgressSink<'_>) -> Result<Vec<String>, MirrorError> {
        self.clone().create_in(new, progress).await?;
        let fresh = self.at_dir(new, self.format());
        // Objects that no ref names matter too: worktrees borrow them.
        let left = take_objects(self.objects(), fresh.objects(), Take::Copy).await?;
        if let Some(error) = left.unreadable.into_iter().next() {
            return Err(error.into());
        }
        for pack in left.unindexed {
            // 1 and 128: git cannot index it, so it has nothing to give.
            fresh.command("index-pack", "index a pack").arg(&pack).answer(&[1, 128]).await?;
        }
        remove_damaged_objects(self.git(), new).await?;

        let known = fresh.known_commits().await?;
        let mut lost = Vec::new();
        // Refs that are damaged themselves are left out, with a warning.
        let list = self.command("for-each-ref", "list refs").arg("--format=%(objectname) %(refname)");
        let list = list.arg("refs/kugetsu").run().await?;
        let warnings = list.stderr.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lost.extend(warnings.map(printable));
        let mut updates = Vec::new();
        for line in list.lines() {
            let mut fields = line.splitn(2, |byte| *byte == b' ');
            let (Some(oid), Some(name)) = (fields.next().and_then(Oid::from_bytes), fields.next()) else { continue };
            if fresh.is_complete(&oid, &known).await? {
                for part in [b"update ".as_slice(), name, b"\0", oid.as_str().as_bytes(), b"\0\0"] {
                    updates.extend_from_slice(part);
                }
            } else {
                lost.push(printable(name));
            }
        }
        let command = fresh.command("update-ref", "restore refs").args(["--no-deref", "--stdin", "-z"]);
        command.stdin(updates).run().await?;
        Ok(lost)
    }

    /// Whether an object and everything that it needs exist. What is reachable from `known` is not looked at.
    async fn is_complete(&self, object: &Oid, known: &[Oid]) -> Result<bool, MirrorError> {
        let lines: String = known.iter().map(|known| format!("^{known}\n")).collect();
        let mut command = self.command("rev-list", "check objects").args(["--objects", "--quiet"]);
        if self.promisor().is_some() {
            command = command.arg("--exclude-promisor-objects");
        }
        let command = command.arg("--stdin").stdin(format!("{object}\n{lines}"));
        Ok(command.whole().await?.yes().is_some())
    }
}

/// Swaps two paths. One of them may be missing.
fn replace(new: &Path, old: &Path) -> Result<(), FileError> {
    match (new.symlink_metadata().is_ok(), old.symlink_metadata().is_ok()) {
        (true, true) => atomic_swap(new, old),
        (true, false) => std::fs::rename(new, old).context("rename", new),
        (false, true) => std::fs::rename(old, new).context("rename", old),
        (false, false) => Ok(()),
    }
}

/// Whether a loose object, a pack, an index of one, or a ref has no content. Git creates none of them empty, but a crash of the
/// machine leaves such files where the file system writes names before contents.
fn has_empty_files(mirror: &Path) -> Result<bool, FileError> {
    let objects = mirror.join("objects");
    for dir in read_dir_if_there(&objects)?.unwrap_or_default() {
        let is_pack = dir.file_name().is_some_and(|name| name == "pack");
        for file in read_dir_if_there(&dir)?.unwrap_or_default() {
            let matters = !is_pack || file.extension().is_some_and(|ending| ending == "pack" || ending == "idx");
            if matters && is_empty(&file) && dir != objects.join("info") {
                return Ok(true);
            }
        }
    }
    let mut dirs = vec![mirror.join("refs")];
    while let Some(dir) = dirs.pop() {
        for path in read_dir_if_there(&dir)?.unwrap_or_default() {
            let is_lock = path.extension().is_some_and(|ending| ending == "lock");
            if is_empty(&path) && !is_lock {
                return Ok(true);
            }
            dirs.push(path);
        }
    }
    Ok(false)
}

fn is_empty(file: &Path) -> bool {
    file.symlink_metadata().is_ok_and(|meta| meta.is_file() && meta.len() == 0)
}
