//! Finds the file of a session.

use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::session_id::SessionId;

/// Maximum number of entries of a directory that are looked at.
const ENTRIES_MAX: usize = 100_000;
/// In a pattern, the session's id.
const SESSION: &str = "{session}";
/// In a pattern, the id's first 8 characters.
const SESSION_START: &str = "{session:8}";

/// Returns the paths below `directory` that match, the latest modified first. `pattern` has one item for each component; `*` in
/// an item matches any text.
///
/// # Errors
/// The id cannot be part of a path, or a directory cannot be read.
pub(super) fn find(directory: &Path, pattern: &[&str], session: &SessionId) -> io::Result<Vec<PathBuf>> {
    let id = session.as_str();
    if !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')) {
        return Err(io::Error::other("the session's id cannot be part of a path"));
    }
    let start = id.get(..8).unwrap_or(id);
    let mut found = vec![directory.to_owned()];
    for item in pattern {
        let item = item.replace(SESSION_START, start).replace(SESSION, id);
        let mut below = Vec::new();
        for directory in found {
            match item.split_once('*') {
                None => below.push(directory.join(&item)),
                Some((before, after)) => below.extend(entries(&directory, before, after)?),
            }
        }
        found = below;
    }
    let mut dated: Vec<(SystemTime, PathBuf)> = Vec::new();
    for path in found {
        if let Ok(metadata) = fs::symlink_metadata(&path) {
            dated.push((metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), path));
        }
    }
    dated.sort();
    Ok(dated.into_iter().rev().map(|(_, path)| path).collect())
}

/// Returns the entries of a directory whose names begin and end like this; none if there is no such directory.
fn entries(directory: &Path, before: &str, after: &str) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(vec![]);
        }
        Err(error) => return Err(error),
    };
    let fits = |entry: &DirEntry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after)
    };
    entries.take(ENTRIES_MAX).filter(|entry| entry.as_ref().map_or(true, fits)).map(|entry| Ok(entry?.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(id: &str) -> SessionId {
        SessionId::new(id).unwrap()
    }

    #[test]
    fn file_is_found_by_the_sessions_id() {
        let home = tempfile::tempdir().unwrap();
        let kept = ["one/chats/x-2026-abcdefgh.jsonl", "two/chats/x-2026-abcdefgi.jsonl", "two/chats/abcdefgh.jsonl"];
        for name in kept {
            fs::create_dir_all(home.path().join(name).parent().unwrap()).unwrap();
            fs::write(home.path().join(name), "").unwrap();
        }
        fs::write(home.path().join("file"), "").unwrap();
        let found = find(home.path(), &["*", "chats", "x-*-{session:8}.jsonl"], &session("abcdefgh-1234")).unwrap();
        assert_eq!(found, [home.path().join(kept[0])]);
        assert!(find(home.path(), &["*", "{session}", "log"], &session("abcdefgh")).unwrap().is_empty());
        assert!(find(&home.path().join("none"), &["*"], &session("a")).unwrap().is_empty());
    }

    #[test]
    fn id_never_leaves_the_directory() {
        let home = tempfile::tempdir().unwrap();
        for id in ["..", "a/b", "../a", "a*", "."] {
            assert!(find(home.path(), &["{session}"], &session(id)).is_err(), "{id}");
        }
    }
}
