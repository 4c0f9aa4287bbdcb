//! Rate limits: whether a response reports one, and how long to wait.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{DATE, RETRY_AFTER};

use super::message::Response;

/// Wait if the server names no time. GitHub asks for at least a minute.
const DEFAULT_WAIT: Duration = Duration::from_secs(60);

/// Longer than any caller waits, and short enough to be added to any present time.
const WAIT_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// Whether the response reports too many requests: status 429, or the 403 that GitHub sends for the same.
pub(super) fn is_limited(response: &Response) -> bool {
    let in_headers = || response.header(RETRY_AFTER.as_str()).is_some() || remaining(response) == Some("0");
    match response.status.as_u16() {
        429 => true,
        403 => in_headers() || response.body.to_ascii_lowercase().windows(10).any(|part| part == b"rate limit"),
        _ => false,
    }
}

/// The wait that a limited response asks for.
pub(super) fn wait(response: &Response) -> Duration {
    retry_after(response).or_else(|| until_reset(response)).unwrap_or(DEFAULT_WAIT)
}

/// The value of `Retry-After`, which is a number of seconds or a date.
pub(super) fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.header(RETRY_AFTER.as_str())?;
    let until_date = || Some(between(now(response), date(value)?));
    value.parse().ok().map(Duration::from_secs).or_else(until_date).map(|wait| wait.min(WAIT_MAX))
}

/// The rest of a window without requests left, if the server names its end (in Unix seconds).
fn until_reset(response: &Response) -> Option<Duration> {
    if remaining(response).is_some_and(|left| left != "0") {
        return None;
    }
    let reset = either(response, "x-ratelimit-reset", "ratelimit-reset")?;
    let reset = Timestamp::from_second(reset.parse().ok()?).unwrap_or(Timestamp::MAX);
    // One second more, because the server's clock is truncated to seconds.
    Some(between(now(response), reset).saturating_add(Duration::from_secs(1)).min(WAIT_MAX))
}

/// Limit, remaining requests and end of the present window, if the server reports all three.
pub(super) fn window(response: &Response) -> Option<(u64, u64, Timestamp)> {
    let limit = either(response, "x-ratelimit-limit", "ratelimit-limit")?.parse().ok()?;
    let reset = either(response, "x-ratelimit-reset", "ratelimit-reset")?.parse().ok()?;
    Some((limit, remaining(response)?.parse().ok()?, Timestamp::from_second(reset).ok()?))
}

/// The end of a wait by the server's clock.
pub(super) fn end(response: &Response, wait: Duration) -> Option<Timestamp> {
    now(response).checked_add(wait).ok()
}

fn remaining(response: &Response) -> Option<&str> {
    either(response, "x-ratelimit-remaining", "ratelimit-remaining")
}

/// GitHub and Gitea write the headers with `x-`, GitLab without.
fn either<'a>(response: &'a Response, one: &str, other: &str) -> Option<&'a str> {
    response.header(one).or_else(|| response.header(other))
}

/// The server's time, which its other times refer to; the local time if it sends none.
pub(super) fn now(response: &Response) -> Timestamp {
    sent_at(response).unwrap_or_else(Timestamp::now)
}

/// The server's time in a response.
pub(super) fn sent_at(response: &Response) -> Option<Timestamp> {
    response.header(DATE.as_str()).and_then(date)
}

fn date(text: &str) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(text).ok()
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderMap, HeaderName};
    use reqwest::{StatusCode, Url};

    use super::*;

    const NOW: &str = "Wed, 25 Nov 2026 10:00:00 GMT";

    fn response(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
        let pair = |(name, value): &(&str, &str)| (HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        let headers: HeaderMap = headers.iter().map(pair).collect();
        let url = Url::parse("https://h").unwrap();
        Response { url, status: StatusCode::from_u16(status).unwrap(), headers, body: body.into() }
    }

    #[test]
    fn every_form_of_rate_limit_is_recognized() {
        let limited = |status, headers: &[(&str, &str)], body: &str| is_limited(&response(status, headers, body));
        assert!(limited(429, &[], ""));
        assert!(limited(403, &[("x-ratelimit-remaining", "0")], ""));
        assert!(limited(403, &[("retry-after", "60")], ""));
        assert!(limited(403, &[], r#"{"message":"You have exceeded a secondary rate limit."}"#));
        assert!(!limited(403, &[("x-ratelimit-remaining", "4999")], r#"{"message":"Resource not accessible"}"#));
        assert!(!limited(404, &[("x-ratelimit-remaining", "0")], ""));
    }

    #[test]
    fn the_wait_is_the_one_that_the_server_asks_for() {
        let reset = Timestamp::now().as_second().to_string();
        let at_ten = "1795600830"; // 2026-11-25 10:00:30
        for (headers, expected) in [
            (vec![("retry-after", "7")], 7),
            (
                vec![
                    ("retry-after", "7"),
                    ("x-ratelimit-remaining", "0"),
                    ("x-ratelimit-reset", at_ten),
                    ("date", NOW),
                ],
                7,
            ),
            (vec![("retry-after", "Wed, 25 Nov 2026 10:00:09 GMT"), ("date", NOW)], 9),
            (vec![("retry-after", "Wed, 25 Nov 2026 09:00:00 GMT"), ("date", NOW)], 0),
            (vec![("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", at_ten), ("date", NOW)], 31),
            (vec![("ratelimit-reset", at_ten), ("date", NOW)], 31),
            (vec![("x-ratelimit-remaining", "10"), ("x-ratelimit-reset", at_ten), ("date", NOW)], 60),
            (vec![("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", reset.as_str())], 1),
            (vec![("retry-after", "soon")], 60),
            (vec![], 60),
        ] {
            assert_eq!(wait(&response(429, &headers, "")).as_secs(), expected, "{headers:?}");
        }
    }

    #[test]
    fn an_absurd_wait_is_bounded() {
        for headers in [[("retry-after", "99999999999999999")], [("x-ratelimit-reset", "9999999999999")]] {
            let response = response(429, &headers, "");
            assert_eq!(wait(&response), WAIT_MAX);
            assert!(end(&response, WAIT_MAX).is_some());
        }
    }
}
