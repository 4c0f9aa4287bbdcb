//! Numbers with nouns, for messages.

/// The number with its noun, in the plural unless the number is 1: `1 commit`, `2 commits`.
pub fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
