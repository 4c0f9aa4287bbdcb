//! Completes the records of a run whose runner is gone, so that its transcript shows how it ended.

use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use kugetsu_api::record::{Body, Record};
use kugetsu_api::regular_file;
use kugetsu_domain::ids::RunId;

use crate::engine::Engine;

/// Bytes of the end of the records in which an equal record is looked for.
const TAIL: u64 = 64 * 1024;

/// Appends a record, unless an execution before a crash has done so. Failures are logged only: the record informs people.
pub(crate) async fn append(engine: &Engine, run: RunId, body: Body) {
    let home = engine.home().run(run);
    let record = Record { at: engine.now().as_millisecond(), body };
    let written = tokio::task::spawn_blocking(move || {
        match home.path().exists() {
            true => write(&home.records(), &record).map(Some),
            // The history was cleaned.
            false => Ok(None),
        }
    });
    match written.await.map_err(io::Error::other).flatten() {
        Ok(Some(length)) => engine.runners().transcript_grew_if_followed(run, length),
        Ok(None) => {}
        Err(error) => tracing::warn!(%run, %error, "the end of a run could not be added to its records"),
    }
}

/// Returns the length of the file.
fn write(path: &Path, record: &Record) -> io::Result<u64> {
    let mut file = regular_file::open(OpenOptions::new().create(true).append(true).read(true).mode(0o600), path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    Read::by_ref(&mut file).take(TAIL).read_to_end(&mut tail)?;
    let is_there = |line: &[u8]| serde_json::from_slice::<Record>(line).is_ok_and(|known| known.body == record.body);
    if tail.split(|byte| *byte == b'\n').any(is_there) {
        return Ok(length);
    }
    let mut line = Vec::new();
    // A runner that was killed may have left half a line.
    if !matches!(tail.last(), None | Some(b'\n')) {
        line.push(b'\n');
    }
    serde_json::to_writer(&mut line, record)?;
    line.push(b'\n');
    file.write_all(&line)?;
    Ok(length + line.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_is_appended_once_and_as_a_whole_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("records.jsonl");
        std::fs::write(&path, "{\"at\":1,\"type\":\"notice\",\"text\":\"a\"}\n{\"at\":2,\"ty").unwrap();
        let record = |at, text: &str| Record { at, body: Body::Lost { reason: text.to_owned() } };
        for at in 3..6 {
            let length = write(&path, &record(at, "killed")).unwrap();
            assert_eq!(length, std::fs::metadata(&path).unwrap().len());
        }
        write(&path, &record(6, "killed again")).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert_eq!(lines[2], r#"{"at":3,"type":"lost","reason":"killed"}"#);
    }
}
