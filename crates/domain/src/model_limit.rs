//! Limits of model providers: which tasks wait for the end of one, and for how long.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::reason::Reason;
use crate::reference::IssueRef;

/// How it is found out whether an agent works again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    Later,
    /// One task may start.
    Next,
    Running,
}

/// The first wait if the provider does not name a time. Each further one doubles it.
pub const FIRST_WAIT: SignedDuration = SignedDuration::from_mins(1);
pub const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(1);

/// Runs that share the limits of a provider: those of an agent, or those with models of one provider if the names of its models
/// begin with it, as in `anthropic/opus`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Account {
    pub agent: String,
    /// `None` if it is not known.
    pub provider: Option<String>,
}

impl Account {
    pub fn of(agent: &str, model: Option<&str>) -> Self {
        Self { agent: agent.to_owned(), provider: model.and_then(provider).map(str::to_owned) }
    }

    /// Whether they may be the same. An unknown provider may be any of the agent's.
    pub fn may_be(&self, other: &Self) -> bool {
        let unknown = self.provider.is_none() || other.provider.is_none();
        self.agent == other.agent && (unknown || self.provider == other.provider)
    }
}

/// The provider in the name of a model.
pub fn provider(model: &str) -> Option<&str> {
    model.split_once('/').map(|(provider, _)| provider).filter(|provider| !provider.is_empty())
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.provider {
            Some(provider) => write!(f, "{} ({provider})", self.agent),
            None => f.write_str(&self.agent),
        }
    }
}

/// A limit of a provider that ended the latest run of an account, and after which the model has answered no other run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelLimit {
    pub account: Account,
    /// When that run ended.
    pub since: Timestamp,
    /// The reset that the provider named, or the end of the wait.
    pub until: Timestamp,
    /// The message of the provider.
    pub reason: Reason,
    /// Whether a person has ended the wait.
    pub is_resumed: bool,
    /// The issue of a run that started later, and that the model has not answered yet.
    pub probe: Option<IssueRef>,
}

impl ModelLimit {
    pub(crate) fn probe(&self, now: Timestamp) -> Probe {
        match &self.probe {
            _ if now < self.until && !self.is_resumed => Probe::Later,
            Some(_) => Probe::Running,
            None => Probe::Next,
        }
    }

    /// Whether a task of the account may start, be it only one.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.probe(now) != Probe::Later
    }
}

/// How long an account waits after a limit without a known end. `before` is the limit that it had last, and `started` the start of the
/// run that met this one.
pub fn wait(before: Option<&ModelLimit>, started: Timestamp) -> SignedDuration {
    let Some(before) = before.filter(|before| !before.is_resumed) else { return FIRST_WAIT };
    let last = before.until.duration_since(before.since);
    // Runs that met it together wait together.
    let next = if started < before.since { last } else { last.saturating_mul(2) };
    next.clamp(FIRST_WAIT, LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn limit(since: i64, until: i64) -> ModelLimit {
        ModelLimit {
            account: Account::of("a", None),
            since: at(since),
            until: at(until),
            reason: Reason::default(),
            is_resumed: false,
            probe: None,
        }
    }

    #[test]
    fn only_known_providers_make_accounts_different() {
        let [anthropic, openai, unknown] =
            [Some("anthropic/x"), Some("openai/x"), None].map(|model| Account::of("opencode", model));
        assert!(!anthropic.may_be(&openai) && anthropic.may_be(&anthropic));
        assert!(unknown.may_be(&openai) && openai.may_be(&unknown));
        assert!(!unknown.may_be(&Account::of("claude", None)));
        assert_eq!(Account::of("claude", Some("opus")).to_string(), "claude");
        assert_eq!(anthropic.to_string(), "opencode (anthropic)");
    }

    #[test]
    fn wait_doubles_up_to_an_hour() {
        let seconds = |before: Option<&ModelLimit>, started| wait(before, at(started)).as_secs();
        assert_eq!(seconds(None, 0), 60);
        assert_eq!(seconds(Some(&limit(100, 160)), 161), 120);
        assert_eq!(seconds(Some(&limit(100, 160)), 90), 60, "it ran beside that one");
        assert_eq!(seconds(Some(&limit(100, 100 + 2000)), 9000), 3600);
        assert_eq!(seconds(Some(&limit(100, 100 + 90_000)), 99_000), 3600, "the provider named that time");
        assert_eq!(seconds(Some(&ModelLimit { is_resumed: true, ..limit(100, 900) }), 300), 60);
    }

    #[test]
    fn one_task_at_a_time_tries_an_account() {
        assert_eq!(limit(0, 60).probe(at(59)), Probe::Later);
        assert_eq!(limit(0, 60).probe(at(60)), Probe::Next);
        assert_eq!(ModelLimit { is_resumed: true, ..limit(0, 60) }.probe(at(1)), Probe::Next);
        let tried = ModelLimit { probe: Some(IssueRef::coordinator()), ..limit(0, 60) };
        assert_eq!(tried.probe(at(60)), Probe::Running);
        assert_eq!(tried.probe(at(59)), Probe::Later, "it started before the wait was over");
    }
}
