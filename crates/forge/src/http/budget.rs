//! The requests that a server still answers for a token, of which background work leaves a reserve to people.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::cache::Key;
use super::message::Response;
use super::rate_limit;

/// Background work stops when less than one of so many parts of the limit is left.
const RESERVE: u64 = 10;

/// Maximum number of servers and tokens that are remembered.
const KNOWN_MAX: usize = 1000;

/// Who waits for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A person.
    Interactive,
    /// The program alone.
    Background,
}

/// Longer windows do not exist; a server cannot stop work for good.
const WINDOW_MAX: Duration = Duration::from_secs(2 * 3600);

/// The latest reports, by server and token.
#[derive(Debug, Default)]
pub(super) struct Budgets(Mutex<HashMap<Key, Budget>>);

#[derive(Clone, Copy, Debug, Default)]
struct Budget {
    window: Option<Window>,
    /// The end of a limit that the server has enforced: requests before that may make it longer.
    refused: Option<End>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    limit: u64,
    remaining: u64,
    ends: End,
}

/// By this machine's clock and by the server's.
#[derive(Clone, Copy, Debug)]
struct End {
    at: Instant,
    on_server: Timestamp,
}

/// A request that is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exhausted {
    /// The end of the window by the server's clock.
    pub(super) until: Timestamp,
    pub(super) wait: Duration,
}

impl Budgets {
    /// Whether a request may be sent.
    ///
    /// # Errors
    /// [`Exhausted`] until the window ends: for background work if less than the reserve is left, for people if nothing is.
    pub(super) fn check(&self, key: Key, purpose: Purpose) -> Result<(), Exhausted> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied().unwrap_or_default();
        let is_short = |window: &Window| match purpose {
            Purpose::Interactive => window.remaining == 0,
            Purpose::Background => window.remaining.saturating_mul(RESERVE) < window.limit,
        };
        let ends = [known.window.filter(is_short).map(|window| window.ends), known.refused];
        let longest = ends.into_iter().flatten().max_by_key(|end| end.at);
        let left = |end: &End| end.at.saturating_duration_since(Instant::now());
        match longest.filter(|end| !left(end).is_zero()) {
            Some(end) => Err(Exhausted { until: end.on_server, wait: left(&end) }),
            None => Ok(()),
        }
    }

    /// Remembers what a response reports.
    pub(super) fn learn(&self, key: Key, response: &Response) {
        let end = |wait: Duration| {
            let wait = wait.min(WINDOW_MAX);
            let on_server = rate_limit::end(response, wait).unwrap_or(Timestamp::MAX);
            End { at: Instant::now() + wait, on_server }
        };
        let refused = rate_limit::is_limited(response).then(|| end(rate_limit::wait(response)));
        // GitHub counts some requests apart, such as those of GraphQL.
        let is_apart = response.header("x-ratelimit-resource").is_some_and(|resource| resource != "core");
        let window = rate_limit::window(response).filter(|_| !is_apart).map(|(limit, remaining, reset)| {
            let left = Duration::try_from(reset.duration_since(rate_limit::now(response))).unwrap_or_default();
            Window { limit, remaining, ends: End { on_server: reset, ..end(left) } }
        });
        if refused.is_none() && window.is_none() {
            return;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        let budget = known.entry(key).or_default();
        budget.window = window.or(budget.window);
        budget.refused = refused.or(budget.refused);
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderMap, HeaderName};
    use reqwest::{StatusCode, Url};

    use super::*;

    fn response(headers: &[(&str, &str)]) -> Response {
        let pair = |(name, value): &(&str, &str)| (HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        let headers: HeaderMap = headers.iter().map(pair).collect();
        Response { url: Url::parse("https://h").unwrap(), status: StatusCode::OK, headers, body: Vec::new() }
    }

    #[test]
    fn background_work_leaves_a_tenth_to_people() {
        let reset = (Timestamp::now().as_second() + 600).to_string();
        let past = (Timestamp::now().as_second() - 1).to_string();
        for (limit, remaining, reset, interactive, background) in [
            ("5000", "5000", &reset, true, true),
            ("5000", "500", &reset, true, true),
            ("5000", "499", &reset, true, false),
            ("5000", "1", &reset, true, false),
            ("5000", "0", &reset, false, false),
            ("5000", "0", &past, true, true),
            ("x", "0", &reset, true, true),
        ] {
            for prefix in ["x-", ""] {
                let (budgets, key) = (Budgets::default(), Key::new("h", b""));
                let names = ["limit", "remaining", "reset"].map(|name| format!("{prefix}ratelimit-{name}"));
                let headers = [(&*names[0], limit), (&*names[1], remaining), (&*names[2], reset.as_str())];
                budgets.learn(key, &response(&headers));
                let may = |purpose| budgets.check(key, purpose).is_ok();
                assert_eq!(
                    (may(Purpose::Interactive), may(Purpose::Background)),
                    (interactive, background),
                    "{headers:?}"
                );
                assert!(budgets.check(Key::new("h", b"another token"), Purpose::Background).is_ok());
            }
        }
    }

    #[test]
    fn nothing_is_sent_before_the_end_of_a_limit() {
        let (budgets, key) = (Budgets::default(), Key::new("h", b""));
        let limited = Response { status: StatusCode::TOO_MANY_REQUESTS, ..response(&[("retry-after", "99999")]) };
        budgets.learn(key, &limited);
        for purpose in [Purpose::Interactive, Purpose::Background] {
            let exhausted = budgets.check(key, purpose).unwrap_err();
            assert!(
                exhausted.wait > WINDOW_MAX - Duration::from_secs(60) && exhausted.wait <= WINDOW_MAX,
                "{purpose:?}"
            );
            assert!(budgets.check(Key::new("h", b"another token"), purpose).is_ok());
        }
        // An answer of another kind does not end it.
        budgets.learn(key, &response(&[]));
        assert!(budgets.check(key, Purpose::Background).is_err());
    }

    #[test]
    fn other_resources_of_github_do_not_count() {
        let reset = (Timestamp::now().as_second() + 600).to_string();
        let (budgets, key) = (Budgets::default(), Key::new("h", b""));
        let used_up = [("x-ratelimit-limit", "30"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", &*reset)];
        let of = |resource| response(&[&used_up[..], &[("x-ratelimit-resource", resource)]].concat());
        budgets.learn(key, &of("search"));
        assert!(budgets.check(key, Purpose::Background).is_ok());
        budgets.learn(key, &of("core"));
        assert!(budgets.check(key, Purpose::Background).is_err());
    }
}
