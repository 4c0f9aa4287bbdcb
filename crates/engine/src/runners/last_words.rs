//! Leftovers of a runner that is gone: records it could not report, its log, and processes of its agent.

use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use kugetsu_api::home::Home;
use kugetsu_api::regular_file;
use kugetsu_domain::ids::RunId;
use kugetsu_domain::issue::Lease;
use kugetsu_store::error::StoreError;

use super::own_records::{OwnRecords, UnreportedFacts};
use super::report;
use crate::engine::Engine;
use crate::moved_home::{git_marker, marker};

/// Bytes of a run's records that are read at once.
const CHUNK: usize = 1024 * 1024;
/// Bytes of the end of a runner's log that are searched for its last message.
const LOG_TAIL: u64 = 64 * 1024;
/// Longest message that is quoted from a runner's log, in characters.
const COMPLAINT_MAX: usize = 300;

/// Stores the facts that the runner wrote and could not report. Lines that others have added to its records are no
/// facts.
///
/// # Errors
/// [`StoreError`]; the rest can be reported later.
pub(crate) async fn report(engine: &Engine, lease: Lease) -> Result<(), StoreError> {
    let issue = engine.store().issue_by_id(lease.issue).await?;
    let Some(run) = issue.live_run().filter(|run| run.id == lease.run) else { return Ok(()) };
    let records = engine.home().run(lease.run).records();
    let mut offset = run.acknowledged;
    let mut facts = UnreportedFacts::new(OwnRecords::of(engine, lease.run).await?, offset);
    loop {
        let path = records.clone();
        let chunk = tokio::task::spawn_blocking(move || read_lines(&path, offset)).await;
        let lines = match chunk.map_err(io::Error::other).flatten() {
            Ok(lines) if lines.is_empty() => return Ok(()),
            Ok(lines) => lines,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                tracing::error!(path = %records.display(), %error, "a run's records cannot be read");
                return Ok(());
            }
        };
        let found = facts.read(offset, &lines);
        offset += lines.len() as u64;
        if report::store_facts(engine, lease.run, found, offset).await?.over {
            return Ok(());
        }
    }
}

/// Returns whole lines from byte `from` on, about [`CHUNK`] bytes but at least one line. Empty at the end of the file.
fn read_lines(path: &Path, from: u64) -> io::Result<Vec<u8>> {
    let mut file = BufReader::new(regular_file::open_to_read(path)?);
    file.seek(SeekFrom::Start(from))?;
    let mut lines = Vec::new();
    while lines.len() < CHUNK {
        let before = lines.len();
        file.read_until(b'\n', &mut lines)?;
        // A line that the runner could not finish is no record.
        if lines.last() != Some(&b'\n') || lines.len() == before {
            lines.truncate(before);
            break;
        }
    }
    Ok(lines)
}

/// Ends every process that carries the run's marker, and the git processes of its runner. Git runs in new sessions, so
/// that a push into a local repository, with the receiving side and its hooks, outlives a runner that is killed.
///
/// # Errors
/// A message for the user: which processes are left, or why that is not known.
pub(crate) async fn end_processes(home: &Home, run: RunId) -> Result<(), String> {
    for marker in [marker(home, &run.to_string()), git_marker(home, run)] {
        let marker = marker.map_err(|error| error.to_string())?;
        match kugetsu_process::sweep(&marker).await {
            Ok(swept) if swept.survivors.is_empty() => {
                tracing::info!(%run, ?swept, "the lost run's processes are ended");
            }
            Ok(swept) => return Err(format!("these of its processes could not be ended: {:?}", swept.survivors)),
            Err(error) => return Err(format!("its processes could not all be ended: {error}")),
        }
    }
    Ok(())
}

/// Returns the last thing that the runner itself printed: of a panic its location and message.
pub(crate) async fn complaint(engine: &Engine, run: RunId) -> Option<String> {
    let log = engine.home().run(run).runner_log();
    tokio::task::spawn_blocking(move || last_message(&log)).await.ok().flatten()
}

fn last_message(log: &Path) -> Option<String> {
    let mut file = regular_file::open_to_read(log).ok()?;
    let start = file.metadata().ok()?.len().saturating_sub(LOG_TAIL);
    file.seek(SeekFrom::Start(start)).ok()?;
    let mut text = Vec::new();
    file.take(LOG_TAIL).read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let from = lines.iter().rposition(|line| line.contains("panicked at")).unwrap_or(lines.len().saturating_sub(1));
    let message = lines.get(from..)?.iter().take_while(|line| !line.starts_with("note: ")).copied();
    let message = message.collect::<Vec<_>>().join(" ");
    (!message.is_empty()).then(|| message.chars().take(COMPLAINT_MAX).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_in_chunks_of_whole_lines() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("records.jsonl");
        let line = format!("{}\n", "x".repeat(CHUNK / 3));
        std::fs::write(&path, format!("{}half", line.repeat(5))).unwrap();
        let (mut offset, mut chunks) = (0, Vec::new());
        loop {
            let lines = read_lines(&path, offset).unwrap();
            if lines.is_empty() {
                break;
            }
            assert_eq!(lines.len() % line.len(), 0);
            offset += lines.len() as u64;
            chunks.push(lines.len() / line.len());
        }
        assert_eq!(chunks, [3, 2]);
    }

    #[test]
    fn last_message_of_a_log_is_a_panic_or_its_last_line() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("runner.log");
        let panic =
            "thread 'main' panicked at crates/x.rs:75:9:\noverflow when adding\nnote: run with `RUST_BACKTRACE=1`\n";
        let message = "thread 'main' panicked at crates/x.rs:75:9: overflow when adding";
        std::fs::write(&log, format!("first\n{panic}")).unwrap();
        assert_eq!(last_message(&log).as_deref(), Some(message));
        // Behind more than the tail of anything.
        let other = [b"\xff".as_slice(), "ä".repeat(LOG_TAIL as usize).as_bytes()].concat();
        std::fs::write(&log, [other.as_slice(), b"\n", panic.as_bytes()].concat()).unwrap();
        assert_eq!(last_message(&log).as_deref(), Some(message));
        std::fs::write(&log, "one\nerror: two\n\n").unwrap();
        assert_eq!(last_message(&log).as_deref(), Some("error: two"));
    }
}
