//! One GET with its redirects, read to the end of a bounded body.

use std::error::Error;
use std::io;
use std::time::Duration;

use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Response, Url};

use super::answer::Answer;
use super::base_url::BaseUrl;
use super::credentials::Credentials;
use super::excerpt::excerpt;
use super::retry::{Failure, Retry};
use super::transport::{Transport, causes};
use crate::api::error::ForgeError;

/// Sends a GET to `url`, which is on `site`, with these headers, and reads the answer, whatever its status.
///
/// Redirects are followed while they stay on the site: the headers hold the token. One that leaves it is an error.
pub(in crate::api) async fn fetch(
    transport: &Transport,
    base_url: &BaseUrl,
    credentials: &Credentials,
    url: Url,
    headers: &HeaderMap,
    limit: Duration,
) -> Result<Answer, Failure> {
    let what = credentials.masked(&base_url.request(&url));
    let whole = follow(transport, base_url, credentials, url, headers, &what);
    match tokio::time::timeout(limit, whole).await {
        Ok(answer) => answer,
        Err(_) => Err(Failure::finally(ForgeError::Timeout { server: base_url.name().to_owned(), what, limit })),
    }
}

async fn follow(
    transport: &Transport,
    base_url: &BaseUrl,
    credentials: &Credentials,
    mut url: Url,
    headers: &HeaderMap,
    what: &str,
) -> Result<Answer, Failure> {
    for _ in 0..=transport.limits.redirects {
        if !base_url.has(&url) {
            let to = excerpt(&credentials.masked(&url.origin().ascii_serialization()));
            return Err(Failure::finally(ForgeError::Moved { server: base_url.name().to_owned(), to }));
        }
        let sent = transport.client.get(url.clone()).headers(headers.clone()).send().await;
        let response = sent.map_err(|error| broken(&error, base_url, what, transport.limits.connect))?;
        match next(&response, &url) {
            Some(next) => url = next,
            None => return read(response, url, transport, base_url, what).await,
        }
    }
    let why = format!("it is redirected more than {} times", transport.limits.redirects);
    Err(Failure::finally(ForgeError::Unexpected { server: base_url.name().to_owned(), what: what.to_owned(), why }))
}

/// Where a redirect leads.
fn next(response: &Response, from: &Url) -> Option<Url> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    from.join(response.headers().get(LOCATION)?.to_str().ok()?).ok()
}

async fn read(
    mut response: Response,
    url: Url,
    transport: &Transport,
    base_url: &BaseUrl,
    what: &str,
) -> Result<Answer, Failure> {
    let limit = transport.limits.body;
    let mut body = Vec::new();
    loop {
        let chunk = response.chunk().await.map_err(|error| broken(&error, base_url, what, transport.limits.connect))?;
        let Some(chunk) = chunk else { break };
        if body.len() + chunk.len() > limit {
            let (server, what) = (base_url.name().to_owned(), what.to_owned());
            return Err(Failure::finally(ForgeError::TooLarge { server, what, limit }));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { url, status: response.status(), headers: std::mem::take(response.headers_mut()), body })
}

/// A transfer that failed below HTTP.
fn broken(error: &reqwest::Error, base_url: &BaseUrl, what: &str, connect: Duration) -> Failure {
    let server = base_url.name().to_owned();
    let why = excerpt(&causes(error));
    if is_tls(error) {
        return Failure::finally(ForgeError::Tls { server, why });
    }
    if error.is_timeout() {
        return Failure::finally(ForgeError::Timeout { server, what: what.to_owned(), limit: connect });
    }
    Failure { error: ForgeError::Unreachable { server, why }, retry: Retry::Backoff }
}

/// Whether TLS said no, however deep below the transfer's error. An `io::Error` is no link in the chain of sources: it
/// stands in front of what it holds.
fn is_tls(error: &(dyn Error + 'static)) -> bool {
    let inside = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(held) => Some(held as &(dyn Error + 'static)),
        None => error.source(),
    };
    error.is::<rustls::Error>() || inside.is_some_and(is_tls)
}
