//! JSON that a script wrote by hand: read whatever its fields are called, and bounded.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::Value;

/// No file of the script's is larger.
const SIZE_MAX: u64 = 16 * 1024 * 1024;
/// Longer words are no names, addresses or paths.
const WORD_MAX: usize = 4096;

/// Reads a file; the reason if that is none of JSON. A link is not followed, and a FIFO is not waited for.
pub(super) fn read(path: &Path) -> Result<Value, String> {
    let open = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    let file = open.map_err(|error| format!("it cannot be opened: {error}"))?;
    let found = file.metadata().map_err(|error| format!("it cannot be read: {error}"))?;
    if !found.is_file() || found.len() > SIZE_MAX {
        return Err("it is no file of a size that the script would write".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(SIZE_MAX).read_to_end(&mut bytes).map_err(|error| format!("it cannot be read: {error}"))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("it is no JSON: {error}"))
}

/// The first of these fields that holds a text.
pub(super) fn text(value: &Value, names: &[&str]) -> Option<String> {
    let found = names.iter().find_map(|name| value.get(name)?.as_str()).map(str::trim)?;
    Some(found.to_owned()).filter(|text| !text.is_empty() && text != "null")
}

/// As [`text`], for what is one word: no line's end, no NUL, not too long.
pub(super) fn word(value: &Value, names: &[&str]) -> Option<String> {
    text(value, names).filter(|word| word.len() <= WORD_MAX && !word.contains(|c: char| c.is_control()))
}

/// The first of these fields that holds a number, written as one or as a text.
pub(super) fn number(value: &Value, names: &[&str]) -> Option<i64> {
    names.iter().find_map(|name| {
        let found = value.get(name)?;
        found.as_i64().or_else(|| found.as_str()?.trim().parse().ok())
    })
}
