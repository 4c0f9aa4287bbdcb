//! Streams of JSON values, one per line.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::pin::Pin;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt as _};
use serde::Serialize;
use tokio::sync::mpsc;

/// A stream of lines, each an `Item`.
pub(crate) struct NdJson<Item> {
    lines: Pin<Box<dyn Stream<Item = Vec<u8>> + Send>>,
    item: PhantomData<fn() -> Item>,
}

impl<Item: Serialize> NdJson<Item> {
    pub(crate) fn new(items: impl Stream<Item = Item> + Send + 'static) -> Self {
        Self::from_lines(items.map(|item| line(&item)))
    }

    /// A stream of chunks of whole lines.
    pub(crate) fn from_lines(lines: impl Stream<Item = Vec<u8>> + Send + 'static) -> Self {
        Self { lines: Box::pin(lines), item: PhantomData }
    }
}

impl<Item> IntoResponse for NdJson<Item> {
    fn into_response(self) -> Response {
        let body = Body::from_stream(self.lines.map(Ok::<_, Infallible>));
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
