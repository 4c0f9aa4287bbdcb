//! Issues: how they are asked about, and how they are destroyed.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::run::State;

/// Names an issue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueQuery {
    /// The issue: any accepted shape, or a session's identifier.
    pub reference: String,
    /// The caller's directory, absolute.
    pub cwd: String,
}

/// A page of the list of issues, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuesQuery {
    /// Names of states separated by commas, with `destroyed` for destroyed issues; all if there is none.
    pub states: Option<String>,
    /// All issues if there is none.
    pub limit: Option<u32>,
    /// The ID of the last task of the previous page.
    pub after: Option<String>,
}

/// The number of issues in each state, with `destroyed` for destroyed issues.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IssueCounts(pub BTreeMap<String, u64>);

impl IssueCounts {
    pub fn destroyed(&self) -> u64 {
        self.0.get(DESTROYED).copied().unwrap_or_default()
    }

    /// Returns the number of issues in one of these states that are not destroyed.
    pub fn in_states(&self, states: &[State]) -> u64 {
        states.iter().filter_map(|state| self.0.get(state.name())).sum()
    }
}

/// Selects destroyed issues in an [`IssuesQuery`].
pub const DESTROYED: &str = "destroyed";

/// What removing an issue's files would take away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AtRisk {
    /// The issue's short reference.
    pub issue: String,
    /// Changed and untracked files that are in no commit.
    pub uncommitted: u64,
    /// Commits that are neither on the server nor in a rescue.
    pub unpushed: u64,
    /// Why that could not be found out, where it could not.
    pub unknown: Option<String>,
    /// The issue's pull or merge request, as its server described it now.
    #[serde(default)]
    pub change: Option<ChangeObject>,
    /// That something about a pull or merge request is not known, and why, as a sentence.
    #[serde(default)]
    pub change_unknown: Option<String>,
    /// That only a token could see whether there is one, as a sentence. It stands in nobody's way: work that is not pushed
    /// counts all the same.
    #[serde(default)]
    pub change_unseen: Option<String>,
}

/// A pull or merge request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeObject {
    /// The address of its page.
    pub url: String,
    /// What has become of it: open, draft, conflict, merged or closed.
    pub state: String,
    /// Whether it still waits to be merged.
    pub is_open: bool,
}

impl AtRisk {
    /// Whether there is nothing to lose: no work that is nowhere else, and no change that waits for more.
    pub fn is_nothing(&self) -> bool {
        self.uncommitted == 0
            && self.unpushed == 0
            && self.unknown.is_none()
            && self.change_unknown.is_none()
            && !self.change.as_ref().is_some_and(|change| change.is_open)
    }
}

impl fmt::Display for ChangeObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state.as_str() {
            "draft" => "a draft",
            "conflict" => "open, in conflict with its base",
            state => state,
        };
        write!(f, "{} is {state}", self.url)
    }
}

/// Lists what would be lost; empty if there is nothing.
impl fmt::Display for AtRisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |count: u64, one: &str, more: &str| match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            many => Some(format!("{many} {more}")),
        };
        let open = self.change.as_ref().filter(|change| change.is_open);
        let parts = [
            count(self.uncommitted, "uncommitted file", "uncommitted files"),
            count(self.unpushed, "unpushed commit", "unpushed commits"),
            self.unknown.as_ref().map(|why| format!("its work could not be determined ({why})")),
            open.map(ToString::to_string),
            self.change_unknown.clone(),
        ];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

/// Says which pull or merge request belongs to an issue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRequest {
    /// The issue.
    #[serde(flatten)]
    pub issue: IssueQuery,
    /// The address of its page; none takes back what was said before.
    pub url: Option<String>,
}

/// Which pull or merge request belongs to an issue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeNamed {
    /// The issue's short reference.
    pub issue: String,
    /// The address of its page. Where it was taken back, the one that it was, if there was one.
    pub url: Option<String>,
    /// Whether it was taken back.
    #[serde(default)]
    pub removed: bool,
    /// What has become of it, where its server said so.
    pub state: Option<String>,
    /// Why its server did not say so, where it did not.
    pub unknown: Option<String>,
}

/// Removes an issue's files and session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestroyRequest {
    /// The issue.
    #[serde(flatten)]
    pub issue: IssueQuery,
    /// Go on although there is uncommitted or unpushed work; it is rescued all the same.
    pub discard: bool,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destroyed {
    /// The issue's short reference.
    pub issue: String,
    /// Where the state was rescued to, where there was something to rescue.
    pub rescue: Option<String>,
    /// What else there is to say, for example that the agent could not be asked to delete its session.
    pub notes: Vec<String>,
}
