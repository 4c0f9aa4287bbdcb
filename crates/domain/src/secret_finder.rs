//! Finds the values of secrets in content that is about to leave the machine.

use std::collections::BTreeSet;
use std::fmt;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use crate::secret_forms::forms;

/// Shortest value that is searched for, in bytes. Longer than what is masked: a false alarm stops a push.
const SHORTEST: usize = 8;

/// The same for a value of letters or digits alone: work on a database may well contain the word `postgres`.
const SHORTEST_WORD: usize = 16;

/// Searches bytes for every form of every secret. `Debug` shows no secret.
#[derive(Clone)]
pub struct SecretFinder {
    /// The variable of each form.
    names: Vec<String>,
    automaton: Option<AhoCorasick>,
}

impl fmt::Debug for SecretFinder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretFinder").finish_non_exhaustive()
    }
}

impl SecretFinder {
    /// Searches for the values of these variables, except for those that are allowed. Of a value with several lines, such as a
    /// key, the longest line is searched for.
    pub fn new(secrets: impl IntoIterator<Item = (String, String)>, allowed: &[String]) -> Self {
        let (mut names, mut values, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
        for (name, value) in secrets.into_iter().filter(|(name, _)| !allowed.contains(name)) {
            let longest = value.lines().map(str::trim).max_by_key(|line| line.len()).unwrap_or_default().to_owned();
            let is_word =
                longest.bytes().all(|b| b.is_ascii_alphabetic()) || longest.bytes().all(|b| b.is_ascii_digit());
            if longest.len() < if is_word { SHORTEST_WORD } else { SHORTEST } {
                continue;
            }
            for form in forms(&longest) {
                if seen.insert(form.clone()) {
                    names.push(name.clone());
                    values.push(form);
                }
            }
        }
        let build = || AhoCorasick::builder().kind(Some(AhoCorasickKind::ContiguousNFA)).build(&values);
        #[expect(
            clippy::expect_used,
            reason = "building fails above 2^31 states, and an environment has at most 2^21 bytes"
        )]
        let automaton = (!values.is_empty()).then(|| build().expect("an environment's values fit into one automaton"));
        Self { names, automaton }
    }

    /// Whether there is nothing to search for.
    pub fn is_empty(&self) -> bool {
        self.automaton.is_none()
    }

    /// Length of the longest form that is searched for, in bytes.
    pub fn longest(&self) -> usize {
        self.automaton.as_ref().map_or(0, AhoCorasick::max_pattern_len)
    }

    /// The variable whose value is in the content.
    pub fn find(&self, content: &[u8]) -> Option<&str> {
        let found = self.automaton.as_ref()?.find(content)?;
        self.names.get(found.pattern().as_usize()).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_names_its_variable_and_allowed_ones_are_skipped() {
        let secret = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let secrets = [
            secret("A_TOKEN", "tok/123456789"),
            secret("SHORT_TOKEN", "1234567"),
            secret("DB_PASSWORD", "postgres-15"),
            secret("WORD_PASSWORD", "password"),
            secret("PRIVATE_KEY", "-----BEGIN-----\nMIIEvQIBADANBgkqhkiG9w0\n-----END-----"),
        ];
        let finder = SecretFinder::new(secrets, &["DB_PASSWORD".to_owned()]);
        for text in ["key = tok/123456789", "tok%2F123456789", "\u{0}\u{1}tok/123456789"] {
            assert_eq!(finder.find(text.as_bytes()), Some("A_TOKEN"), "{text}");
        }
        assert_eq!(finder.find(b"  MIIEvQIBADANBgkqhkiG9w0\r\n"), Some("PRIVATE_KEY"));
        for text in ["1234567", "postgres-15", "password", "tok/12345678", "-----BEGIN-----"] {
            assert_eq!(finder.find(text.as_bytes()), None, "{text}");
        }
        assert!(SecretFinder::new([], &[]).is_empty());
        assert!(!format!("{finder:?}").contains("tok"));
    }
}
