//! Where a program is.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The first file of this name in the directories of `search_path` (as in `PATH`) that may be executed. Relative entries
/// are left out: they would mean a file wherever one happens to be, in an agent's worktree say.
pub fn find_on_path(name: &OsStr, search_path: &OsStr) -> Option<PathBuf> {
    let directories = std::env::split_paths(search_path).filter(|directory| directory.is_absolute());
    directories.map(|directory| directory.join(name)).find(|path| is_executable(path))
}

/// Whether a file may be executed by somebody.
pub fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
