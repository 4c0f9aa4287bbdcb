//! The settings of a watched repository, from its entry in `config.toml`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kugetsu_domain::reference::{ForgeKind, RepoRef};
use kugetsu_domain::watch::conditions::Policy;
use kugetsu_domain::watch::feedback::{Budgets, CHECKS_GRACE, MergePolicy, Rules};
use kugetsu_domain::watch::publication::StateLabel;
use kugetsu_domain::watch::trust::{Trust, login};
use kugetsu_forge::pull_request::MergeMethod;
use kugetsu_forge::references::address::Target;
use kugetsu_forge::references::parser::parse;
use kugetsu_forge::references::server_index::KnownServer;
use kugetsu_forge::servers::public_servers;

use crate::schema::{
    AgentNetwork, FeedbackLimits, MaxFeedback, MergeMethodName, MergeWhen, RepoFile, WatchEntry, WatchRule,
};

/// Feedback of one kind before a person has to decide, if the entry does not say.
pub const BUDGET: u32 = 3;
/// Reviewers of a watch.
const REVIEWERS_MAX: usize = 10;
/// Open pull requests, if the entry does not say.
pub const OPEN_MAX: u32 = 5;
/// Time between two polls of a repository without a webhook, if the entry does not say.
pub const POLL: Duration = Duration::from_secs(30);
/// The same with a webhook: polls repair what it lost.
pub const POLL_WITH_HOOK: Duration = Duration::from_secs(300);
/// The same on GitLab, where a poll is two requests: issues and merge requests are separate lists.
pub const POLL_WITH_HOOK_ON_GITLAB: Duration = Duration::from_secs(600);
/// Time after a change during which the comments of its issue are read again with each poll, if the server refuses something about
/// them.
pub const REFUSED_AGAIN: SignedDuration = SignedDuration::from_hours(1);
/// Time after which the file of a repository is read again for issues that were started.
pub const FILE_AGAIN: SignedDuration = SignedDuration::from_mins(10);
/// The same if there was none.
pub const FILE_AGAIN_IF_NONE: SignedDuration = SignedDuration::from_hours(1);
/// The same if a webhook reports pushes.
pub const FILE_AGAIN_WITH_HOOK: SignedDuration = SignedDuration::from_hours(24);
/// Attempts to merge that a server refuses, before the merge is left to the server, or else to a person. Servers refuse for a moment
/// after the base has moved, and while they check for conflicts.
pub const MERGE_ATTEMPTS: u32 = 5;
/// Longest time between two looks at a pull request that does not change. Polls notice what people write there; looks notice the rest.
pub const LOOK_LONGEST: SignedDuration = SignedDuration::from_mins(30);

/// A watched repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// The name of its section.
    pub name: String,
    pub repo: RepoRef,
    pub policy: Policy,
    pub feedback: Rules,
    pub is_paused: bool,
    pub agent: Option<String>,
    pub model: Option<String>,
    /// The branch that work starts from, and that pull requests merge into; the default branch if not set.
    pub base: Option<String>,
    /// Commands that have to succeed at the head before a review is requested: programs with their arguments.
    pub verify: Vec<Vec<String>>,
    /// That of its agents.
    pub network: AgentNetwork,
    /// Logins of those whose review is requested.
    pub reviewers: Vec<String>,
    pub is_draft: bool,
    pub method: Option<MergeMethod>,
    pub closes_issue: bool,
    pub deletes_branch: bool,
    /// Whether issues get a label with their state.
    pub has_state_labels: bool,
    /// Text that precedes the issue in the first prompt.
    pub prompt: Option<String>,
    pub rules: Vec<WatchRule>,
    poll: Option<Duration>,
    is_on_gitlab: bool,
    /// Its entry in `config.toml`.
    entry: WatchEntry,
}

/// How one issue is worked on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispatch {
    pub agent: Option<String>,
    pub model: Option<String>,
    pub base: Option<String>,
    pub prompt: Option<String>,
    /// Tasks with a higher one start first.
    pub priority: i32,
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
        let public = public_servers().find(|server| server.base == base).and_then(|server| server.kind);
        let kind = servers.iter().find(|server| server.base == base).and_then(|server| server.kind).or(public);
        let repo = RepoRef { base, project: address.project };
        Self::of(name, repo, kind == Some(ForgeKind::GitLab), entry)
    }

    fn of(name: &str, repo: RepoRef, is_on_gitlab: bool, entry: WatchEntry) -> Result<Self, String> {
        let whole = entry.clone();
        let (label, assignee) = (non_empty(entry.label), non_empty(entry.assignee));
        if label.is_none() && assignee.is_none() {
            return Err("label or assignee must say which issues are handed over".to_owned());
        }
        // kugetsu sets these itself, which must not hand an issue over.
        if let Some(label) = label.as_ref().filter(|label| StateLabel::from_name(label).is_some()) {
            return Err(format!(
                "label must be another one than {label:?}, with which kugetsu shows the state of an issue"
            ));
        }
        if let Some(label) = label.as_ref().filter(|label| label.chars().any(char::is_control)) {
            return Err(format!("label must not contain control characters: {label:?}"));
        }
        let trust = trust(entry.trust)?;
        let reviewers = entry.reviewers.unwrap_or_default();
        if reviewers.len() > REVIEWERS_MAX {
            return Err(format!("reviewers must be at most {REVIEWERS_MAX} logins"));
        }
        let reviewers: Result<Vec<String>, String> = reviewers.iter().map(|text| login(text)).collect();
        let reviewers = reviewers.map_err(|name| format!("reviewers: {name:?} is no login"))?;
        Ok(Self {
            name: name.to_owned(),
            repo,
            policy: Policy {
                label,
                assignee,
                trust,
                max_running: entry.max_running,
                max_open_pull_requests: Some(entry.max_open_prs.unwrap_or(OPEN_MAX)),
            },
            feedback: Rules {
                budgets: budgets(entry.max_feedback.as_ref()),
                merge: match entry.merge {
                    Some(MergeWhen::WhenGreen) => MergePolicy::WhenGreen,
                    Some(MergeWhen::WhenApproved) => MergePolicy::WhenApproved,
                    Some(MergeWhen::Never) | None => MergePolicy::Never,
                },
                needs_checks: entry.needs_checks.unwrap_or(true),
                checks_grace: checks_grace(entry.checks_grace),
            },
            is_paused: entry.paused.unwrap_or(false),
            agent: non_empty(entry.agent),
            model: non_empty(entry.model),
            base: non_empty(entry.base),
            verify: entry.verify.unwrap_or_default().iter().map(|text| command(text)).collect::<Result<_, _>>()?,
            network: entry.network.unwrap_or(AgentNetwork::AllowList),
            reviewers,
            is_draft: entry.draft.unwrap_or(false),
            method: entry.merge_method.map(|method| match method {
                MergeMethodName::Merge => MergeMethod::Merge,
                MergeMethodName::Squash => MergeMethod::Squash,
                MergeMethodName::Rebase => MergeMethod::Rebase,
            }),
            closes_issue: entry.close_issue.unwrap_or(true),
            deletes_branch: entry.delete_branch.unwrap_or(true),
            has_state_labels: entry.state_labels.unwrap_or(true),
            prompt: non_empty(entry.prompt),
            rules: entry.rules.unwrap_or_default(),
            poll: entry.poll,
            is_on_gitlab,
            entry: whole,
        })
    }

    /// Adds the settings of the repository's own file. What `config.toml` sets stays, except that limits become lower, and that
    /// trust becomes narrower.
    ///
    /// # Errors
    /// Why the file is not valid, as a sentence: then nothing of it counts.
    pub fn with_file(&self, file: &RepoFile) -> Result<Self, String> {
        let own = &self.entry;
        let RepoFile {
            trust,
            agent,
            model,
            base,
            prompt,
            rules,
            max_running,
            max_open_prs,
            max_feedback,
            verify,
            draft,
            merge,
            merge_method,
            needs_checks,
            checks_grace,
            close_issue,
            delete_branch,
        } = file;
        let lower = |own: Option<u32>, other: Option<u32>, unset: u32| match (own, other) {
            (None, Some(other)) => Some(other.min(unset)),
            (own, None) => own,
            (Some(own), Some(other)) => Some(own.min(other)),
        };
        let narrower = match trust {
            Some(text) => {
                let wanted: Trust = text.parse().map_err(|error| format!("trust: {error}"))?;
                if !wanted.is_within(&self.policy.trust) {
                    return Err(format!(
                        "trust: {wanted} is not within {}, which config.toml allows",
                        self.policy.trust
                    ));
                }
                Some(text.clone())
            }
            None => own.trust.clone(),
        };
        let entry = WatchEntry {
            trust: narrower,
            agent: own.agent.clone().or_else(|| agent.clone()),
            model: own.model.clone().or_else(|| model.clone()),
            base: own.base.clone().or_else(|| base.clone()),
            prompt: own.prompt.clone().or_else(|| prompt.clone()),
            rules: own.rules.clone().or_else(|| rules.clone()),
            max_running: lower(own.max_running, *max_running, u32::MAX),
            max_open_prs: lower(own.max_open_prs, *max_open_prs, OPEN_MAX),
            max_feedback: lower_feedback(own.max_feedback.as_ref(), max_feedback.as_ref()),
            verify: own.verify.clone().or_else(|| verify.clone()),
            draft: own.draft.or(*draft),
            merge: own.merge.or(*merge),
            merge_method: own.merge_method.or(*merge_method),
            // A head without checks is merged only if the user says so.
            needs_checks: if *needs_checks == Some(true) { Some(true) } else { own.needs_checks },
            checks_grace: longer(own.checks_grace, *checks_grace),
            close_issue: own.close_issue.or(*close_issue),
            delete_branch: own.delete_branch.or(*delete_branch),
            ..own.clone()
        };
        Self::of(&self.name, self.repo.clone(), self.is_on_gitlab, entry)
    }

    /// How an issue with these labels and of this type is worked on.
    pub fn dispatch(&self, labels: &[String], kind: Option<&str>) -> Dispatch {
        let rule = self.rule(labels, kind).cloned().unwrap_or_default();
        Dispatch {
            agent: non_empty(rule.agent).or_else(|| self.agent.clone()),
            model: non_empty(rule.model).or_else(|| self.model.clone()),
            base: non_empty(rule.base).or_else(|| self.base.clone()),
            prompt: non_empty(rule.prompt).or_else(|| self.prompt.clone()),
            priority: rule.priority.unwrap_or_default(),
        }
    }

    /// The name of the rule that an issue with these labels and of this type matches, if the rule has a limit.
    pub fn limited_rule(&self, labels: &[String], kind: Option<&str>) -> Option<String> {
        self.rule(labels, kind).filter(|rule| rule.max_running.is_some()).map(WatchRule::name)
    }

    /// The limit of the rule with this [`name`](WatchRule::name); `None` if there is no such rule any more.
    pub fn limit_of(&self, rule: &str) -> Option<u32> {
        self.rules.iter().find(|other| other.name() == rule)?.max_running
    }

    /// The first rule that an issue with these labels and of this type matches.
    fn rule(&self, labels: &[String], kind: Option<&str>) -> Option<&WatchRule> {
        let matches = |rule: &&WatchRule| {
            let has_label = rule.label.as_ref().is_none_or(|label| labels.contains(label));
            let has_kind =
                rule.kind.as_deref().is_none_or(|wanted| kind.is_some_and(|kind| kind.eq_ignore_ascii_case(wanted)));
            has_label && has_kind
        };
        self.rules.iter().find(matches)
    }

    /// Time between two polls.
    pub fn poll(&self, has_hook: bool) -> Duration {
        self.poll.unwrap_or(match (has_hook, self.is_on_gitlab) {
            (true, true) => POLL_WITH_HOOK_ON_GITLAB,
            (true, false) => POLL_WITH_HOOK,
            (false, _) => POLL,
        })
    }
}

fn budgets(limits: Option<&MaxFeedback>) -> Budgets {
    let own = |kind: fn(&FeedbackLimits) -> Option<u32>| limits.and_then(|limits| limits.of(kind)).unwrap_or(BUDGET);
    Budgets {
        verify: own(|limits| limits.verify),
        conflict: own(|limits| limits.conflict),
        ci: own(|limits| limits.ci),
        review: own(|limits| limits.review),
        bot_review: own(|limits| limits.bot_review),
    }
}

/// The limits of `own`, and those of the repository's file where they are lower.
fn lower_feedback(own: Option<&MaxFeedback>, file: Option<&MaxFeedback>) -> Option<MaxFeedback> {
    let Some(file) = file else { return own.cloned() };
    let lower = |kind: fn(&FeedbackLimits) -> Option<u32>| {
        let own = own.and_then(|own| own.of(kind)).unwrap_or(BUDGET);
        Some(file.of(kind).map_or(own, |file| file.min(own)))
    };
    Some(MaxFeedback::Kinds(FeedbackLimits {
        verify: lower(|limits| limits.verify),
        conflict: lower(|limits| limits.conflict),
        ci: lower(|limits| limits.ci),
        review: lower(|limits| limits.review),
        bot_review: lower(|limits| limits.bot_review),
    }))
}

fn checks_grace(own: Option<Duration>) -> SignedDuration {
    own.and_then(|own| SignedDuration::try_from(own).ok()).unwrap_or(CHECKS_GRACE)
}

/// The grace of `own`, and that of the repository's file where it is longer.
fn longer(own: Option<Duration>, file: Option<Duration>) -> Option<Duration> {
    file.filter(|file| checks_grace(Some(*file)) > checks_grace(own)).or(own)
}

fn non_empty(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}

fn trust(text: Option<String>) -> Result<Trust, String> {
    non_empty(text).map_or(Ok(Trust::Members), |trust| trust.parse().map_err(|error| format!("trust: {error}")))
}

/// The files of watched repositories that were read. A daemon that starts reads them again.
#[derive(Debug, Default)]
pub(crate) struct RepoFiles(Mutex<HashMap<RepoRef, KnownFile>>);

/// A file as it was read.
#[derive(Clone, Debug)]
pub(crate) struct KnownFile {
    pub(crate) read_at: Timestamp,
    /// Or why it is not valid.
    pub(crate) file: Result<RepoFile, String>,
}

impl RepoFiles {
    pub(crate) fn get(&self, repo: &RepoRef) -> Option<KnownFile> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(repo).cloned()
    }

    pub(crate) fn set(&self, repo: &RepoRef, known: KnownFile) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(repo.clone(), known);
    }

    /// Makes the next use read the file again.
    pub(crate) fn forget(&self, repo: &RepoRef) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(repo);
    }
}

/// Splits a command as a shell would, but no shell runs it.
fn command(text: &str) -> Result<Vec<String>, String> {
    match shlex::split(text) {
        Some(parts) if !parts.is_empty() => Ok(parts),
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
        assert_eq!((watched.policy.trust, watched.feedback.merge), (Trust::Members, MergePolicy::Never));
        assert!(watched.feedback.needs_checks && watched.closes_issue && watched.deletes_branch && !watched.is_draft);
        for (entry, reason) in [
            (json!({"repo": "https://github.com/acme/api"}), "label or assignee"),
            (json!({"repo": "https://github.com/acme/api", "label": " "}), "label or assignee"),
            (json!({"repo": "https://github.com/acme/api", "label": "Kugetsu/Review"}), "another one"),
            (json!({"repo": "https://github.com/acme/api/issues/1", "label": "a"}), "a repository"),
            (json!({"repo": "local/x", "label": "a"}), "repo"),
            (
                json!({"repo": "https://github.com/acme/api", "label": "a", "trust": "every one"}),
                "trust: \"every one\"",
            ),
            (json!({"repo": "https://github.com/acme/api", "label": "a", "trust": ""}), "empty"),
            (json!({"repo": "https://github.com/acme/api", "label": "a\u{1b}[2Jb"}), "control characters: \"a\\u{1b}"),
        ] {
            let error = watch(entry.clone()).unwrap_err();
            assert!(error.contains(reason), "{entry}: {error}");
        }
    }

    #[test]
    fn file_of_the_repository_narrows_and_fills_in_and_never_widens() {
        let own = watch(json!({
            "repo": "https://github.com/acme/api", "label": "agent", "model": "own", "max_running": 3, "merge": "never",
        }))
        .unwrap();
        let file = |file: Value| own.with_file(&serde_json::from_value(file).unwrap());
        let all = file(json!({
            "trust": "owners", "model": "theirs", "agent": "claude", "max_running": 9, "max_open_prs": 2, "merge": "when-green",
            "needs_checks": false, "verify": ["cargo test"], "max_feedback": 50,
        }))
        .unwrap();
        assert_eq!(
            (all.policy.trust.clone(), all.feedback.merge, all.feedback.needs_checks),
            (Trust::Owners, MergePolicy::Never, true)
        );
        assert_eq!((all.model.as_deref(), all.agent.as_deref()), (Some("own"), Some("claude")));
        assert_eq!((all.policy.max_running, all.policy.max_open_pull_requests), (Some(3), Some(2)));
        assert_eq!((all.verify.len(), all.rules.len(), all.feedback.budgets.ci), (1, 0, BUDGET));
        for wider in ["collaborators", "kim"] {
            assert!(file(json!({ "trust": wider })).unwrap_err().contains("not within"), "{wider}");
        }
        for unknown in ["sandbox", "network", "credentials", "label", "repo", "poll"] {
            assert!(serde_json::from_value::<RepoFile>(json!({ unknown: "x" })).is_err(), "{unknown}");
        }
    }

    #[test]
    fn feedback_is_limited_by_kind_and_only_lowered_by_the_file() {
        let entry = |limits: Value| {
            watch(json!({"repo": "https://github.com/acme/api", "label": "agent", "max_feedback": limits}))
        };
        let own = entry(json!({ "ci": 5, "review": 2 })).unwrap();
        let budgets = own.feedback.budgets;
        assert_eq!((budgets.ci, budgets.review, budgets.verify), (5, 2, BUDGET));
        assert_eq!(entry(json!(7)).unwrap().feedback.budgets.conflict, 7);
        for invalid in [json!({ "ci": 101 }), json!({ "color": 1 }), json!("many"), json!(101)] {
            assert!(entry(invalid.clone()).is_err(), "{invalid}");
        }
        let with = |limits: Value| {
            let file = serde_json::from_value(json!({ "max_feedback": limits })).unwrap();
            let budgets = own.with_file(&file).unwrap().feedback.budgets;
            (budgets.ci, budgets.review, budgets.verify)
        };
        assert_eq!((with(json!(4)), with(json!(1))), ((4, 2, 3), (1, 1, 1)));
        assert_eq!((with(json!({ "ci": 1, "review": 9 })), with(json!({ "verify": 50 }))), ((1, 2, 3), (5, 2, 3)));
    }

    #[test]
    fn grace_for_checks_is_only_made_longer_by_the_file() {
        let entry =
            |own: Value| watch(json!({"repo": "https://github.com/acme/api", "label": "agent", "checks_grace": own}));
        let own = entry(json!("10m")).unwrap();
        assert_eq!(own.feedback.checks_grace, SignedDuration::from_mins(10));
        let unset = watch(json!({"repo": "https://github.com/acme/api", "label": "agent"})).unwrap();
        assert_eq!(unset.feedback.checks_grace, CHECKS_GRACE);
        let with = |watch: &Watch, grace: &str| {
            let file = serde_json::from_value(json!({ "checks_grace": grace })).unwrap();
            watch.with_file(&file).unwrap().feedback.checks_grace
        };
        assert_eq!(
            (with(&own, "1s"), with(&own, "1h")),
            (SignedDuration::from_mins(10), SignedDuration::from_hours(1))
        );
        assert_eq!((with(&unset, "1s"), with(&unset, "5m")), (CHECKS_GRACE, SignedDuration::from_mins(5)));
        for invalid in [json!("0s"), json!(3), json!("soon")] {
            assert!(entry(invalid.clone()).is_err(), "{invalid}");
        }
    }

    #[test]
    fn reviewers_are_a_few_logins_of_the_section() {
        let entry = |reviewers: Value| {
            watch(json!({"repo": "https://github.com/acme/api", "label": "agent", "reviewers": reviewers}))
        };
        assert_eq!(entry(json!(["@kim", "lee"])).unwrap().reviewers, ["kim", "lee"]);
        for invalid in [json!(["a/b"]), json!([""]), json!(vec!["kim"; REVIEWERS_MAX + 1])] {
            assert!(entry(invalid.clone()).unwrap_err().contains("reviewers"), "{invalid}");
        }
        assert!(serde_json::from_value::<RepoFile>(json!({ "reviewers": ["kim"] })).is_err());
    }

    #[test]
    fn first_rule_that_matches_decides() {
        let rules = json!([
            { "label": "bug", "type": "incident", "model": "big", "priority": 10 },
            { "label": "bug", "prompt": "Test first.", "max_running": 2 },
            { "type": "Bug", "agent": "claude" },
        ]);
        let entry = json!({"repo": "https://github.com/acme/api", "label": "agent", "model": "own", "rules": rules});
        let watched = watch(entry).unwrap();
        let dispatch = |labels: &[&str], kind: Option<&str>| {
            let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
            watched.dispatch(&labels, kind)
        };
        let both = dispatch(&["bug"], Some("Incident"));
        assert_eq!((both.model.as_deref(), both.priority, both.prompt), (Some("big"), 10, None));
        let labeled = dispatch(&["agent", "bug"], None);
        assert_eq!((labeled.model.as_deref(), labeled.prompt.as_deref()), (Some("own"), Some("Test first.")));
        assert_eq!(dispatch(&[], Some("bug")).agent.as_deref(), Some("claude"));
        let limited = |labels: &[&str]| {
            let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
            watched.limited_rule(&labels, None)
        };
        assert_eq!((limited(&["bug"]).as_deref(), limited(&["agent"])), (Some("label bug"), None));
        assert_eq!((watched.limit_of("label bug"), watched.limit_of("type Bug")), (Some(2), None));
        let none = dispatch(&["agent"], None);
        assert_eq!((none.agent, none.model.as_deref(), none.priority), (None, Some("own"), 0));
    }

    #[test]
    fn polls_are_rarer_with_a_webhook() {
        let entry = json!({"repo": "https://github.com/acme/api", "assignee": "robot"});
        let watched = watch(entry.clone()).unwrap();
        assert!(watched.poll(true) > watched.poll(false));
        let on_gitlab = watch(json!({"repo": "https://gitlab.com/acme/api", "assignee": "robot"})).unwrap();
        assert_eq!((on_gitlab.poll(true), on_gitlab.poll(false)), (2 * watched.poll(true), watched.poll(false)));
        let mut own = entry;
        own["poll"] = "7s".into();
        assert_eq!(watch(own).unwrap().poll(true), Duration::from_secs(7));
    }
}
