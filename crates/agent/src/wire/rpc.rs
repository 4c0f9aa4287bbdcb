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
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Duration, timeout};

/// Messages that may wait to be sent before the other side's are no longer read: one that asks and does not read the answers
/// must wait itself.
const QUEUED_MAX: usize = 256;
/// Longest id of a request, in bytes. A request with a longer one gets no response.
const ID_MAX: usize = 1024;
/// How long a request that could not be sent waits for the end of the other side's output, which tells more.
const END_GRACE: Duration = Duration::from_secs(1);
/// The code of an error response to a request whose method is unknown.
const METHOD_NOT_FOUND: i64 = -32601;

/// Why no further response can arrive.
#[derive(Clone, Debug)]
pub(crate) enum Closed {
    /// The other side closed its output.
    Ended,
    /// The other side no longer reads its input.
    NotRead,
    /// Its input is open, but it reads nothing, while it asks for more.
    Unread,
    LineTooLong,
    /// The pipe could not be read.
    Pipe(String),
}

/// An error response.
#[derive(Debug, Default)]
pub(crate) struct ErrorResponse {
    pub(crate) code: i64,
    pub(crate) message: String,
    /// Null without one.
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
    outgoing: Outgoing,
}

#[derive(Clone, Debug)]
pub(crate) struct RpcClient {
    pending: Arc<Mutex<Pending>>,
    outgoing: Outgoing,
}

/// The messages that wait to be sent. Sending never waits, because responses are also sent where nothing can wait; see
/// [`RpcClient::room`] for what bounds their number.
#[derive(Clone, Debug)]
struct Outgoing {
    lines: mpsc::UnboundedSender<OutgoingLine>,
    queued: watch::Sender<usize>,
}

#[derive(Debug)]
struct OutgoingLine {
    text: String,
    /// The id of the request that it is, if it is one.
    request: Option<u64>,
}

/// The receiving end of the messages to send, for [`send_all`].
pub(crate) struct Outbox {
    lines: mpsc::UnboundedReceiver<OutgoingLine>,
    queued: watch::Sender<usize>,
    pending: Arc<Mutex<Pending>>,
}

type Response = Result<Value, ErrorResponse>;

#[derive(Debug, Default)]
struct Pending {
    last_id: u64,
    waiting: HashMap<u64, oneshot::Sender<Response>>,
    closed: Option<Closed>,
}

impl RpcClient {
    pub(crate) fn new() -> (Self, Outbox) {
        let (sender, lines) = mpsc::unbounded_channel();
        let (pending, queued) = (Arc::<Mutex<Pending>>::default(), watch::Sender::new(0));
        let outbox = Outbox { lines, queued: queued.clone(), pending: pending.clone() };
        (Self { pending, outgoing: Outgoing { lines: sender, queued } }, outbox)
    }

    /// Waits until few enough messages wait to be sent, or none can be sent any more.
    pub(crate) async fn room(&self) {
        // This client has a sender, so the wait does not fail.
        let _ = self.outgoing.queued.subscribe().wait_for(|queued| *queued < QUEUED_MAX).await;
    }

    /// Sends a request and waits for its response.
    pub(crate) async fn request(&self, method: &str, params: Value) -> Result<Value, RequestError> {
        let (sender, mut response) = oneshot::channel();
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
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        if !self.outgoing.send(&message, Some(id)) {
            let _ = timeout(END_GRACE, &mut response).await;
            self.lock().waiting.remove(&id);
            return Err(RequestError::Closed(self.lock().closed.clone().unwrap_or(Closed::NotRead)));
        }
        match response.await {
            Ok(response) => response.map_err(RequestError::Response),
            // `close` dropped the sender, or the request could not be sent.
            Err(_) => Err(RequestError::Closed(self.lock().closed.clone().unwrap_or(Closed::NotRead))),
        }
    }

    pub(crate) fn notify(&self, method: &str, params: Value) {
        self.outgoing.send(&json!({"jsonrpc": "2.0", "method": method, "params": params}), None);
    }

    /// Takes a message from the other side. Passes a response to the request that waits for it, and returns anything else.
    pub(crate) fn receive(&self, mut message: Value) -> Option<Incoming> {
        let id = Some(take(&mut message, "id")).filter(|id| !id.is_null());
        if id.as_ref().is_some_and(|id| !is_valid(id)) {
            tracing::debug!("a message with an invalid id was ignored");
            return None;
        }
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

impl Outgoing {
    /// Returns whether the message may still be sent.
    fn send(&self, message: &Value, request: Option<u64>) -> bool {
        // Before the line can be taken.
        self.queued.send_modify(|queued| *queued = queued.saturating_add(1));
        let sent = self.lines.send(OutgoingLine { text: format!("{message}\n"), request }).is_ok();
        if !sent {
            self.queued.send_replace(0);
        }
        sent
    }
}

impl Outbox {
    /// Waits for the next message, a line with its end.
    async fn next(&mut self) -> Option<OutgoingLine> {
        let line = self.lines.recv().await?;
        self.queued.send_modify(|queued| *queued = queued.saturating_sub(1));
        Some(line)
    }

    /// Fails the requests that were not sent: `failed` and all that follow. Whatever else of the connection tells why has a
    /// moment to do so first.
    async fn give_up(mut self, failed: OutgoingLine) {
        self.lines.close();
        let mut requests = Vec::from_iter(failed.request);
        while let Some(line) = self.next().await {
            requests.extend(line.request);
        }
        self.queued.send_replace(0);
        tokio::time::sleep(END_GRACE).await;
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        for request in requests {
            pending.waiting.remove(&request);
        }
    }
}

/// Whether this can be the id of a request: a number, or a string that is not too long to send back.
fn is_valid(id: &Value) -> bool {
    id.is_number() || id.as_str().is_some_and(|id| id.len() <= ID_MAX)
}

impl Responder {
    pub(crate) fn respond(self, result: Value) {
        self.outgoing.send(&json!({"jsonrpc": "2.0", "id": self.id, "result": result}), None);
    }

    pub(crate) fn method_not_found(self) {
        let error = json!({"code": METHOD_NOT_FOUND, "message": "Method not found"});
        self.outgoing.send(&json!({"jsonrpc": "2.0", "id": self.id, "error": error}), None);
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

/// Takes a field of an object; null if it has no such field.
fn take(value: &mut Value, field: &str) -> Value {
    value.get_mut(field).map(Value::take).unwrap_or_default()
}

/// Writes the messages until `closing` is ready, then those that are left, and closes the stream.
///
/// # Errors
/// The stream broke. Requests that were not sent have failed then.
pub(crate) async fn send_all<W: AsyncWrite + Unpin>(
    mut outbox: Outbox,
    mut writer: W,
    closing: impl Future,
) -> io::Result<()> {
    let mut closing = pin!(closing);
    let mut is_open = true;
    loop {
        let line = tokio::select! {
            line = outbox.next() => line,
            _ = &mut closing, if is_open => {
                is_open = false;
                // `next` returns the messages that are left, and then `None`.
                outbox.lines.close();
                continue;
            }
        };
        let Some(line) = line else { return writer.shutdown().await };
        if let Err(error) = write(&mut writer, &line.text).await {
            outbox.give_up(line).await;
            return Err(error);
        }
    }
}

async fn write<W: AsyncWrite + Unpin>(writer: &mut W, line: &str) -> io::Result<()> {
    writer.write_all(line.as_bytes()).await?;
    writer.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sent(outbox: &mut Outbox) -> Value {
        serde_json::from_str(&outbox.next().await.unwrap().text).unwrap()
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
    async fn requests_with_unusable_ids_are_ignored() {
        let (rpc, _outbox) = RpcClient::new();
        for id in [json!({}), json!([1]), json!("x".repeat(ID_MAX + 1)), json!(true)] {
            assert!(rpc.receive(json!({"id": id, "method": "ask"})).is_none());
        }
    }

    #[tokio::test]
    async fn room_is_there_again_when_messages_are_taken_or_cannot_be_sent() {
        let (rpc, mut outbox) = RpcClient::new();
        let is_full = async |rpc: &RpcClient| timeout(Duration::from_millis(20), rpc.room()).await.is_err();
        for _ in 0..QUEUED_MAX {
            assert!(!is_full(&rpc).await);
            rpc.notify("x", json!({}));
        }
        assert!(is_full(&rpc).await);
        outbox.next().await.unwrap();
        assert!(!is_full(&rpc).await);
        rpc.notify("x", json!({}));
        assert!(is_full(&rpc).await);
        drop(outbox);
        rpc.notify("x", json!({}));
        assert!(!is_full(&rpc).await);
    }

    #[tokio::test]
    async fn request_fails_when_the_input_is_closed() {
        let (rpc, outbox) = RpcClient::new();
        let (writer, reader) = tokio::io::duplex(16);
        drop(reader);
        let sending = send_all(outbox, writer, std::future::pending::<()>());
        let (response, sent) = tokio::join!(rpc.request("a", json!({})), sending);
        assert!(sent.is_err());
        for response in [response, rpc.request("b", json!({})).await] {
            assert!(matches!(response, Err(RequestError::Closed(Closed::NotRead))), "{response:?}");
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
