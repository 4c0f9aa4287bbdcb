//! Paths that the programs of all users share: directories, what belongs to the system in them, and unix sockets.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::layout::PRIVATE_DIRECTORIES;
use super::paths::ResolvedPaths;

/// Directories below a private one in which some systems keep programs and libraries.
const SYSTEM: [&str; 3] = ["/run/current-system", "/run/booted-system", "/run/opengl-driver"];

/// Directories with nothing but the files for name resolution.
const RESOLVERS: [&str; 2] = ["/run/systemd/resolve", "/run/resolvconf"];

/// Those of [`PRIVATE_DIRECTORIES`] that are directories on this system, not links.
pub(super) fn private_directories() -> Vec<PathBuf> {
    PRIVATE_DIRECTORIES.map(PathBuf::from).into_iter().filter(|path| is_real_directory(path)).collect()
}

pub(super) fn run_directory() -> Option<&'static Path> {
    Some(Path::new("/run")).filter(|run| is_real_directory(run))
}

fn is_real_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

/// Paths below a private directory that belong to the system: programs, and the file for name resolution.
pub(super) fn system_paths() -> BTreeSet<PathBuf> {
    let existing = SYSTEM.map(PathBuf::from).into_iter().filter(|path| fs::symlink_metadata(path).is_ok());
    let mut paths: BTreeSet<PathBuf> = existing.collect();
    if let Ok(resolver) = fs::canonicalize("/etc/resolv.conf")
        && resolver.starts_with("/run")
    {
        // Where the file is replaced when the network changes, its directory, unless programs keep other things there.
        let directory = RESOLVERS.iter().map(Path::new).find(|directory| resolver.starts_with(directory));
        paths.insert(directory.map(Path::to_owned).unwrap_or(resolver));
    }
    paths
}

/// Lists the sockets that exist now and that a sandboxed program would see. One that is read-only can be
/// connected to.
pub(super) fn visible_sockets(paths: &ResolvedPaths) -> BTreeSet<PathBuf> {
    let hidden = private_directories();
    // Without the list nothing is known; the directories in which sockets usually are, are hidden in any case.
    let listed = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let known = listed.lines().filter_map(path_of).filter_map(|path| fs::canonicalize(path).ok());
    let system = system_paths();
    let is_shown =
        |path: &PathBuf| paths.is_visible(path, &hidden) || system.iter().any(|shown| path.starts_with(shown));
    known.filter(|path| is_socket(path) && is_shown(path)).collect()
}

/// The path in a line of `/proc/net/unix`, which has seven fields before it. Abstract sockets begin with `@`.
fn path_of(line: &str) -> Option<&Path> {
    let mut rest = line;
    for _ in 0..7 {
        rest = rest.trim_start().split_once(' ')?.1;
    }
    let path = rest.trim_start();
    path.starts_with('/').then(|| Path::new(path))
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_from_the_kernels_list() {
        let line = "0000000000000000: 00000002 00000000 00010000 0001 01 12345 /run/a b.sock";
        assert_eq!(path_of(line), Some(Path::new("/run/a b.sock")));
        assert_eq!(path_of(&line.replace("/run", "@/run")), None);
        assert_eq!(path_of("0000000000000000: 00000002 00000000 00000000 0002 01 12345"), None);
    }
}
