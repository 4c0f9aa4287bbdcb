//! Removal of rescues that the user no longer wants.
//!
//! The commits of a removed rescue stay in the mirror, whose objects are never pruned, until the mirror goes. Nothing names
//! them any more, and the files beside the rescue are gone.

use std::collections::BTreeSet;
use std::ffi::OsString;

use crate::files::access::read_dir_if_there;
use crate::files::lock;
use crate::files::removal::remove_tree;
use crate::mirror::repo::{KEPT, Mirror, RESCUE};
use crate::rescue::error::RescueError;
use crate::rescue::large;
use crate::rescue::list::{Rescue, find, load_notes};
use crate::rescue::state::SavedState;

/// Removes a rescue. `name` is its ref or the end of it. If it is interrupted, the rescue is still there, or
/// [`remove_unused_files`] removes the rest.
pub async fn remove(mirror: &Mirror, name: &str) -> Result<Rescue, RescueError> {
    // No rescue is saved meanwhile, which might use the same files.
    let _lock = lock::acquire(&mirror.dir().join("rescue"), "", &mut |_| ()).await?;
    let (rescue, _) = find(mirror, name).await?;
    let kept = mirror.refs(&[&format!("{KEPT}{}/{}", rescue.issue, rescue.at)]).await?;
    let mut updates = format!("delete {}\0{}\0", rescue.name, rescue.commit).into_bytes();
    for (name, oid) in kept {
        for part in [b"delete ".as_slice(), &name, b"\0", oid.as_str().as_bytes(), b"\0"] {
            updates.extend_from_slice(part);
        }
    }
    let command = mirror.command("update-ref", "remove the rescue").args(["--no-deref", "--stdin", "-z"]);
    command.stdin(updates).run().await?;
    remove_unused(mirror).await?;
    Ok(rescue)
}

/// Removes the files beside rescues that no rescue names, which an interrupted removal or save left.
pub async fn remove_unused_files(mirror: &Mirror) -> Result<(), RescueError> {
    if read_dir_if_there(&large::parent(mirror))?.is_none_or(|files| files.is_empty()) {
        return Ok(());
    }
    let _lock = lock::acquire(&mirror.dir().join("rescue"), "", &mut |_| ()).await?;
    remove_unused(mirror).await
}

/// The caller holds the lock.
async fn remove_unused(mirror: &Mirror) -> Result<(), RescueError> {
    let Some(present) = read_dir_if_there(&large::parent(mirror))? else { return Ok(()) };
    if present.is_empty() {
        return Ok(());
    }
    let notes = load_notes(mirror, None).await?;
    if notes.len() != mirror.refs(&[RESCUE.trim_end_matches('/')]).await?.len() {
        // It is unknown which files the unreadable ones name.
        return Ok(());
    }
    let mut used: BTreeSet<OsString> = BTreeSet::new();
    for (_, note) in notes {
        let Some(state) = &note.state else { continue };
        let list = SavedState::read(mirror, state).await?.content(mirror, "large").await?;
        used.extend(large::directory(mirror, &list).file_name().map(OsString::from));
    }
    for path in present {
        if path.file_name().is_some_and(|name| !used.contains(name)) {
            remove_tree(&path).await?;
        }
    }
    Ok(())
}
