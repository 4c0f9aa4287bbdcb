//! Requests about issues, and their responses.

use std::collections::BTreeMap;
use std::fmt;

use kugetsu_domain::machine::Machine;
use kugetsu_domain::pull_request::PrState;
use kugetsu_domain::task::TaskState;
use kugetsu_domain::text::counted;
use serde::{Deserialize, Serialize};

use crate::endpoint::flag;
use crate::names;

/// Names an issue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueQuery {
    /// The issue in any accepted form, or the ID of its session.
    pub reference: String,
    /// The caller's absolute directory, to which `.`, `#12` and relative paths refer.
    pub cwd: String,
}

/// Selects the form of the difference between an issue's files and their base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffQuery {
    pub reference: String,
    /// The caller's absolute directory, to which `.`, `#12` and relative paths refer.
    pub cwd: String,
    /// One line per file instead of a patch.
    #[serde(default, deserialize_with = "flag")]
    pub stat: bool,
}

/// The difference between an issue's files and their base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffObject {
    /// The issue's short reference.
    pub issue: String,
    /// The commit that the files are compared with.
    pub base_sha: Option<String>,
    /// In git's format. Bytes that are not UTF-8 are replaced.
    pub diff: String,
    /// Whether the end of `diff` is missing because it is too long.
    pub truncated: bool,
}

/// The things in a worktree that programs of the user would execute, and that the agent left there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planted {
    /// Paths in the worktree, and settings of git with their file. Printable.
    pub planted: Vec<String>,
}

/// A page of the list of issues, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuesQuery {
    /// Names of states separated by commas, with `destroyed` for destroyed issues. Defaults to all.
    pub states: Option<String>,
    /// The repository: its name, `owner/repo`, URL or path. Defaults to all.
    #[serde(default)]
    pub repo: Option<String>,
    /// The caller's absolute directory, to which a path refers.
    #[serde(default)]
    pub cwd: String,
    /// Defaults to all issues.
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
    pub fn in_states(&self, states: &[TaskState]) -> u64 {
        states.iter().filter_map(|state| self.0.get(state.name())).sum()
    }
}

/// Selects destroyed issues in an [`IssuesQuery`].
pub const DESTROYED: &str = "destroyed";

/// Work that destroying an issue would remove.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AtRisk {
    /// The issue's short reference.
    pub issue: String,
    /// Number of changed and untracked files that are in no commit.
    pub uncommitted: u64,
    /// Number of commits that are neither on the server nor in a rescue.
    pub unpushed: u64,
    /// Operations of git that were started and not ended, such as `a rebase`.
    #[serde(default)]
    pub unfinished: Vec<String>,
    /// Why the worktree could not be inspected.
    pub unknown: Option<String>,
    /// The pull request, as its server described it now.
    #[serde(default)]
    pub change: Option<PrObject>,
    /// Unknown facts about the pull request, and why, as a sentence.
    #[serde(default)]
    pub change_unknown: Option<String>,
    /// Why a pull request could not be looked up without a token, as a sentence. It does not prevent the removal: unpushed work
    /// is counted without it.
    #[serde(default)]
    pub change_unseen: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrObject {
    pub url: String,
    #[serde(with = "names")]
    pub state: PrState,
    /// Whether it can still be merged.
    pub is_open: bool,
}

impl AtRisk {
    /// Whether nothing would be lost: there is no work that exists nowhere else, and no open pull request.
    pub fn is_nothing(&self) -> bool {
        self.uncommitted == 0
            && self.unpushed == 0
            && self.unfinished.is_empty()
            && self.unknown.is_none()
            && self.change_unknown.is_none()
            && !self.change.as_ref().is_some_and(|pr| pr.is_open)
    }
}

impl fmt::Display for PrObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            PrState::Draft => "a draft",
            PrState::Conflict => "open, in conflict with its base",
            PrState::Open | PrState::Merged | PrState::Closed => self.state.name(),
        };
        write!(f, "{} is {state}", self.url)
    }
}

/// Lists what would be lost; empty if nothing would be.
impl fmt::Display for AtRisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |count: u64, noun: &str| (count > 0).then(|| counted(count, noun));
        let parts = [
            count(self.uncommitted, "uncommitted file"),
            count(self.unpushed, "unpushed commit"),
            (!self.unfinished.is_empty()).then(|| format!("{} that is unfinished", self.unfinished.join(" and "))),
            self.unknown.as_ref().map(|why| format!("its work could not be determined ({why})")),
            self.change.as_ref().filter(|pr| pr.is_open).map(ToString::to_string),
            self.change_unknown.clone(),
        ];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

/// Sets or clears the pull request of an issue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetPrRequest {
    #[serde(flatten)]
    pub issue: IssueQuery,
    /// The URL of its page; none clears it.
    pub url: Option<String>,
}

/// The pull request of an issue after a [`SetPrRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrSet {
    /// The issue's short reference.
    pub issue: String,
    /// The URL of its page; if it was cleared, the previous one.
    pub url: Option<String>,
    /// Whether it was cleared.
    #[serde(default)]
    pub removed: bool,
    /// The state that its server reported.
    #[serde(with = "names::optional")]
    pub state: Option<PrState>,
    /// Why its server reported no state.
    pub unknown: Option<String>,
}

/// Removes an issue's files and session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestroyRequest {
    #[serde(flatten)]
    pub issue: IssueQuery,
    /// Whether to continue in spite of uncommitted or unpushed work, which is rescued in any case.
    pub discard: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destroyed {
    /// The issue's short reference.
    pub issue: String,
    /// The name of the rescue, if there was work to rescue.
    pub rescue: Option<String>,
    /// Warnings, for example that the agent could not delete its session.
    pub notes: Vec<String>,
}
