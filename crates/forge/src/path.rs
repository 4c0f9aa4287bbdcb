//! The path of an address, in decoded parts.

use crate::error::Fault;

/// The parts of a path, percent-decoded once. Only GitLab's API has an encoded slash inside a part.
pub(crate) fn decoded(path: &str) -> Result<Vec<String>, Fault> {
    let mut parts: Vec<String> = Vec::new();
    for raw in path.trim_end_matches('/').split('/') {
        let part = percent_decoded(raw)?;
        if part.contains('/') && !parts.ends_with(&["api", "v4", "projects"].map(str::to_owned)) {
            return Err(Fault::Encoding);
        }
        if part.contains('@') {
            return Err(Fault::AtSign);
        }
        if part.split('/').any(|part| matches!(part, "." | "..")) {
            return Err(Fault::Dots);
        }
        parts.push(part);
    }
    Ok(parts)
}

fn percent_decoded(text: &str) -> Result<String, Fault> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        decoded.push(match byte {
            b'%' => match (digit(bytes.next()), digit(bytes.next())) {
                (Some(high), Some(low)) => u8::try_from(high * 16 + low).map_err(|_| Fault::Encoding)?,
                _ => return Err(Fault::Encoding),
            },
            other => other,
        });
    }
    String::from_utf8(decoded).map_err(|_| Fault::Encoding)
}
