//! How a run ended, in one word and a sentence: decided from what the agent said, what the host found and what became of
//! the push. Pure.

use kugetsu_agent::{SessionId, StopReason, Turn};
use kugetsu_domain::run::Verdict;
use kugetsu_domain::text::counted;
use kugetsu_git::worktree::lock::ATTACHED;

use super::clocks::Expired;

/// How the agent's part ended.
#[derive(Debug)]
pub(crate) enum End {
    /// It ended its turn.
    Turn {
        /// What it said of it, corrected by what it wrote down.
        turn: Turn,
        /// The session that it was in.
        session: SessionId,
    },
    /// It, or its model, failed.
    Failed(String),
    /// A clock ran out.
    Expired(Expired),
    /// Somebody canceled the run.
    Canceled,
    /// The daemon gave the issue to another run; nothing more is to be done.
    Superseded,
    /// A person is at the agent's own screen, so it never began.
    Attached,
}

/// What the host found in the worktree after the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Commits on top of the base.
    pub(crate) commits: u64,
    /// Files that are in no commit: how many, and some of their names.
    pub(crate) uncommitted: u64,
    /// Some of their names.
    pub(crate) names: Vec<String>,
    /// Branches with commits that are not part of what is pushed.
    pub(crate) left: Vec<String>,
    /// Why it could not be found out.
    pub(crate) unknown: Option<String>,
}

/// What became of the push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Push {
    /// There was nothing to push, or it was not tried.
    None,
    /// The work is on this branch.
    Done {
        /// The branch.
        branch: String,
    },
    /// Only a person can make it work: credentials, a protected branch, somebody else's commits.
    NeedsPerson(String),
    /// It failed, and may work another time.
    Failed(String),
}

/// Whether the agent's part ended well enough for its commits to leave the machine.
pub(crate) fn is_publishable(end: &End) -> bool {
    match end {
        End::Turn { turn, .. } => turn.stop == StopReason::EndTurn && turn.doubt.is_none(),
        _ => false,
    }
}

/// The verdict and its reason.
pub(crate) fn verdict(end: &End, found: &Found, push: &Push) -> (Verdict, String) {
    match end {
        End::Canceled | End::Superseded => (Verdict::Canceled, "canceled on request; the work is kept".to_owned()),
        End::Expired(expired) => (Verdict::Timeout, format!("{expired}; the work is kept")),
        End::Failed(why) => (Verdict::Failed, why.clone()),
        End::Attached => {
            (Verdict::Blocked, format!("{ATTACHED}; when they have left it, `kugetsu queue retry` begins this again"))
        }
        End::Turn { turn, .. } => of_turn(turn, found, push),
    }
}

fn of_turn(turn: &Turn, found: &Found, push: &Push) -> (Verdict, String) {
    let failed = |why: &str| (Verdict::Failed, why.to_owned());
    if let Some(doubt) = &turn.doubt {
        return failed(doubt);
    }
    match turn.stop {
        StopReason::EndTurn => {}
        StopReason::MaxTokens => {
            return failed("the model reached the longest answer it may give; `kugetsu continue` goes on");
        }
        StopReason::MaxRequests => {
            return failed("the agent asked its model as often as it may in one turn; `kugetsu continue` goes on");
        }
        StopReason::Refused => return failed("the model refused to continue"),
        StopReason::Cancelled => {
            return failed("the agent says that its turn was cancelled, but nobody asked for that");
        }
    }
    if let Some(refusal) = turn.refused.first() {
        let more = match turn.refused.len() - 1 {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        return (Verdict::Blocked, format!("the agent was not allowed: {} ({}){more}", refusal.title, refusal.reason));
    }
    if let Some(unknown) = &found.unknown {
        return (Verdict::Failed, format!("the agent ended its turn, but the worktree could not be read: {unknown}"));
    }
    match push {
        Push::NeedsPerson(why) => (Verdict::Blocked, format!("the work could not be pushed: {why}")),
        Push::Failed(why) => (Verdict::Failed, format!("the work could not be pushed: {why}")),
        Push::Done { branch } => {
            (Verdict::Done, format!("{} pushed to {branch}{}", counted(found.commits, "commit"), rest(found)))
        }
        Push::None => (Verdict::Done, format!("the agent ended its turn; no commits{}", rest(found))),
    }
}

/// What is not pushed is said, not hidden: files that are in no commit, and commits on other branches.
fn rest(found: &Found) -> String {
    format!("{}{}", files(found), branches(&found.left))
}

fn branches(left: &[String]) -> String {
    match left {
        [] => String::new(),
        [one] => format!("; {one} has commits that are not pushed"),
        [one, two] => format!("; {one} and {two} have commits that are not pushed"),
        [one, two, more @ ..] => {
            format!("; {one}, {two} and {} more have commits that are not pushed", more.len())
        }
    }
}

fn files(found: &Found) -> String {
    let shown = found.names.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
    match found.uncommitted {
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
    fn what_is_not_pushed_is_said_by_name() {
        let left = |names: &[&str]| Found {
            uncommitted: 1,
            names: vec!["a.txt".to_owned()],
            left: names.iter().map(|name| (*name).to_owned()).collect(),
            ..Found::default()
        };
        assert_eq!(rest(&Found::default()), "");
        assert_eq!(rest(&left(&[])), "; 1 file is not committed: a.txt");
        assert_eq!(rest(&left(&["x"])), "; 1 file is not committed: a.txt; x has commits that are not pushed");
        assert!(rest(&left(&["x", "y"])).ends_with("; x and y have commits that are not pushed"));
        assert!(rest(&left(&["x", "y", "z"])).ends_with("; x, y and 1 more have commits that are not pushed"));
    }
}
