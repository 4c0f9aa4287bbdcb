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

#[derive(Debug)]
pub(crate) struct Coalescer {
    spool: Spool,
    kind: TextKind,
    /// The text of the current kind.
    waiting: String,
    /// The end of the text of the other kind, if it may be the beginning of a secret: a thought in between does not end it.
    held: String,
    deadline: Option<Instant>,
}

impl Coalescer {
    pub(crate) const fn new(spool: Spool) -> Self {
        Self { spool, kind: TextKind::Text, waiting: String::new(), held: String::new(), deadline: None }
    }

    pub(crate) fn push(&mut self, kind: TextKind, piece: &str) {
        if kind != self.kind {
            self.write_settled();
            std::mem::swap(&mut self.waiting, &mut self.held);
            self.kind = kind;
        }
        self.waiting.push_str(piece);
        if self.waiting.len() >= RECORD_SIZE {
            self.write_settled();
        } else if self.deadline.is_none() && !self.waiting.is_empty() {
            self.deadline = Some(Instant::now() + MAX_DELAY);
        }
    }

    /// When [`write_settled`](Self::write_settled) is to be called, if any pieces wait.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Writes the waiting text, apart from an end that may be the beginning of a secret.
    pub(crate) fn write_settled(&mut self) {
        let rest = self.waiting.split_off(self.spool.settled(&self.waiting));
        self.write(self.kind);
        self.waiting = rest;
        // The rest waits for the next piece or for the end of the turn; time alone does not complete a secret.
        self.deadline = None;
    }

    /// Writes everything.
    pub(crate) fn flush(&mut self) {
        self.write(self.kind);
        std::mem::swap(&mut self.waiting, &mut self.held);
        self.write(self.kind.other());
        self.deadline = None;
    }

    fn write(&mut self, kind: TextKind) {
        if self.waiting.is_empty() {
            return;
        }
        let text = std::mem::take(&mut self.waiting);
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
        let spool = Spool::create(&path, Redactor::new(["topsecretvalue"])).unwrap();
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
        let spool = Spool::create(&path, Redactor::new(["topsecretvalue"])).unwrap();
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
        let spool = Spool::create(&path, Redactor::new(["k3y-".repeat(425)])).unwrap();
        let mut pieces = Coalescer::new(spool);
        pieces.push(TextKind::Text, "a short piece, then k3y-k3");
        pieces.write_settled();
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.contains("a short piece, then ") && !text.contains("k3y"), "{text}");
    }
}
