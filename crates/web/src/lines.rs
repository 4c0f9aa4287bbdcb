//! Streams of lines, each a JSON object.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures::Stream;
use serde::Serialize;
use tokio::sync::mpsc;

/// A stream of pieces that are lines already.
pub(crate) fn pieces(pieces: mpsc::Receiver<Vec<u8>>) -> Response {
    stream(pieces, |piece| piece)
}

/// A stream of things, each put into a line.
pub(crate) fn objects<Item: Send + 'static, Object: Serialize>(
    items: mpsc::Receiver<Item>,
    object: impl Fn(Item) -> Object + Send + 'static,
) -> Response {
    stream(items, move |item| line(&object(item)))
}

/// One line.
pub(crate) fn line(object: &impl Serialize) -> Vec<u8> {
    // Wire types have string keys and finite numbers only, so this cannot fail; an empty line says nothing if it does.
    let mut line = serde_json::to_vec(object).unwrap_or_default();
    line.push(b'\n');
    line
}

fn stream<Item: Send + 'static>(
    items: mpsc::Receiver<Item>,
    bytes: impl Fn(Item) -> Vec<u8> + Send + 'static,
) -> Response {
    respond(futures::stream::unfold((items, bytes), |(mut items, bytes)| async move {
        let item = items.recv().await?;
        Some((Ok::<_, Infallible>(bytes(item)), (items, bytes)))
    }))
}

fn respond(stream: impl Stream<Item = Result<Vec<u8>, Infallible>> + Send + 'static) -> Response {
    ([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(stream)).into_response()
}
