//! A client of a JSON API, as a user of a forge.

use std::net::SocketAddr;

use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use serde_json::Value;

use super::http::exchange;

/// Sends requests with one user's token and waits for their answers.
#[derive(Clone, Debug)]
pub struct Client {
    address: SocketAddr,
    /// Path of the API, for example `/api/v3`.
    root: String,
    token: String,
}

impl Client {
    pub fn new(address: SocketAddr, root: &str, token: &str) -> Self {
        Self { address, root: root.to_owned(), token: token.to_owned() }
    }

    /// # Panics
    /// Panics if the answer is an error.
    #[track_caller]
    pub fn get(&self, path: &str) -> Value {
        self.succeed("GET", path, None)
    }

    /// # Panics
    /// Panics if the answer is an error.
    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Value {
        self.succeed("POST", path, Some(body))
    }

    /// # Panics
    /// Panics if the answer is an error.
    #[track_caller]
    pub fn put(&self, path: &str, body: &Value) -> Value {
        self.succeed("PUT", path, Some(body))
    }

    #[track_caller]
    fn succeed(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let (status, answer) = self.send(method, path, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    /// Returns the status and the body, which is null if it is no JSON.
    ///
    /// # Panics
    /// Panics if the server does not answer.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let target = format!("{}{path}", self.root);
        let request = Request::builder()
            .method(method)
            .uri(&target)
            .header(header::HOST, self.address.to_string())
            .header(header::USER_AGENT, "kugetsu-tests")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.map(Value::to_string).unwrap_or_default()))
            .expect("a valid request");
        runtime.block_on(async {
            let response = exchange(self.address, request).await.unwrap_or_else(|error| panic!("{target}: {error}"));
            let status = response.status().as_u16();
            let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap_or_default();
            (status, serde_json::from_slice(&bytes).unwrap_or_default())
        })
    }
}
