//! The file of the run's records. Every record is written here, masked and bounded, before it is reported.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use kugetsu_api::record::{Body, Record, Report, ReportedFact};
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
}

#[derive(Debug)]
struct Writing {
    file: File,
    chatter: u64,
    /// The facts among the records.
    facts: Vec<ReportedFact>,
    /// The first error. After it nothing is written: a record in the middle would be missing.
    broken: Option<String>,
}

impl Spool {
    /// # Errors
    /// The file cannot be created. One that exists is an error, too: a run has one runner.
    pub(crate) fn create(path: &Path, redactor: Redactor) -> io::Result<Self> {
        let file = OpenOptions::new().create_new(true).append(true).mode(0o600).open(path)?;
        let writing = Mutex::new(Writing { file, chatter: 0, facts: Vec::new(), broken: None });
        Ok(Self(Arc::new(Inner { writing, length: watch::Sender::new(0), redactor })))
    }

    /// Appends a record. [`broken`](Self::broken) has the error, if there is one: a run cannot continue without its records.
    pub(crate) fn write(&self, body: Body) {
        let chatter = is_chatter(&body);
        if chatter && self.writing().chatter > CHATTER_MAX {
            return;
        }
        let body = sanitize_record(body, &self.0.redactor);
        let fact = body.is_fact().then(|| body.clone());
        let Ok(mut line) = serde_json::to_string(&Record { at: Timestamp::now().as_millisecond(), body }) else {
            self.writing().broken.get_or_insert_with(|| "a record cannot be serialized".to_owned());
            return;
        };
        line.push('\n');
        let mut writing = self.writing();
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
        self.append(&mut writing, line.as_bytes(), fact);
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

    fn append(&self, writing: &mut Writing, bytes: &[u8], fact: Option<Body>) {
        if writing.broken.is_some() {
            return;
        }
        match writing.file.write_all(bytes) {
            Ok(()) => {
                let end = *self.0.length.borrow() + bytes.len() as u64;
                writing.facts.extend(fact.map(|fact| ReportedFact { end, fact }));
                self.0.length.send_replace(end);
            }
            Err(error) => writing.broken = Some(error.to_string()),
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

    use super::*;

    fn spool(secrets: &[&str]) -> (tempfile::TempDir, Spool) {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::create(&dir.path().join("records.jsonl"), Redactor::new(secrets)).unwrap();
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
