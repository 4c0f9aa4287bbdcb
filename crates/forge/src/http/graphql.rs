//! Answers of GitHub's GraphQL API, which reports errors with status 200 too.

use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use super::excerpt::excerpt;
use super::fetch::Endpoint;
use super::message::Response;
use super::rate_limit;
use crate::error::ForgeError;

/// The beginning of the message of an operation that timed out or crashed.
const CRASHED: &str = "Something went wrong while executing your query";

#[derive(Deserialize)]
pub(super) struct Answer {
    data: Option<Value>,
    errors: Option<Vec<Problem>>,
}

#[derive(Deserialize)]
struct Problem {
    /// None for a query that does not fit the schema.
    #[serde(rename = "type")]
    kind: Option<String>,
    message: Option<String>,
}

impl Answer {
    /// Returns the data of an operation without errors. Partial data is not returned.
    pub(super) fn data(self, endpoint: &Endpoint, response: &Response) -> Result<Value, ForgeError> {
        let (server, request) = (endpoint.server(), endpoint.describe(&Method::POST, &response.url));
        let problems = self.errors.unwrap_or_default();
        if problems.is_empty() {
            let reason = "it has neither data nor errors".to_owned();
            return self.data.ok_or(ForgeError::Unexpected { server, request, reason });
        }
        let messages: Vec<&str> = problems.iter().filter_map(|problem| problem.message.as_deref()).collect();
        let message = excerpt(&endpoint.credentials.mask(&messages.join("; ")));
        let is = |kinds: &[&str]| problems.iter().filter_map(|it| it.kind.as_deref()).any(|kind| kinds.contains(&kind));
        let variable = endpoint.credentials.variable().to_owned();
        Err(match () {
            () if is(&["RATE_LIMITED", "RATE_LIMIT"]) => {
                let until = rate_limit::end(response, rate_limit::wait(response));
                ForgeError::RateLimited { server, until }
            }
            () if is(&["FORBIDDEN", "INSUFFICIENT_SCOPES"]) => {
                ForgeError::Forbidden { server, request, variable, message }
            }
            () if is(&["NOT_FOUND"]) => {
                let authenticated = endpoint.credentials.has_token();
                ForgeError::NotFound { server, request, variable, authenticated }
            }
            () if message.starts_with(CRASHED) => {
                ForgeError::Failing { server, request, status: response.status.as_u16(), message }
            }
            () => ForgeError::Refused { server, request, status: 422, message },
        })
    }
}
