//! What the status of an answer means.

use super::answer::Answer;
use super::base_url::BaseUrl;
use super::credentials::Credentials;
use super::excerpt::{error_message, excerpt, is_page};
use super::rate_limit;
use super::retry::{Failure, Retry};
use crate::api::error::ForgeError;

/// The answer itself if it is a good one.
pub(super) fn check_status(
    answer: Answer,
    base_url: &BaseUrl,
    credentials: &Credentials,
    what: &str,
) -> Result<Answer, Failure> {
    let server = base_url.name().to_owned();
    let variable = credentials.variable().to_owned();
    let what = what.to_owned();
    let said = || excerpt(&credentials.masked(&error_message(&answer.body)));
    if rate_limit::is_limited(&answer) {
        let wait = rate_limit::of_limit(&answer);
        let error = ForgeError::RateLimited { server, until: rate_limit::end(&answer, wait) };
        return Err(Failure { error, retry: Retry::After(wait) });
    }
    let error = match answer.status.as_u16() {
        // An API says in its own form that something is not there; a page means that there is no API.
        200..=299 | 404 if is_page(&answer.headers, &answer.body) => {
            let why = "it is a page for people and not data, as from a credentials in front of the server".to_owned();
            ForgeError::Unexpected { server, what, why }
        }
        200..=299 => return Ok(answer),
        401 | 403 if !credentials.has_token() => ForgeError::TokenMissing { server, what, variable },
        401 => ForgeError::TokenRefused { server, variable },
        403 => ForgeError::Forbidden { server, what, variable, said: said() },
        404 | 410 => ForgeError::NotFound { server, what, variable, asked_with_token: credentials.has_token() },
        status @ (408 | 500..=599) => {
            let retry = match (status, rate_limit::retry_after(&answer)) {
                (501, _) => Retry::Never,
                (_, Some(wait)) => Retry::After(wait),
                (_, None) => Retry::Backoff,
            };
            return Err(Failure { error: ForgeError::Failing { server, what, status, said: said() }, retry });
        }
        status => {
            let why = match said() {
                words if words.is_empty() => format!("status {status}"),
                words => format!("status {status}, {words:?}"),
            };
            ForgeError::Unexpected { server, what, why }
        }
    };
    Err(Failure::finally(error))
}
