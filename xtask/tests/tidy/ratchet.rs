//! Ceilings follow the counts downward.

use std::fs;

use crate::ceilings;
use crate::dependencies::packages;
use crate::files::short_files;
use crate::language::measured;
use crate::repository::{read, root};

/// Environment variable with which the test lowers the ceilings instead of failing.
const LOWER: &str = "KUGETSU_LOWER_CEILINGS";

#[test]
fn ceilings_are_the_counts() {
    let phrases = measured().into_iter().map(|(key, ceiling, hits)| (key, ceiling, hits.values().sum()));
    let counts = ceilings::section("counts").into_iter().map(|(key, ceiling)| {
        let count = match key.as_str() {
            ceilings::PACKAGES => packages(),
            ceilings::SHORT_FILES => short_files().len(),
            other => panic!("{}: there is no count `{other}`", ceilings::PATH),
        };
        (key, ceiling, count)
    });
    let lower: Vec<_> = phrases.chain(counts).filter(|(_, ceiling, count)| count < ceiling).collect();
    if std::env::var_os(LOWER).is_some() {
        let mut text = read(&root().join(ceilings::PATH));
        for (key, ceiling, count) in &lower {
            text = text.replace(&format!("\n{key} = {ceiling}\n"), &format!("\n{key} = {count}\n"));
        }
        return fs::write(root().join(ceilings::PATH), text).unwrap();
    }
    let lines: Vec<String> = lower.iter().map(|(key, _, count)| format!("{key} = {count}")).collect();
    assert!(lines.is_empty(), "there are fewer than before; run `cargo xtask ceilings` to lower\n{}", lines.join("\n"));
}
