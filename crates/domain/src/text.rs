//! Text for messages: numbers with nouns, times, and quoting for a shell.

use jiff::Timestamp;

/// The number with its noun, in the plural unless the number is 1: `1 commit`, `2 commits`.
pub fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// A time in JSON and in events: RFC 3339 in UTC with milliseconds. Such times sort as text.
pub fn rfc3339(time: Timestamp) -> String {
    format!("{time:.3}")
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
