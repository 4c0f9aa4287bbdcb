//! How long a server asks its callers to wait.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{DATE, RETRY_AFTER};

use super::answer::Answer;

/// What a limited caller waits where the server names no time: GitHub asks for a minute at least.
const UNNAMED: Duration = Duration::from_secs(60);

/// Longer than anybody waits, and short enough to be added to any time of today.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// Whether the answer says that there were too many requests: 429, or the 403 by which GitHub says the same.
pub(super) fn is_limited(answer: &Answer) -> bool {
    let told = || answer.header(RETRY_AFTER.as_str()).is_some() || remaining(answer) == Some("0");
    match answer.status.as_u16() {
        429 => true,
        403 => told() || answer.body.to_ascii_lowercase().windows(10).any(|part| part == b"rate limit"),
        _ => false,
    }
}

/// The pause that a limited caller is asked for.
pub(super) fn of_limit(answer: &Answer) -> Duration {
    retry_after(answer).or_else(|| until_reset(answer)).unwrap_or(UNNAMED)
}

/// The value of `Retry-After`: seconds, or a date.
pub(super) fn retry_after(answer: &Answer) -> Option<Duration> {
    let value = answer.header(RETRY_AFTER.as_str())?;
    let until_date = || Some(between(now(answer), date(value)?));
    value.parse().ok().map(Duration::from_secs).or_else(until_date).map(|pause| pause.min(LONGEST))
}

/// The rest of the window whose requests are used up, where the server says when it ends (seconds since 1970).
fn until_reset(answer: &Answer) -> Option<Duration> {
    if remaining(answer).is_some_and(|left| left != "0") {
        return None;
    }
    let reset = either(answer, "x-ratelimit-reset", "ratelimit-reset")?;
    let reset = Timestamp::from_second(reset.parse().ok()?).unwrap_or(Timestamp::MAX);
    // One second more: the server's clock is cut to seconds.
    Some(between(now(answer), reset).saturating_add(Duration::from_secs(1)).min(LONGEST))
}

/// When a pause is over, by the server's clock.
pub(super) fn end(answer: &Answer, pause: Duration) -> Option<Timestamp> {
    now(answer).checked_add(pause).ok()
}

fn remaining(answer: &Answer) -> Option<&str> {
    either(answer, "x-ratelimit-remaining", "ratelimit-remaining")
}

fn either<'a>(answer: &'a Answer, one: &str, other: &str) -> Option<&'a str> {
    answer.header(one).or_else(|| answer.header(other))
}

/// By the server's clock, which is the one that its times belong to; by ours where it tells none.
pub(super) fn now(answer: &Answer) -> Timestamp {
    answer.header(DATE.as_str()).and_then(date).unwrap_or_else(Timestamp::now)
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

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
        let pair = |(name, value): &(&str, &str)| (HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        let headers: HeaderMap = headers.iter().map(pair).collect();
        let url = Url::parse("https://h").unwrap();
        Answer { url, status: StatusCode::from_u16(status).unwrap(), headers, body: body.into() }
    }

    #[test]
    fn every_way_to_say_too_many_is_understood() {
        let limited = |status, headers: &[(&str, &str)], body: &str| is_limited(&answer(status, headers, body));
        assert!(limited(429, &[], ""));
        assert!(limited(403, &[("x-ratelimit-remaining", "0")], ""));
        assert!(limited(403, &[("retry-after", "60")], ""));
        assert!(limited(403, &[], r#"{"message":"You have exceeded a secondary rate limit."}"#));
        assert!(!limited(403, &[("x-ratelimit-remaining", "4999")], r#"{"message":"Resource not accessible"}"#));
        assert!(!limited(404, &[("x-ratelimit-remaining", "0")], ""));
    }

    #[test]
    fn the_pause_is_the_one_that_the_server_names() {
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
            assert_eq!(of_limit(&answer(429, &headers, "")).as_secs(), expected, "{headers:?}");
        }
    }

    #[test]
    fn an_absurd_pause_is_bounded() {
        for headers in [[("retry-after", "99999999999999999")], [("x-ratelimit-reset", "9999999999999")]] {
            let answer = answer(429, &headers, "");
            assert_eq!(of_limit(&answer), LONGEST);
            assert!(end(&answer, LONGEST).is_some());
        }
    }
}
