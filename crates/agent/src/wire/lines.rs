//! Lines of bounded length from a byte stream.

use std::io;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

/// A line that is not empty.
#[derive(Debug, PartialEq)]
pub(crate) enum Line {
    /// A JSON object.
    Message(Value),
    /// Anything else, such as a warning of some library.
    Other(String),
}

#[derive(Debug)]
pub(crate) enum ReadError {
    TooLong,
    Io(io::Error),
}

pub(crate) struct LineReader<R> {
    reader: BufReader<R>,
    /// Longest line in bytes.
    max: usize,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    pub(crate) fn new(reader: R, max: usize) -> Self {
        Self { reader: BufReader::new(reader), max }
    }

    /// Reads the next line that is not empty. Returns `None` at the end of the stream. Invalid UTF-8 is replaced.
    pub(crate) async fn next(&mut self) -> Result<Option<Line>, ReadError> {
        loop {
            let mut line = Vec::new();
            // One byte more than allowed shows that a line is too long.
            let mut limited = (&mut self.reader).take(self.max as u64 + 1);
            limited.read_until(b'\n', &mut line).await.map_err(ReadError::Io)?;
            if line.is_empty() {
                return Ok(None);
            }
            if line.last() == Some(&b'\n') {
                line.pop();
            }
            if line.len() > self.max {
                return Err(ReadError::TooLong);
            }
            let line = String::from_utf8_lossy(&line);
            if let Ok(message @ Value::Object(_)) = serde_json::from_str(&line) {
                return Ok(Some(Line::Message(message)));
            }
            if !line.trim().is_empty() {
                return Ok(Some(Line::Other(line.into_owned())));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    async fn all(bytes: &[u8], max: usize) -> Vec<Line> {
        let mut reader = LineReader::new(bytes, max);
        let mut lines = Vec::new();
        while let Some(line) = reader.next().await.unwrap() {
            lines.push(line);
        }
        lines
    }

    #[tokio::test]
    async fn objects_are_messages_and_other_lines_are_not() {
        let lines = all(b"{\"a\":1}\n\n  \n{\"\xff\":2}\r\nWarning: old\n{broken\n[1]\n{}", 100).await;
        let other = |text: &str| Line::Other(text.to_owned());
        assert_eq!(
            lines,
            [
                Line::Message(json!({"a": 1})),
                Line::Message(json!({"\u{fffd}": 2})),
                other("Warning: old"),
                other("{broken"),
                other("[1]"),
                Line::Message(json!({})),
            ]
        );
    }

    #[tokio::test]
    async fn nesting_without_end_is_no_message() {
        let deep = format!("{{\"a\":{}1{}}}\n", "[".repeat(1 << 20), "]".repeat(1 << 20));
        let lines = all(deep.as_bytes(), 16 << 20).await;
        assert!(matches!(lines.as_slice(), [Line::Other(_)]));
        let number = all(b"{\"a\":1e999}\n", 100).await;
        assert!(matches!(number.as_slice(), [Line::Other(_)]), "{number:?}");
    }

    #[tokio::test]
    async fn endless_line_is_an_error() {
        let mut reader = LineReader::new(tokio::io::repeat(b'x'), 1000);
        assert!(matches!(reader.next().await, Err(ReadError::TooLong)));
    }

    #[tokio::test]
    async fn line_of_the_maximum_length_is_read() {
        assert_eq!(all(b"{   }\n{  }\n", 5).await.len(), 2);
        assert!(matches!(LineReader::new(&b"{    }\n"[..], 5).next().await, Err(ReadError::TooLong)));
    }
}
