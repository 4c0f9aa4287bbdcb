//! Newline-delimited messages over any pair of byte streams, with a longest line.
//!
//! What the agent writes is read no faster than its events are taken, so that a flood fills the pipe and not memory.
//! A line that is no message at all (a warning of some library, say) is told and left out.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use futures::{Sink, Stream};
use serde::de::IgnoredAny;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;

use crate::event::AgentEvent;
use crate::truncate::truncate;

/// The longest line that is read, in bytes: a tool's whole output may be in one.
pub(crate) const LINE_MAX: usize = 16 * 1024 * 1024;

/// Events that wait to be taken.
pub(crate) const EVENTS_MAX: usize = 32;
/// Most events that come of one line.
const EVENTS_OF_A_LINE: usize = 4;
/// Most bytes that are shown of a line that is no message.
const TOLD_MAX: usize = 200;

/// Why the lines ended before the agent did.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// A line was longer than the limit.
    LineTooLong,
    /// The pipe broke.
    Pipe(String),
}

/// Where the reader leaves the reason why it stopped.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultSlot(Arc<Mutex<Option<Fault>>>);

impl FaultSlot {
    /// The reason, if reading was given up.
    pub(crate) fn get(&self) -> Option<Fault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, fault: Fault) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
    }
}

/// The agent's messages, each still as text: bytes that are no UTF-8 are replaced, lines that hold no JSON object are
/// left out. A line is read when `events` has room for what may come of it.
pub(crate) fn incoming<R>(
    reader: R,
    events: mpsc::WeakSender<AgentEvent>,
    faults: FaultSlot,
    max: usize,
) -> impl Stream<Item = io::Result<String>> + Send
where
    R: AsyncRead + Unpin + Send + 'static,
{
    futures::stream::unfold(Some((BufReader::new(reader), false)), move |state| {
        let (events, faults) = (events.clone(), faults.clone());
        async move {
            let (mut reader, mut told) = state?;
            loop {
                // The rest of the connection runs in the same task: let it deal with one line before the next is read.
                tokio::task::yield_now().await;
                if let Some(events) = events.upgrade() {
                    // An error means that nobody takes events any more: answers are still to be read.
                    let _room = events.reserve_many(EVENTS_OF_A_LINE).await;
                }
                match read_line(&mut reader, max).await {
                    Ok(None) => return None,
                    Ok(Some(line)) if is_object(&line) => return Some((Ok(line), Some((reader, told)))),
                    Ok(Some(line)) if line.trim().is_empty() || told => {}
                    Ok(Some(line)) => {
                        told = true;
                        let text =
                            format!("The agent printed what is no message, such as: {}", truncate(line, TOLD_MAX));
                        // Only a remark: without room for it, it is left out.
                        let _ = events.upgrade().map(|events| events.try_send(AgentEvent::Notice { text }));
                    }
                    Err(error) => {
                        faults.set(if error.kind() == io::ErrorKind::InvalidData {
                            Fault::LineTooLong
                        } else {
                            Fault::Pipe(error.to_string())
                        });
                        return Some((Err(error), None));
                    }
                }
            }
        }
    })
}

/// Whether the line is JSON, and an object: a broken line would be answered, and the answers pile up.
fn is_object(line: &str) -> bool {
    line.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(line).is_ok()
}

async fn read_line<R: AsyncRead + Unpin>(reader: &mut BufReader<R>, max: usize) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    reader.take(max as u64 + 1).read_until(b'\n', &mut line).await?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    if line.len() > max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the line is too long"));
    }
    Ok(Some(match String::from_utf8(line) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }))
}

/// Takes the lines for the agent.
pub(crate) fn outgoing<W>(writer: W) -> impl Sink<String, Error = io::Error> + Send
where
    W: AsyncWrite + Unpin + Send + 'static,
{
    futures::sink::unfold(writer, |mut writer, mut line: String| async move {
        line.push('\n');
        writer.write_all(line.as_bytes()).await?;
        writer.flush().await?;
        Ok(writer)
    })
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    async fn lines(bytes: &'static [u8], max: usize) -> (Vec<io::Result<String>>, Option<Fault>, Vec<AgentEvent>) {
        let faults = FaultSlot::default();
        let (sender, mut events) = mpsc::channel(EVENTS_MAX);
        let lines = incoming(bytes, sender.downgrade(), faults.clone(), max).collect().await;
        drop(sender);
        let mut told = Vec::new();
        while let Some(event) = events.recv().await {
            told.push(event);
        }
        (lines, faults.get(), told)
    }

    #[tokio::test]
    async fn lines_are_read_whatever_their_bytes() {
        let (lines, fault, told) = lines(b"{\"a\":1}\n\n  \n{\"\xff\":2}\r\n{}", 100).await;
        let lines: Vec<_> = lines.into_iter().map(Result::unwrap).collect();
        assert_eq!(lines, ["{\"a\":1}", "{\"\u{fffd}\":2}\r", "{}"]);
        assert!(fault.is_none() && told.is_empty());
    }

    #[tokio::test]
    async fn what_is_no_message_is_left_out_and_told_once() {
        let (lines, _, told) = lines(b"Warning: old\n{broken\n[1]\n{}\nmore\n", 100).await;
        assert_eq!(lines.len(), 1);
        let [AgentEvent::Notice { text }] = &told[..] else { panic!("{told:?}") };
        assert!(text.ends_with("such as: Warning: old"), "{text}");
    }

    #[tokio::test]
    async fn nothing_is_read_while_nobody_takes_events() {
        let (sender, mut events) = mpsc::channel(EVENTS_MAX);
        for _ in 0..EVENTS_MAX {
            sender.try_send(AgentEvent::Notice { text: String::new() }).unwrap();
        }
        let mut lines = Box::pin(incoming(&b"{}\n"[..], sender.downgrade(), FaultSlot::default(), 100));
        assert!(futures::poll!(lines.next()).is_pending());
        assert!(futures::poll!(lines.next()).is_pending(), "there is still no room");
        for _ in 0..EVENTS_OF_A_LINE {
            events.recv().await.unwrap();
        }
        assert!(lines.next().await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn a_line_without_end_is_an_error_and_not_memory() {
        let faults = FaultSlot::default();
        let (sender, _events) = mpsc::channel(EVENTS_MAX);
        let mut lines = Box::pin(incoming(tokio::io::repeat(b'x'), sender.downgrade(), faults.clone(), 1000));
        assert!(lines.next().await.unwrap().is_err());
        assert!(lines.next().await.is_none());
        assert!(matches!(faults.get(), Some(Fault::LineTooLong)));
    }

    #[tokio::test]
    async fn the_longest_line_is_still_read() {
        let (lines, fault, _) = lines(b"{   }\n{  }\n", 5).await;
        assert_eq!(lines.len(), 2);
        assert!(fault.is_none());
    }
}
