//! Reads a session's record from the running agent.
//!
//! opencode serves its HTTP API on a loopback port while it speaks ACP. That takes milliseconds, whereas its export command
//! starts the whole program once more.

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde_json::Value;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::session_export::{Message, SessionExport};
use crate::session_id::SessionId;

/// Time limit of one request. A server that has just started may never answer the first.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// Longest response in bytes.
const LENGTH_MAX: usize = 256 * 1024 * 1024;
/// How many of the newest messages are requested, until they reach back to the beginning of the turn.
const PAGES: [usize; 3] = [100, 1000, 10_000];

/// The running agent did not serve the record.
#[derive(Debug, Error)]
#[error("the running agent did not serve the session's record: {0}")]
pub struct LiveRecordError(String);

/// Requests the record of a session, back to `since`, from the server on the first of these loopback ports that has it.
///
/// # Errors
/// [`LiveRecordError`]; the record may be exported instead.
pub async fn read_live_record(
    ports: &[u16],
    session: &SessionId,
    since: SystemTime,
) -> Result<SessionExport, LiveRecordError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !session.as_str().bytes().all(is_plain) {
        return Err(LiveRecordError("its id cannot be part of an address".to_owned()));
    }
    let mut last = LiveRecordError("it listens on no port".to_owned());
    for port in ports {
        match read_from(*port, session, since).await {
            Ok(record) => return Ok(record),
            Err(why) => last = LiveRecordError(why),
        }
    }
    Err(last)
}

async fn read_from(port: u16, session: &SessionId, since: SystemTime) -> Result<SessionExport, String> {
    for limit in PAGES {
        let messages =
            timeout(TIME_LIMIT, messages(port, session, limit)).await.map_err(|error| error.to_string())??;
        // Messages are sorted by time.
        let reaches_back =
            messages.len() < limit || messages.first().is_none_or(|message| message.created_at() < since);
        if !reaches_back {
            continue;
        }
        let record = SessionExport::of(messages);
        return match record.is_complete(since) {
            true => Ok(record),
            false => Err("the turn's last step has no end there".to_owned()),
        };
    }
    Err("the turn has too many messages".to_owned())
}

/// Time limit of all requests for the state of a session.
const STATE_LIMIT: Duration = Duration::from_secs(2);

/// Returns the failure of the model after which the agent waits to send its request again, with the time that is left.
pub(crate) async fn read_live_failure(ports: &[u16], session: &SessionId) -> Option<String> {
    let reading = async {
        for port in ports {
            let Ok(body) = get(*port, "/session/status").await else { continue };
            let Ok(states) = serde_json::from_slice::<Value>(&body) else { continue };
            if let Some(failure) = failure_of(&states[session.as_str()], Timestamp::now()) {
                return Some(failure);
            }
        }
        None
    };
    timeout(STATE_LIMIT, reading).await.ok().flatten()
}

/// Reads the state of a session of opencode 1.18.33.
fn failure_of(state: &Value, now: Timestamp) -> Option<String> {
    let message = state["message"].as_str().filter(|_| state["type"] == "retry")?;
    let next = state["next"].as_i64().and_then(|next| Timestamp::from_millisecond(next).ok());
    let left = next.map(|next| next.duration_since(now).as_secs()).filter(|left| *left > 0);
    Some(left.map_or_else(|| message.to_owned(), |left| format!("{message}; try again in {left}s")))
}

/// Requests the newest messages, oldest first.
async fn messages(port: u16, session: &SessionId, limit: usize) -> Result<Vec<Message>, String> {
    let body = get(port, &format!("/session/{session}/message?limit={limit}")).await?;
    let messages: Vec<Message> = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
    match messages.iter().all(|message| message.belongs_to(session.as_str())) {
        true => Ok(messages),
        false => Err("it answered with another session".to_owned()),
    }
}

/// Requests something that is answered with JSON.
async fn get(port: u16, path: &str) -> Result<Bytes, String> {
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| failed(&error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    let request = Request::get(path)
        .header(HOST, format!("127.0.0.1:{port}"))
        .body(Empty::<Bytes>::new())
        .map_err(|error| failed(&error))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
        let status = response.status();
        // Unknown addresses are answered with a web page and success.
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if status != StatusCode::OK || !kind.starts_with("application/json") {
            return Err(format!("it answered with {status} and {kind:?}"));
        }
        Limited::new(response.into_body(), LENGTH_MAX).collect().await.map_err(|error| failed(&error))
    };
    // The connection is driven for as long as the exchange lasts.
    let mut connection = std::pin::pin!(connection);
    let mut exchange = std::pin::pin!(exchange);
    let body = tokio::select! {
        body = &mut exchange => body?,
        _ = &mut connection => exchange.await?,
    };
    Ok(body.to_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::turn::{StopReason, Turn};
    use crate::usage::Usage;

    fn since() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    /// A message of opencode 1.18.33, this many seconds after [`since`].
    fn step(second: i64, finish: Option<&str>) -> Value {
        let tokens = json!({"input": 100, "output": 20, "reasoning": 0, "cache": {"read": 0, "write": 0}});
        json!({"info": {"role": "assistant", "sessionID": "ses_1", "time": {"created": (1_800_000_000 + second) * 1000},
            "finish": finish, "cost": 0.5, "tokens": tokens}, "parts": [{"type": "text", "text": "x".repeat(1000)}]})
    }

    /// A server that answers each request with the newest of these messages, or with a response of the test's.
    async fn serve(messages: Vec<Value>, fixed: Option<String>) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).await.unwrap();
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                let limit: usize = request.split(['=', ' ']).nth(2).unwrap().parse().unwrap();
                let newest = &messages[messages.len().saturating_sub(limit)..];
                let body = serde_json::to_string(newest).unwrap();
                let response = fixed.clone().unwrap_or_else(|| {
                    let length = body.len();
                    format!(
                        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
                    )
                });
                let _ = stream.write_all(response.as_bytes()).await;
            }
        });
        port
    }

    async fn read(port: u16) -> Result<SessionExport, LiveRecordError> {
        read_live_record(&[port], &SessionId::new("ses_1").unwrap(), since()).await
    }

    #[test]
    fn agent_that_waits_for_its_model_names_the_failure_and_the_time() {
        let now = Timestamp::from_second(100).unwrap();
        let of = |state: Value| failure_of(&state, now);
        assert_eq!(of(json!({"type": "busy"})), None);
        assert_eq!(of(Value::Null), None);
        let retry = json!({"type": "retry", "attempt": 1, "message": "Too Many Requests", "next": 3_700_000});
        assert_eq!(of(retry).as_deref(), Some("Too Many Requests; try again in 3600s"));
        let over = json!({"type": "retry", "attempt": 1, "message": "Too Many Requests", "next": 90_000});
        assert_eq!(of(over).as_deref(), Some("Too Many Requests"));
    }

    #[tokio::test]
    async fn every_step_of_a_long_turn_is_read() {
        let mut messages: Vec<Value> = (-50..0).map(|second| step(second, Some("stop"))).collect();
        messages.extend((0..250).map(|second| step(second, Some("tool-calls"))));
        messages.push(step(250, Some("length")));
        let record = read(serve(messages, None).await).await.unwrap();
        let mut turn = Turn {
            stop: StopReason::EndTurn,
            answered: true,
            doubt: None,
            refused: vec![],
            usage: Usage::default(),
            started_at: since(),
        };
        turn.check(&record);
        assert_eq!(
            (turn.stop, turn.usage.steps, turn.usage.tokens.unwrap().input),
            (StopReason::MaxTokens, 251, 25_100)
        );
    }

    #[tokio::test]
    async fn record_that_is_not_whole_is_an_error() {
        assert!(read(serve(vec![step(1, None)], None).await).await.is_err(), "the step has not ended");
        assert!(read(serve(vec![step(-1, Some("stop"))], None).await).await.is_err(), "there is no step of the turn");
        let mut other = step(1, Some("stop"));
        other["info"]["sessionID"] = "ses_2".into();
        assert!(read(serve(vec![other], None).await).await.is_err(), "it is another session's");
        let body = serde_json::to_string(&[step(1, Some("stop"))]).unwrap();
        for response in [
            format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{}",
                body.len(),
                &body[..900]
            ),
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{}", &body[..900]),
            format!("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\n\r\n{body}", body.len()),
            format!(
                "HTTP/1.1 401 No\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            ),
            "nonsense".to_owned(),
            String::new(),
        ] {
            let error = read(serve(vec![step(1, Some("stop"))], Some(response.clone())).await).await;
            assert!(error.is_err(), "{response}");
        }
        assert!(read_live_record(&[], &SessionId::new("ses_1").unwrap(), since()).await.is_err());
        assert!(read_live_record(&[1], &SessionId::new("../x").unwrap(), since()).await.is_err());
    }
}
