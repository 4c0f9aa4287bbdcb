//! Replays the corpus of a fuzz target (`fuzz/corpus/<target>`) in an ordinary test, so that found bugs stay fixed.

use std::fs;
use std::path::Path;

/// Calls `entry` with every file of the target's corpus.
///
/// # Panics
/// Panics if there is no corpus, or with the name of the file for which `entry` panics.
#[track_caller]
pub fn replay(target: &str, entry: impl Fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry of the corpus").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", directory.display());
    for file in files {
        let data = fs::read(&file).expect("a file of the corpus");
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| entry(&data)));
        assert!(result.is_ok(), "{} fails; the panic is above", file.display());
    }
}
