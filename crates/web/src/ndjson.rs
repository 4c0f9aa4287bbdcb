//! Streams of JSON values, one per line.

use std::io;
use std::marker::PhantomData;
use std::pin::Pin;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt as _};
use kugetsu_api::problem::Problem;
use kugetsu_api::stream::StreamFailure;
use serde::Serialize;
use tokio::sync::mpsc;

/// A stream of lines, each an `Item`. One that fails ends with a line that says so, and with a broken connection: it never
/// looks complete.
pub(crate) struct NdJson<Item> {
    lines: Pin<Box<dyn Stream<Item = Result<Vec<u8>, Problem>> + Send>>,
    item: PhantomData<fn() -> Item>,
}

impl<Item: Serialize> NdJson<Item> {
    pub(crate) fn new(items: impl Stream<Item = Result<Item, Problem>> + Send + 'static) -> Self {
        Self::from_lines(items.map(|item| item.map(|item| line(&item))))
    }

    /// A stream of chunks of whole lines.
    pub(crate) fn from_lines(lines: impl Stream<Item = Result<Vec<u8>, Problem>> + Send + 'static) -> Self {
        Self { lines: Box::pin(lines), item: PhantomData }
    }
}

impl<Item> IntoResponse for NdJson<Item> {
    fn into_response(self) -> Response {
        let lines = self.lines.flat_map(|lines| match lines {
            Ok(lines) => futures::stream::iter([Ok(lines)]).boxed(),
            Err(problem) => {
                let broken = io::Error::other(problem.to_string());
                let last = futures::stream::iter([Ok(line(&StreamFailure { problem }))]);
                // The server drops what it has not sent when the body breaks; it sends when the body has nothing more.
                let broken = futures::stream::once(async {
                    tokio::task::yield_now().await;
                    Err(broken)
                });
                last.chain(broken).boxed()
            }
        });
        let body = Body::from_stream(lines);
        ([(CONTENT_TYPE, "application/x-ndjson")], body).into_response()
    }
}

pub(crate) fn receiver_stream<Item>(receiver: mpsc::Receiver<Item>) -> impl Stream<Item = Item> {
    futures::stream::unfold(receiver, |mut receiver| async move {
        let item = receiver.recv().await?;
        Some((item, receiver))
    })
}

/// Returns the item as a line.
pub(crate) fn line(item: &impl Serialize) -> Vec<u8> {
    // Wire types have string keys and finite numbers only, so this cannot fail. If it did, an empty line is skipped.
    let mut line = serde_json::to_vec(item).unwrap_or_default();
    line.push(b'\n');
    line
}
