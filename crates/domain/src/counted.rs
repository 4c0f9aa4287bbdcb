//! How a number of things is told.

/// `1 commit`, `2 commits`: the number with its word, in the plural where there is not one.
pub fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
