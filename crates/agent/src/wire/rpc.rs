//! The client's side of JSON-RPC 2.0: requests with their responses, and messages from the other side.
//!
//! It is lenient with the other side. Parameters and results are untyped JSON, and a message of an unknown shape is
//! ignored. It sends no batches, and ignores those it gets.

use std::collections::HashMap;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};

/// The code of an error response to a request whose method is unknown.
const METHOD_NOT_FOUND: i64 = -32601;

/// Why no further response can arrive.
#[derive(Clone, Debug)]
pub(crate) enum Closed {
    /// The other side closed its output, or no longer reads its input.
    Ended,
    LineTooLong,
    /// The pipe could not be read.
    Pipe(String),
}

/// An error response.
#[derive(Debug, Default)]
pub(crate) struct ErrorResponse {
    pub(crate) code: i64,
    pub(crate) message: String,
    /// Null if there is none.
    pub(crate) data: Value,
}

#[derive(Debug)]
pub(crate) enum RequestError {
    Closed(Closed),
    Response(ErrorResponse),
}

/// A message that the other side sent on its own.
#[derive(Debug)]
pub(crate) enum Incoming {
    Notification { method: String, params: Value },
    Request { method: String, params: Value, responder: Responder },
}

/// Sends the response to one request. Dropping it leaves the request without one.
#[derive(Debug)]
pub(crate) struct Responder {
    id: Value,
    outgoing: mpsc::UnboundedSender<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct RpcClient {
    pending: Arc<Mutex<Pending>>,
    outgoing: mpsc::UnboundedSender<String>,
}

type Response = Result<Value, ErrorResponse>;

#[derive(Debug, Default)]
struct Pending {
    last_id: u64,
    waiting: HashMap<u64, oneshot::Sender<Response>>,
    closed: Option<Closed>,
}

impl RpcClient {
    /// Also returns the receiver of the lines to send, for [`send_all`].
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<String>) {
        let (outgoing, lines) = mpsc::unbounded_channel();
        (Self { pending: Arc::default(), outgoing }, lines)
    }

    /// Sends a request and waits for its response.
    pub(crate) async fn request(&self, method: &str, params: Value) -> Result<Value, RequestError> {
        let (sender, response) = oneshot::channel();
        let id = {
            let mut pending = self.lock();
            if let Some(closed) = &pending.closed {
                return Err(RequestError::Closed(closed.clone()));
            }
            pending.last_id += 1;
            let id = pending.last_id;
            pending.waiting.insert(id, sender);
            id
        };
        send(&self.outgoing, &json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        match response.await {
            Ok(response) => response.map_err(RequestError::Response),
            // `close` dropped the sender.
            Err(_) => Err(RequestError::Closed(self.lock().closed.clone().unwrap_or(Closed::Ended))),
        }
    }

    pub(crate) fn notify(&self, method: &str, params: Value) {
        send(&self.outgoing, &json!({"jsonrpc": "2.0", "method": method, "params": params}));
    }

    /// Takes a message from the other side. Passes a response to the request that waits for it, and returns anything else.
    pub(crate) fn receive(&self, mut message: Value) -> Option<Incoming> {
        let id = Some(take(&mut message, "id")).filter(|id| !id.is_null());
        let method = message["method"].as_str().map(str::to_owned);
        let params = take(&mut message, "params");
        match (method, id) {
            (Some(method), Some(id)) => {
                Some(Incoming::Request { method, params, responder: Responder { id, outgoing: self.outgoing.clone() } })
            }
            (Some(method), None) => Some(Incoming::Notification { method, params }),
            (None, Some(id)) => {
                // A response to a request that was dropped, or never sent, has no sender.
                if let Some(sender) = id.as_u64().and_then(|id| self.lock().waiting.remove(&id)) {
                    let _ = sender.send(response(message));
                }
                None
            }
            (None, None) => {
                tracing::debug!(error = %message["error"], "a message without id and method was ignored");
                None
            }
        }
    }

    /// Fails all requests, now and later, that have no response yet. The first reason counts.
    pub(crate) fn close(&self, reason: Closed) {
        let mut pending = self.lock();
        pending.closed.get_or_insert(reason);
        pending.waiting.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Responder {
    pub(crate) fn respond(self, result: Value) {
        send(&self.outgoing, &json!({"jsonrpc": "2.0", "id": self.id, "result": result}));
    }

    pub(crate) fn method_not_found(self) {
        let error = json!({"code": METHOD_NOT_FOUND, "message": "Method not found"});
        send(&self.outgoing, &json!({"jsonrpc": "2.0", "id": self.id, "error": error}));
    }
}

fn response(mut message: Value) -> Response {
    let mut error = take(&mut message, "error");
    if error.is_null() {
        return Ok(take(&mut message, "result"));
    }
    Err(ErrorResponse {
        code: error["code"].as_i64().unwrap_or_default(),
        message: error["message"].as_str().unwrap_or_default().to_owned(),
        data: take(&mut error, "data"),
    })
}

/// Takes a field of an object. Returns null if there is none.
fn take(value: &mut Value, field: &str) -> Value {
    value.get_mut(field).map(Value::take).unwrap_or_default()
}

fn send(outgoing: &mpsc::UnboundedSender<String>, message: &Value) {
    // Fails after the end of the connection, which requests report by themselves.
    let _ = outgoing.send(format!("{message}\n"));
}

/// Writes the lines until `closing` is ready, then those that are left, and closes the stream.
pub(crate) async fn send_all<W: AsyncWrite + Unpin>(
    mut lines: mpsc::UnboundedReceiver<String>,
    mut writer: W,
    closing: impl Future,
) -> io::Result<()> {
    let mut closing = pin!(closing);
    let mut is_open = true;
    loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            _ = &mut closing, if is_open => {
                is_open = false;
                // `recv` returns the lines that are left, and then `None`.
                lines.close();
                continue;
            }
        };
        let Some(line) = line else { return writer.shutdown().await };
        writer.write_all(line.as_bytes()).await?;
        writer.flush().await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sent(lines: &mut mpsc::UnboundedReceiver<String>) -> Value {
        serde_json::from_str(&lines.recv().await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn responses_reach_their_requests_in_any_order() {
        let (rpc, mut lines) = RpcClient::new();
        let answering = async {
            let (one, two) = (sent(&mut lines).await, sent(&mut lines).await);
            assert_eq!(one, json!({"jsonrpc": "2.0", "id": 1, "method": "a", "params": {"x": 1}}));
            for stray in [
                json!({}),
                json!({"id": 99, "result": 1}),
                json!({"id": null, "error": {"code": 1}}),
                json!({"id": 98, "error": "text"}),
            ] {
                assert!(rpc.receive(stray).is_none());
            }
            rpc.receive(json!({"id": two["id"], "error": {"code": -32000, "message": "no", "data": {"y": 2}}}));
            rpc.receive(json!({"id": one["id"], "result": "yes"}));
        };
        let (one, two, ()) = tokio::join!(rpc.request("a", json!({"x": 1})), rpc.request("b", json!({})), answering);
        assert_eq!(one.unwrap(), "yes");
        let Err(RequestError::Response(error)) = two else { panic!("{two:?}") };
        assert_eq!((error.code, error.message.as_str(), error.data), (-32000, "no", json!({"y": 2})));
    }

    #[tokio::test]
    async fn close_fails_requests_with_its_first_reason() {
        let (rpc, mut lines) = RpcClient::new();
        let closing = async {
            sent(&mut lines).await;
            rpc.close(Closed::LineTooLong);
            rpc.close(Closed::Ended);
        };
        let (waiting, ()) = tokio::join!(rpc.request("a", json!({})), closing);
        for closed in [waiting, rpc.request("b", json!({})).await] {
            assert!(matches!(closed, Err(RequestError::Closed(Closed::LineTooLong))), "{closed:?}");
        }
    }

    #[tokio::test]
    async fn requests_of_the_other_side_are_answered_with_their_id() {
        let (rpc, mut lines) = RpcClient::new();
        for id in [json!(7), json!("seven")] {
            let incoming = rpc.receive(json!({"id": id, "method": "ask", "params": [1]})).unwrap();
            let Incoming::Request { method, params, responder } = incoming else { panic!("{incoming:?}") };
            assert_eq!((method.as_str(), params), ("ask", json!([1])));
            responder.respond(json!({"ok": true}));
            assert_eq!(sent(&mut lines).await, json!({"jsonrpc": "2.0", "id": id, "result": {"ok": true}}));
        }
    }

    #[tokio::test]
    async fn lines_that_are_left_are_sent_before_the_stream_closes() {
        let (rpc, lines) = RpcClient::new();
        rpc.notify("one", json!({}));
        rpc.notify("two", json!({}));
        let mut written = Vec::new();
        send_all(lines, &mut written, std::future::ready(())).await.unwrap();
        assert_eq!(written.iter().filter(|byte| **byte == b'\n').count(), 2);
        rpc.notify("three", json!({}));
    }
}
