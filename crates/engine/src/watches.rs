//! The settings of a watched repository, from its entry in `config.toml`.

use std::time::Duration;

use kugetsu_domain::reference::RepoRef;
use kugetsu_domain::watch::conditions::Policy;
use kugetsu_domain::watch::feedback::{Budgets, MergePolicy, Rules};
use kugetsu_domain::watch::trust::Trust;
use kugetsu_forge::pull_request::MergeMethod;
use kugetsu_forge::references::address::Target;
use kugetsu_forge::references::parser::parse;
use kugetsu_forge::references::server_index::KnownServer;

use crate::schema::{MergeMethodName, MergeWhen, WatchEntry};

/// Feedback of one kind before a person has to decide, if the entry does not say.
const BUDGET: u32 = 3;
/// Open pull requests, if the entry does not say.
const OPEN_MAX: u32 = 5;
/// Time between two polls of a repository without a webhook, if the entry does not say.
const POLL: Duration = Duration::from_secs(30);
/// The same with a webhook: polls repair what it lost.
const POLL_WITH_HOOK: Duration = Duration::from_secs(300);

/// A watched repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// The name of its section.
    pub name: String,
    pub repo: RepoRef,
    pub policy: Policy,
    pub rules: Rules,
    pub is_paused: bool,
    pub agent: Option<String>,
    pub model: Option<String>,
    /// The branch that work starts from, and that pull requests merge into; the default branch if not set.
    pub base: Option<String>,
    /// Commands that have to succeed at the head before a review is requested: programs with their arguments.
    pub verify: Vec<Vec<String>>,
    pub is_draft: bool,
    pub method: Option<MergeMethod>,
    pub closes_issue: bool,
    pub deletes_branch: bool,
    poll: Option<Duration>,
}

impl Watch {
    /// # Errors
    /// Why the entry is not valid, as a sentence.
    pub fn new(name: &str, entry: WatchEntry, servers: &[KnownServer]) -> Result<Self, String> {
        let address = parse(&entry.repo, servers, None).map_err(|error| format!("repo: {error}"))?;
        let (Some(base), Target::Repo) = (address.base, address.target) else {
            return Err(format!("repo must be a repository on a known server, not {:?}", entry.repo));
        };
        if base.is_local() {
            return Err("repo must be on a server: a local repository has no labels".to_owned());
        }
        let non_empty = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let (label, assignee) = (non_empty(entry.label), non_empty(entry.assignee));
        if label.is_none() && assignee.is_none() {
            return Err("label or assignee must say which issues are handed over".to_owned());
        }
        let trust = non_empty(entry.trust).map_or(Ok(Trust::Members), |trust| trust.parse())?;
        let budget = entry.max_feedback.unwrap_or(BUDGET);
        let budgets =
            Budgets { verify: budget, conflict: budget, ci: budget, review: budget, bot_review: budget, merge: budget };
        Ok(Self {
            name: name.to_owned(),
            repo: RepoRef { base, project: address.project },
            policy: Policy {
                label,
                assignee,
                trust,
                max_running: entry.max_running,
                max_open_pull_requests: Some(entry.max_open_prs.unwrap_or(OPEN_MAX)),
            },
            rules: Rules {
                budgets,
                merge: match entry.merge {
                    Some(MergeWhen::WhenGreen) => MergePolicy::WhenGreen,
                    Some(MergeWhen::WhenApproved) => MergePolicy::WhenApproved,
                    Some(MergeWhen::Never) | None => MergePolicy::Never,
                },
                needs_checks: entry.needs_checks.unwrap_or(true),
            },
            is_paused: entry.paused.unwrap_or(false),
            agent: non_empty(entry.agent),
            model: non_empty(entry.model),
            base: non_empty(entry.base),
            verify: entry.verify.unwrap_or_default().iter().map(|text| command(text)).collect::<Result<_, _>>()?,
            is_draft: entry.draft.unwrap_or(false),
            method: entry.merge_method.map(|method| match method {
                MergeMethodName::Merge => MergeMethod::Merge,
                MergeMethodName::Squash => MergeMethod::Squash,
                MergeMethodName::Rebase => MergeMethod::Rebase,
            }),
            closes_issue: entry.close_issue.unwrap_or(true),
            deletes_branch: entry.delete_branch.unwrap_or(true),
            poll: entry.poll,
        })
    }

    /// Time between two polls.
    pub fn poll(&self, has_hook: bool) -> Duration {
        self.poll.unwrap_or(if has_hook { POLL_WITH_HOOK } else { POLL })
    }
}

/// Splits a command as a shell would, but no shell runs it.
fn command(text: &str) -> Result<Vec<String>, String> {
    match shlex::split(text) {
        Some(words) if !words.is_empty() => Ok(words),
        _ => Err(format!("verify: {text:?} is empty, or a quote in it is not closed")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn watch(entry: Value) -> Result<Watch, String> {
        Watch::new("api", serde_json::from_value(entry).map_err(|error| error.to_string())?, &[])
    }

    #[test]
    fn entry_needs_a_repository_on_a_server_and_a_way_to_hand_issues_over() {
        let watched = watch(json!({"repo": "https://github.com/acme/api", "label": "agent"})).unwrap();
        assert_eq!(watched.repo.to_string(), "github.com/acme/api");
        assert_eq!((watched.policy.trust, watched.rules.merge), (Trust::Members, MergePolicy::Never));
        assert!(watched.rules.needs_checks && watched.closes_issue && watched.deletes_branch && !watched.is_draft);
        for (entry, reason) in [
            (json!({"repo": "https://github.com/acme/api"}), "label or assignee"),
            (json!({"repo": "https://github.com/acme/api", "label": " "}), "label or assignee"),
            (json!({"repo": "https://github.com/acme/api/issues/1", "label": "a"}), "a repository"),
            (json!({"repo": "local/x", "label": "a"}), "repo"),
            (json!({"repo": "https://github.com/acme/api", "label": "a", "trust": "every one"}), "every one"),
        ] {
            let error = watch(entry.clone()).unwrap_err();
            assert!(error.contains(reason), "{entry}: {error}");
        }
    }

    #[test]
    fn polls_are_rarer_with_a_webhook() {
        let entry = json!({"repo": "https://github.com/acme/api", "assignee": "robot"});
        let watched = watch(entry.clone()).unwrap();
        assert!(watched.poll(true) > watched.poll(false));
        let mut own = entry;
        own["poll"] = "7s".into();
        assert_eq!(watch(own).unwrap().poll(true), Duration::from_secs(7));
    }
}
