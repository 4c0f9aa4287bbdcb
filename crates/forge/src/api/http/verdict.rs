//! What the status of an answer means.

use super::answer::Answer;
use super::login::Login;
use super::pause;
use super::retry::{Again, Failed};
use super::site::Site;
use super::words::{is_page, shown, words};
use crate::api::error::ForgeError;

/// The answer itself if it is a good one.
pub(super) fn judged(answer: Answer, site: &Site, login: &Login, what: &str) -> Result<Answer, Failed> {
    let server = site.name().to_owned();
    let variable = login.variable().to_owned();
    let what = what.to_owned();
    let said = || shown(&login.masked(&words(&answer.body)));
    if pause::is_limited(&answer) {
        let wait = pause::of_limit(&answer);
        let error = ForgeError::RateLimited { server, until: pause::end(&answer, wait) };
        return Err(Failed { error, again: Again::After(wait) });
    }
    let error = match answer.status.as_u16() {
        // An API says in its own form that something is not there; a page means that there is no API.
        200..=299 | 404 if is_page(&answer.headers, &answer.body) => {
            let why = "it is a page for people and not data, as from a login in front of the server".to_owned();
            ForgeError::Unexpected { server, what, why }
        }
        200..=299 => return Ok(answer),
        401 | 403 if !login.has_token() => ForgeError::TokenMissing { server, what, variable },
        401 => ForgeError::TokenRefused { server, variable },
        403 => ForgeError::Forbidden { server, what, variable, said: said() },
        404 | 410 => ForgeError::NotFound { server, what, variable, asked_with_token: login.has_token() },
        status @ (408 | 500..=599) => {
            let again = match (status, pause::retry_after(&answer)) {
                (501, _) => Again::Never,
                (_, Some(wait)) => Again::After(wait),
                (_, None) => Again::Soon,
            };
            return Err(Failed { error: ForgeError::Failing { server, what, status, said: said() }, again });
        }
        status => {
            let why = match said() {
                words if words.is_empty() => format!("status {status}"),
                words => format!("status {status}, {words:?}"),
            };
            ForgeError::Unexpected { server, what, why }
        }
    };
    Err(Failed::finally(error))
}
