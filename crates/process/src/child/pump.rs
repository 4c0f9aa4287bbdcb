//! Moves bytes between a child's pipes and memory, bounded in each direction.

use std::collections::VecDeque;
use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const CHUNK: usize = 16 * 1024;
/// Bytes that a line is truncated to.
const LINE_MAX: usize = 8 * 1024;

/// Writes all of `bytes` and closes the pipe. A reader that closes it early is not an error.
pub(crate) async fn feed(pipe: Option<impl AsyncWrite + Unpin>, bytes: Vec<u8>) -> io::Result<()> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    match pipe.write_all(&bytes).await {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Passes everything that arrives to `take`, until the pipe closes.
pub(crate) async fn drain(pipe: Option<impl AsyncRead + Unpin>, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    let mut chunk = vec![0; CHUNK];
    loop {
        match pipe.read(&mut chunk).await? {
            0 => return Ok(()),
            n => take(&chunk[..n]),
        }
    }
}

/// The first bytes of a stream.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) bytes: Vec<u8>,
    pub(crate) max: usize,
    /// Whether more bytes arrived than fit.
    pub(crate) truncated: bool,
}

impl Head {
    pub(crate) fn new(max: usize) -> Self {
        Self { bytes: Vec::new(), max, truncated: false }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let room = self.max - self.bytes.len();
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.truncated |= bytes.len() > room;
    }
}

/// The last bytes of a stream.
#[derive(Debug)]
pub(crate) struct Tail {
    bytes: VecDeque<u8>,
    max: usize,
}

impl Tail {
    pub(crate) fn new(max: usize) -> Self {
        Self { bytes: VecDeque::new(), max }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(self.max)..];
        let over = (self.bytes.len() + bytes.len()).saturating_sub(self.max);
        self.bytes.drain(..over);
        self.bytes.extend(bytes);
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.bytes.iter().copied().collect()
    }
}

/// Splits a stream into lines at `\n` and `\r` (progress bars use the latter). Empty lines are skipped.
#[derive(Debug, Default)]
pub(crate) struct Lines(Vec<u8>);

impl Lines {
    pub(crate) fn push(&mut self, bytes: &[u8], mut take: impl FnMut(&[u8])) {
        for piece in bytes.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            let (text, ends) = match piece {
                [text @ .., b'\n' | b'\r'] => (text, true),
                text => (text, false),
            };
            let room = LINE_MAX - self.0.len();
            self.0.extend_from_slice(&text[..text.len().min(room)]);
            if ends {
                self.finish(&mut take);
            }
        }
    }

    /// Passes on a last line that has no line end.
    pub(crate) fn finish(&mut self, mut take: impl FnMut(&[u8])) {
        if !self.0.is_empty() {
            take(&self.0);
            self.0.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Head, LINE_MAX, Lines, Tail};

    #[test]
    fn head_keeps_the_first_bytes_and_reports_truncation() {
        let mut head = Head::new(4);
        head.push(b"abcd");
        assert!(!head.truncated);
        head.push(b"e");
        assert!(head.truncated);
        assert_eq!(head.bytes, b"abcd");
    }

    #[test]
    fn tail_keeps_the_last_bytes() {
        let mut tail = Tail::new(4);
        for piece in [&b"ab"[..], b"cde", b"", b"f"] {
            tail.push(piece);
        }
        assert_eq!(tail.bytes(), b"cdef");
        tail.push(b"0123456789");
        assert_eq!(tail.bytes(), b"6789");
    }

    #[test]
    fn lines_end_at_newline_or_carriage_return_and_are_truncated() {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        lines.push(b"one\rtw", |line| seen.push(line.to_vec()));
        lines.push(b"o\r\nthree", |line| seen.push(line.to_vec()));
        lines.finish(|line| seen.push(line.to_vec()));
        assert_eq!(seen, [&b"one"[..], b"two", b"three"]);
        let mut longest = 0;
        lines.push(&vec![b'x'; 3 * LINE_MAX], |_| ());
        lines.push(b"\n", |line| longest = line.len());
        assert_eq!(longest, LINE_MAX);
    }
}
