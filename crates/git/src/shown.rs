//! Names from outside, made fit for a person's terminal: every name stays one line, and nothing in it is obeyed.

/// The bytes as text; what is not UTF-8, controls the terminal or turns the direction of writing is shown as an escape.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '\\' || c.is_control() || turns(c) {
                text.extend(c.escape_default());
            } else {
                text.push(c);
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// As [`shown`], for a line that is text already: a backslash in it stays one.
pub(crate) fn harmless(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for c in line.chars() {
        if c.is_control() || turns(c) { text.extend(c.escape_default()) } else { text.push(c) }
    }
    text
}

/// As [`harmless`], but lines stay lines, and the whole is cut after `max` characters.
pub(crate) fn shown_lines(bytes: &[u8], max: usize) -> String {
    let lines: Vec<_> = String::from_utf8_lossy(bytes).split('\n').map(harmless).collect();
    let text = lines.join("\n");
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}\n...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// Characters that no terminal shows, but that change how it shows the others.
fn turns(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_is_obeyed() {
        assert_eq!(shown(b"a b\n\x1b[2J\xff\\"), "a b\\n\\u{1b}[2J\\xff\\\\");
        assert_eq!(shown("ü\u{202e}".as_bytes()), "ü\\u{202e}");
        assert_eq!(shown_lines(b"a\r\nb\nc", 6), "a\\r\nb\n\n...");
    }
}
