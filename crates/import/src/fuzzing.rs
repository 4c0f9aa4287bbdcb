//! The entry point for the fuzz target in `fuzz/`. It panics where a property is violated.
#![expect(clippy::expect_used, reason = "a violated property must stop the fuzzer")]

use std::fs;
use std::path::{Component, Path, PathBuf};

use kugetsu_api::home::Home;

use crate::plan::Plan;

/// Plans the import of a home. Each file in `data` ends with a zero byte: its path, `=` and its contents. A plan changes
/// nothing.
pub fn imported_homes(data: &[u8]) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let home = directory.path().join("home");
    fs::create_dir(&home).expect("the home");
    for entry in data.split(|byte| *byte == 0) {
        let Some(at) = entry.iter().position(|byte| *byte == b'=') else { continue };
        let path = String::from_utf8_lossy(&entry[..at]).into_owned();
        let is_plain = |component: &Component<'_>| matches!(component, Component::Normal(_));
        let path: PathBuf = Path::new(&path).components().filter(is_plain).collect();
        let path = home.join(path);
        // Fails if a name is too long, or if a file has the name of a directory.
        let _ = path.parent().map(fs::create_dir_all);
        let _ = fs::write(&path, &entry[at + 1..]);
    }
    let before = tree(&home);
    let plan = Plan::read(&Home::new(home.clone()), Some(directory.path().join("user")));
    assert_eq!(tree(&home), before);
    for work in &plan.work {
        if let Ok(clone) = &work.clone {
            assert!(clone.starts_with(home.canonicalize().expect("the home")), "{}", clone.display());
        }
    }
}

/// All paths below a directory.
fn tree(directory: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            paths.extend(tree(&path));
        }
        paths.push(path);
    }
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    #[test]
    fn corpus_of_imported_homes_passes() {
        kugetsu_testkit::corpus::replay("imported_homes", super::imported_homes);
    }
}
