//! Puts the pieces of what an agent says together: a record for each token would be most of the file, and a secret that
//! comes in two pieces would not be seen in either.

use std::time::Duration;

use kugetsu_api::record::Body;
use tokio::time::Instant;

use super::spool::Spool;

/// A piece waits at most this long for the next.
const WAIT: Duration = Duration::from_millis(200);
/// A record is written when this many bytes are together.
const FULL: usize = 8 * 1024;

/// Which of the two streams a piece belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Voice {
    /// What the agent says.
    Text,
    /// What it thinks aloud.
    Thought,
}

/// The pieces that wait.
#[derive(Debug)]
pub(crate) struct Coalesce {
    spool: Spool,
    voice: Voice,
    waiting: String,
    since: Option<Instant>,
}

impl Coalesce {
    /// Nothing waits yet.
    pub(crate) const fn new(spool: Spool) -> Self {
        Self { spool, voice: Voice::Text, waiting: String::new(), since: None }
    }

    /// Takes a piece.
    pub(crate) fn push(&mut self, voice: Voice, piece: &str) {
        if voice != self.voice {
            self.flush();
            self.voice = voice;
        }
        self.waiting.push_str(piece);
        if self.waiting.len() >= FULL {
            self.write_but_held_back();
        } else if self.since.is_none() && !self.waiting.is_empty() {
            self.since = Some(Instant::now() + WAIT);
        }
    }

    /// When the pieces that wait are to be [written](Self::write_but_held_back), if any wait.
    pub(crate) const fn due(&self) -> Option<Instant> {
        self.since
    }

    /// Writes what waits, apart from an end that may be the beginning of a secret.
    pub(crate) fn write_but_held_back(&mut self) {
        let rest = self.waiting.split_off(self.spool.settled(&self.waiting));
        self.write();
        self.waiting = rest;
        // What is held back waits for the next piece or for the end, not for a clock.
        self.since = None;
    }

    /// Writes everything that waits.
    pub(crate) fn flush(&mut self) {
        self.write();
        self.since = None;
    }

    fn write(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let text = std::mem::take(&mut self.waiting);
        self.spool.write(match self.voice {
            Voice::Text => Body::Text { text },
            Voice::Thought => Body::Thought { text },
        });
    }
}

#[cfg(test)]
mod tests {
    use kugetsu_domain::redact::Redactor;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_secret_that_comes_in_pieces_is_masked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.jsonl");
        let spool = Spool::create(&path, Redactor::new(["topsecretvalue"])).unwrap();
        let mut pieces = Coalesce::new(spool);
        for piece in ["the value is topse", "cretv", "alue, so there"] {
            pieces.push(Voice::Text, piece);
            pieces.write_but_held_back();
        }
        pieces.push(Voice::Thought, "hm");
        pieces.flush();
        let text = std::fs::read_to_string(path).unwrap();
        assert!(!text.contains("topse") && !text.contains("alue,"), "{text}");
        assert!(text.contains("***") && text.contains("\"thought\""), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn text_is_shown_at_once_however_long_the_secrets_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.jsonl");
        let spool = Spool::create(&path, Redactor::new(["k3y-".repeat(425)])).unwrap();
        let mut pieces = Coalesce::new(spool);
        pieces.push(Voice::Text, "a short piece, then k3y-k3");
        pieces.write_but_held_back();
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.contains("a short piece, then ") && !text.contains("k3y"), "{text}");
    }
}
