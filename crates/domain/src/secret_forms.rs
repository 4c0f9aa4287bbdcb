//! The forms of a secret: plain, quoted for JSON, XML, a shell or by a debugger, percent-encoded, in base64.
//!
//! A search has to cover all of them. A tool's input is JSON, a header is base64, an address is percent-encoded, and each
//! discloses the secret.

use std::fmt::Write as _;

/// Longest value with all forms, in bytes. Longer ones have the plain form and JSON only: each form costs as much memory as
/// the value, and nothing so long is part of a header or an address.
const LONG: usize = 4096;
/// Fewest bytes whose base64 is searched for. Less could be found in any text.
const PIECE_MIN: usize = 6;
const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The user name that git sends with a token in place of a password. Each is searched for together with the token, since
/// base64 hides where one ends and the other begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenUser {
    XAccessToken,
    Oauth2,
}

impl TokenUser {
    const ALL: [Self; 2] = [Self::XAccessToken, Self::Oauth2];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::XAccessToken => "x-access-token",
            Self::Oauth2 => "oauth2",
        }
    }
}

/// The user names that are combined with a token in a header: those of the forges, that of ssh addresses, and none.
fn users() -> impl Iterator<Item = &'static str> {
    TokenUser::ALL.into_iter().map(TokenUser::as_str).chain(["git", ""])
}

/// The forms of a value, including itself. May contain duplicates.
pub(crate) fn forms(value: &str) -> Vec<String> {
    let mut forms = Vec::new();
    if value.len() > LONG {
        in_json(value, &mut forms);
        return forms;
    }
    for quoted in quoted(value) {
        in_json(&quoted, &mut forms);
    }
    percent_encoded(value, &mut forms);
    in_base64(value, &mut forms);
    forms
}

/// Plain, as shells and Rust's debug output quote it, and in XML.
fn quoted(value: &str) -> [String; 13] {
    [
        value.to_owned(),
        // `printf %q`, with and without the characters that only some shells quote.
        escape(value, SHELL),
        escape(value, &SHELL[..SHELL.len() - SOME_SHELLS]),
        xml(value, "\"", "'"),
        xml(value, "&quot;", "'"),
        xml(value, "&quot;", "&apos;"),
        // In HTML, by most libraries.
        xml(value, "&quot;", "&#39;"),
        xml(value, "&#34;", "&#39;"),
        value.replace('\'', r"'\''"),
        value.replace('\'', r#"'"'"'"#),
        escape(value, &['\\', '"', '$', '`']),
        format!("{value:?}").trim_matches('"').to_owned(),
        value.escape_default().to_string(),
    ]
}

/// The characters that `printf %q` escapes with a backslash. Only some shells do that with the last ones.
const SHELL: &[char] = &[
    ' ', '!', '"', '$', '&', '\'', '(', ')', '*', ';', '<', '>', '?', '[', '\\', ']', '^', '`', '{', '|', '}', ',',
    '#', '~', '=', ':', '@', '%', '+',
];
const SOME_SHELLS: usize = 8;

/// The text in an element or attribute of XML or HTML. Many programs leave quotes as they are.
fn xml(value: &str, double: &str, single: &str) -> String {
    let mut out = String::with_capacity(value.len() + 8);
    for c in value.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str(double),
            '\'' => out.push_str(single),
            c => out.push(c),
        }
    }
    out
}

/// Plain, in JSON, and in JSON within JSON: a tool's input is JSON and may contain arguments that are JSON.
fn in_json(value: &str, forms: &mut Vec<String>) {
    for strict in [false, true] {
        let once = json(value, strict);
        forms.push(json(&once, false));
        forms.push(once);
    }
    forms.push(value.to_owned());
}

/// The text inside a JSON string. If `strict`, everything outside ASCII and everything special in HTML is escaped too, as
/// some programs do.
fn json(value: &str, strict: bool) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    let unit = |out: &mut String, unit: u16| {
        // Writing to a string cannot fail.
        let _ = write!(out, "\\u{unit:04x}");
    };
    for c in value.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' => unit(&mut out, c as u16),
            c if strict && (!c.is_ascii() || matches!(c, '<' | '>' | '&')) => {
                c.encode_utf16(&mut [0; 2]).iter().for_each(|half| unit(&mut out, *half));
            }
            c => out.push(c),
        }
    }
    out
}

fn escape(value: &str, special: &[char]) -> String {
    value.chars().flat_map(|c| special.contains(&c).then_some('\\').into_iter().chain([c])).collect()
}

/// Percent-encoded: strictly, as browsers and forms do, as in paths, and only what separates the parts of an address. Each
/// also encoded twice, as an address in an address is.
fn percent_encoded(value: &str, forms: &mut Vec<String>) {
    for plain in ["-_.~", "-_.~/", "-_.~!*'()", "-_.~!$&'()*+,;=:@", "-_.~!$&'()*+,;=:@/"] {
        for upper in [percent(value, plain, true), percent(value, plain, false)] {
            forms.push(upper.replace('%', "%25"));
            forms.push(upper.replace("%20", "+"));
            forms.push(upper);
        }
    }
    for slash in ["%2F", "%2f"] {
        forms.push(value.replace('/', slash));
    }
}

fn percent(value: &str, plain: &str, upper: bool) -> String {
    let mut out = String::with_capacity(value.len() * 3);
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || plain.as_bytes().contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = if upper { write!(out, "%{byte:02X}") } else { write!(out, "%{byte:02x}") };
        }
    }
    out
}

/// In base64: alone, after a user name, and the part that is the same wherever the value is in a longer text.
fn in_base64(value: &str, forms: &mut Vec<String>) {
    for alphabet in [STANDARD, URL_SAFE] {
        forms.push(base64(value.as_bytes(), alphabet));
        // `echo $TOKEN | base64`.
        forms.push(base64(format!("{value}\n").as_bytes(), alphabet));
        forms.extend(users().map(|user| base64(format!("{user}:{value}").as_bytes(), alphabet)));
        for skipped in 0..3 {
            let piece = value.as_bytes().get(skipped..).unwrap_or_default();
            let piece = &piece[..piece.len() - piece.len() % 3];
            if piece.len() >= PIECE_MIN {
                forms.push(base64(piece, alphabet));
            }
        }
    }
}

/// Base64 without the padding, so that it is found with and without one.
fn base64(bytes: &[u8], alphabet: &[u8; 64]) -> String {
    let mut out = String::with_capacity(bytes.len() * 4 / 3 + 4);
    for group in bytes.chunks(3) {
        let number = group.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for digit in 0..=group.len() {
            out.push(char::from(alphabet[(number >> (18 - 6 * digit)) as usize & 63]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(value: &str, form: &str) -> bool {
        forms(value).iter().any(|one| one == form)
    }

    #[test]
    fn quoted_forms_are_those_that_programs_print() {
        let value = "abc'd\"e\\f<é\n\u{1}";
        assert!(has(value, value));
        assert!(has(value, r#"abc'd\"e\\f<é\n\u0001"#), "JSON");
        assert!(has(value, r#"abc'd\\\"e\\\\f<é\\n\\u0001"#), "JSON in JSON");
        assert!(has(value, r#"abc'd\"e\\f\u003c\u00e9\n\u0001"#), "JSON in ASCII");
        assert!(has("pass😀word", r"pass\ud83d\ude00word"));
        assert!(has(value, r#"abc\'d\"e\\f<\u{e9}\n\u{1}"#), "as Rust prints it");
        assert!(has("abc'def", r"abc'\''def"), "in a shell");
        assert!(has("abc'd\"ef", r#"abc'\\''d\"ef"#), "in a shell, whose command is in JSON");
        assert!(has("abc$d\"ef", "abc\\$d\\\"ef"), "in a shell's double quotes");
    }

    #[test]
    fn forms_in_xml_are_known() {
        let value = "a<b>&c\"d'e";
        for form in [
            "a&lt;b&gt;&amp;c\"d'e",
            "a&lt;b&gt;&amp;c&quot;d'e",
            "a&lt;b&gt;&amp;c&quot;d&apos;e",
            "a&lt;b&gt;&amp;c&quot;d&#39;e",
            "a&lt;b&gt;&amp;c&#34;d&#39;e",
        ] {
            assert!(has(value, form), "{form}");
        }
    }

    #[test]
    fn forms_of_printf_are_known() {
        assert!(has("p@ss $w'rd&x", r"p@ss\ \$w\'rd\&x"));
        assert!(has("a=b c,d", r"a\=b\ c\,d"));
    }

    #[test]
    fn percent_encoded_forms_are_known() {
        for form in [
            "p%40ss%2Fw%20rd",
            "p%40ss%2fw%20rd",
            "p%40ss%2Fw+rd",
            "p%40ss%2fw+rd",
            "p@ss/w%20rd",
            "p%40ss/w%20rd",
            "p@ss%2Fw%20rd",
            "p@ss%2fw rd",
            "p%2540ss%252Fw%2520rd",
        ] {
            assert!(has("p@ss/w rd", form), "{form}");
        }
    }

    #[test]
    fn base64_is_known_alone_after_a_user_and_inside_a_longer_text() {
        assert_eq!(base64(b"light work.", STANDARD), "bGlnaHQgd29yay4");
        assert!(has("topsecret-123456", "dG9wc2VjcmV0LTEyMzQ1Ng"), "alone");
        assert!(has("topsecret-123456", "dG9wc2VjcmV0LTEyMzQ1Ngo"), "with a line break");
        assert!(has("topsecret-123456", "eC1hY2Nlc3MtdG9rZW46dG9wc2VjcmV0LTEyMzQ1Ng"), "for x-access-token");
        assert!(has("topsecret-123456", "OnRvcHNlY3JldC0xMjM0NTY"), "without a user");
        for before in ["a", "ab", "abc"] {
            let longer = base64(format!("{before}:topsecret-123456 and more").as_bytes(), STANDARD);
            assert!(forms("topsecret-123456").iter().any(|form| longer.contains(form.as_str())), "{longer}");
        }
    }

    #[test]
    fn a_long_value_has_few_forms() {
        assert!(forms(&"k".repeat(LONG + 1)).len() < forms("k-e-y-9").len());
    }
}
