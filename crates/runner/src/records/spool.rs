//! The file of the run's records. Every record is written here, masked and bounded, before it is reported.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use kugetsu_api::record::{Body, Record, Report, ReportedFact};
use kugetsu_api::run_key::RunKey;
use kugetsu_api::sealed_record::{needs_seal, seal};
use kugetsu_domain::redact::Redactor;
use tokio::sync::watch;

use super::sanitize_record::{is_chatter, sanitize_record};

/// Bytes of records that an agent can cause in one run. Facts and the runner's own steps are not limited.
const CHATTER_MAX: u64 = 64 * 1024 * 1024;

/// Clones share the file.
#[derive(Clone, Debug)]
pub(crate) struct Spool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    writing: Mutex<Writing>,
    /// Bytes in the file.
    length: watch::Sender<u64>,
    redactor: Redactor,
    seal: Seal,
}

/// Marks what the runner has written as its own.
#[derive(Clone, Debug)]
pub(crate) struct Seal {
    pub(crate) run: String,
    pub(crate) key: RunKey,
}

#[derive(Debug)]
struct Writing {
    file: File,
    chatter: u64,
    /// The facts among the records.
    facts: Vec<ReportedFact>,
    /// The byte after the last sealed record.
    sealed: u64,
    /// The first error. After it nothing is written: a record in the middle would be missing.
    broken: Option<String>,
}

impl Writing {
    /// Returns whether the line is in the file.
    fn write_line(&mut self, line: &[u8]) -> bool {
        if self.broken.is_some() {
            return false;
        }
        let written = self.file.write_all(line);
        self.broken = written.err().map(|error| error.to_string());
        self.broken.is_none()
    }
}

impl Spool {
    /// # Errors
    /// The file cannot be created. One that exists is an error, too: a run has one runner.
    pub(crate) fn create(path: &Path, redactor: Redactor, seal: Seal) -> io::Result<Self> {
        let file = OpenOptions::new().create_new(true).append(true).mode(0o600).open(path)?;
        let writing = Mutex::new(Writing { file, chatter: 0, facts: Vec::new(), sealed: 0, broken: None });
        Ok(Self(Arc::new(Inner { writing, length: watch::Sender::new(0), redactor, seal })))
    }

    /// Creates the records of a run with another key each time.
    #[cfg(test)]
    pub(crate) fn for_test(path: &Path, redactor: Redactor) -> io::Result<Self> {
        Self::create(path, redactor, Seal { run: "run".to_owned(), key: RunKey::random()? })
    }

    /// Appends a record. [`broken`](Self::broken) has the error, if there is one: a run cannot continue without its records.
    pub(crate) fn write(&self, body: Body) {
        let chatter = is_chatter(&body);
        if chatter && self.writing().chatter > CHATTER_MAX {
            return;
        }
        let body = sanitize_record(body, &self.0.redactor);
        let fact = body.is_fact().then(|| body.clone());
        let is_sealed = needs_seal(&body);
        let Ok(record) = serde_json::to_string(&Record { at: Timestamp::now().as_millisecond(), body }) else {
            self.writing().broken.get_or_insert_with(|| "a record cannot be serialized".to_owned());
            return;
        };
        let mut writing = self.writing();
        if is_sealed {
            return self.append_sealed(&mut writing, &record, fact);
        }
        let mut line = record + "\n";
        if chatter {
            // Another thread may have reached the limit meanwhile.
            if writing.chatter > CHATTER_MAX {
                return;
            }
            writing.chatter = writing.chatter.saturating_add(line.len() as u64);
            if writing.chatter > CHATTER_MAX {
                line = limit_notice();
            }
        }
        self.append(&mut writing, line.as_bytes());
    }

    /// Records something that the user should know.
    pub(crate) fn notice(&self, text: impl Into<String>) {
        self.write(Body::Notice { text: text.into() });
    }

    /// Records what the runner does next.
    pub(crate) fn step(&self, text: impl Into<String>) {
        self.write(Body::Step { text: text.into() });
    }

    /// Waits until everything is on disk.
    pub(crate) fn sync(&self) {
        let mut writing = self.writing();
        if let Err(error) = writing.file.sync_data() {
            writing.broken.get_or_insert_with(|| error.to_string());
        }
    }

    pub(crate) fn broken(&self) -> Option<String> {
        self.writing().broken.clone()
    }

    /// The facts after byte `acknowledged`, and the length of the records now.
    pub(crate) fn report(&self, run: &str, acknowledged: u64) -> Report {
        let writing = self.writing();
        let facts = writing.facts.iter().filter(|fact| fact.end > acknowledged).cloned().collect();
        Report { run: run.to_owned(), facts, length: *self.0.length.borrow() }
    }

    /// Follows the number of bytes in the file.
    pub(crate) fn length(&self) -> watch::Receiver<u64> {
        self.0.length.subscribe()
    }

    pub(crate) fn mask(&self, text: &str) -> String {
        self.0.redactor.mask(text)
    }

    /// How many bytes at the beginning of a piece of text can be masked and written: the rest may be the beginning of a
    /// secret.
    pub(crate) fn settled(&self, text: &str) -> usize {
        self.0.redactor.settled(text)
    }

    fn append_sealed(&self, writing: &mut Writing, record: &str, fact: Option<Body>) {
        let (Seal { run, key }, start) = (&self.0.seal, *self.0.length.borrow());
        let line = match seal(record, run, key, start, writing.sealed) {
            Ok(line) => line,
            Err(error) => {
                writing.broken.get_or_insert_with(|| format!("a record cannot be sealed: {error}"));
                return;
            }
        };
        let end = start + line.len() as u64;
        if writing.write_line(line.as_bytes()) {
            writing.sealed = end;
            // Before followers of the length look for it.
            writing.facts.extend(fact.map(|fact| ReportedFact { end, fact }));
            self.0.length.send_replace(end);
        }
    }

    fn append(&self, writing: &mut Writing, line: &[u8]) {
        if writing.write_line(line) {
            self.0.length.send_modify(|length| *length += line.len() as u64);
        }
    }

    fn writing(&self) -> MutexGuard<'_, Writing> {
        // After a panic the file is still a sequence of lines, apart from the last one.
        self.0.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn limit_notice() -> String {
    let text =
        format!("the agent's output exceeded {} MiB; the rest of this run's transcript is left out", CHATTER_MAX >> 20);
    let record = Record { at: Timestamp::now().as_millisecond(), body: Body::Notice { text } };
    serde_json::to_string(&record).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use kugetsu_api::record::PlanStep;
    use kugetsu_api::run::Usage;
    use kugetsu_api::sealed_record::open;

    use super::*;

    fn spool(secrets: &[&str]) -> (tempfile::TempDir, Spool) {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::for_test(&dir.path().join("records.jsonl"), Redactor::new(secrets)).unwrap();
        (dir, spool)
    }

    #[test]
    fn no_secret_reaches_the_file() {
        let (dir, spool) = spool(&["hunter2hunter2"]);
        spool.notice("the key is hunter2hunter2, at https://bot:pass@host/x");
        let text = std::fs::read_to_string(dir.path().join("records.jsonl")).unwrap();
        assert!(text.contains("the key is ***, at https://bot:***@host/x"), "{text}");
        assert_eq!(*spool.length().borrow(), text.len() as u64);
        assert!(serde_json::from_str::<Record>(text.trim()).is_ok());
    }

    #[test]
    fn facts_and_results_are_sealed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.jsonl");
        let key = RunKey::random().unwrap();
        let seal = Seal { run: "run".to_owned(), key: key.clone() };
        let spool = Spool::create(&path, Redactor::new([""; 0]), seal).unwrap();
        let lost = |session: &str| Body::SessionLost { session: session.to_owned() };
        let (command, head_sha) = ("true".to_owned(), "c1".to_owned());
        let verified = Body::Verified { command, head_sha, passed: true, output: String::new() };
        spool.write(lost("one"));
        spool.step("between");
        spool.write(verified.clone());
        spool.write(lost("two"));
        let text = std::fs::read_to_string(&path).unwrap();
        let sealed: Vec<_> = text.lines().filter_map(|line| open(line.as_bytes(), "run", &key.public())).collect();
        let bodies: Vec<_> = sealed.iter().map(|sealed| sealed.record.body.clone()).collect();
        assert_eq!(bodies, [lost("one"), verified, lost("two")]);
        assert_eq!(sealed.iter().map(|sealed| sealed.previous).collect::<Vec<_>>(), [0, sealed[0].end, sealed[1].end]);
        let report = spool.report("run", 0);
        assert_eq!(report.facts.iter().map(|fact| fact.end).collect::<Vec<_>>(), [sealed[0].end, sealed[2].end]);
        assert_eq!(report.length, text.len() as u64);
    }

    #[test]
    fn agent_output_is_bounded_and_facts_are_not() {
        let (dir, spool) = spool(&[]);
        let piece = "x".repeat(100 * 1024);
        for _ in 0..300 {
            spool.write(Body::Text { text: piece.clone() });
            spool.write(Body::Thought { text: piece.clone() });
            spool.write(Body::Plan {
                steps: (0..100).map(|_| PlanStep { text: "x".repeat(1000), state: "pending".to_owned() }).collect(),
            });
        }
        for _ in 0..1000 {
            spool.write(Body::Usage { usage: Usage::default() });
        }
        spool.write(Body::SessionLost { session: "s".to_owned() });
        let text = std::fs::read_to_string(dir.path().join("records.jsonl")).unwrap();
        assert!((text.len() as u64) < CHATTER_MAX + 1024);
        assert_eq!(text.matches("left out").count(), 1);
        assert!(text.trim_end().lines().last().unwrap().contains("session_lost"));
    }
}
