//! What happens when a runner is gone: its last words are read, what it left running is ended, and the run is closed.
//!
//! A runner writes every record to its file before it reports it. So whether it ended in order while nobody listened, or
//! was killed, is read from that file, and a run is reported once however often daemon and runner come and go.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::RunId;
use kugetsu_domain::issue::Lease;
use kugetsu_process::Marker;
use kugetsu_store::error::StoreError;

use crate::engine::Engine;
use crate::runners::report;
use kugetsu_api::discard::discard_temporary;

/// Pauses between attempts to store a run's end.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How much of a run's records is read at once.
const PIECE: usize = 1024 * 1024;
/// How much of the end of a runner's log is read.
const COMPLAINT: u64 = 64 * 1024;

/// The runner of this lease is gone; `how` says what is known about its end.
pub(crate) async fn runner_is_gone(engine: &Engine, lease: Lease, how: &str) {
    until_stored(lease, || close(engine, lease, how)).await;
    // A runner removes it itself; one that was killed could not.
    if let Err(error) = discard_temporary(&engine.home().run(lease.run)).await {
        tracing::warn!(run = %lease.run, %error, "a run's temporary directory could not be removed");
    }
    engine.run_is_over(lease.run);
    engine.wake_dispatcher();
}

/// Stores the end of a run, however long the database cannot take it (a full disk, say): until then the run keeps its
/// place and its issue.
pub(crate) async fn until_stored<Storing: Future<Output = Result<(), StoreError>>>(
    lease: Lease,
    store: impl Fn() -> Storing,
) {
    let mut pause = FIRST_PAUSE;
    while let Err(error) = store().await {
        tracing::error!(run = %lease.run, %error, "the end of a run could not be stored; trying again in {pause:?}");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn close(engine: &Engine, lease: Lease, how: &str) -> Result<(), StoreError> {
    read_last_words(engine, lease).await?;
    let issue = engine.store().issue_by_id(lease.issue).await?;
    if issue.lease() != Some(lease) {
        return Ok(());
    }
    let left = end_what_is_left(lease.run).await.err();
    let log = engine.home().run(lease.run).runner_log();
    let complaint = tokio::task::spawn_blocking(move || runner_complaint(&log)).await.ok().flatten();
    let reason = [Some(how.to_owned()), complaint, left].into_iter().flatten().collect::<Vec<_>>().join("; ");
    tracing::warn!(run = %lease.run, reason, "a run is lost");
    engine.apply(lease.issue, Event::RunnerLost { lease, reason }).await.map(drop)
}

/// Takes what the runner wrote and could not report.
async fn read_last_words(engine: &Engine, lease: Lease) -> Result<(), StoreError> {
    let issue = engine.store().issue_by_id(lease.issue).await?;
    let Some(run) = issue.live_run().filter(|run| run.id == lease.run) else { return Ok(()) };
    let records = engine.home().run(lease.run).records();
    let mut at = run.acknowledged;
    loop {
        let path = records.clone();
        let piece = tokio::task::spawn_blocking(move || lines_from(&path, at)).await;
        let lines = match piece.map_err(io::Error::other).flatten() {
            Ok(lines) if lines.is_empty() => return Ok(()),
            Ok(lines) => lines,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                tracing::error!(path = %records.display(), %error, "a run's records cannot be read");
                return Ok(());
            }
        };
        let taken = report::take_records(engine, lease.run, at, &lines).await?;
        if taken.over {
            return Ok(());
        }
        at = taken.offset;
    }
}

/// Whole lines from byte `from` on: about as many as [`PIECE`] holds, and one at least. Empty at the end.
fn lines_from(path: &Path, from: u64) -> io::Result<Vec<u8>> {
    let mut file = BufReader::new(File::open(path)?);
    file.seek(SeekFrom::Start(from))?;
    let mut lines = Vec::new();
    while lines.len() < PIECE {
        let before = lines.len();
        file.read_until(b'\n', &mut lines)?;
        // A line that the runner could not write to its end says nothing.
        if lines.last() != Some(&b'\n') || lines.len() == before {
            lines.truncate(before);
            break;
        }
    }
    Ok(lines)
}

/// Ends every process that carries the run's mark.
///
/// # Errors
/// Some may be left: which, or why that cannot be told, in words.
pub(crate) async fn end_what_is_left(run: RunId) -> Result<(), String> {
    let marker = Marker::new(run.to_string()).map_err(|error| error.to_string())?;
    match kugetsu_process::sweep(&marker).await {
        Ok(swept) if swept.survivors.is_empty() => {
            tracing::info!(%run, ?swept, "the lost run's processes are ended");
            Ok(())
        }
        Ok(swept) => Err(format!("these processes of it would not end: {:?}", swept.survivors)),
        Err(error) => Err(format!("its processes could not all be ended: {error}")),
    }
}

/// What the runner itself printed last: of a panic its place and its words, and not the advice that follows.
fn runner_complaint(log: &Path) -> Option<String> {
    let mut file = File::open(log).ok()?;
    let begin = file.metadata().ok()?.len().saturating_sub(COMPLAINT);
    file.seek(SeekFrom::Start(begin)).ok()?;
    let mut text = Vec::new();
    file.take(COMPLAINT).read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let from = lines.iter().rposition(|line| line.contains("panicked at")).unwrap_or(lines.len().saturating_sub(1));
    let said = lines.get(from..)?.iter().take_while(|line| !line.starts_with("note: ")).copied();
    let said = said.collect::<Vec<_>>().join(" ");
    (!said.is_empty()).then(|| said.chars().take(300).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_in_pieces_of_whole_lines() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("records.jsonl");
        let line = format!("{}\n", "x".repeat(PIECE / 3));
        std::fs::write(&path, format!("{}half", line.repeat(5))).unwrap();
        let (mut at, mut pieces) = (0, Vec::new());
        loop {
            let lines = lines_from(&path, at).unwrap();
            if lines.is_empty() {
                break;
            }
            assert_eq!(lines.len() % line.len(), 0);
            at += lines.len() as u64;
            pieces.push(lines.len() / line.len());
        }
        assert_eq!(pieces, [3, 2]);
    }

    #[test]
    fn a_panic_is_told_by_its_words() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("runner.log");
        let panic =
            "thread 'main' panicked at crates/x.rs:75:9:\noverflow when adding\nnote: run with `RUST_BACKTRACE=1`\n";
        std::fs::write(&log, format!("first\n{panic}")).unwrap();
        let said = "thread 'main' panicked at crates/x.rs:75:9: overflow when adding";
        assert_eq!(runner_complaint(&log).as_deref(), Some(said));
        // Far behind other lines, which may hold anything.
        let other = [b"\xff".as_slice(), "ä".repeat(COMPLAINT as usize).as_bytes()].concat();
        std::fs::write(&log, [other.as_slice(), b"\n", panic.as_bytes()].concat()).unwrap();
        assert_eq!(runner_complaint(&log).as_deref(), Some(said));
        std::fs::write(&log, "one\nerror: two\n\n").unwrap();
        assert_eq!(runner_complaint(&log).as_deref(), Some("error: two"));
    }
}
