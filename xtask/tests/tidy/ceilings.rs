//! `ceilings.txt`: counts that may fall but not rise.

use crate::repository::{read, root};

pub(crate) const PATH: &str = "xtask/tests/tidy/ceilings.txt";

/// The lines `key = number` of one section.
pub(crate) fn section(name: &str) -> Vec<(String, usize)> {
    let text = read(&root().join(PATH));
    let body = text.split(&format!("[{name}]\n")).nth(1).unwrap_or_else(|| panic!("{PATH}: no section [{name}]"));
    let lines = body.lines().take_while(|line| !line.starts_with('['));
    lines
        .filter_map(|line| line.split_once('='))
        .map(|(key, number)| (key.trim().to_owned(), number.trim().parse().unwrap()))
        .collect()
}

/// Keys of section `[counts]`.
pub(crate) const PACKAGES: &str = "packages in Cargo.lock";
pub(crate) const SHORT_FILES: &str = "files under 40 lines of code";

/// Fails if a count is above its ceiling.
#[track_caller]
pub(crate) fn check(key: &str, count: usize, remedy: &str) {
    let ceiling = section("counts").into_iter().find(|(name, _)| name == key).map(|(_, ceiling)| ceiling);
    let ceiling = ceiling.unwrap_or_else(|| panic!("{PATH}: no count `{key}`"));
    assert!(count <= ceiling, "{count} {key}, at most {ceiling} are allowed; {remedy}");
}
