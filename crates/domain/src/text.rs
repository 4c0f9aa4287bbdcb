//! Text for messages: numbers with nouns, errors with hints, and words quoted for a shell.

use std::fmt::Display;

/// The number with its noun, in the plural unless the number is 1: `1 commit`, `2 commits`.
pub fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// The text in single quotes, for a command that a message suggests and for files that a shell may read.
pub fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The text as one word of a shell: quoted only if necessary.
pub fn shell_word(text: &str) -> String {
    match !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+=@:".contains(c)) {
        true => text.to_owned(),
        false => shell_quoted(text),
    }
}

/// An error and its hint in one line, for a text that has no hint of its own.
pub fn with_hint(error: &impl Display, hint: Option<String>) -> String {
    match hint {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_only_if_necessary() {
        for (text, expected) in [
            ("/home/me/a-b_c.d", "/home/me/a-b_c.d"),
            ("https://h/a/b", "https://h/a/b"),
            ("", "''"),
            ("it's", r"'it'\''s'"),
            ("a#1", "'a#1'"),
            ("$(x)", "'$(x)'"),
            ("~", "'~'"),
        ] {
            assert_eq!(shell_word(text), expected);
        }
    }
}
