//! Directories that the programs of all users share, and what belongs to the system in them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// In a sandbox they are private and empty.
const PRIVATE: [&str; 3] = ["/tmp", "/var/tmp", "/run"];
/// Directories below a private one in which some systems keep programs and libraries.
const SYSTEM: [&str; 3] = ["/run/current-system", "/run/booted-system", "/run/opengl-driver"];

/// Those of [`PRIVATE`] that are directories on this system, not links.
pub(super) fn private_directories() -> Vec<PathBuf> {
    PRIVATE.map(PathBuf::from).into_iter().filter(|path| is_real_directory(path)).collect()
}

pub(super) fn run_directory() -> Option<&'static Path> {
    Some(Path::new("/run")).filter(|run| is_real_directory(run))
}

fn is_real_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

/// Paths below a private directory that belong to the system: programs, and the file for name resolution. Without links.
pub(super) fn system_paths() -> BTreeSet<PathBuf> {
    let existing = SYSTEM.map(PathBuf::from).into_iter().filter(|path| fs::symlink_metadata(path).is_ok());
    let mut paths: BTreeSet<PathBuf> = existing.collect();
    if let Ok(resolver) = fs::canonicalize("/etc/resolv.conf")
        && let Some(directory) = resolver.parent()
        && resolver.starts_with("/run")
    {
        // The directory, because the file is replaced when the network changes.
        paths.insert(if directory == Path::new("/run") { resolver } else { directory.to_owned() });
    }
    paths
}
