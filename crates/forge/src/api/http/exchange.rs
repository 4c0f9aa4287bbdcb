//! One GET with its redirects, read to the end of a bounded body.

use std::error::Error;
use std::io;
use std::time::Duration;

use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Response, Url};

use super::answer::Answer;
use super::connector::{Connector, causes};
use super::login::Login;
use super::retry::{Again, Failed};
use super::site::Site;
use super::words::shown;
use crate::api::error::ForgeError;

/// Sends a GET to `url`, which is on `site`, with these headers, and reads the answer, whatever its status.
///
/// Redirects are followed while they stay on the site: the headers hold the token. One that leaves it is an error.
pub(in crate::api) async fn exchange(
    connector: &Connector,
    site: &Site,
    login: &Login,
    url: Url,
    headers: &HeaderMap,
    limit: Duration,
) -> Result<Answer, Failed> {
    let what = login.masked(&site.request(&url));
    let whole = follow(connector, site, login, url, headers, &what);
    match tokio::time::timeout(limit, whole).await {
        Ok(answer) => answer,
        Err(_) => Err(Failed::finally(ForgeError::Timeout { server: site.name().to_owned(), what, limit })),
    }
}

async fn follow(
    connector: &Connector,
    site: &Site,
    login: &Login,
    mut url: Url,
    headers: &HeaderMap,
    what: &str,
) -> Result<Answer, Failed> {
    for _ in 0..=connector.limits.redirects {
        if !site.has(&url) {
            let to = shown(&login.masked(&url.origin().ascii_serialization()));
            return Err(Failed::finally(ForgeError::Moved { server: site.name().to_owned(), to }));
        }
        let sent = connector.client.get(url.clone()).headers(headers.clone()).send().await;
        let response = sent.map_err(|error| broken(&error, site, what, connector.limits.connect))?;
        match next(&response, &url) {
            Some(next) => url = next,
            None => return read(response, url, connector, site, what).await,
        }
    }
    let why = format!("it is redirected more than {} times", connector.limits.redirects);
    Err(Failed::finally(ForgeError::Unexpected { server: site.name().to_owned(), what: what.to_owned(), why }))
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
    connector: &Connector,
    site: &Site,
    what: &str,
) -> Result<Answer, Failed> {
    let limit = connector.limits.body;
    let mut body = Vec::new();
    loop {
        let chunk = response.chunk().await.map_err(|error| broken(&error, site, what, connector.limits.connect))?;
        let Some(chunk) = chunk else { break };
        if body.len() + chunk.len() > limit {
            let (server, what) = (site.name().to_owned(), what.to_owned());
            return Err(Failed::finally(ForgeError::TooLarge { server, what, limit }));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { url, status: response.status(), headers: std::mem::take(response.headers_mut()), body })
}

/// A transfer that failed below HTTP.
fn broken(error: &reqwest::Error, site: &Site, what: &str, connect: Duration) -> Failed {
    let server = site.name().to_owned();
    let why = shown(&causes(error));
    if is_tls(error) {
        return Failed::finally(ForgeError::Tls { server, why });
    }
    if error.is_timeout() {
        return Failed::finally(ForgeError::Timeout { server, what: what.to_owned(), limit: connect });
    }
    Failed { error: ForgeError::Unreachable { server, why }, again: Again::Soon }
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
