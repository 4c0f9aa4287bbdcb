//! The runner's two lines to the daemon: words come down on one, reports go up on the other. The daemon may come and go;
//! each line is opened again by itself, and what the daemon has not acknowledged is sent again. Neither waits for the
//! other: a report that is not taken must not keep a run from being stopped.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use kugetsu_api::client::{Client, ClientError};
use kugetsu_api::path;
use kugetsu_api::record::{Acknowledged, REPORT_MAX};
use kugetsu_api::run_spec::{Limits, RunnerControl};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::watch;

/// Bytes that are read for one report, which is then cut at its last whole record; a longer record is read on.
const PIECE: u64 = 256 * 1024;
/// The wait before a line is opened again: at first, and at most. A daemon that is upgraded is away for a second; one
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

/// The lines.
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
    /// Listens and reports until the daemon says that the run is over, or the task is dropped.
    pub(crate) async fn run(self) {
        tokio::select! {
            () = again(|| self.listen()) => {}
            () = again(|| self.report()) => {}
        }
    }

    /// Takes the daemon's words, as long as the connection holds. `Ok` means that the run is over.
    async fn listen(&self) -> Result<(), ClientError> {
        let words = Client::connect(&self.socket).await?;
        let mut words = words.stream::<RunnerControl>(&path::with(path::RUN_ORDERS, &self.run)).await?;
        while let Some(word) = words.next().await? {
            self.take(word);
            if self.is_over() {
                return Ok(());
            }
        }
        Err(ClientError::Broken("the daemon ended".to_owned()))
    }

    /// Sends what there is and what comes, as long as the connection holds. `Ok` means that the run is over.
    async fn report(&self) -> Result<(), ClientError> {
        let mut client = Client::connect(&self.socket).await?;
        let mut length = self.length.clone();
        loop {
            while *self.acknowledged.borrow() < *length.borrow_and_update() {
                self.send(&mut client).await?;
                if self.is_over() {
                    return Ok(());
                }
            }
            if length.changed().await.is_err() {
                return Ok(());
            }
        }
    }

    fn is_over(&self) -> bool {
        self.orders.borrow().over
    }

    fn take(&self, word: RunnerControl) {
        self.orders.send_if_modified(|orders| {
            let before = *orders;
            match word {
                RunnerControl::Ready => {}
                RunnerControl::Cancel => orders.stop = true,
                RunnerControl::Superseded => orders.over = true,
                RunnerControl::Limits(limits) => orders.limits = Some(limits),
            }
            *orders != before
        });
    }

    /// Sends the next piece that is not acknowledged.
    async fn send(&self, client: &mut Client) -> Result<(), ClientError> {
        let from = *self.acknowledged.borrow();
        let lines = self.read(from).await.map_err(|error| ClientError::Broken(error.to_string()))?;
        let target = path::with_query(&path::with(path::RUN_REPORT, &self.run), &[("offset", Some(&from.to_string()))]);
        let answer: Acknowledged = client.post_bytes(&target, lines.into()).await?;
        if answer.over {
            self.take(RunnerControl::Superseded);
        }
        self.acknowledged.send_replace(answer.offset);
        Ok(())
    }

    /// Whole lines from byte `from` on; at least one, however long it is.
    async fn read(&self, from: u64) -> io::Result<Vec<u8>> {
        let mut file = File::open(&self.records).await?;
        file.seek(io::SeekFrom::Start(from)).await?;
        let mut lines = Vec::new();
        let mut file = file.take(PIECE);
        loop {
            let read = file.read_to_end(&mut lines).await?;
            match lines.iter().rposition(|byte| *byte == b'\n') {
                Some(end) => {
                    lines.truncate(end + 1);
                    return Ok(lines);
                }
                None if read == 0 => return Ok(lines),
                None => file.set_limit(PIECE),
            }
        }
    }
}

/// Opens a line again whenever it breaks. Ends when the line says that the run is over.
async fn again<Line: Future<Output = Result<(), ClientError>>>(open: impl Fn() -> Line) {
    let mut wait = AGAIN_FIRST;
    loop {
        let begun = tokio::time::Instant::now();
        let Err(error) = open().await else { return };
        if begun.elapsed() > AGAIN_LAST {
            wait = AGAIN_FIRST;
        }
        match error {
            // Without an end these would be all that the log holds.
            ClientError::Problem(_) | ClientError::NotUnderstood(_) if wait == AGAIN_FIRST => {
                tracing::warn!(%error, "the daemon does not take what the runner says; trying again");
            }
            error => tracing::debug!(%error, "a line to the daemon is down"),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(AGAIN_LAST);
    }
}

// A report is at most a piece and the record that goes on beyond it.
const _: () = assert!(PIECE as usize + kugetsu_api::record::RECORD_MAX <= REPORT_MAX);

#[cfg(test)]
mod tests {
    use std::path::Path;

    use kugetsu_api::record::Body;
    use kugetsu_domain::redact::Redactor;
    use tokio::io::AsyncWriteExt;
    use tokio::net::{UnixListener, UnixStream};

    use super::*;
    use crate::spool::Spool;

    const LIMITS: Limits = Limits { timeout_seconds: 7, silence_seconds: 5 };

    /// A daemon that says these words to whoever listens, and answers every report with this.
    async fn daemon(socket: &Path, words: &[RunnerControl], report: &'static str) {
        let listener = UnixListener::bind(socket).unwrap();
        let words: String = words.iter().map(|word| serde_json::to_string(word).unwrap() + "\n").collect();
        let words = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{words}\r\n", words.len());
        loop {
            let (connection, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(connection, words.clone(), report));
        }
    }

    async fn answer(mut connection: UnixStream, words: String, report: &'static str) {
        let mut request = Vec::new();
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = connection.read(&mut piece).await {
            request.extend_from_slice(&piece[..count]);
            let text = String::from_utf8_lossy(&request);
            if text.starts_with("GET") && text.ends_with("\r\n\r\n") {
                connection.write_all(words.as_bytes()).await.unwrap();
                request.clear();
            } else if text.ends_with("}\n") {
                connection.write_all(report.as_bytes()).await.unwrap();
                request.clear();
            }
        }
    }

    fn reporter(directory: &Path) -> (Reporter, watch::Receiver<Orders>, Spool) {
        let records = directory.join("records.jsonl");
        let spool = Spool::create(&records, Redactor::new(Vec::<String>::new())).unwrap();
        let (orders, heard) = watch::channel(Orders::default());
        let reporter = Reporter {
            socket: directory.join("socket"),
            run: "run".to_owned(),
            records,
            length: spool.length(),
            orders,
            acknowledged: watch::Sender::new(0),
        };
        (reporter, heard, spool)
    }

    #[tokio::test]
    async fn a_run_can_be_stopped_also_while_its_reports_are_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let (reporter, mut heard, spool) = reporter(dir.path());
        spool.write(Body::Prompt { text: "a record that the daemon does not take".to_owned() });
        let refusal = "HTTP/1.1 413 Payload Too Large\r\ncontent-length: 0\r\n\r\n";
        let socket = dir.path().join("socket");
        let words = [RunnerControl::Ready, RunnerControl::Limits(LIMITS), RunnerControl::Cancel];
        let orders = tokio::select! {
            () = daemon(&socket, &words, refusal) => unreachable!("it never ends"),
            () = reporter.run() => panic!("the run is not over"),
            orders = heard.wait_for(|orders| orders.stop) => *orders.unwrap(),
            () = tokio::time::sleep(Duration::from_secs(60)) => panic!("the word was never heard"),
        };
        assert_eq!(orders, Orders { stop: true, over: false, limits: Some(LIMITS) });
    }

    #[tokio::test]
    async fn a_run_that_the_daemon_knows_as_over_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let (reporter, heard, spool) = reporter(dir.path());
        spool.write(Body::Text { text: "too late".to_owned() });
        let over = "HTTP/1.1 200 OK\r\ncontent-length: 24\r\n\r\n{\"offset\":9,\"over\":true}";
        let socket = dir.path().join("socket");
        tokio::select! {
            () = daemon(&socket, &[RunnerControl::Ready], over) => unreachable!("it never ends"),
            () = reporter.run() => {}
            () = tokio::time::sleep(Duration::from_secs(60)) => panic!("it goes on"),
        }
        assert!(heard.borrow().over);
    }
}
