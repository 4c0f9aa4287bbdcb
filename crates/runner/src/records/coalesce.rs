//! Joins the pieces in which an agent's text arrives: a record for each token would be most of the file, and a secret that is
//! split over two pieces would be masked in neither.

use std::time::Duration;

use kugetsu_api::record::Body;
use tokio::time::Instant;

use super::spool::Spool;

/// How long a piece waits for the next one.
const MAX_DELAY: Duration = Duration::from_millis(200);
/// A record is written when it has this many bytes.
const RECORD_SIZE: usize = 8 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextKind {
    Text,
    Thought,
}

impl TextKind {
    const fn other(self) -> Self {
        match self {
            Self::Text => Self::Thought,
            Self::Thought => Self::Text,
        }
    }
}

/// The longest end of a text that is written although it may be the beginning of a secret, when something else follows.
const SHOWN_MAX: usize = 3;

/// Text that waits.
#[derive(Debug, Default)]
struct Waiting {
    text: String,
    /// Bytes at its beginning that are written already. They stay here because they may be the beginning of a secret.
    written: usize,
}

impl Waiting {
    /// Takes the first `length` bytes. Returns what of them is not written yet, masked.
    fn take(&mut self, length: usize, spool: &Spool) -> String {
        let rest = self.text.split_off(length);
        let taken = std::mem::replace(&mut self.text, rest);
        let written = self.written.min(taken.len());
        self.written -= written;
        let masked = spool.mask(&taken);
        match masked.strip_prefix(&taken[..written]) {
            Some(new) => new.to_owned(),
            // The beginning of a secret was shown; its rest is masked.
            None => masked,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Coalescer {
    spool: Spool,
    kind: TextKind,
    /// The text of the current kind.
    waiting: Waiting,
    /// The end of the text of the other kind, if it may be the beginning of a secret: a thought in between does not end it.
    held: Waiting,
    deadline: Option<Instant>,
}

impl Coalescer {
    pub(crate) fn new(spool: Spool) -> Self {
        Self { spool, kind: TextKind::Text, waiting: Waiting::default(), held: Waiting::default(), deadline: None }
    }

    pub(crate) fn push(&mut self, kind: TextKind, piece: &str) {
        if kind != self.kind {
            self.write_settled();
            std::mem::swap(&mut self.waiting, &mut self.held);
            self.kind = kind;
        }
        self.waiting.text.push_str(piece);
        if self.waiting.text.len() >= RECORD_SIZE {
            self.write_settled();
        } else if self.deadline.is_none() && self.waiting.text.len() > self.waiting.written {
            self.deadline = Some(Instant::now() + MAX_DELAY);
        }
    }

    /// When [`write_settled`](Self::write_settled) is to be called, if any pieces wait.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Writes the waiting text, apart from an end that may be the beginning of a secret.
    pub(crate) fn write_settled(&mut self) {
        let settled = self.spool.settled(&self.waiting.text);
        let text = self.waiting.take(settled, &self.spool);
        self.write(self.kind, text);
        // The rest waits for the next piece or for the end of the turn; time alone does not complete a secret.
        self.deadline = None;
    }

    /// Writes the waiting text before something else is recorded, such as a tool call. That does not end a secret either, so a
    /// long end that may be its beginning still waits; a short one is written and remembered.
    pub(crate) fn pause(&mut self) {
        let settled = self.spool.settled(&self.waiting.text);
        let mut shown = self.waiting.take(settled, &self.spool);
        let Waiting { text, written } = &mut self.waiting;
        if text.len() <= SHOWN_MAX {
            shown.push_str(&text[*written..]);
            *written = text.len();
        }
        self.write(self.kind, shown);
        self.deadline = None;
    }

    /// Writes everything.
    pub(crate) fn flush(&mut self) {
        for kind in [self.kind, self.kind.other()] {
            let text = self.waiting.take(self.waiting.text.len(), &self.spool);
            self.write(kind, text);
            std::mem::swap(&mut self.waiting, &mut self.held);
        }
        self.deadline = None;
    }

    fn write(&self, kind: TextKind, text: String) {
        if text.is_empty() {
            return;
        }
        self.spool.write(match kind {
            TextKind::Text => Body::Text { text },
            TextKind::Thought => Body::Thought { text },
        });
    }
}

#[cfg(test)]
mod tests {
    use kugetsu_domain::redact::Redactor;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_secret_in_pieces_is_masked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.jsonl");
        let spool = Spool::for_test(&path, Redactor::new(["topsecretvalue"])).unwrap();
        let mut pieces = Coalescer::new(spool);
        for piece in ["the value is topse", "cretv", "alue, so there"] {
            pieces.push(TextKind::Text, piece);
            pieces.write_settled();
        }
        pieces.push(TextKind::Thought, "hm");
        pieces.flush();
        let text = std::fs::read_to_string(path).unwrap();
        assert!(!text.contains("topse") && !text.contains("alue,"), "{text}");
        assert!(text.contains("***") && text.contains("\"thought\""), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_that_is_split_by_thoughts_is_masked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.jsonl");
        let spool = Spool::for_test(&path, Redactor::new(["topsecretvalue"])).unwrap();
        let mut pieces = Coalescer::new(spool);
        for (kind, piece) in [
            (TextKind::Text, "the value is topse"),
            (TextKind::Thought, "hm, tops"),
            (TextKind::Text, "cretv"),
            (TextKind::Thought, "ecretvalue it is"),
            (TextKind::Text, "alue, so there"),
            (TextKind::Thought, "the end: tops"),
        ] {
            pieces.push(kind, piece);
        }
        pieces.flush();
        let text = std::fs::read_to_string(path).unwrap();
        for part in ["topse", "cretv", "alue,", "ecretvalue"] {
            assert!(!text.contains(part), "{part}: {text}");
        }
        for part in ["the value is ", "***, so the", "*** it is", "the end: ", "tops"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn text_is_shown_at_once_however_long_the_secrets_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.jsonl");
        let spool = Spool::for_test(&path, Redactor::new(["k3y-".repeat(425)])).unwrap();
        let mut pieces = Coalescer::new(spool);
        pieces.push(TextKind::Text, "a short piece, then k3y-k3");
        pieces.write_settled();
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.contains("a short piece, then ") && !text.contains("k3y"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_that_is_split_by_other_records_is_masked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.jsonl");
        let spool = Spool::for_test(&path, Redactor::new(["topsecretvalue"])).unwrap();
        let mut pieces = Coalescer::new(spool.clone());
        for piece in ["the value is topse", "cretv", "alue, so", " stop", " with a to", "psecretvalue, he wrote to"] {
            pieces.push(TextKind::Text, piece);
            pieces.pause();
            spool.notice("a tool");
        }
        pieces.flush();
        let text = std::fs::read_to_string(path).unwrap();
        let texts: Vec<String> = text
            .lines()
            .filter_map(|line| match serde_json::from_str::<kugetsu_api::record::Record>(line).unwrap().body {
                Body::Text { text } => Some(text),
                _ => None,
            })
            .collect();
        assert_eq!(
            texts,
            ["the value is ", "***, so", " stop", " with a to", "***, he wrote to"],
            "only the first bytes of a secret are ever shown"
        );
    }
}
