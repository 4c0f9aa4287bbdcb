//! Reads from a mirror what kugetsu has pushed.

use std::io;
use std::path::{Path, PathBuf};

use kugetsu_api::regular_file;

/// The latest push of each branch.
pub(crate) const PUSHED: &str = "refs/kugetsu/pushed/";

/// Returns the commit that kugetsu last pushed to a branch, from the files of the mirror at `path`: git would fail on a damaged one.
pub(crate) fn last_push(path: &Path, branch: &str) -> io::Result<Option<String>> {
    let name = format!("{PUSHED}{branch}");
    let read = |path: PathBuf| match regular_file::read_to_string(&path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::IsADirectory) => Ok(None),
        read => read.map(Some),
    };
    let found = match read(path.join(&name))? {
        Some(loose) => Some(loose.trim().to_owned()),
        None => read(path.join("packed-refs"))?.and_then(|packed| {
            let mut refs = packed.lines().filter_map(|line| line.split_once(' '));
            refs.find(|(_, packed)| *packed == name).map(|(commit, _)| commit.to_owned())
        }),
    };
    Ok(found.filter(|commit| commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit())))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn last_push_is_read_from_loose_and_packed_refs() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let last_push = |branch| last_push(path, branch).unwrap();
        let (one, two) = ("1".repeat(40), "2".repeat(40));
        assert_eq!(last_push("kugetsu/1-x"), None);
        let packed = format!("# pack-refs with: peeled\n{two} {PUSHED}kugetsu/1-x-y\n{one} {PUSHED}kugetsu/1-x\n");
        fs::write(path.join("packed-refs"), packed).unwrap();
        assert_eq!(last_push("kugetsu/1-x"), Some(one));
        fs::create_dir_all(path.join(PUSHED).join("kugetsu")).unwrap();
        fs::write(path.join(PUSHED).join("kugetsu/1-x"), format!("{two}\n")).unwrap();
        assert_eq!(last_push("kugetsu/1-x"), Some(two));
        fs::write(path.join(PUSHED).join("kugetsu/1-x"), "").unwrap();
        assert_eq!(last_push("kugetsu/1-x"), None, "a power loss emptied it");
    }
}
