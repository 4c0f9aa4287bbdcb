//! Quoting for shells: in commands that a message suggests, and in files that a shell may read.

/// The text in single quotes.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The text as one word of a shell: quoted only if necessary.
pub fn word(text: &str) -> String {
    match !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+=@:".contains(c)) {
        true => text.to_owned(),
        false => quoted(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_only_if_necessary() {
        for (text, typed) in [
            ("/home/me/a-b_c.d", "/home/me/a-b_c.d"),
            ("https://h/a/b", "https://h/a/b"),
            ("", "''"),
            ("it's", r"'it'\''s'"),
            ("a#1", "'a#1'"),
            ("$(x)", "'$(x)'"),
            ("~", "'~'"),
        ] {
            assert_eq!(word(text), typed);
        }
    }
}
