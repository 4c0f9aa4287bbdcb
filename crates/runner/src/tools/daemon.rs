//! Requests of the tools to the daemon.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use kugetsu_api::client::{Client, ClientError};
use kugetsu_api::endpoint::Endpoint;
use kugetsu_api::run_key::RunKey;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::run_context::RunContext;

/// How often a request is repeated while the daemon is away. One that is upgraded is away for a moment.
const RETRIES: usize = 20;
pub(super) const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// The daemon, by its socket.
#[derive(Clone, Debug)]
pub(super) struct Daemon {
    pub(super) socket: PathBuf,
    /// The key of the run that the tools belong to.
    pub(super) key: RunKey,
}

impl Daemon {
    /// # Errors
    /// The home has no socket.
    pub(super) fn of(run: &RunContext) -> io::Result<Self> {
        Ok(Self { socket: run.home.socket()?, key: run.key.clone() })
    }

    pub(super) async fn connect(&self) -> Result<Client, ClientError> {
        Ok(Client::connect(&self.socket).await?.with_key(&self.key))
    }

    /// Sends a request, on a new connection each time that one breaks. It must be one that may be repeated.
    pub(super) async fn call<Request: Serialize, Response: DeserializeOwned>(
        &self,
        endpoint: &Endpoint<Request, Response>,
        request: &Request,
    ) -> Result<Response, String> {
        let mut retries = Retries::default();
        loop {
            let send = async { self.connect().await?.call(endpoint, request).await };
            match send.await {
                Err(error) if retries.wait_after(&error).await => {}
                result => return result.map_err(|error| error_message(&error)),
            }
        }
    }
}

/// The number of retries of a call.
#[derive(Debug, Default)]
pub(super) struct Retries(usize);

impl Retries {
    /// Returns whether to try again after this error; waits first.
    pub(super) async fn wait_after(&mut self, error: &ClientError) -> bool {
        let is_away = matches!(error, ClientError::NotRunning { .. } | ClientError::Broken(_));
        if !is_away || self.0 == RETRIES {
            return false;
        }
        self.0 += 1;
        tokio::time::sleep(RETRY_PAUSE).await;
        true
    }
}

/// The message for the agent. A hint names commands that only the user can run.
pub(super) fn error_message(error: &ClientError) -> String {
    match error {
        ClientError::Problem(problem) => match &problem.hint {
            Some(hint) => format!("{problem} (hint for the user: {hint})"),
            None => problem.to_string(),
        },
        other => other.to_string(),
    }
}
