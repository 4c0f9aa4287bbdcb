//! How a run ended, as a verdict and a sentence. Pure: decided from how the agent's part ended, the worktree's status and
//! the result of the push.

use kugetsu_agent::{SessionId, StopReason, Turn, Usage};
use kugetsu_api::run::Usage as WireUsage;
use kugetsu_domain::run::Verdict;
use kugetsu_domain::text::counted;
use kugetsu_git::names::Oid;
use kugetsu_git::worktree::lock::ATTACHED;

use crate::control::clocks::Expired;
use crate::control::interrupts::Interruption;

/// How the agent's part ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The agent ended its turn.
    Turn {
        /// As the agent reported it, corrected by its own record of the session.
        turn: Turn,
        session: SessionId,
    },
    /// The agent, its model or the host failed.
    Failed(String),
    Expired(Expired),
    /// The run was canceled.
    Canceled,
    /// The issue has another run now; nothing more may be done.
    Superseded,
    /// A user is attached to the session, so the agent was not started.
    Attached,
}

impl From<Interruption> for End {
    fn from(interruption: Interruption) -> Self {
        match interruption {
            Interruption::Expired(expired) => Self::Expired(expired),
            Interruption::Canceled => Self::Canceled,
            Interruption::Superseded => Self::Superseded,
            Interruption::RecordsBroken(why) => {
                Self::Failed(format!("cannot write the run's records: {why}; is the disk full?"))
            }
        }
    }
}

/// The worktree after the agent's part, as the host sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inspection {
    /// Commits on top of the base.
    pub(crate) commits: u64,
    /// How many files have changes that are in no commit.
    pub(crate) uncommitted: u64,
    /// The names of some of them.
    pub(crate) uncommitted_names: Vec<String>,
    /// Branches with commits that are not part of what is pushed.
    pub(crate) unpushed_branches: Vec<String>,
    /// Why the worktree could not be inspected.
    pub(crate) error: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Push {
    /// There was nothing to push, or no attempt was made.
    None,
    Done {
        branch: String,
    },
    /// Only the user can make it work: credentials, a protected branch, commits of others.
    NeedsPerson(String),
    /// It failed, and may work another time.
    Failed(String),
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct RunResult {
    pub(crate) verdict: Verdict,
    pub(crate) reason: String,
    pub(crate) head: Option<Oid>,
    pub(crate) commits: u64,
    pub(crate) pushed: bool,
    pub(crate) usage: WireUsage,
}

impl RunResult {
    /// The result of a run that changed nothing in the worktree.
    pub(crate) fn without_work(end: &End) -> Self {
        let (verdict, reason) = verdict(end, &Inspection::default(), &Push::None);
        Self { verdict, reason, head: None, commits: 0, pushed: false, usage: WireUsage::default() }
    }

    pub(crate) fn with_usage(self, usage: &Usage) -> Self {
        let usage = WireUsage {
            cost_usd: usage.cost_usd.unwrap_or_default(),
            input_tokens: usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens,
            output_tokens: usage.output_tokens + usage.reasoning_tokens,
        };
        Self { usage, ..self }
    }
}

/// Whether the agent's part ended well enough for its commits to leave the machine.
pub(crate) fn is_publishable(end: &End) -> bool {
    match end {
        End::Turn { turn, .. } => turn.stop == StopReason::EndTurn && turn.doubt.is_none(),
        _ => false,
    }
}

pub(crate) fn verdict(end: &End, inspection: &Inspection, push: &Push) -> (Verdict, String) {
    match end {
        End::Canceled | End::Superseded => (Verdict::Canceled, "canceled on request; the work is kept".to_owned()),
        End::Expired(expired) => (Verdict::Timeout, format!("{expired}; the work is kept")),
        End::Failed(why) => (Verdict::Failed, why.clone()),
        End::Attached => {
            (Verdict::Blocked, format!("{ATTACHED}; detach, then run the task again with `kugetsu queue retry`"))
        }
        End::Turn { turn, .. } => of_turn(turn, inspection, push),
    }
}

/// The end of a turn is not the end of a task: a turn that ended without an error is only `done` if nothing was refused,
/// the worktree could be inspected, and the commits, if there are any, were pushed. The first thing that is wrong decides.
fn of_turn(turn: &Turn, inspection: &Inspection, push: &Push) -> (Verdict, String) {
    let failed = |why: &str| (Verdict::Failed, why.to_owned());
    if let Some(doubt) = &turn.doubt {
        return failed(doubt);
    }
    match turn.stop {
        StopReason::EndTurn => {}
        StopReason::MaxTokens => {
            return failed("the model's answer reached its maximum length; `kugetsu continue` resumes the work");
        }
        StopReason::MaxRequests => {
            return failed(
                "the agent reached its maximum number of model requests per turn; `kugetsu continue` resumes the work",
            );
        }
        StopReason::Refused => return failed("the model refused to continue"),
        StopReason::Cancelled => return failed("the agent reported a cancelled turn, but nothing had cancelled it"),
    }
    if let Some(refusal) = turn.refused.first() {
        let more = match turn.refused.len() - 1 {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        return (
            Verdict::Blocked,
            format!("the agent was denied permission: {} ({}){more}", refusal.title, refusal.reason),
        );
    }
    if let Some(error) = &inspection.error {
        return (
            Verdict::Failed,
            format!("the agent ended its turn, but the worktree could not be inspected: {error}"),
        );
    }
    match push {
        Push::NeedsPerson(why) => (Verdict::Blocked, format!("could not push the work: {why}")),
        Push::Failed(why) => (Verdict::Failed, format!("could not push the work: {why}")),
        Push::Done { branch } => {
            let commits = counted(inspection.commits, "commit");
            (Verdict::Done, format!("{commits} pushed to {branch}{}", left_behind(inspection)))
        }
        Push::None => (Verdict::Done, format!("the agent ended its turn; no commits{}", left_behind(inspection))),
    }
}

/// Mentions work that is not pushed: files that are in no commit, and commits on other branches.
fn left_behind(inspection: &Inspection) -> String {
    format!("{}{}", files(inspection), branches(&inspection.unpushed_branches))
}

fn branches(unpushed: &[String]) -> String {
    match unpushed {
        [] => String::new(),
        [one] => format!("; {one} has commits that are not pushed"),
        [one, two] => format!("; {one} and {two} have commits that are not pushed"),
        [one, two, more @ ..] => {
            format!("; {one}, {two} and {} more have commits that are not pushed", more.len())
        }
    }
}

fn files(inspection: &Inspection) -> String {
    let shown = inspection.uncommitted_names.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
    match inspection.uncommitted {
        0 => String::new(),
        1 => format!("; 1 file is not committed: {shown}"),
        more if more as usize > 3 => format!("; {more} files are not committed: {shown}, ..."),
        more => format!("; {more} files are not committed: {shown}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_is_not_pushed_is_mentioned_by_name() {
        let inspection = |branches: &[&str]| Inspection {
            uncommitted: 1,
            uncommitted_names: vec!["a.txt".to_owned()],
            unpushed_branches: branches.iter().map(|name| (*name).to_owned()).collect(),
            ..Inspection::default()
        };
        assert_eq!(left_behind(&Inspection::default()), "");
        assert_eq!(left_behind(&inspection(&[])), "; 1 file is not committed: a.txt");
        assert_eq!(
            left_behind(&inspection(&["x"])),
            "; 1 file is not committed: a.txt; x has commits that are not pushed"
        );
        assert!(left_behind(&inspection(&["x", "y"])).ends_with("; x and y have commits that are not pushed"));
        assert!(
            left_behind(&inspection(&["x", "y", "z"])).ends_with("; x, y and 1 more have commits that are not pushed")
        );
    }
}
