//! An answer as frames: pieces of a response's body, with pauses and scripted ends.

use std::time::Duration;

use axum::body::Bytes;

use super::dialect::{Dialect, chunks};
use super::reply::{Answer, End, Reply};

/// An action on the connection.
#[derive(Debug)]
pub(super) enum Frame {
    /// Sends the bytes after the pause.
    Bytes(Duration, Bytes),
    /// Breaks the connection.
    Break,
    /// Sends nothing more and keeps the connection open.
    Silence,
}

/// The answer as server-sent events.
pub(super) fn event_stream(dialect: &dyn Dialect, reply: &Reply, answer: &Answer) -> Vec<Frame> {
    let events = dialect.events(answer);
    let mut frames = vec![Frame::Bytes(Duration::ZERO, events.opening.into())];
    frames.extend(events.pieces.into_iter().map(|piece| Frame::Bytes(reply.pause, piece.into())));
    match reply.end {
        End::Finish => frames.push(Frame::Bytes(Duration::ZERO, events.closing.into())),
        End::Cut => {}
        End::Disconnect => frames.push(Frame::Break),
        End::Hang => frames.push(Frame::Silence),
    }
    frames
}

/// The answer as one JSON value. A cut answer is the first half of it.
pub(super) fn single_body(dialect: &dyn Dialect, reply: &Reply, answer: &Answer) -> Vec<Frame> {
    let bytes = Bytes::from(dialect.value(answer).to_string());
    let pause = reply.pause * u32::try_from(chunks(&answer.text).len()).unwrap_or(u32::MAX);
    let half = bytes.slice(..bytes.len() / 2);
    match reply.end {
        End::Finish => vec![Frame::Bytes(pause, bytes)],
        End::Cut => vec![Frame::Bytes(pause, half)],
        End::Disconnect => vec![Frame::Bytes(pause, half), Frame::Break],
        End::Hang => vec![Frame::Silence],
    }
}
