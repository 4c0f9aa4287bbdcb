//! Texts as words of a shell: in what a person is told to type, and in files that a shell may read too.

/// The text in quotes within which a shell gives nothing a meaning.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The text as one word: as it is where a shell takes it so, in quotes otherwise.
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
    fn what_a_shell_would_read_otherwise_is_quoted() {
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
