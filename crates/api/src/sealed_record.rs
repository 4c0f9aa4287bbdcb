//! Records that only a run's runner can write. Agents may append to the file of the records, so a record that the
//! daemon acts on is signed with the run's key.
//!
//! A sealed record is a record with three more fields at its end: `start`, the byte at which it begins, `previous`, the
//! byte at which the sealed record before it ends, and `signature`. Both bytes count what the runner wrote. If
//! something else was appended meanwhile, they differ from those in the file.

use serde::Deserialize;

use crate::record::{Body, Record};
use crate::run_key::{InvalidKey, PublicKey, RunKey, SIGNATURE_DIGITS};

/// The text before a signature, and after it.
const SIGNATURE: &str = r#","signature":""#;
const END: &str = "\"}";

/// A record of a run's own runner.
#[derive(Clone, Debug, PartialEq)]
pub struct SealedRecord {
    pub record: Record,
    /// The byte at which it begins.
    pub start: u64,
    /// The byte after its line.
    pub end: u64,
    /// The byte after the sealed record before it; 0 for the first one.
    pub previous: u64,
}

#[derive(Deserialize)]
struct Position {
    start: u64,
    previous: u64,
}

/// Whether records of this kind have to be sealed.
pub const fn needs_seal(body: &Body) -> bool {
    // Whether work passed its checks is read from the records.
    body.is_fact() || matches!(body, Body::Verified { .. })
}

/// Adds the seal to a record as JSON. Returns its line, with the newline.
///
/// # Errors
/// The text is no JSON object, or the key is invalid.
pub fn seal(record: &str, run: &str, key: &RunKey, start: u64, previous: u64) -> Result<String, InvalidKey> {
    let fields = record.strip_suffix('}').ok_or(InvalidKey)?;
    let sealed = format!(r#"{fields},"start":{start},"previous":{previous}"#);
    let signature = key.sign(&message(run, &sealed))?;
    Ok(format!("{sealed}{SIGNATURE}{signature}{END}\n"))
}

/// Reads a line with a record that the key of this run has sealed; `None` if it is another line. With or without the
/// newline.
pub fn open(line: &[u8], run: &str, key: &PublicKey) -> Option<SealedRecord> {
    let line = std::str::from_utf8(line.strip_suffix(b"\n").unwrap_or(line)).ok()?;
    let digits = line.strip_suffix(END)?;
    let (rest, signature) = digits.split_at_checked(digits.len().checked_sub(SIGNATURE_DIGITS)?)?;
    let sealed = rest.strip_suffix(SIGNATURE)?;
    if !key.has_signed(&message(run, sealed), signature) {
        return None;
    }
    let Position { start, previous } = serde_json::from_str(line).ok()?;
    let record = serde_json::from_str(line).ok()?;
    Some(SealedRecord { record, start, end: start.checked_add(line.len() as u64 + 1)?, previous })
}

/// The signed bytes. Nothing else is signed with the key of a run.
fn message(run: &str, sealed: &str) -> Vec<u8> {
    format!("kugetsu record\n{run}\n{sealed}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(key: &RunKey, body: &Body, start: u64, previous: u64) -> String {
        let record = serde_json::to_string(&Record { at: 7, body: body.clone() }).unwrap();
        seal(&record, "a run", key, start, previous).unwrap()
    }

    #[test]
    fn only_what_the_key_has_sealed_is_opened() {
        let (key, other) = (RunKey::random().unwrap(), RunKey::random().unwrap());
        let body = Body::SessionLost { session: "é \"}".to_owned() };
        let sealed = line(&key, &body, 100, 40);
        let opened = open(sealed.as_bytes(), "a run", &key.public()).unwrap();
        let record = Record { at: 7, body: body.clone() };
        let end = 100 + sealed.len() as u64;
        assert_eq!(opened, SealedRecord { record: record.clone(), start: 100, end, previous: 40 });
        // It is a record like any other for those who only show it.
        assert_eq!(serde_json::from_str::<Record>(&sealed).unwrap(), record);
        assert_eq!(open(sealed.trim_end().as_bytes(), "a run", &key.public()), Some(opened));
        assert_eq!(open(sealed.as_bytes(), "another run", &key.public()), None);
        assert_eq!(open(sealed.as_bytes(), "a run", &other.public()), None);
        assert_eq!(open(line(&other, &body, 100, 40).as_bytes(), "a run", &key.public()), None);
        for (from, to) in [("100", "101"), ("40", "41"), ("session_lost", "session_lose"), (":7,", ":8,"), ("{", "{ ")]
        {
            let changed = sealed.replacen(from, to, 1);
            assert_ne!(changed, sealed);
            assert_eq!(open(changed.as_bytes(), "a run", &key.public()), None, "{changed}");
        }
        for length in 0..sealed.len() - 1 {
            assert_eq!(open(&sealed.as_bytes()[..length], "a run", &key.public()), None, "{length}");
        }
        let plain = serde_json::to_string(&record).unwrap();
        assert_eq!(open(plain.as_bytes(), "a run", &key.public()), None);
    }
}
