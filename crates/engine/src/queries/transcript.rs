//! The records of an issue's runs, as they are and as they come.

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use kugetsu_domain::ids::{IssueId, RunId};
use kugetsu_store::error::StoreError;
use kugetsu_store::query::RunQuery;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use crate::engine::Engine;

/// Bytes that are read at once.
const PIECE: usize = 64 * 1024;
/// Pieces that wait for a slow reader; a reader that is slower still holds the reading up, and nothing else.
const WAITING: usize = 4;

/// The records of all runs of an issue, one JSON object a line. With `follow` it goes on until nothing of the issue is
/// queued or running any more; without, it ends with what there is now. Runs that ended before `since` are left
/// out.
pub fn transcript(engine: &Engine, issue: IssueId, since: Option<Timestamp>, follow: bool) -> mpsc::Receiver<Vec<u8>> {
    let (pieces, stream) = mpsc::channel(WAITING);
    let engine = engine.clone();
    tokio::spawn(async move {
        let telling = Telling { engine, issue, since, pieces };
        if let Err(error) = telling.tell(follow).await {
            tracing::error!(%issue, %error, "a transcript could not be read to its end");
        }
    });
    stream
}

struct Telling {
    engine: Engine,
    issue: IssueId,
    since: Option<Timestamp>,
    pieces: mpsc::Sender<Vec<u8>>,
}

/// The reader has gone away.
struct Gone;

impl Telling {
    /// The issue's runs, oldest first.
    async fn runs(&self) -> Result<Vec<RunId>, StoreError> {
        let query = RunQuery { since: self.since, ..RunQuery::new(self.issue) };
        Ok(self.engine.store().runs(query).await?.into_iter().rev().map(|run| run.id).collect())
    }

    async fn tell(&self, follow: bool) -> Result<(), StoreError> {
        let mut events = self.engine.store().listen();
        let mut told: Option<RunId> = None;
        loop {
            let runs = self.runs().await?;
            let new = runs.iter().position(|run| Some(*run) == told).map_or(0, |at| at + 1);
            for run in &runs[new..] {
                if self.tell_run(*run, follow).await.is_err() {
                    return Ok(());
                }
                told = Some(*run);
            }
            let issue = self.engine.store().issue_by_id(self.issue).await?;
            let latest = self.runs().await?.last().copied();
            if !follow || (issue.tasks.is_empty() && latest == told) {
                return Ok(());
            }
            if latest != told {
                continue;
            }
            loop {
                tokio::select! {
                    event = events.recv() => match event {
                        Ok(event) if event.issue == self.issue => break,
                        Ok(_) => {}
                        Err(RecvError::Lagged(_)) => break,
                        Err(RecvError::Closed) => return Ok(()),
                    },
                    () = self.pieces.closed() => return Ok(()),
                }
            }
        }
    }

    /// One run's records; with `follow`, until the run is over.
    async fn tell_run(&self, run: RunId, follow: bool) -> Result<(), Gone> {
        let path = self.engine.home().run(run).records();
        if !(follow && self.is_live(run).await) {
            return self.tell_file(&path, 0).await.map(drop);
        }
        let mut reported = self.engine.runners().follow(run);
        let mut at = 0;
        loop {
            let live = self.is_live(run).await;
            at = self.tell_file(&path, at).await?;
            if !live {
                return Ok(());
            }
            tokio::select! {
                changed = reported.changed() => if changed.is_err() {
                    // The run is over: what is left is read once more.
                    self.tell_file(&path, at).await?;
                    return Ok(());
                },
                () = self.pieces.closed() => return Err(Gone),
            }
        }
    }

    async fn is_live(&self, run: RunId) -> bool {
        let issue = self.engine.store().issue_by_id(self.issue).await;
        issue.is_ok_and(|issue| issue.live_run().is_some_and(|live| live.id == run))
    }

    /// Sends whole lines from byte `at` on; where it got to.
    async fn tell_file(&self, path: &PathBuf, mut at: u64) -> Result<u64, Gone> {
        let mut rest: Vec<u8> = Vec::new();
        let read = async {
            let mut file = File::open(path).await?;
            file.seek(io::SeekFrom::Start(at)).await?;
            let mut piece = vec![0; PIECE];
            loop {
                let count = file.read(&mut piece).await?;
                if count == 0 {
                    return Ok(Ok(()));
                }
                rest.extend_from_slice(&piece[..count]);
                let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') else { continue };
                let tail = rest.split_off(end + 1);
                at += rest.len() as u64;
                if self.pieces.send(std::mem::replace(&mut rest, tail)).await.is_err() {
                    return Ok::<_, io::Error>(Err(Gone));
                }
            }
        };
        match read.await {
            Ok(Ok(())) => Ok(at),
            Ok(Err(gone)) => Err(gone),
            // The runner has not begun yet, or its directory was cleaned up.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(at),
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "a run's records cannot be read");
                Ok(at)
            }
        }
    }
}
