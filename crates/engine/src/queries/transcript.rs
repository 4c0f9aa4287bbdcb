//! The records of an issue's runs as a stream.

use std::io::{self, Read, Seek};
use std::path::Path;

use jiff::Timestamp;
use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_api::record::{Body, Record};
use kugetsu_api::regular_file;
use kugetsu_domain::ids::{IssueId, RunId};
use kugetsu_domain::run::Run;
use kugetsu_store::error::StoreError;
use kugetsu_store::query::RunQuery;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use crate::engine::Engine;
use crate::problems::{internal, store_failed, usage};
use crate::runners::own_records::OwnRecords;

/// Bytes that are read at once.
const CHUNK: usize = 64 * 1024;
/// Bytes at the end of a run's records that have the results of its verification: they come last.
const VERIFICATIONS_MAX: u64 = 2 * 1024 * 1024;
/// Bytes at the end of a run's records in which the agent's last text is looked for: results of the verification may follow it.
const TEXT_MAX: u64 = 2 * VERIFICATIONS_MAX;
/// Chunks that are buffered for a slow reader. A reader that is slower still only holds up the reading.
const BUFFER: usize = 4;

/// Streams the records of an issue's runs, one JSON object per line, without runs that ended before `since`, or of one
/// `run`. With `follow` the stream lasts until no task of the issue is queued or running. A last item that is an error means
/// that the records cannot be read further.
pub fn transcript(
    engine: &Engine,
    issue: IssueId,
    (since, run): (Option<Timestamp>, Option<RunId>),
    follow: bool,
) -> mpsc::Receiver<Result<Vec<u8>, Problem>> {
    let (chunks, stream) = mpsc::channel(BUFFER);
    let engine = engine.clone();
    tokio::spawn(async move {
        let sender = Sender { engine, issue, since, run, chunks };
        match sender.send_runs(follow).await {
            Ok(()) | Err(Stopped::Gone) => {}
            Err(Stopped::Failed(problem)) => {
                tracing::error!(%issue, %problem, "a transcript cannot be read to its end");
                // A reader that has gone needs no reason.
                let _ = sender.chunks.send(Err(problem)).await;
            }
        }
    });
    stream
}

/// Returns the text of the latest record of a run, and its time, if it is a notice or a step of the runner's own work: what the
/// run does while its agent does nothing. `None` also if the records cannot be read.
pub(super) async fn latest_notice(engine: &Engine, run: RunId) -> Option<(Timestamp, String)> {
    let path = engine.home().run(run).records();
    let read = tokio::task::spawn_blocking(move || end_of(&path)).await.map_err(io::Error::other).flatten();
    let end = read.inspect_err(|error| tracing::debug!(%run, %error, "the end of a transcript cannot be read")).ok()?;
    let whole = &end[..end.iter().rposition(|byte| *byte == b'\n')?];
    let line = whole.rsplit(|byte| *byte == b'\n').next()?;
    let record: Record = serde_json::from_slice(line).ok()?;
    match record.body {
        Body::Notice { text } | Body::Step { text } => Some((Timestamp::from_millisecond(record.at).ok()?, text)),
        _ => None,
    }
}

/// Returns the text with which the agent of a run ended, after its last tool call; `None` without one, or if the records cannot
/// be read.
pub(crate) async fn last_text(engine: &Engine, run: RunId) -> Option<String> {
    let path = engine.home().run(run).records();
    let read =
        tokio::task::spawn_blocking(move || last_bytes(&path, TEXT_MAX)).await.map_err(io::Error::other).flatten();
    let end = read.inspect_err(|error| tracing::debug!(%run, %error, "the end of a transcript cannot be read")).ok()?;
    let mut text = String::new();
    // The first line may be the rest of one.
    for line in end.split(|byte| *byte == b'\n') {
        match serde_json::from_slice::<Record>(line).map(|record| record.body) {
            Ok(Body::Text { text: piece }) => text.push_str(&piece),
            Ok(Body::ToolStarted { .. } | Body::Prompt { .. }) => text.clear(),
            _ => {}
        }
    }
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The result of a command that checked the work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verification {
    pub(crate) command: String,
    pub(crate) head: String,
    pub(crate) passed: bool,
    /// Output of a command that failed, shortened.
    pub(crate) output: String,
}

/// Returns the results of the commands that checked the work of a run, as its runner wrote them.
///
/// # Errors
/// The records cannot be read: what they say is not known.
pub(crate) async fn verifications(engine: &Engine, run: RunId) -> io::Result<Vec<Verification>> {
    let path = engine.home().run(run).records();
    let read = tokio::task::spawn_blocking(move || last_bytes(&path, VERIFICATIONS_MAX));
    let end = read.await.map_err(io::Error::other).flatten()?;
    let own = OwnRecords::of(engine, run).await.map_err(io::Error::other)?;
    let records = end.split(|byte| *byte == b'\n').filter_map(|line| own.read(line));
    Ok(records
        .filter_map(|record| match record.body {
            Body::Verified { command, head_sha, passed, output } => {
                Some(Verification { command, head: head_sha, passed, output })
            }
            _ => None,
        })
        .collect())
}

/// Replaces each line that is no record by a notice: a disk that was full leaves a part of one. A notice has the time of the record
/// before it, or `now`.
fn readable(lines: Vec<u8>, now: Timestamp) -> Vec<u8> {
    let record = |line: &[u8]| serde_json::from_slice::<Record>(line);
    if lines.split_inclusive(|byte| *byte == b'\n').all(|line| record(line).is_ok()) {
        return lines;
    }
    let (mut readable, mut at) = (Vec::with_capacity(lines.len()), now.as_millisecond());
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        match record(line) {
            Ok(record) => {
                at = record.at;
                readable.extend_from_slice(line);
            }
            Err(error) => {
                let text = format!("a record of {} bytes cannot be read and is left out: {error}", line.len());
                let notice = Record { at, body: Body::Notice { text } };
                readable.extend(serde_json::to_vec(&notice).unwrap_or_default());
                readable.push(b'\n');
            }
        }
    }
    readable
}

/// The last bytes of a file, at most [`CHUNK`].
fn end_of(path: &Path) -> io::Result<Vec<u8>> {
    last_bytes(path, CHUNK as u64)
}

fn last_bytes(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let mut file = regular_file::open_to_read(path)?;
    let length = file.metadata()?.len();
    file.seek(io::SeekFrom::Start(length.saturating_sub(max)))?;
    let mut end = Vec::new();
    file.take(max).read_to_end(&mut end)?;
    Ok(end)
}

/// Returns the run of the issue with this ID.
///
/// # Errors
/// It is no ID, or the issue has no such run.
pub async fn run_of(engine: &Engine, issue: IssueId, run: &str) -> Result<RunId, Problem> {
    let reference = engine.store().issue_by_id(issue).await.map_err(store_failed)?.reference;
    let hint = format!(
        "find the ID in `kugetsu logs {reference}`, or show the latest run with `kugetsu logs {reference} --run last`"
    );
    let id = run.parse::<RunId>();
    let id = id.map_err(|_| usage(format!("{run:?} is not the ID of a run")).hint(hint.clone()))?;
    let runs = engine.store().runs(RunQuery::new(issue)).await.map_err(store_failed)?;
    match runs.iter().any(|run| run.id == id) {
        true => Ok(id),
        false => Err(Problem::new(ProblemKind::NotFound, format!("{reference} has no run {id}")).hint(hint)),
    }
}

struct Sender {
    engine: Engine,
    issue: IssueId,
    since: Option<Timestamp>,
    run: Option<RunId>,
    chunks: mpsc::Sender<Result<Vec<u8>, Problem>>,
}

/// Why nothing more is sent.
enum Stopped {
    /// The reader is gone.
    Gone,
    Failed(Problem),
}

impl From<StoreError> for Stopped {
    fn from(error: StoreError) -> Self {
        Self::Failed(store_failed(error))
    }
}

impl Sender {
    /// Returns the issue's runs, oldest first.
    async fn runs(&self) -> Result<Vec<Run>, StoreError> {
        let query = RunQuery { since: self.since, ..RunQuery::new(self.issue) };
        let runs = self.engine.store().runs(query).await?.into_iter().rev();
        Ok(runs.filter(|run| self.run.is_none_or(|only| only == run.id)).collect())
    }

    async fn send_runs(&self, follow: bool) -> Result<(), Stopped> {
        let mut events = self.engine.store().listen();
        let mut sent: Option<RunId> = None;
        loop {
            let runs = self.runs().await?;
            let new = runs.iter().position(|run| Some(run.id) == sent).map_or(0, |at| at + 1);
            for run in &runs[new..] {
                let (id, task) = (run.id.to_string(), run.task.to_string());
                self.send_record(run.started_at, Body::Run { run: id, task }).await?;
                self.send_run(run.id, follow).await?;
                sent = Some(run.id);
            }
            let issue = self.engine.store().issue_by_id(self.issue).await?;
            let latest = self.runs().await?.last().map(|run| run.id);
            if !follow || (issue.tasks.is_empty() && latest == sent) {
                return Ok(());
            }
            if latest != sent {
                continue;
            }
            loop {
                tokio::select! {
                    event = events.recv() => match event {
                        Ok(event) if event.issue == self.issue => break,
                        Ok(_) => {}
                        Err(RecvError::Lagged(_)) => break,
                        Err(RecvError::Closed) => return Err(StoreError::Closed.into()),
                    },
                    () = self.chunks.closed() => return Ok(()),
                }
            }
        }
    }

    /// Sends the records of a run; with `follow`, until the run is over.
    async fn send_run(&self, run: RunId, follow: bool) -> Result<(), Stopped> {
        let path = self.engine.home().run(run).records();
        let live = self.is_live(run).await?;
        if !live && matches!(tokio::fs::try_exists(&path).await, Ok(false)) {
            return self.send_notice(run).await;
        }
        if !(follow && live) {
            return self.send_file(&path, 0).await.map(drop);
        }
        let mut grown = self.engine.runners().follow_transcript(run);
        let mut at = 0;
        loop {
            let live = self.is_live(run).await?;
            at = self.send_file(&path, at).await?;
            if !live {
                return Ok(());
            }
            tokio::select! {
                changed = grown.changed() => if changed.is_err() {
                    // The run is over: read the rest.
                    self.send_file(&path, at).await?;
                    return Ok(());
                },
                () = self.chunks.closed() => return Err(Stopped::Gone),
            }
        }
    }

    /// Says that an ended run has no records, so that it does not look as if nothing had happened in it.
    async fn send_notice(&self, run: RunId) -> Result<(), Stopped> {
        let text = format!("run {run} has no transcript: it never started, or it ended longer ago than queue.keep");
        self.send_record(self.engine.now(), Body::Notice { text }).await
    }

    async fn send_record(&self, at: Timestamp, body: Body) -> Result<(), Stopped> {
        let record = Record { at: at.as_millisecond(), body };
        let mut line = serde_json::to_vec(&record).unwrap_or_default();
        line.push(b'\n');
        self.chunks.send(Ok(line)).await.map_err(|_| Stopped::Gone)
    }

    async fn is_live(&self, run: RunId) -> Result<bool, StoreError> {
        let issue = self.engine.store().issue_by_id(self.issue).await?;
        Ok(issue.live_run().is_some_and(|live| live.id == run))
    }

    /// Sends whole lines from byte `at` on. Returns the offset behind the last one.
    async fn send_file(&self, path: &Path, mut at: u64) -> Result<u64, Stopped> {
        let mut rest: Vec<u8> = Vec::new();
        let read = async {
            let path = path.to_owned();
            let opened = tokio::task::spawn_blocking(move || regular_file::open_to_read(&path)).await;
            let mut file = File::from_std(opened.map_err(io::Error::other).flatten()?);
            file.seek(io::SeekFrom::Start(at)).await?;
            let mut chunk = vec![0; CHUNK];
            loop {
                let count = file.read(&mut chunk).await?;
                if count == 0 {
                    return Ok(Ok(()));
                }
                rest.extend_from_slice(&chunk[..count]);
                let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') else { continue };
                let tail = rest.split_off(end + 1);
                at += rest.len() as u64;
                let lines = readable(std::mem::replace(&mut rest, tail), self.engine.now());
                if self.chunks.send(Ok(lines)).await.is_err() {
                    return Ok::<_, io::Error>(Err(Stopped::Gone));
                }
            }
        };
        match read.await {
            Ok(Ok(())) => Ok(at),
            Ok(Err(stopped)) => Err(stopped),
            // The runner has not started yet, or the directory was cleaned up.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(at),
            Err(error) => {
                let problem = internal(format!("could not read the records {}: {error}", path.display()));
                Err(Stopped::Failed(problem))
            }
        }
    }
}
