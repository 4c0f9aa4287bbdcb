//! Fuzz targets (`fuzz/`), which the main build does not compile.

use std::collections::BTreeSet;

use crate::repository::{assert_none, files, read, relative, root};
use crate::scanner::sources;

/// Every target is declared, has a corpus, and its corpus is replayed by an ordinary test.
#[test]
fn every_fuzz_target_has_a_corpus_that_a_test_replays() {
    let names = |directory: &str, take: fn(&str) -> Option<&str>| -> BTreeSet<String> {
        let paths: Vec<String> = files().iter().map(|path| relative(path)).collect();
        paths.iter().filter_map(|path| take(path.strip_prefix(directory)?)).map(str::to_owned).collect()
    };
    let targets = names("fuzz/fuzz_targets/", |file| file.strip_suffix(".rs"));
    let corpora = names("fuzz/corpus/", |file| file.split('/').next());
    let manifest = read(&root().join("fuzz/Cargo.toml"));
    let tests: String =
        sources(&["src"]).iter().flat_map(|source| &source.lines).map(|line| line.raw.as_str()).collect();
    let mut violations = Vec::new();
    for name in targets.union(&corpora) {
        if !targets.contains(name) || !manifest.contains(&format!("name = \"{name}\"")) {
            violations.push(format!("{name}: no target in fuzz/fuzz_targets that fuzz/Cargo.toml declares"));
        }
        if !corpora.contains(name) {
            violations.push(format!("{name}: no corpus in fuzz/corpus"));
        }
        if !tests.contains(&format!("replay(\"{name}\"")) {
            violations.push(format!("{name}: no test replays the corpus"));
        }
    }
    assert_none("every fuzz target has a corpus that a test replays", &violations);
}
