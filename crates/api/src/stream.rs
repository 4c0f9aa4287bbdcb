//! Responses that are read line by line, so that neither side holds them whole.

use std::marker::PhantomData;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::client::ClientError;
use crate::peer::Peer;
use crate::problem::Problem;
use crate::record::RECORD_MAX;

/// How long nothing may come before the daemon has to show that it is alive. Streams are silent while nothing happens.
const PATIENCE: Duration = Duration::from_secs(30);
/// Maximum length of a line, in bytes. The longest stored message fits, too. A peer that sends more is broken.
const LINE_MAX: usize = 8 * RECORD_MAX;

/// A stream of JSON values, one per line.
#[derive(Debug)]
pub struct Stream<Item> {
    lines: LineReader,
    item: PhantomData<fn() -> Item>,
}

impl<Item: DeserializeOwned> Stream<Item> {
    pub(crate) fn new(lines: LineReader) -> Self {
        Self { lines, item: PhantomData }
    }

    /// Returns the next item; `None` if the daemon has ended the stream and it is complete.
    pub async fn next(&mut self) -> Result<Option<Item>, ClientError> {
        loop {
            match self.lines.next().await? {
                Some(line) if line.is_empty() => {}
                // The daemon failed. It breaks the connection as well, for clients that do not know this line.
                Some(line) if line.starts_with(FAILURE) => {
                    let StreamFailure { problem } = parse(&line)?;
                    return Err(ClientError::Problem(problem));
                }
                Some(line) => return parse(&line).map(Some),
                None => return Ok(None),
            }
        }
    }
}

/// The last line of a stream that ends because something failed. A complete stream ends without one.
#[derive(Debug, Serialize, Deserialize)]
pub struct StreamFailure {
    pub problem: Problem,
}

/// The beginning of such a line. No item begins like this.
const FAILURE: &[u8] = b"{\"problem\":";

/// A JSON array that arrives item by item, as a [`ListEndpoint`](crate::endpoint::ListEndpoint) sends it.
#[derive(Debug)]
pub struct List<Item> {
    lines: LineReader,
    item: PhantomData<fn() -> Item>,
}

impl<Item: DeserializeOwned> List<Item> {
    pub(crate) fn new(lines: LineReader) -> Self {
        Self { lines, item: PhantomData }
    }

    /// Returns the next item; `None` after the last one. A list that breaks off is an error.
    pub async fn next(&mut self) -> Result<Option<Item>, ClientError> {
        loop {
            let line = self.lines.next().await?;
            let line = line.ok_or_else(|| ClientError::Broken("the daemon broke off a list".to_owned()))?;
            match line.as_slice() {
                b"" | b"[" => {}
                b"]" => return Ok(None),
                [b',', item @ ..] | item => return parse(item).map(Some),
            }
        }
    }

    /// Returns all items.
    pub async fn collect(mut self) -> Result<Vec<Item>, ClientError> {
        let mut items = Vec::new();
        while let Some(item) = self.next().await? {
            items.push(item);
        }
        Ok(items)
    }
}

fn parse<Item: DeserializeOwned>(line: &[u8]) -> Result<Item, ClientError> {
    serde_json::from_slice(line).map_err(|error| ClientError::NotUnderstood(error.to_string()))
}

#[derive(Debug)]
pub(crate) struct LineReader {
    // The connection lives as long as its sender.
    _sender: SendRequest<Full<Bytes>>,
    peer: Peer,
    body: Incoming,
    buffer: Vec<u8>,
    /// Where the next line begins in the buffer.
    start: usize,
    /// Up to where the buffer was searched for the end of that line.
    searched: usize,
}

impl LineReader {
    pub(crate) fn new(sender: SendRequest<Full<Bytes>>, peer: Peer, body: Incoming) -> Self {
        Self { _sender: sender, peer, body, buffer: Vec::new(), start: 0, searched: 0 }
    }

    /// Returns the next line without its end; `None` at the end of the body. A last line without an end is dropped.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        loop {
            if let Some(length) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
                let end = self.searched + length;
                let line = self.buffer[self.start..end].to_vec();
                self.start = end + 1;
                self.searched = self.start;
                return Ok(Some(line));
            }
            // Once for each frame and not for each line: a frame has many lines.
            self.buffer.drain(..self.start);
            self.start = 0;
            self.searched = self.buffer.len();
            if self.buffer.len() > LINE_MAX {
                return Err(ClientError::NotUnderstood(format!("a line is longer than {LINE_MAX} bytes")));
            }
            let frame = async { Ok(self.body.frame().await) };
            match self.peer.while_alive(PATIENCE, frame).await? {
                None => return Ok(None),
                Some(Err(error)) => return Err(ClientError::Broken(error.to_string())),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}
