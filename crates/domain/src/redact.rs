//! Recognizes variables that hold secrets, and masks their values in text.

use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use crate::secret_forms::forms;

/// Replaces a secret.
pub const MASK: &str = "***";

/// Shortest value that is masked, in bytes. Masking every `1` or `true` would make output unreadable, and nothing that short
/// is a secret.
const SHORTEST_SECRET: usize = 6;
/// Shortest value of a field called `key` that is a secret, in bytes. Shorter ones are keys of a keyboard.
const SHORTEST_KEY: usize = 12;
/// Longest user and host of an address, in bytes, for which a stream is held back. Anything longer is not an address.
const LONGEST_AUTHORITY: usize = 512;

/// Whether a variable with this name holds a secret: its name contains API_KEY, PASSWORD, TOKEN, SECRET or the like.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["API_KEY", "APIKEY", "PASSWORD", "PASSWD", "TOKEN", "SECRET", "PRIVATE_KEY", "CREDENTIAL"]
        .iter()
        .any(|part| name.contains(part))
}

/// Whether the value of a variable is a secret. Two kinds of values of variables with a [secret name](is_secret_name) are not:
/// numbers if the name ends in TOKENS (`MAX_TOKENS=128000` is a count), and paths if it ends in FILE, PATH or DIR
/// (`GITHUB_TOKEN_FILE=/run/secrets/token` is a location). Masking them would hide unrelated numbers and paths.
pub fn is_secret(name: &str, value: &str) -> bool {
    let (upper, value) = (name.to_ascii_uppercase(), value.trim());
    let is_count = upper.ends_with("TOKENS") && value.bytes().all(|byte| byte.is_ascii_digit());
    let is_location = ["_FILE", "_PATH", "_DIR"].iter().any(|end| upper.ends_with(end))
        && ["/", "./", "../", "~/"].iter().any(|begin| value.starts_with(begin));
    is_secret_name(name) && !is_count && !is_location
}

/// Whether a field of a JSON object holds a secret: as a variable of that name, or a header, or a key of some length.
pub fn is_secret_field(name: &str, value: &str) -> bool {
    let plain = name.replace('-', "_");
    let is_one_of = |names: &[&str]| names.iter().any(|other| plain.eq_ignore_ascii_case(other));
    is_secret(&plain, value)
        || is_one_of(&["authorization", "proxy_authorization", "cookie", "bearer", "pwd"])
        || (is_one_of(&["key", "auth", "pass", "access_key", "accesskey"]) && value.len() >= SHORTEST_KEY)
}

/// Masks known secrets, and the passwords of all addresses. `Debug` shows no secret.
#[derive(Clone)]
pub struct Redactor {
    search: Option<Search>,
}

/// Searches for every form of every secret.
#[derive(Clone)]
struct Search {
    automaton: AhoCorasick,
    /// The forms, sorted.
    values: Arc<[String]>,
    longest: usize,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor").finish_non_exhaustive()
    }
}

impl Redactor {
    /// Masks these values in every form: plain, quoted, percent-encoded and in base64. Values too short to be secrets are
    /// ignored. Each line of a value with several lines is masked as well, because output is split at lines.
    pub fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Self {
        let mut values: Vec<String> = Vec::new();
        for secret in secrets {
            let secret = secret.as_ref();
            values.extend(
                std::iter::once(secret)
                    .chain(secret.lines())
                    .map(str::trim)
                    .filter(|value| value.len() >= SHORTEST_SECRET)
                    .flat_map(forms),
            );
        }
        values.sort();
        values.dedup();
        if values.is_empty() {
            return Self { search: None };
        }
        let longest = values.iter().map(String::len).max().unwrap_or(0);
        #[expect(
            clippy::expect_used,
            reason = "building fails above 2^31 states, and an environment has at most 2^21 bytes"
        )]
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            // The fastest kind needs kilobytes for each byte of a secret.
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&values)
            .expect("an environment's values fit into one automaton");
        Self { search: Some(Search { automaton, values: values.into(), longest }) }
    }

    /// Masks every known secret, and the password of every `user:password@` in an address.
    pub fn mask(&self, text: &str) -> String {
        let masked = match &self.search {
            Some(search) => {
                let mut masked = String::with_capacity(text.len());
                search.automaton.replace_all_with(text, &mut masked, |_, _, out| {
                    out.push_str(MASK);
                    true
                });
                masked
            }
            None => text.to_owned(),
        };
        mask_addresses(&masked)
    }

    /// Returns the length of the prefix of a stream that can be masked and passed on, whatever follows. The rest may be the
    /// beginning of a secret, or of an address with a password, that the next chunk completes; hold it back until then.
    pub fn settled(&self, text: &str) -> usize {
        let address = unfinished_address(text).unwrap_or(text.len());
        let Some(search) = &self.search else { return address };
        // A complete secret is not split: a prefix that begins inside it does not count.
        let complete: Vec<_> = search.automaton.find_iter(text).map(|found| found.range()).collect();
        (text.len().saturating_sub(search.longest - 1)..text.len())
            .chain([address])
            .filter(|at| *at == address || search.is_prefix(&text.as_bytes()[*at..]))
            .filter(|at| !complete.iter().any(|range| range.start < *at && *at < range.end))
            .min()
            .unwrap_or(text.len())
    }
}

impl Search {
    /// Whether a longer value begins with these bytes.
    fn is_prefix(&self, prefix: &[u8]) -> bool {
        let at = self.values.partition_point(|value| value.as_bytes() <= prefix);
        self.values.get(at).is_some_and(|value| value.as_bytes().starts_with(prefix))
    }
}

/// The beginning of an address at the end of the text whose user and host may be incomplete.
fn unfinished_address(text: &str) -> Option<usize> {
    if let Some(at) = text.rfind("://") {
        let authority = &text[at + 3..];
        if authority.len() <= LONGEST_AUTHORITY && !authority.contains(ends_authority) {
            return Some(at);
        }
    }
    [":/", ":"].iter().find(|begin| text.ends_with(**begin)).map(|begin| text.len() - begin.len())
}

fn ends_authority(c: char) -> bool {
    matches!(c, '/' | '?' | '#' | '"' | '\'' | '<' | '>') || c.is_whitespace()
}

/// `scheme://user:password@host` becomes `scheme://user:***@host`; `scheme://token@host` becomes `scheme://***@host`.
fn mask_addresses(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after.find(ends_authority).unwrap_or(after.len());
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
    fn secret_names_are_recognized_by_their_parts() {
        for name in ["GITEA_TOKEN", "GITHUB_TOKEN", "GITLAB_TOKEN", "MY_API_KEY", "db_password", "Client_Secret_2"] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["PATH", "HOME", "EDITOR", "OPENCODE_CONFIG_CONTENT"] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn values_are_masked_wherever_they_are() {
        let redactor = Redactor::new(["s3cret-value", "s3cret-value-longer", "short", "multi-line-a\nmulti-line-b"]);
        assert_eq!(redactor.mask("a=s3cret-value-longer b=s3cret-value."), "a=*** b=***.");
        assert_eq!(redactor.mask("short stays; multi-line-b goes"), "short stays; *** goes");
        assert!(!format!("{redactor:?}").contains("s3cret"));
    }

    #[test]
    fn passwords_in_addresses_are_masked_even_if_unknown() {
        let redactor = Redactor::new(Vec::<String>::new());
        assert_eq!(
            redactor.mask("push https://bot:hunter22@host/a and https://ghp_x@h, ssh://git@h/x, https://h/a@b"),
            "push https://bot:***@host/a and https://***@h, ssh://git@h/x, https://h/a@b"
        );
    }

    #[test]
    fn a_secret_is_masked_in_every_form() {
        let redactor = Redactor::new(["abc'def\"ghi", "p@ss word/1", "topsecret-123456"]);
        for text in [
            r#"{"command":"echo abc'def\"ghi"}"#,
            r#"{"arguments":"{\"key\":\"abc'def\\\"ghi\"}"}"#,
            "https://host/?key=p%40ss%20word%2F1",
            "Authorization: Basic eC1hY2Nlc3MtdG9rZW46dG9wc2VjcmV0LTEyMzQ1Ng==",
            "Authorization: Basic c29tZWJvZHk6dG9wc2VjcmV0LTEyMzQ1Ng==",
        ] {
            let masked = redactor.mask(text);
            assert!(masked.contains(MASK), "{masked}");
            for part in ["def", "ss%20w", "ss word", "ZWNyZXQt"] {
                assert!(!masked.contains(part), "{part} in {masked}");
            }
        }
    }

    #[test]
    fn fields_with_secrets_are_recognized() {
        for (name, value) in
            [("apiKey", "sk-1"), ("X-API-Key", "1"), ("Authorization", "Bearer x"), ("key", "sk-ant-0123456789")]
        {
            assert!(is_secret_field(name, value), "{name}");
        }
        for (name, value) in [("key", "ctrl+x"), ("keybinds", "a-long-text-of-many-keys"), ("maxTokens", "128000")] {
            assert!(!is_secret_field(name, value), "{name}");
        }
    }

    #[test]
    fn counts_of_tokens_and_locations_of_secrets_are_not_secrets() {
        for (name, value) in [
            ("MAX_TOKENS", "128000"),
            ("maxTokens", "128000"),
            ("GITHUB_TOKEN_FILE", "/run/secrets/token"),
            ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
            ("EDITOR", "vi"),
        ] {
            assert!(!is_secret(name, value), "{name}");
        }
        for (name, value) in [
            ("API_TOKENS", "abcdef,123456"),
            ("DB_PASSWORD", "12345678"),
            ("TOKEN", "/slash/at/the/begin"),
            ("TOKEN_FILE", "c2VjcmV0LWluLXRoZS12YXJpYWJsZQ"),
        ] {
            assert!(is_secret(name, value), "{name}");
        }
    }

    #[test]
    fn a_stream_holds_back_only_the_beginning_of_a_secret() {
        let redactor = Redactor::new(["0123456789", "é23456é"]);
        assert_eq!(redactor.settled("a long piece of text"), 20);
        assert_eq!(redactor.settled("a piece 012345"), 8);
        assert_eq!(redactor.settled("a piece 0123456789"), 18, "it is complete");
        assert_eq!(redactor.settled("a é23"), 2);
        assert_eq!(Redactor::new(Vec::<String>::new()).settled("anything"), 8);
    }

    #[test]
    fn a_stream_waits_for_the_longer_of_two_secrets() {
        let redactor = Redactor::new(["s3cret-value", "s3cret-value-longer", "value-and-more"]);
        assert_eq!(redactor.settled("is s3cret-value"), 3);
        assert_eq!(redactor.settled("is s3cret-value-long"), 3);
        assert_eq!(redactor.settled("is s3cret-value!"), 16);
        assert_eq!(redactor.settled("is s3cret-value-longer v"), 23);
    }

    #[test]
    fn a_stream_holds_back_an_address_that_may_have_a_password() {
        let redactor = Redactor::new(Vec::<String>::new());
        assert_eq!(redactor.settled("see https://bot:hunter22"), 9);
        assert_eq!(redactor.settled("see https://host/path"), 21);
        assert_eq!(redactor.settled("see https:/"), 9);
        let endless = format!("see https://{}", "x".repeat(LONGEST_AUTHORITY + 1));
        assert_eq!(redactor.settled(&endless), endless.len());
    }
}
