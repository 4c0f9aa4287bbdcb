//! Removal of rescues that the user no longer wants.
//!
//! The commits of a removed rescue stay in the mirror, whose objects are never pruned, until the mirror goes. Nothing names
//! them any more, and the files beside the rescue are gone.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::timeout;

use crate::files::lock;
use crate::files::removal::remove_tree;
use crate::mirror::repo::{KEPT, Mirror, RESCUE};
use crate::rescue::error::RescueError;
use crate::rescue::large;
use crate::rescue::list::{Rescue, find, load_notes};
use crate::rescue::note::Note;
use crate::rescue::state::SavedState;

/// How long a removal waits for another process that saves or removes a rescue of the mirror.
const WAIT: Duration = Duration::from_secs(10);

/// Removes a rescue and the files beside it that no other rescue names. `name` is its ref or the end of it.
///
/// Files that no rescue names otherwise are left: a repair of the mirror may have lost the ref of their rescue. If the removal
/// is interrupted after the ref is gone, they are left, too.
///
/// # Errors
/// The rescue does not exist, or another process uses the rescues of the mirror.
pub async fn remove(mirror: &Mirror, name: &str) -> Result<Rescue, RescueError> {
    // No rescue is saved meanwhile, which might use the same files.
    let (dir, mut ignored) = (mirror.dir().join("rescue"), |_| ());
    let lock = timeout(WAIT, lock::acquire(&dir, "", &mut ignored)).await;
    let _lock = lock.map_err(|_| RescueError::Busy { mirror: mirror.dir().to_owned() })??;
    let (rescue, note) = find(mirror, name).await?;
    let files = files_of(mirror, &note).await?;
    let kept = mirror.refs(&[&format!("{KEPT}{}/{}", rescue.issue, rescue.at)]).await?;
    let mut updates = format!("delete {}\0{}\0", rescue.name, rescue.commit).into_bytes();
    for (name, oid) in kept {
        for part in [b"delete ".as_slice(), &name, b"\0", oid.as_str().as_bytes(), b"\0"] {
            updates.extend_from_slice(part);
        }
    }
    let command = mirror.command("update-ref", "remove the rescue").args(["--no-deref", "--stdin", "-z"]);
    command.stdin(updates).run().await?;
    if let Some(files) = files
        && !is_used(mirror, &files).await?
    {
        remove_tree(&files).await?;
    }
    Ok(rescue)
}

/// The directory of the files beside a rescue.
async fn files_of(mirror: &Mirror, note: &Note) -> Result<Option<PathBuf>, RescueError> {
    let Some(state) = &note.state else { return Ok(None) };
    let list = SavedState::read(mirror, state).await?.content(mirror, "large").await?;
    Ok((!list.is_empty()).then(|| large::directory(mirror, &list)))
}

/// Whether a rescue names the files. True if a rescue cannot be read.
async fn is_used(mirror: &Mirror, files: &Path) -> Result<bool, RescueError> {
    let notes = load_notes(mirror, None).await?;
    if notes.len() != mirror.refs(&[RESCUE.trim_end_matches('/')]).await?.len() {
        return Ok(true);
    }
    for (_, note) in notes {
        if files_of(mirror, &note).await?.is_some_and(|used| used == files) {
            return Ok(true);
        }
    }
    Ok(false)
}
