//! Packages from outside.

use crate::ceilings;
use crate::repository::{assert_none, read, root};

const LOCK: &str = "Cargo.lock";

/// Packages in the lock file, the workspace's own among them.
pub(crate) fn packages() -> usize {
    read(&root().join(LOCK)).lines().filter(|line| *line == "[[package]]").count()
}

#[test]
fn lock_file_does_not_grow() {
    ceilings::check(
        ceilings::PACKAGES,
        packages(),
        "every package is code to compile, to audit and to trust; see `cargo tree --invert <package>`",
    );
}

#[test]
fn every_dependency_comes_from_crates_io() {
    let mut violations = Vec::new();
    for (index, line) in read(&root().join(LOCK)).lines().enumerate() {
        if let Some(source) = line.strip_prefix("source = ")
            && source.trim_matches('"') != "registry+https://github.com/rust-lang/crates.io-index"
        {
            violations.push(format!("{LOCK}:{}: {source}", index + 1));
        }
    }
    assert_none("every dependency comes from crates.io", &violations);
}
