//! The runner's line to the daemon: reports go up, words come down. The daemon may come and go; the line is opened again,
//! and what it has not acknowledged is sent again.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use kugetsu_api::client::{Client, ClientError};
use kugetsu_api::order::{Limits, Word};
use kugetsu_api::path;
use kugetsu_api::record::Acknowledged;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::watch;

/// Most bytes of one report.
const REPORT_MAX: u64 = 256 * 1024;
/// The wait before the line is opened again: at first, and at most. A daemon that is upgraded is away for a second; one
/// that is stopped may be away for days.
const AGAIN_FIRST: Duration = Duration::from_millis(100);
const AGAIN_LAST: Duration = Duration::from_secs(5);

/// What the daemon has said so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Orders {
    /// Somebody canceled the run.
    pub(crate) stop: bool,
    /// The run is over for the daemon.
    pub(crate) over: bool,
    /// The limits, where they have changed.
    pub(crate) limits: Option<Limits>,
}

/// The line.
#[derive(Debug)]
pub(crate) struct Reporter {
    /// Where the daemon listens.
    pub(crate) socket: PathBuf,
    /// The run.
    pub(crate) run: String,
    /// The run's records.
    pub(crate) records: PathBuf,
    /// How many bytes of them there are.
    pub(crate) length: watch::Receiver<u64>,
    /// Where the daemon's words go.
    pub(crate) orders: watch::Sender<Orders>,
    /// How many bytes the daemon has acknowledged.
    pub(crate) acknowledged: watch::Sender<u64>,
}

impl Reporter {
    /// Reports until the daemon says that the run is over, or the task is dropped.
    pub(crate) async fn run(mut self) {
        let mut wait = AGAIN_FIRST;
        loop {
            let begun = tokio::time::Instant::now();
            match self.line().await {
                Ok(()) => return,
                Err(error) => tracing::debug!(%error, "the line to the daemon is down"),
            }
            if begun.elapsed() > AGAIN_LAST {
                wait = AGAIN_FIRST;
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(AGAIN_LAST);
        }
    }

    /// One connection, as long as it holds. `Ok` means that the run is over.
    async fn line(&mut self) -> Result<(), ClientError> {
        let words = Client::connect(&self.socket).await?;
        let mut words = words.stream::<Word>(&path::with(path::RUN_ORDERS, &self.run)).await?;
        let mut reports = Client::connect(&self.socket).await?;
        loop {
            while *self.acknowledged.borrow() < *self.length.borrow_and_update() {
                self.report(&mut reports).await?;
                if self.orders.borrow().over {
                    return Ok(());
                }
            }
            tokio::select! {
                word = words.next() => match word? {
                    Some(word) => self.take(word),
                    None => return Err(ClientError::Broken("the daemon ended".to_owned())),
                },
                changed = self.length.changed() => if changed.is_err() {
                    return Ok(());
                },
            }
            if self.orders.borrow().over {
                return Ok(());
            }
        }
    }

    fn take(&self, word: Word) {
        self.orders.send_if_modified(|orders| {
            let before = *orders;
            match word {
                Word::Hello => {}
                Word::Stop => orders.stop = true,
                Word::Over => orders.over = true,
                Word::Limits(limits) => orders.limits = Some(limits),
            }
            *orders != before
        });
    }

    /// Sends the next piece that is not acknowledged.
    async fn report(&self, client: &mut Client) -> Result<(), ClientError> {
        let from = *self.acknowledged.borrow();
        let lines = self.read(from).await.map_err(|error| ClientError::Broken(error.to_string()))?;
        let target = path::with_query(&path::with(path::RUN_REPORT, &self.run), &[("offset", Some(&from.to_string()))]);
        let answer: Acknowledged = client.post_bytes(&target, lines.into()).await?;
        if answer.over {
            self.take(Word::Over);
        }
        self.acknowledged.send_replace(answer.offset);
        Ok(())
    }

    /// Whole lines from byte `from` on; at least one, however long it is.
    async fn read(&self, from: u64) -> io::Result<Vec<u8>> {
        let mut file = File::open(&self.records).await?;
        file.seek(io::SeekFrom::Start(from)).await?;
        let mut lines = Vec::new();
        let mut file = file.take(REPORT_MAX);
        loop {
            let read = file.read_to_end(&mut lines).await?;
            match lines.iter().rposition(|byte| *byte == b'\n') {
                Some(end) => {
                    lines.truncate(end + 1);
                    return Ok(lines);
                }
                None if read == 0 => return Ok(lines),
                None => file.set_limit(REPORT_MAX),
            }
        }
    }
}
