//! Maps the status of a response to an error.

use super::excerpt::{error_message, excerpt, is_html};
use super::fetch::Endpoint;
use super::message::Response;
use super::rate_limit;
use super::retry::{Failure, Retry};
use crate::error::ForgeError;

/// Returns the response if its status is a success and it is not an HTML page.
pub(super) fn check_status(response: Response, endpoint: &Endpoint, request: &str) -> Result<Response, Failure> {
    let server = endpoint.server();
    let credentials = &endpoint.credentials;
    let variable = credentials.variable().to_owned();
    let request = request.to_owned();
    let message = || excerpt(&credentials.mask(&error_message(&response.body)));
    if rate_limit::is_limited(&response) {
        let wait = rate_limit::wait(&response);
        let error = ForgeError::RateLimited { server, until: rate_limit::end(&response, wait) };
        return Err(Failure { error, retry: Retry::After(wait) });
    }
    let error = match response.status.as_u16() {
        // An API reports a missing object as JSON; a 404 with a page means that there is no API here.
        200..=299 | 404 if is_html(&response.headers, &response.body) => {
            let reason = "it is an HTML page, perhaps of a login in front of the server".to_owned();
            ForgeError::Unexpected { server, request, reason }
        }
        200..=299 => return Ok(response),
        401 | 403 if !credentials.has_token() => ForgeError::TokenMissing { server, request, variable },
        401 => ForgeError::TokenRefused { server, variable },
        403 => ForgeError::Forbidden { server, request, variable, message: message() },
        404 | 410 => ForgeError::NotFound { server, request, variable, authenticated: credentials.has_token() },
        status @ (408 | 500..=599) => {
            let retry = match (status, rate_limit::retry_after(&response)) {
                (501, _) => Retry::Never,
                (_, Some(wait)) => Retry::After(wait),
                (_, None) => Retry::Backoff,
            };
            return Err(Failure { error: ForgeError::Failing { server, request, status, message: message() }, retry });
        }
        status @ (405 | 409 | 412 | 422 | 423) => ForgeError::Refused { server, request, status, message: message() },
        status if endpoint.refusals.contains(&status) => {
            ForgeError::Refused { server, request, status, message: message() }
        }
        status => {
            let reason = match message() {
                message if message.is_empty() => format!("status {status}"),
                message => format!("status {status}, {message:?}"),
            };
            ForgeError::Unexpected { server, request, reason }
        }
    };
    Err(Failure::permanent(error))
}
