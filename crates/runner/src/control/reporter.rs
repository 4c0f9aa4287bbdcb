//! The runner's two connections to the daemon: control messages come down on one, reports go up on the other.
//!
//! The daemon may come and go. Each connection is opened again when it breaks, and facts that the daemon has not
//! acknowledged are reported again. Neither waits for the other: a report that the daemon refuses must not keep a run from
//! being canceled.

use std::path::PathBuf;
use std::time::Duration;

use kugetsu_api::client::{Client, ClientError};
use kugetsu_api::endpoints;
use kugetsu_api::run::RunQuery;
use kugetsu_api::run_key::RunKey;
use kugetsu_api::run_spec::{Limits, RunnerControl};
use kugetsu_domain::reason::Reason;
use tokio::sync::watch;

use crate::records::spool::Spool;

/// The pauses before a connection is opened again. A daemon that is upgraded is away for a second; one that is stopped may
/// be away for days.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The control messages so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Control {
    pub(crate) cancel: bool,
    /// Whether the agent gets no time to end its turn. Implies `cancel`.
    pub(crate) at_once: bool,
    /// The run is over for the daemon.
    pub(crate) superseded: bool,
    /// The limits, if they have changed.
    pub(crate) limits: Option<Limits>,
    /// The budget that is spent.
    pub(crate) spent: Option<Reason>,
}

#[derive(Debug)]
pub(crate) struct Reporter {
    /// Where the daemon listens.
    pub(crate) socket: PathBuf,
    /// The run's identifier.
    pub(crate) run: String,
    pub(crate) key: RunKey,
    pub(crate) spool: Spool,
    pub(crate) control: watch::Sender<Control>,
    /// The byte before which the daemon has stored every fact.
    pub(crate) acknowledged: watch::Sender<u64>,
}

impl Reporter {
    /// Listens and reports until the daemon takes the run for over, or the task is dropped.
    pub(crate) async fn run(self) {
        tokio::select! {
            () = reconnecting(|| self.listen()) => {}
            () = reconnecting(|| self.report()) => {}
        }
    }

    /// Takes control messages until the connection breaks. `Ok` means that the run is over.
    async fn listen(&self) -> Result<(), ClientError> {
        let client = self.connect().await?;
        let mut messages = client.stream(&endpoints::RUN_CONTROL, &RunQuery { run: self.run.clone() }).await?;
        while let Some(message) = messages.next().await? {
            self.take(message);
            if self.is_superseded() {
                return Ok(());
            }
        }
        Err(ClientError::Broken("the daemon ended".to_owned()))
    }

    /// Reports until the connection breaks. `Ok` means that the run is over.
    ///
    /// An agent that talks makes a record every few milliseconds. While a report is on its way the records grow, and the
    /// next report covers all of them, so that their number adapts to the daemon's speed by itself.
    async fn report(&self) -> Result<(), ClientError> {
        let mut client = self.connect().await?;
        let mut length = self.spool.length();
        loop {
            while *self.acknowledged.borrow() < *length.borrow_and_update() {
                self.send(&mut client).await?;
                if self.is_superseded() {
                    return Ok(());
                }
            }
            if length.changed().await.is_err() {
                return Ok(());
            }
        }
    }

    async fn connect(&self) -> Result<Client, ClientError> {
        Ok(Client::connect(&self.socket).await?.with_key(&self.key))
    }

    fn is_superseded(&self) -> bool {
        self.control.borrow().superseded
    }

    fn take(&self, message: RunnerControl) {
        self.control.send_if_modified(|control| {
            let before = control.clone();
            match message {
                RunnerControl::Ready => {}
                RunnerControl::Cancel { at_once } => {
                    control.cancel = true;
                    control.at_once |= at_once;
                }
                RunnerControl::Superseded => control.superseded = true,
                RunnerControl::Limits(limits) => control.limits = Some(limits),
                RunnerControl::Spent { reason, hint } => control.spent = Some(Reason::new(reason, hint)),
            }
            *control != before
        });
    }

    async fn send(&self, client: &mut Client) -> Result<(), ClientError> {
        let report = self.spool.report(&self.run, *self.acknowledged.borrow());
        let answer = client.call(&endpoints::REPORT_RUN, &report).await?;
        if answer.over {
            self.take(RunnerControl::Superseded);
        }
        self.acknowledged.send_replace(answer.offset);
        Ok(())
    }
}

/// Opens a connection again whenever it breaks. Ends when it returns `Ok`.
async fn reconnecting<Connection: Future<Output = Result<(), ClientError>>>(open: impl Fn() -> Connection) {
    let mut pause = FIRST_PAUSE;
    loop {
        let opened = tokio::time::Instant::now();
        let Err(error) = open().await else { return };
        if opened.elapsed() > LONGEST_PAUSE {
            pause = FIRST_PAUSE;
        }
        match error {
            // Logged once per series of failures: they may go on for hours.
            ClientError::Problem(_) | ClientError::NotUnderstood(_) if pause == FIRST_PAUSE => {
                tracing::warn!(%error, "the daemon refused a report or a request for messages; trying again");
            }
            error => tracing::debug!(%error, "not connected to the daemon"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use kugetsu_api::record::Body;
    use kugetsu_domain::redact::Redactor;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{UnixListener, UnixStream};

    use super::*;

    const LIMITS: Limits = Limits { timeout_seconds: 7, silence_seconds: 5, max_repeats: 20 };

    /// A daemon that sends `messages` to every listener and answers every report with `report`.
    async fn daemon(socket: &Path, messages: &[RunnerControl], report: &'static str) {
        let listener = UnixListener::bind(socket).unwrap();
        let messages: String = messages.iter().map(|message| serde_json::to_string(message).unwrap() + "\n").collect();
        let messages =
            format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{messages}\r\n", messages.len());
        loop {
            let (connection, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(connection, messages.clone(), report));
        }
    }

    async fn answer(mut connection: UnixStream, messages: String, report: &'static str) {
        let mut request = Vec::new();
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = connection.read(&mut piece).await {
            request.extend_from_slice(&piece[..count]);
            let text = String::from_utf8_lossy(&request);
            if text.starts_with("GET") && text.ends_with("\r\n\r\n") {
                connection.write_all(messages.as_bytes()).await.unwrap();
                request.clear();
            } else if text.starts_with("POST") && text.ends_with("}") {
                connection.write_all(report.as_bytes()).await.unwrap();
                request.clear();
            }
        }
    }

    fn reporter(directory: &Path) -> (Reporter, watch::Receiver<Control>, Spool) {
        let records = directory.join("records.jsonl");
        let spool = Spool::for_test(&records, Redactor::new(Vec::<String>::new())).unwrap();
        let (control, received) = watch::channel(Control::default());
        let reporter = Reporter {
            socket: directory.join("socket"),
            run: "run".to_owned(),
            key: RunKey::random().unwrap(),
            spool: spool.clone(),
            control,
            acknowledged: watch::Sender::new(0),
        };
        (reporter, received, spool)
    }

    #[tokio::test]
    async fn a_run_can_be_canceled_while_its_reports_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (reporter, mut received, spool) = reporter(dir.path());
        spool.write(Body::Prompt { text: "a record".to_owned() });
        let refusal = "HTTP/1.1 413 Payload Too Large\r\ncontent-length: 0\r\n\r\n";
        let socket = dir.path().join("socket");
        let spent = RunnerControl::Spent { reason: "it is spent".to_owned(), hint: None };
        let cancel = RunnerControl::Cancel { at_once: false };
        let messages = [RunnerControl::Ready, RunnerControl::Limits(LIMITS), spent, cancel];
        let control = tokio::select! {
            () = daemon(&socket, &messages, refusal) => unreachable!("it never ends"),
            () = reporter.run() => panic!("the run is not over"),
            control = received.wait_for(|control| control.cancel) => control.unwrap().clone(),
            () = tokio::time::sleep(Duration::from_secs(60)) => panic!("the message was not received"),
        };
        let spent = Some(Reason::from("it is spent"));
        assert_eq!(control, Control { cancel: true, at_once: false, superseded: false, limits: Some(LIMITS), spent });
    }

    #[tokio::test]
    async fn a_run_is_superseded_if_the_daemon_takes_it_for_over() {
        let dir = tempfile::tempdir().unwrap();
        let (reporter, received, spool) = reporter(dir.path());
        spool.write(Body::Text { text: "too late".to_owned() });
        let over = "HTTP/1.1 200 OK\r\ncontent-length: 24\r\n\r\n{\"offset\":9,\"over\":true}";
        let socket = dir.path().join("socket");
        tokio::select! {
            () = daemon(&socket, &[RunnerControl::Ready], over) => unreachable!("it never ends"),
            () = reporter.run() => {}
            () = tokio::time::sleep(Duration::from_secs(60)) => panic!("the reporter did not end"),
        }
        assert!(received.borrow().superseded);
    }

    #[test]
    fn facts_are_reported_until_they_are_acknowledged() {
        let dir = tempfile::tempdir().unwrap();
        let (_reporter, _received, spool) = reporter(dir.path());
        spool.write(Body::Text { text: "hello".to_owned() });
        spool.write(Body::SessionLost { session: "one".to_owned() });
        let first = spool.report("run", 0);
        assert_eq!((first.facts.len(), first.facts[0].end), (1, first.length));
        spool.write(Body::SessionLost { session: "two".to_owned() });
        spool.write(Body::Text { text: "bye".to_owned() });
        let second = spool.report("run", 0);
        assert_eq!(second.facts[0], first.facts[0]);
        assert_eq!(second.facts.len(), 2);
        assert!(second.facts[1].end < second.length);
        assert_eq!(spool.report("run", first.length).facts, second.facts[1..]);
        assert_eq!(spool.report("run", second.length).facts, []);
        assert_eq!(second.length, std::fs::metadata(dir.path().join("records.jsonl")).unwrap().len());
    }
}
