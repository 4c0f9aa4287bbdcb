//! Text from outside, made safe to print on a terminal: a name stays on one line and controls nothing.

/// Escapes what is not UTF-8, controls the terminal or changes the direction of writing.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '\\' || c.is_control() || is_invisible(c) {
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

/// Like [`printable`], for a line that is text already: backslashes stay as they are.
pub(crate) fn printable_text(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for c in line.chars() {
        if c.is_control() || is_invisible(c) { text.extend(c.escape_default()) } else { text.push(c) }
    }
    text
}

/// Like [`printable_text`] for several lines, cut off after `max` characters.
pub(crate) fn printable_lines(bytes: &[u8], max: usize) -> String {
    let lines: Vec<_> = String::from_utf8_lossy(bytes).split('\n').map(printable_text).collect();
    let text = lines.join("\n");
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}\n...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// Whether a terminal shows nothing for the character, but shows its neighbors differently because of it.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(printable(b"a b\n\x1b[2J\xff\\"), "a b\\n\\u{1b}[2J\\xff\\\\");
        assert_eq!(printable("ü\u{202e}".as_bytes()), "ü\\u{202e}");
        assert_eq!(printable_lines(b"a\r\nb\nc", 6), "a\\r\nb\n\n...");
    }
}
