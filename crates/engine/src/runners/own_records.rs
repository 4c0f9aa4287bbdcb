//! Records that a run's runner has written. An agent without a sandbox may append to the file, so the daemon acts on no
//! other line.

use kugetsu_api::record::{Record, ReportedFact};
use kugetsu_api::run_key::PublicKey;
use kugetsu_api::sealed_record::{self, SealedRecord};
use kugetsu_domain::ids::RunId;
use kugetsu_store::error::StoreError;

use super::access::stored_key;
use super::report::unsealed_facts;
use crate::engine::Engine;

/// Recognizes the records of a run's runner.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnRecords {
    run: RunId,
    /// `None`: its runner is of a version that does not seal records, so every line counts.
    key: Option<PublicKey>,
}

impl OwnRecords {
    pub(crate) fn new(run: RunId, key: Option<PublicKey>) -> Self {
        Self { run, key }
    }

    /// # Errors
    /// The database cannot be read.
    pub(crate) async fn of(engine: &Engine, run: RunId) -> Result<Self, StoreError> {
        Ok(Self::new(run, stored_key(engine, run).await?))
    }

    /// Returns the record in a line; `None` if the runner has not written it, or it cannot be read. Only for records
    /// that are sealed.
    pub(crate) fn read(&self, line: &[u8]) -> Option<Record> {
        match &self.key {
            Some(key) => Some(sealed_record::open(line, &self.run.to_string(), key)?.record),
            None => serde_json::from_slice(line).ok(),
        }
    }
}

/// Reads the facts that a runner could not report.
#[derive(Debug)]
pub(super) struct UnreportedFacts {
    own: OwnRecords,
    /// Every fact before this byte is stored.
    acknowledged: u64,
    /// The byte after the sealed record that was read last.
    last: Option<u64>,
}

impl UnreportedFacts {
    pub(super) fn new(own: OwnRecords, acknowledged: u64) -> Self {
        Self { own, acknowledged, last: None }
    }

    /// Returns the facts among whole lines, which begin at byte `offset` of the file and follow those of the call
    /// before. Facts behind one that was removed are left out: what they mean may depend on it.
    pub(super) fn read(&mut self, offset: u64, lines: &[u8]) -> Vec<ReportedFact> {
        let Some(key) = self.own.key else { return unsealed_facts(self.own.run, offset, lines).0 };
        let run = self.own.run.to_string();
        let mut facts = Vec::new();
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let Some(sealed) = sealed_record::open(line, &run, &key) else { continue };
            let SealedRecord { record, start, end, previous } = sealed;
            let follows = match self.last {
                None => end > self.acknowledged && previous <= self.acknowledged,
                Some(last) => previous == last && start >= last,
            };
            if follows {
                self.last = Some(end);
                if record.body.is_fact() {
                    facts.push(ReportedFact { end, fact: record.body });
                }
            } else if end > self.last.unwrap_or(self.acknowledged) {
                tracing::error!(%run, start, "skipped a record of a run: one before it is missing");
            }
        }
        facts
    }
}

#[cfg(test)]
mod tests {
    use kugetsu_api::record::Body;
    use kugetsu_api::run_key::RunKey;
    use uuid::Uuid;

    use super::*;

    /// A runner that writes records.
    struct Writer {
        run: RunId,
        key: RunKey,
        length: u64,
        previous: u64,
    }

    impl Writer {
        fn new() -> Self {
            Self { run: RunId::new(Uuid::now_v7()), key: RunKey::random().unwrap(), length: 0, previous: 0 }
        }

        fn fact(&mut self, session: &str) -> String {
            let record = Record { at: 0, body: Body::SessionLost { session: session.to_owned() } };
            let record = serde_json::to_string(&record).unwrap();
            let line =
                sealed_record::seal(&record, &self.run.to_string(), &self.key, self.length, self.previous).unwrap();
            self.length += line.len() as u64;
            self.previous = self.length;
            line
        }

        fn text(&mut self) -> String {
            let line =
                serde_json::to_string(&Record { at: 0, body: Body::Text { text: "x".to_owned() } }).unwrap() + "\n";
            self.length += line.len() as u64;
            line
        }

        fn facts(&self, acknowledged: u64) -> UnreportedFacts {
            UnreportedFacts::new(OwnRecords::new(self.run, Some(self.key.public())), acknowledged)
        }
    }

    fn sessions(facts: &[ReportedFact]) -> Vec<&str> {
        let session = |fact: &ReportedFact| match &fact.fact {
            Body::SessionLost { session } => session.clone().leak() as &str,
            other => panic!("{other:?}"),
        };
        facts.iter().map(session).collect()
    }

    #[test]
    fn facts_that_another_process_has_appended_are_left_out() {
        let mut runner = Writer::new();
        let first = runner.fact("one");
        let acknowledged = runner.length;
        let second = runner.text() + &runner.fact("two");
        let forged = r#"{"at":0,"type":"session_lost","session":"forged"}"#.to_owned() + "\n";
        let other = Writer::new().fact("of another run");
        let third = runner.fact("three");
        let file = [&first, &forged, &second, &other, &first, &second, &forged, &third].map(String::as_str).concat();
        let facts = runner.facts(acknowledged).read(acknowledged, &file.as_bytes()[acknowledged as usize..]);
        assert_eq!(sessions(&facts), ["two", "three"]);
        assert_eq!(facts[1].end, runner.length, "bytes of others do not count");
        // In two pieces.
        let mut reading = runner.facts(acknowledged);
        let rest = &file.as_bytes()[acknowledged as usize..];
        let at = rest.len() - third.len();
        assert_eq!(sessions(&reading.read(acknowledged, &rest[..at])), ["two"]);
        assert_eq!(sessions(&reading.read(acknowledged + at as u64, &rest[at..])), ["three"]);
    }

    #[test]
    fn facts_behind_one_that_was_removed_are_left_out() {
        let mut runner = Writer::new();
        let [first, second, third] = ["one", "two", "three"].map(|session| runner.fact(session));
        let read = |file: String| runner.facts(0).read(0, file.as_bytes()).len();
        assert_eq!(read(format!("{first}{second}{third}")), 3);
        assert_eq!(read(format!("{first}{third}")), 1);
        assert_eq!(read(format!("{second}{third}")), 0);
        assert_eq!(read(format!("{first}{third}{second}")), 2, "in another order");
    }

    #[test]
    fn every_line_counts_for_a_run_without_a_key() {
        let mut runner = Writer::new();
        let plain = r#"{"at":0,"type":"session_lost","session":"plain"}"#.to_owned() + "\n";
        let lines = runner.fact("sealed") + &plain;
        let facts = UnreportedFacts::new(OwnRecords::new(runner.run, None), 0).read(0, lines.as_bytes());
        assert_eq!(sessions(&facts), ["sealed", "plain"]);
        assert_eq!(facts[1].end, lines.len() as u64);
    }
}
