//! Lenient access to JSON that a shell script wrote, with several spellings of each field, and with limits.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::Value;

/// In bytes. No file of the script is larger.
const FILE_SIZE_MAX: u64 = 16 * 1024 * 1024;
/// In bytes. No name, address or path is longer.
const WORD_MAX: usize = 4096;

/// Reads a JSON file. It does not follow a symbolic link and does not block on a FIFO. The error is a message.
pub(crate) fn read(path: &Path) -> Result<Value, String> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    let file = file.map_err(|error| format!("could not open it: {error}"))?;
    let metadata = file.metadata().map_err(|error| format!("could not read it: {error}"))?;
    if !metadata.is_file() || metadata.len() > FILE_SIZE_MAX {
        return Err("it is not a file, or too large for one of the script".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(FILE_SIZE_MAX).read_to_end(&mut bytes).map_err(|error| format!("could not read it: {error}"))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("invalid JSON: {error}"))
}

/// The first of these fields, if it is a text that is not empty.
pub(crate) fn text(value: &Value, names: &[&str]) -> Option<String> {
    let text = names.iter().find_map(|name| value.get(name)?.as_str()).map(str::trim)?;
    Some(text.to_owned()).filter(|text| !text.is_empty() && text != "null")
}

/// As [`text`], for names, addresses and paths: no control characters, limited length.
pub(crate) fn word(value: &Value, names: &[&str]) -> Option<String> {
    text(value, names).filter(|word| word.len() <= WORD_MAX && !word.contains(|c: char| c.is_control()))
}

/// The first of these fields, if it is a number or the text of one.
pub(crate) fn number(value: &Value, names: &[&str]) -> Option<i64> {
    names.iter().find_map(|name| {
        let number = value.get(name)?;
        number.as_i64().or_else(|| number.as_str()?.trim().parse().ok())
    })
}
