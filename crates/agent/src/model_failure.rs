//! Failures of a model's provider: whether they pass, and when.
//!
//! Agents quote the provider, or write messages of their own. Nothing but these messages shows what failed.

use std::time::Duration;

use serde_json::Value;

/// Whether a failure passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Trying again does not help: the request, the login or the model is wrong.
    Never,
    /// It may help to try again.
    Soon,
    /// After the time that the provider names.
    After(Duration),
}

/// Longest time that is believed. A provider's limits are reset at least once a month.
const AFTER_MAX: Duration = Duration::from_secs(31 * 24 * 3600);

/// Kinds of failures that pass, as agents name them in the data of an error (claude 0.101.0).
const PASSING_KINDS: &[&str] = &["rate_limit", "server_error", "overloaded"];
/// Kinds that do not.
const LASTING_KINDS: &[&str] = &["model_not_found", "invalid_request", "authentication_failed", "billing_error"];
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
];
/// Names of a status in a message, in lower case.
const STATUS_NAMES: &[&str] = &["error", "status", "http", "code", "rejected", "request"];

/// Returns whether a failure passes. `kind` is the agent's name for it, if it has one.
pub(crate) fn recovery(message: &str, kind: Option<&str>) -> Recovery {
    if kind.is_some_and(|kind| LASTING_KINDS.contains(&kind)) {
        return Recovery::Never;
    }
    let message = message.to_ascii_lowercase();
    let passes = match status(&message) {
        Some(status) => matches!(status, 408 | 409 | 425 | 429 | 500..=599),
        None => {
            kind.is_some_and(|kind| PASSING_KINDS.contains(&kind)) || PASSING.iter().any(|part| message.contains(part))
        }
    };
    match (passes, after(&message)) {
        (true, Some(time)) => Recovery::After(time),
        (true, None) => Recovery::Soon,
        (false, _) => Recovery::Never,
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

/// Finds when to try again in a message in lower case, such as `try again in 20s` or `retry after 120 seconds`.
fn after(message: &str) -> Option<Duration> {
    let starts = ["again in ", "retry in ", "retry after ", "retry-after: ", "resets in ", "reset after ", "reset in "];
    let rest = starts.iter().find_map(|start| message.split_once(start).map(|(_, rest)| rest))?;
    let mut total = None;
    let mut rest = rest.trim_start();
    // `1h 3m 20s`, `3h`, `20.5 seconds`, `120`.
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let Ok(number) = rest[..digits].trim_end_matches('.').parse::<f64>() else { break };
        let unit_at = rest[digits..].trim_start();
        let letters = unit_at.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(unit_at.len());
        let seconds = match &unit_at[..letters] {
            "ms" | "milliseconds" => 0.001,
            "" | "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3600.0,
            "d" | "day" | "days" => 86400.0,
            _ => break,
        };
        let time = Duration::try_from_secs_f64(number * seconds).unwrap_or(AFTER_MAX);
        total = Some(total.unwrap_or(Duration::ZERO).saturating_add(time).min(AFTER_MAX));
        rest = unit_at[letters..].trim_start_matches([' ', ',']).trim_start_matches("and ");
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_that_pass_differ_from_others() {
        for passing in [
            "API Error: Request rejected (429) · scripted status 429",
            "429 scripted status 429",
            "API Error: 500 scripted status 500. This is a server-side issue, usually temporary",
            "unexpected status 503 Service Unavailable: x, url: http://model/v1/responses",
            "stream disconnected before completion: stream closed before response.completed",
            "We’re currently experiencing high demand, which may cause temporary errors.",
            "API Error: Connection to the API was lost (ECONNRESET).",
            "exceeded retry limit, last status: 429 Too Many Requests",
            "HTTP/1.1 502 Bad Gateway",
            "terminated",
        ] {
            assert_eq!(recovery(passing, None), Recovery::Soon, "{passing}");
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
        assert_eq!(recovery("API Error: JSON Parse error", Some("rate_limit")), Recovery::Soon);
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
        assert_eq!(seconds("try again in 900 days"), AFTER_MAX.as_secs());
        for none in ["try again in a moment", "try again later", "retry after lunch", "again in .s"] {
            assert_eq!(recovery(none, Some("rate_limit")), Recovery::Soon, "{none}");
        }
    }
}
