//! The forms in which a secret shows up: as it is, quoted by JSON, by a shell or by a debugger, in an address, in base64.
//!
//! Whoever searches for a secret searches for all of them: a tool's input is JSON, a header is base64, an address is
//! percent-encoded, and each of them gives the secret away as well as the secret itself.

use std::fmt::Write as _;

/// Longer values are searched for as they are and as JSON only: each further form costs as much memory as the value, and
/// nothing so long stands in a header or in an address.
const LONGEST: usize = 4096;
/// Base64 of less than this many bytes is too little to be told from other text.
const SHORTEST_PIECE: usize = 6;
/// The users that a token is given for in a header: of the forges, of git itself, and none.
const USERS: &[&str] = &["x-access-token", "oauth2", "git", ""];
const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const IN_ADDRESSES: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The forms of a value, itself among them. Some may be there twice.
pub(crate) fn forms(value: &str) -> Vec<String> {
    let mut forms = Vec::new();
    if value.len() > LONGEST {
        in_json(value, &mut forms);
        return forms;
    }
    for quoted in quoted(value) {
        in_json(&quoted, &mut forms);
    }
    in_addresses(value, &mut forms);
    in_base64(value, &mut forms);
    forms
}

/// As it is, and as shells and Rust's own output quote it.
fn quoted(value: &str) -> [String; 6] {
    [
        value.to_owned(),
        value.replace('\'', r"'\''"),
        value.replace('\'', r#"'"'"'"#),
        behind_backslashes(value, &['\\', '"', '$', '`']),
        format!("{value:?}").trim_matches('"').to_owned(),
        value.escape_default().to_string(),
    ]
}

/// As it is, in JSON, and in JSON within JSON: a tool's input is JSON, and holds the arguments of commands that are.
fn in_json(value: &str, forms: &mut Vec<String>) {
    for more in [false, true] {
        let once = json(value, more);
        forms.push(json(&once, false));
        forms.push(once);
    }
    forms.push(value.to_owned());
}

/// As it stands in a JSON string. With `more`, also what some programs escape without need: everything outside of ASCII,
/// and what means something in HTML.
fn json(value: &str, more: bool) -> String {
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
            c if more && (!c.is_ascii() || matches!(c, '<' | '>' | '&')) => {
                c.encode_utf16(&mut [0; 2]).iter().for_each(|half| unit(&mut out, *half));
            }
            c => out.push(c),
        }
    }
    out
}

fn behind_backslashes(value: &str, special: &[char]) -> String {
    value.chars().flat_map(|c| special.contains(&c).then_some('\\').into_iter().chain([c])).collect()
}

/// Percent-encoded: strictly, and as browsers and forms do it.
fn in_addresses(value: &str, forms: &mut Vec<String>) {
    for plain in ["-_.~", "-_.~!*'()", "-_.~!$&'()*+,;=:@/"] {
        let upper = percent(value, plain, true);
        forms.push(upper.replace("%20", "+"));
        forms.push(upper);
        forms.push(percent(value, plain, false));
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

/// Whole, alone or behind a user's name; and what is the same wherever in a longer text the value stands.
fn in_base64(value: &str, forms: &mut Vec<String>) {
    for alphabet in [STANDARD, IN_ADDRESSES] {
        forms.push(base64(value.as_bytes(), alphabet));
        // `echo $TOKEN | base64`.
        forms.push(base64(format!("{value}\n").as_bytes(), alphabet));
        forms.extend(USERS.iter().map(|user| base64(format!("{user}:{value}").as_bytes(), alphabet)));
        for skipped in 0..3 {
            let piece = value.as_bytes().get(skipped..).unwrap_or_default();
            let piece = &piece[..piece.len() - piece.len() % 3];
            if piece.len() >= SHORTEST_PIECE {
                forms.push(base64(piece, alphabet));
            }
        }
    }
}

/// Without the `=` at its end: what is searched for is also found in front of one.
fn base64(bytes: &[u8], alphabet: &[u8; 64]) -> String {
    let mut out = String::with_capacity(bytes.len() * 4 / 3 + 4);
    for group in bytes.chunks(3) {
        let number = group.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..=group.len() {
            out.push(char::from(alphabet[(number >> (18 - 6 * place)) as usize & 63]));
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
    fn forms_in_addresses_are_known() {
        for form in ["p%40ss%2Fw%20rd", "p%40ss%2fw%20rd", "p%40ss%2Fw+rd", "p@ss/w%20rd"] {
            assert!(has("p@ss/w rd", form), "{form}");
        }
    }

    #[test]
    fn base64_is_known_alone_for_a_user_and_within_something_longer() {
        assert_eq!(base64(b"light work.", STANDARD), "bGlnaHQgd29yay4");
        assert!(has("topsecret-123456", "dG9wc2VjcmV0LTEyMzQ1Ng"), "alone");
        assert!(has("topsecret-123456", "dG9wc2VjcmV0LTEyMzQ1Ngo"), "with a line's end");
        assert!(has("topsecret-123456", "eC1hY2Nlc3MtdG9rZW46dG9wc2VjcmV0LTEyMzQ1Ng"), "for x-access-token");
        assert!(has("topsecret-123456", "OnRvcHNlY3JldC0xMjM0NTY"), "for nobody");
        for before in ["a", "ab", "abc"] {
            let longer = base64(format!("{before}:topsecret-123456 and more").as_bytes(), STANDARD);
            assert!(forms("topsecret-123456").iter().any(|form| longer.contains(form.as_str())), "{longer}");
        }
    }

    #[test]
    fn a_long_value_has_few_forms() {
        assert!(forms(&"k".repeat(LONGEST + 1)).len() < forms("k-e-y-9").len());
    }
}
