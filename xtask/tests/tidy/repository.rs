//! The files of the repository, and how a rule reports its violations.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

pub(crate) fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).to_string_lossy().into_owned()
}

pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files that are committed or could be: those that git ignores are left out.
pub(crate) fn files() -> Vec<PathBuf> {
    let list = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
    // The checkout may belong to another user, as in a container.
    let output = Command::new("git").args(["-c", "safe.directory=*"]).args(list).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let paths = String::from_utf8(output.stdout).unwrap();
    let mut paths: Vec<PathBuf> = paths.split_terminator('\0').map(|path| root().join(path)).collect();
    paths.sort();
    paths.dedup();
    // A file that was removed but not yet committed is still listed.
    paths.retain(|path| path.is_file());
    paths
}

/// The texts that people wrote, with their paths: no lock files, no recorded data.
pub(crate) fn texts() -> impl Iterator<Item = (String, String)> {
    let files = files().into_iter().map(|path| (relative(&path), path));
    files
        .filter(|(name, _)| !name.ends_with("Cargo.lock"))
        .filter(|(name, _)| {
            !name.contains("/tests/data/") && !name.contains("/tests/recorded") && !name.starts_with("fuzz/corpus/")
        })
        .filter_map(|(name, path)| Some((name, fs::read_to_string(path).ok()?)))
}

/// Fails with the rule and all violations unless there are none.
#[track_caller]
pub(crate) fn assert_none(rule: &str, violations: &[String]) {
    assert!(violations.is_empty(), "{rule}\n  {}", violations.join("\n  "));
}
