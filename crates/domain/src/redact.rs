//! Secrets stay secret: which variables hold one, and how their values are masked wherever they turn up.

use aho_corasick::{AhoCorasick, MatchKind};

/// What stands where a secret stood.
pub const MASK: &str = "***";

/// Values shorter than this are not searched for: masking every `1` or `true` would make output unreadable, and
/// nothing that short protects anything.
const SHORTEST_SECRET: usize = 6;

/// Whether a variable of this name holds a secret: every name that contains API_KEY, PASSWORD, TOKEN or SECRET.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["API_KEY", "APIKEY", "PASSWORD", "PASSWD", "TOKEN", "SECRET", "PRIVATE_KEY", "CREDENTIAL"]
        .iter()
        .any(|part| name.contains(part))
}

/// Masks known values and the passwords of addresses in text. Its `Debug` shows no value.
#[derive(Clone)]
pub struct Redactor {
    values: Option<AhoCorasick>,
    longest: usize,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor").finish_non_exhaustive()
    }
}

impl Redactor {
    /// Masks these values; those that are too short to be a secret are left out. A value of several lines is also
    /// masked line by line, since output is cut at lines.
    pub fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Self {
        let mut values: Vec<String> = Vec::new();
        for secret in secrets {
            let secret = secret.as_ref();
            values.extend(
                std::iter::once(secret)
                    .chain(secret.lines())
                    .map(str::trim)
                    .filter(|value| value.len() >= SHORTEST_SECRET)
                    .flat_map(|value| [value.to_owned(), value.escape_default().to_string()]),
            );
        }
        values.sort();
        values.dedup();
        let longest = values.iter().map(String::len).max().unwrap_or(0);
        #[expect(clippy::expect_used, reason = "building fails above 2^31 states, and an environment holds 2^21 bytes")]
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(&values)
            .expect("an environment's values fit into one automaton");
        Self { values: (!values.is_empty()).then_some(automaton), longest }
    }

    /// The text with every known value and every `user:password@` of an address masked.
    pub fn mask(&self, text: &str) -> String {
        let masked = match &self.values {
            Some(values) => values.replace_all(text, &vec![MASK; values.patterns_len()]),
            None => text.to_owned(),
        };
        mask_addresses(&masked)
    }

    /// How many bytes at the end of a piece of a stream may be the beginning of a secret that the next piece completes:
    /// whoever masks a stream holds that many back.
    pub fn held_back(&self, text: &str) -> usize {
        if self.values.is_none() {
            return 0;
        }
        let mut keep = (self.longest - 1).min(text.len());
        while !text.is_char_boundary(text.len() - keep) {
            keep -= 1;
        }
        keep
    }
}

/// `scheme://user:password@host` becomes `scheme://user:***@host`; `scheme://token@host` becomes `scheme://***@host`.
fn mask_addresses(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after
            .find(|c: char| matches!(c, '/' | '?' | '#' | '"' | '\'' | '<' | '>') || c.is_whitespace())
            .unwrap_or(after.len());
        let (authority, tail) = after.split_at(end);
        match authority.rsplit_once('@') {
            Some((user, host)) => {
                match user.split_once(':') {
                    Some((name, _)) => {
                        out.push_str(name);
                        out.push(':');
                        out.push_str(MASK);
                    }
                    None if user == "git" => out.push_str(user),
                    None => out.push_str(MASK),
                }
                out.push('@');
                out.push_str(host);
            }
            None => out.push_str(authority),
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b08_secret_names_are_known_by_their_parts() {
        for name in ["GITEA_TOKEN", "GITHUB_TOKEN", "GITLAB_TOKEN", "MY_API_KEY", "db_password", "Client_Secret_2"] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["PATH", "HOME", "EDITOR", "OPENCODE_CONFIG_CONTENT"] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn b08_values_are_masked_wherever_they_turn_up() {
        let redactor = Redactor::new(["s3cret-value", "s3cret-value-longer", "short", "multi-line-a\nmulti-line-b"]);
        assert_eq!(redactor.mask("a=s3cret-value-longer b=s3cret-value."), "a=*** b=***.");
        assert_eq!(redactor.mask("short stays; multi-line-b goes"), "short stays; *** goes");
        assert!(!format!("{redactor:?}").contains("s3cret"));
    }

    #[test]
    fn b08_passwords_in_addresses_are_masked_even_if_unknown() {
        let redactor = Redactor::new(Vec::<String>::new());
        assert_eq!(
            redactor.mask("push https://bot:hunter22@host/a and https://ghp_x@h, ssh://git@h/x, https://h/a@b"),
            "push https://bot:***@host/a and https://***@h, ssh://git@h/x, https://h/a@b"
        );
    }

    #[test]
    fn a_stream_holds_back_what_may_begin_a_secret() {
        let redactor = Redactor::new(["0123456789"]);
        assert_eq!(redactor.held_back("ab"), 2);
        assert_eq!(redactor.held_back("a long piece of text"), 9);
        assert_eq!(redactor.held_back("ééééééé"), 8, "never inside a character");
        assert_eq!(Redactor::new(Vec::<String>::new()).held_back("anything"), 0);
    }
}
