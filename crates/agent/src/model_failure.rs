//! Failures of a model's provider: whether they pass, and when.
//!
//! Agents quote the provider, or write messages of their own. Nothing but these messages shows what failed.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::reset_time::{named_time, names_a_time};

/// Whether a failure passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Trying again does not help: the request, the login or the model is wrong.
    Never,
    /// It may help to try again.
    Soon,
    /// A limit of the provider: as `Soon`, but only time helps.
    Limited,
    /// A limit on use, such as a subscription's, until a time that is not known for certain.
    UsedUp,
    /// After the time that the provider names.
    After(Duration),
}

/// Longest time that is believed of a message in the agent's answer, which the model may have written.
const ANSWERED_MAX: Duration = Duration::from_secs(3600);

impl Recovery {
    pub(crate) const fn is_limit(self) -> bool {
        matches!(self, Self::Limited | Self::UsedUp | Self::After(_))
    }

    /// The recovery after a failure that is only found in the agent's answer. A model that follows instructions in the files
    /// of a repository must not pause a task for a month.
    pub(crate) fn of_answer(self) -> Self {
        match self {
            Self::After(time) if time > ANSWERED_MAX => Self::UsedUp,
            other => other,
        }
    }
}

/// Kinds of failures that pass, as agents name them in the data of an error (claude 0.101.0).
const PASSING_KINDS: &[&str] = &["rate_limit", "server_error", "overloaded"];
/// Kinds that do not.
const LASTING_KINDS: &[&str] = &["model_not_found", "invalid_request", "authentication_failed", "billing_error"];
/// Parts of messages about failures of this machine, in lower case, which resemble those of a provider.
const LOCAL: &[&str] = &["disk quota", "edquot", "enospc", "no space left"];
/// Parts of messages about failures that pass, in lower case.
const PASSING: &[&str] = &[
    "rate limit",
    "rate_limit",
    "too many requests",
    "overloaded",
    "high demand",
    "temporary",
    "timed out",
    "timeout",
    "connection",
    "disconnected",
    "econnreset",
    "econnrefused",
    "etimedout",
    "socket",
    "network error",
    "fetch failed",
    "unavailable",
    "server error",
    "server_error",
    "broke off",
    "stream",
    "terminated",
    "unterminated",
    "response body",
    "incomplete chunked",
    "usage limit",
    "quota",
    "resource_exhausted",
    "resource exhausted",
    "hit your",
];
/// Parts of messages about limits, in lower case.
const LIMITS: &[&str] =
    &["rate limit", "rate_limit", "too many requests", "quota", "resource_exhausted", "resource exhausted"];
/// Parts of messages about limits on use, in lower case: Claude Code, Codex.
const USED_UP: &[&str] = &["usage limit", "hit your", "session limit", "weekly limit"];
/// Names of a status in a message, in lower case.
const STATUS_NAMES: &[&str] = &["error", "status", "http", "code", "rejected", "request"];

/// Returns whether a failure passes. `kind` is the agent's name for it, if it has one.
pub(crate) fn recovery(message: &str, kind: Option<&str>) -> Recovery {
    recovery_at(message, kind, Timestamp::now())
}

fn recovery_at(message: &str, kind: Option<&str>, now: Timestamp) -> Recovery {
    if kind.is_some_and(|kind| LASTING_KINDS.contains(&kind)) {
        return Recovery::Never;
    }
    let message = message.to_ascii_lowercase();
    if LOCAL.iter().any(|part| message.contains(part)) {
        return Recovery::Never;
    }
    let status = status(&message);
    let passes = match status {
        Some(status) => matches!(status, 408 | 409 | 425 | 429 | 500..=599),
        None => {
            kind.is_some_and(|kind| PASSING_KINDS.contains(&kind)) || PASSING.iter().any(|part| message.contains(part))
        }
    };
    let has = |parts: &[&str]| parts.iter().any(|part| message.contains(part));
    if !passes {
        Recovery::Never
    } else if let Some(time) = named_time(&message, now) {
        Recovery::After(time)
    } else if has(USED_UP) || has(LIMITS) && names_a_time(&message) {
        Recovery::UsedUp
    } else if status == Some(429) || kind == Some("rate_limit") || has(LIMITS) {
        Recovery::Limited
    } else {
        Recovery::Soon
    }
}

/// Finds a status of HTTP that indicates an error in a message in lower case.
fn status(message: &str) -> Option<u16> {
    let parts = message.split(|c: char| c.is_whitespace() || "(){}[],;:·\"'".contains(c));
    let mut before = "";
    for part in parts.filter(|part| !part.is_empty()) {
        let is_named = STATUS_NAMES.contains(&before) || before.starts_with("http/");
        if is_named
            && let Ok(number) = part.trim_end_matches('.').parse()
            && (400..600).contains(&number)
        {
            return Some(number);
        }
        before = part;
    }
    None
}

/// Whether the provider refused the login.
pub(crate) fn is_login_refused(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    status(&message) == Some(401) || message.contains("authentication failed") || message.contains("invalid api key")
}

/// Whether a message is about a request to a provider.
pub(crate) fn is_of_provider(message: &str) -> bool {
    is_login_refused(message)
        || status(&message.to_ascii_lowercase()).is_some()
        || recovery(message, None) != Recovery::Never
}

/// How a turn really ended whose model failed behind a normal end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HiddenEnd {
    /// The message of the agent or the provider.
    Failed(String),
    /// The agent's answer, in which it or the model reports a failure.
    Answered(String),
    MaxTokens,
    /// The provider's filter stopped the answer.
    Filtered,
}

impl HiddenEnd {
    pub(crate) fn of(message: String) -> Self {
        match message.to_ascii_lowercase() {
            message if message.contains("max_output_tokens") => Self::MaxTokens,
            message if message.contains("content_filter") => Self::Filtered,
            _ => Self::Failed(message),
        }
    }
}

/// Returns what a provider's error object says, or the message itself.
pub(crate) fn readable_error(message: &str) -> String {
    let object = message.find('{').and_then(|start| serde_json::from_str::<Value>(&message[start..]).ok());
    let error = object.as_ref().map(|object| &object["error"]);
    match error.map(|error| (error["message"].as_str(), &error["code"])) {
        Some((Some(text), Value::Number(code))) => format!("{text} (status {code})"),
        Some((Some(text), Value::String(code))) => format!("{text} (status {code})"),
        Some((Some(text), _)) => text.to_owned(),
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_that_pass_differ_from_others() {
        for passing in [
            "API Error: 500 scripted status 500. This is a server-side issue, usually temporary",
            "unexpected status 503 Service Unavailable: x, url: http://model/v1/responses",
            "stream disconnected before completion: stream closed before response.completed",
            "We’re currently experiencing high demand, which may cause temporary errors.",
            "API Error: Connection to the API was lost (ECONNRESET).",
            "HTTP/1.1 502 Bad Gateway",
            "terminated",
        ] {
            assert_eq!(recovery(passing, None), Recovery::Soon, "{passing}");
        }
        for limited in [
            "API Error: Request rejected (429) · scripted status 429",
            "exceeded retry limit, last status: 429 Too Many Requests",
            "You exceeded your current quota, please check your plan.",
            "RESOURCE_EXHAUSTED",
        ] {
            assert_eq!(recovery(limited, None), Recovery::Limited, "{limited}");
        }
        for lasting in [
            "API Error: 400 the connection of your request is wrong",
            "Client error '404 Not Found' for url 'http://model/v1/chat/completions'",
            "unexpected status 404 Not Found: no such model, url: http://model/v1/responses",
            "Authentication failed with provider at http://model/v1 (HTTP 401).",
            "There's an issue with the selected model (x). It may not exist.",
        ] {
            assert_eq!(recovery(lasting, None), Recovery::Never, "{lasting}");
        }
        assert_eq!(recovery("API Error: JSON Parse error", Some("rate_limit")), Recovery::Limited);
        assert_eq!(recovery("temporary", Some("model_not_found")), Recovery::Never);
    }

    #[test]
    fn refused_login_differs_from_other_failures() {
        for refused in ["{\"error\":{\"code\":401}}", "x (HTTP 401).", "Error: Authentication failed with provider"] {
            assert!(is_login_refused(refused), "{refused}");
        }
        assert!(!is_login_refused("status 400: 401 tokens are too many"));
    }

    #[test]
    fn error_object_of_a_provider_is_readable() {
        let object = r#"{"error":{"code":"400","message":"scripted","param":null,"type":"x"}}"#;
        assert_eq!(readable_error(object), "scripted (status 400)");
        assert_eq!(readable_error(&format!("API error: {object}")), "scripted (status 400)");
        assert_eq!(readable_error("{not json"), "{not json");
        assert_eq!(recovery(&readable_error(r#"{"error":{"code":503,"message":"m"}}"#), None), Recovery::Soon);
    }

    #[test]
    fn limit_and_filter_behind_a_normal_end_are_found() {
        let of = |message: &str| HiddenEnd::of(message.to_owned());
        assert_eq!(of("Incomplete response returned, reason: max_output_tokens"), HiddenEnd::MaxTokens);
        assert_eq!(of("Incomplete response returned, reason: content_filter"), HiddenEnd::Filtered);
        assert_eq!(of("gone"), HiddenEnd::Failed("gone".to_owned()));
    }

    #[test]
    fn limits_of_subscriptions_pass_at_the_time_that_they_name() {
        // 14:00 in Berlin.
        let now: Timestamp = "2026-11-29T13:00:00Z".parse().unwrap();
        let seconds = |message: &str| match recovery_at(message, None, now) {
            Recovery::After(time) => time.as_secs(),
            other => panic!("{message}: {other:?}"),
        };
        let hour = 3600;
        assert_eq!(seconds("You've hit your session limit · resets 10pm (Europe/Berlin)"), 8 * hour);
        assert_eq!(seconds("You've hit your limit · resets 3:30am (Europe/Berlin)"), 13 * hour + hour / 2);
        assert_eq!(seconds("You've hit your weekly limit · resets Dec 6, 1pm (UTC)"), 7 * 24 * hour);
        assert_eq!(seconds("Claude AI usage limit reached|1795964400"), 2 * hour);
        assert_eq!(
            seconds(
                "You've hit your usage limit. Upgrade to Pro (https://x/y) or try again in 3 days 4 hours 12 minutes."
            ),
            3 * 24 * hour + 4 * hour + 720
        );
        assert_eq!(
            seconds("You have exhausted your capacity on this model. Your quota will reset after 3h20m15s."),
            12_015
        );
        assert_eq!(seconds("Quota exceeded for metric: x, limit: 5. Please retry in 41.2s."), 41);
        for unknown in [
            "You've hit your limit · resets 3am",
            "You've hit your usage limit. Try again at 3:14 PM.",
            "You've hit your usage limit. Try again at Dec 3rd, 2026 3:14 PM.",
            "Claude usage limit reached. Your limit will reset at 2pm.",
            // No zone of this name.
            "You've hit your limit · resets 3am (Atlantis/Center)",
            // It is that time now: the clocks differ.
            "You've hit your limit · resets 1:55pm (Europe/Berlin)",
            "Claude AI usage limit reached|17",
            // It is over: the clocks differ, or the message is old.
            "You've hit your session limit · resets Nov 28, 11:59pm (UTC)",
            // Dates and times are no lengths.
            "You've hit your usage limit. Try again in 2-3 hours.",
        ] {
            assert_eq!(recovery_at(unknown, None, now), Recovery::UsedUp, "{unknown}");
        }
    }

    #[test]
    fn full_disk_is_no_limit_of_a_provider() {
        for local in ["EDQUOT: disk quota exceeded, write '/home/x'", "stream: No space left on device"] {
            assert_eq!(recovery(local, None), Recovery::Never, "{local}");
        }
        let dated = recovery("429 Too Many Requests, retry after 2026-11-30T10:00Z", None);
        assert_eq!(dated, Recovery::Limited);
        let new_year: Timestamp = "2026-12-31T23:00:00Z".parse().unwrap();
        let limit = "You've hit your weekly limit · resets Jan 2, 1am (UTC)";
        assert_eq!(recovery_at(limit, None, new_year), Recovery::After(Duration::from_secs(26 * 3600)));
    }

    #[test]
    fn answer_of_a_model_pauses_for_an_hour_at_most() {
        let of = |message| recovery(message, None).of_answer();
        assert_eq!(of("rate limit: try again in 30 days"), Recovery::UsedUp);
        assert_eq!(of("rate limit: try again in 20 s"), Recovery::After(Duration::from_secs(20)));
    }

    #[test]
    fn time_of_the_provider_is_read() {
        let seconds = |message: &str| match recovery(message, Some("rate_limit")) {
            Recovery::After(time) => time.as_secs(),
            other => panic!("{message}: {other:?}"),
        };
        assert_eq!(seconds("Rate limit reached. Please try again in 20s."), 20);
        assert_eq!(seconds("Please retry in 1h 3m 20s"), 3800);
        assert_eq!(seconds("rate limited, retry after 120 seconds"), 120);
        assert_eq!(seconds("usage limit reached; try again in 3 days and 2 hours"), 266_400);
        assert_eq!(seconds("retry after 120"), 120);
        assert_eq!(seconds("try again in 900 days"), 31 * 24 * 3600);
        for none in ["try again in a moment", "try again later", "retry after lunch", "again in .s"] {
            assert_eq!(recovery(none, Some("rate_limit")), Recovery::Limited, "{none}");
        }
    }
}
