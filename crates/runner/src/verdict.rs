//! How a run ended, as a verdict and a sentence. Pure: decided from how the agent's part ended, the worktree's status and
//! the result of the push.

use jiff::Timestamp;
use kugetsu_agent::{SessionId, StopReason, Tokens, Turn, Usage};
use kugetsu_api::run::Usage as WireUsage;
use kugetsu_domain::reason::Reason;
use kugetsu_domain::reference::COORDINATOR;
use kugetsu_domain::run::Verdict;
use kugetsu_domain::text::counted;
use kugetsu_git::names::Oid;
use kugetsu_git::worktree::lock::ATTACHED;

use crate::control::clocks::Expired;
use crate::control::interrupts::Interruption;
use crate::resources::exceeded::Exceeded;

/// How the agent's part ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The agent ended its turn.
    Turn {
        /// As the agent reported it, corrected by its own record of the session.
        turn: Turn,
        session: SessionId,
    },
    /// The run only pushes: it starts no agent.
    NotNeeded,
    /// The agent, its model or the host failed.
    Failed(Reason),
    /// Something killed the agent. The task is tried again, as after the loss of a runner.
    Killed(Reason),
    /// The provider limits the use of the model.
    Paused {
        /// `None` if it named no time.
        until: Option<Timestamp>,
        reason: Reason,
    },
    /// Only a person can make it work.
    Blocked(Reason),
    Expired {
        expired: Expired,
        /// The latest failure of the model, which the agent may wait to request again.
        failure: Option<String>,
        hint: Option<String>,
    },
    /// The agent, with what it started, used too much of the machine.
    Exceeded(Exceeded),
    /// A budget is spent.
    Spent(Reason),
    /// The run was canceled.
    Canceled,
    /// The issue has another run now; nothing more may be done.
    Superseded,
    /// A user is attached to the session of this issue, so the agent was not started.
    Attached(String),
}

impl End {
    pub(crate) fn paused_until(&self) -> Option<Timestamp> {
        match self {
            Self::Paused { until, .. } => *until,
            _ => None,
        }
    }
}

impl From<Interruption> for End {
    fn from(interruption: Interruption) -> Self {
        match interruption {
            Interruption::Expired(expired) => Self::Expired { expired, failure: None, hint: None },
            Interruption::Exceeded(exceeded) => Self::Exceeded(exceeded),
            Interruption::Canceled => Self::Canceled,
            Interruption::Spent(reason) => Self::Spent(reason),
            Interruption::Superseded => Self::Superseded,
            Interruption::RecordsBroken(why) => {
                Self::Failed(format!("cannot write the run's records: {why}; is the disk full?").into())
            }
        }
    }
}

/// The worktree after the agent's part, as the host sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inspection {
    /// The issue's short reference, for commands that the user can type.
    pub(crate) issue: String,
    /// The issue's branch.
    pub(crate) branch: String,
    /// Commits on top of the base.
    pub(crate) commits: u64,
    /// How many files have changes that are in no commit.
    pub(crate) uncommitted: u64,
    /// The names of some of them.
    pub(crate) uncommitted_names: Vec<String>,
    /// Why the host did not commit them, although the settings ask for it.
    pub(crate) not_committed: Option<String>,
    /// Other work that is not pushed.
    pub(crate) left_behind: Vec<Left>,
    /// How the worktree is damaged.
    pub(crate) damage: Option<String>,
    /// Operations that were started and not ended, with what ends them.
    pub(crate) unfinished: Vec<(String, &'static str)>,
    /// Why the worktree could not be inspected.
    pub(crate) error: Option<String>,
}

/// Work that is in a commit or a directory, but not on the pushed branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    /// A noun phrase, such as `branch aside`.
    pub(crate) name: String,
    /// Whether an earlier run that was `done` left the same.
    pub(crate) is_accepted: bool,
    /// Whether the pushed branch is of no use without it.
    pub(crate) is_needed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Push {
    /// There was nothing to push, or no attempt was made.
    None,
    Done {
        branch: String,
        /// Whether kugetsu had not pushed this commit before.
        is_new: bool,
    },
    /// Only the user can make it work: credentials, a protected branch, commits of others.
    NeedsPerson(Reason),
    /// It failed, and may work another time.
    Failed(Reason),
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct RunResult {
    pub(crate) verdict: Verdict,
    pub(crate) reason: Reason,
    pub(crate) head: Option<Oid>,
    pub(crate) commits: u64,
    pub(crate) pushed: bool,
    pub(crate) usage: WireUsage,
    /// Whether the task is to be tried again, as after the loss of a runner.
    pub(crate) is_lost: bool,
    /// Of [`Verdict::Paused`].
    pub(crate) paused_until: Option<Timestamp>,
    /// Whether the run's temporary directory stays: work in it may not be rescued. The daemon looks again.
    pub(crate) keeps_temporary: bool,
}

impl RunResult {
    /// The result of a run that changed nothing in the worktree.
    pub(crate) fn without_work(end: &End) -> Self {
        let (verdict, reason) = verdict(end, &Inspection::default(), &Push::None);
        let keeps_temporary = matches!(end, End::Superseded);
        let usage = WireUsage::ZERO;
        let (is_lost, paused_until) = (matches!(end, End::Killed(_)), end.paused_until());
        Self { verdict, reason, head: None, commits: 0, pushed: false, usage, is_lost, paused_until, keeps_temporary }
    }

    pub(crate) fn with_usage(self, usage: &Usage) -> Self {
        let usage = WireUsage {
            cost_usd: usage.cost_usd,
            input_tokens: usage.tokens.map(Tokens::all_input),
            output_tokens: usage.tokens.map(Tokens::all_output),
        };
        Self { usage, ..self }
    }
}

/// Whether the agent's part ended well enough for its commits to leave the machine.
pub(crate) fn is_publishable(end: &End) -> bool {
    match end {
        End::Turn { turn, .. } => turn.stop == StopReason::EndTurn && turn.doubt.is_none(),
        End::NotNeeded => true,
        _ => false,
    }
}

pub(crate) fn verdict(end: &End, inspection: &Inspection, push: &Push) -> (Verdict, Reason) {
    let (verdict, mut reason) = of_end(end, inspection, push);
    let is_pushed = matches!(push, Push::Done { .. });
    if verdict == Verdict::Failed
        && inspection.commits > 0
        && !is_pushed
        && let Some(hint) = &mut reason.hint
        && hint.contains("kugetsu continue")
        && !hint.contains("kugetsu push")
    {
        hint.push_str(&format!("; `kugetsu push {}` only pushes its commits", inspection.issue));
    }
    (verdict, reason)
}

fn of_end(end: &End, inspection: &Inspection, push: &Push) -> (Verdict, Reason) {
    match end {
        End::Canceled => (Verdict::Canceled, "canceled on request; the work is kept".into()),
        End::Superseded => {
            let why = "ended, because the daemon does not know this run as running: its database was restored or replaced, or \
                       the run was given up; the work is kept";
            (Verdict::Canceled, Reason::from(why).hint("list what the database does not know: `kugetsu db check`"))
        }
        End::Expired { expired, failure, hint } => {
            let failure = failure.as_ref().map(|failure| format!(" after {failure}"));
            let text = format!("{expired}{}; the work is kept", failure.unwrap_or_default());
            (Verdict::Timeout, Reason { text, hint: hint.clone() })
        }
        End::Exceeded(exceeded) => {
            let reason = Reason::from(format!("{exceeded}; the work is kept"));
            (Verdict::Failed, reason.hint(exceeded.hint(&inspection.issue)))
        }
        End::Spent(reason) => (Verdict::Timeout, reason.clone().map_text(|text| format!("{text}; the work is kept"))),
        End::Failed(why) | End::Killed(why) => (Verdict::Failed, why.clone()),
        End::Paused { reason, .. } => (Verdict::Paused, reason.clone()),
        End::Blocked(why) => (Verdict::Blocked, why.clone()),
        End::Attached(issue) => {
            let hint = format!("detach, then run the task again with `kugetsu queue retry {issue}`");
            (Verdict::Blocked, Reason::from(ATTACHED).hint(hint))
        }
        End::Turn { turn, .. } => of_turn(turn, inspection, push),
        End::NotNeeded => of_push(inspection, push),
    }
}

/// The verdict on a run that only pushes. It is only `done` if the server has the branch: an issue that comes after this one
/// must not begin because there was nothing to push.
fn of_push(inspection: &Inspection, push: &Push) -> (Verdict, Reason) {
    let Inspection { issue, branch, commits, .. } = inspection;
    match of_inspection(inspection, push, "") {
        (Verdict::Done, _) if *push == Push::None && *commits == 0 => (
            Verdict::Failed,
            Reason::from(format!("there is nothing to push: {branch} has no commits"))
                .hint(format!("`kugetsu continue {issue} \"<message>\"` starts the agent")),
        ),
        verdict => verdict,
    }
}

/// The end of a turn is not the end of a task: a turn that ended without an error is only `done` if nothing was refused,
/// the worktree could be inspected, and all work was pushed. The first thing that is wrong decides.
fn of_turn(turn: &Turn, inspection: &Inspection, push: &Push) -> (Verdict, Reason) {
    let failed = |why: &str| (Verdict::Failed, Reason::from(why));
    let resume = || resume_hint(&inspection.issue);
    let may_continue = |why: &str| (Verdict::Failed, Reason::from(why).hint(resume()));
    if let Some(doubt) = &turn.doubt {
        return (Verdict::Failed, Reason { hint: doubt.hint.clone().or_else(|| Some(resume())), ..doubt.clone() });
    }
    match turn.stop {
        StopReason::EndTurn => {}
        StopReason::MaxTokens => {
            return may_continue("the model's answer reached its maximum length");
        }
        StopReason::MaxRequests => {
            return may_continue("the agent reached its maximum number of model requests per turn");
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
            format!("the agent was denied permission: {} ({}){more}", refusal.title, refusal.reason).into(),
        );
    }
    of_inspection(inspection, push, "the agent ended its turn; ")
}

/// The command that resumes the work on an issue, which may need another model. Nothing names the coordinator's.
pub(crate) fn resume_hint(issue: &str) -> String {
    match issue {
        "" | COORDINATOR => "send another message with `kugetsu delegate \"<message>\"`".to_owned(),
        issue => {
            format!("resume the work with `kugetsu continue {issue} \"<message>\"`; --model chooses another model")
        }
    }
}

/// The verdict on a turn that ended well, or on a run without one; `began` begins the reason if nothing was pushed.
fn of_inspection(inspection: &Inspection, push: &Push, began: &str) -> (Verdict, Reason) {
    if let Some(error) = &inspection.error {
        return (Verdict::Failed, format!("{began}the worktree could not be inspected: {error}").into());
    }
    if let Some(damage) = &inspection.damage {
        let hint = format!(
            "the next run creates it again: `kugetsu continue {} \"check what is left of the work\"`",
            inspection.issue
        );
        let reason = format!("the worktree is damaged: {damage}; nothing was pushed");
        return (Verdict::Blocked, Reason::from(reason).hint(hint));
    }
    if let Some((operation, ending)) = inspection.unfinished.first() {
        let hint = format!(
            "end it with `kugetsu continue {} \"finish or abort {operation}\"`, or in the worktree: {ending}",
            inspection.issue
        );
        let reason = format!("{operation} is unfinished, so nothing was pushed");
        return (Verdict::Blocked, Reason::from(reason).hint(hint));
    }
    let (ending, is_new) = match push {
        Push::NeedsPerson(why) => return (Verdict::Blocked, not_pushed(why, "then ", inspection)),
        Push::Failed(why) => return (Verdict::Failed, not_pushed(why, "", inspection)),
        Push::Done { branch, is_new } => {
            (format!("{} pushed to {branch}", counted(inspection.commits, "commit")), *is_new)
        }
        Push::None if inspection.commits > 0 => (format!("{began}no new commits"), false),
        Push::None => (format!("{began}no commits"), false),
    };
    match (left_behind(inspection), what_to_do(inspection, is_new)) {
        (left, Some(todo)) => (Verdict::Blocked, Reason::from(format!("{ending}, but {left}")).hint(todo)),
        (left, None) if left.is_empty() => (Verdict::Done, ending.into()),
        (left, None) => (Verdict::Done, format!("{ending}; {left}").into()),
    }
}

/// `then` begins the hint if the error has one, which has to be followed first.
fn not_pushed(why: &Reason, then: &str, inspection: &Inspection) -> Reason {
    let again = push_again(inspection);
    let hint = match &why.hint {
        Some(hint) => format!("{hint}; {then}{again}"),
        None => again,
    };
    why.clone().of("could not push the work").hint(hint)
}

fn push_again(Inspection { issue, .. }: &Inspection) -> String {
    format!("push it without running the agent again: `kugetsu push {issue}`")
}

/// Lists work that is not pushed: files that are in no commit, and commits elsewhere.
fn left_behind(inspection: &Inspection) -> String {
    let names: Vec<&str> = inspection.left_behind.iter().map(|left| left.name.as_str()).collect();
    let mut parts = files(inspection);
    if !names.is_empty() {
        parts.push(format!("not pushed: {}", some_of(&names)));
    }
    parts.join("; ")
}

fn files(inspection: &Inspection) -> Vec<String> {
    let names: Vec<&str> = inspection.uncommitted_names.iter().map(String::as_str).collect();
    let shown = match inspection.uncommitted {
        0 => return Vec::new(),
        1 => format!("1 file is not committed: {}", some_of(&names)),
        more => format!("{more} files are not committed: {}", some_of(&names)),
    };
    let why = inspection.not_committed.as_ref();
    vec![why.map_or(shown.clone(), |why| format!("{shown} (kugetsu could not commit them: {why})"))]
}

fn some_of(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [first, second, third, _, ..] => format!("{first}, {second}, {third}, ..."),
        few => few.join(", "),
    }
}

/// A command that gets the work that was left behind onto the branch; `None` if the run is `done` without it.
///
/// Uncommitted files and commits that the branch needs always count. Other work counts if nothing new was pushed, because it may
/// be all that the agent did, unless an earlier run that was `done` left it.
fn what_to_do(inspection: &Inspection, is_new: bool) -> Option<String> {
    let Inspection { issue, branch, .. } = inspection;
    let needed = inspection.left_behind.iter().any(|left| left.is_needed);
    let elsewhere = !is_new && inspection.left_behind.iter().any(|left| !left.is_accepted);
    if inspection.uncommitted > 0 {
        let setting = match inspection.not_committed {
            Some(_) => "",
            None => ", or let kugetsu commit such files: `kugetsu config set run.uncommitted commit`",
        };
        return Some(format!(
            "`kugetsu continue {issue} \"commit or remove what is not committed\"`, or commit it and run `kugetsu push {issue}`{setting}"
        ));
    }
    if needed {
        return Some(format!("`kugetsu continue {issue} \"push the submodule's commits to its server\"`"));
    }
    elsewhere.then(|| format!("`kugetsu continue {issue} \"commit the work on {branch}\"`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inspection() -> Inspection {
        Inspection { issue: "local/demo#1".to_owned(), branch: "kugetsu/1-x".to_owned(), ..Inspection::default() }
    }

    fn left(name: &str) -> Left {
        Left { name: name.to_owned(), is_accepted: false, is_needed: false }
    }

    fn pushed(is_new: bool) -> Push {
        Push::Done { branch: "kugetsu/1-x".to_owned(), is_new }
    }

    fn ended_well(inspection: &Inspection, push: &Push) -> (Verdict, Reason) {
        of_inspection(inspection, push, "the agent ended its turn; ")
    }

    #[test]
    fn hint_of_a_failed_run_names_the_push_of_its_commits() {
        let end = End::Failed(Reason::from("the agent crashed").hint(resume_hint("local/demo#1")));
        let hint = |commits| {
            let inspection = Inspection { commits, ..inspection() };
            verdict(&end, &inspection, &Push::None).1.hint.unwrap()
        };
        assert!(hint(1).contains("`kugetsu push local/demo#1`"), "{}", hint(1));
        assert!(!hint(0).contains("kugetsu push"), "{}", hint(0));
    }

    #[test]
    fn push_is_done_only_if_the_server_has_the_branch() {
        let with_commits = Inspection { commits: 2, ..inspection() };
        let push = |inspection: &Inspection, push: &Push| verdict(&End::NotNeeded, inspection, push);
        assert_eq!(push(&with_commits, &pushed(true)), (Verdict::Done, "2 commits pushed to kugetsu/1-x".into()));
        assert_eq!(push(&with_commits, &pushed(false)).0, Verdict::Done);
        // They were merged.
        assert_eq!(push(&with_commits, &Push::None), (Verdict::Done, "no new commits".into()));
        let (verdict, reason) = push(&inspection(), &Push::None);
        assert_eq!(verdict, Verdict::Failed);
        assert_eq!(reason.text, "there is nothing to push: kugetsu/1-x has no commits");
        assert!(reason.hint.unwrap().starts_with("`kugetsu continue local/demo#1"));
        let uncommitted = Inspection { uncommitted: 1, uncommitted_names: vec!["a".to_owned()], ..inspection() };
        assert_eq!(push(&uncommitted, &Push::None).0, Verdict::Blocked);
        assert_eq!(push(&uncommitted, &pushed(true)).0, Verdict::Blocked);
        let unknown = Inspection { error: Some("git was killed".to_owned()), ..inspection() };
        assert_eq!(push(&unknown, &Push::None).0, Verdict::Failed);
        let damaged = Inspection { damage: Some("its HEAD is broken".to_owned()), ..inspection() };
        assert_eq!(push(&damaged, &Push::None).0, Verdict::Blocked);
    }

    #[test]
    fn a_push_that_did_not_work_names_the_command_that_only_pushes() {
        for failed in [Push::NeedsPerson("refused".into()), Push::Failed("no network".into())] {
            let (_, reason) = ended_well(&Inspection { commits: 1, ..inspection() }, &failed);
            assert!(reason.hint.unwrap().contains("`kugetsu push local/demo#1`"));
        }
    }

    #[test]
    fn the_hint_that_resumes_the_work_can_be_typed() {
        assert!(resume_hint("local/demo#1").contains("`kugetsu continue local/demo#1 \"<message>\"`"));
        assert!(resume_hint(COORDINATOR).contains("`kugetsu delegate \"<message>\"`"));
        assert_eq!(resume_hint(&Inspection::default().issue), resume_hint(COORDINATOR), "the coordinator has no files");
    }

    #[test]
    fn uncommitted_files_block_even_when_commits_were_pushed() {
        let names = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        let inspection = Inspection { commits: 2, uncommitted: 4, uncommitted_names: names, ..inspection() };
        let (verdict, reason) = ended_well(&inspection, &pushed(true));
        assert_eq!(verdict, Verdict::Blocked);
        assert_eq!(reason.text, "2 commits pushed to kugetsu/1-x, but 4 files are not committed: a, b, c, ...");
        let hint = reason.hint.unwrap();
        assert!(hint.starts_with("`kugetsu continue local/demo#1 ") && hint.contains("run.uncommitted"), "{hint}");
    }

    #[test]
    fn work_elsewhere_blocks_unless_something_new_was_pushed_or_it_was_accepted() {
        let inspection = Inspection { left_behind: vec![left("stash 1234")], ..inspection() };
        let (verdict, reason) = ended_well(&inspection, &Push::None);
        assert_eq!(verdict, Verdict::Blocked);
        assert_eq!(reason.text, "the agent ended its turn; no commits, but not pushed: stash 1234");
        assert!(reason.hint.is_some());
        assert_eq!(ended_well(&inspection, &pushed(false)).0, Verdict::Blocked);
        let (verdict, reason) = ended_well(&inspection, &pushed(true));
        assert_eq!(
            (verdict, reason.text.as_str()),
            (Verdict::Done, "0 commits pushed to kugetsu/1-x; not pushed: stash 1234")
        );
        let accepted = Left { is_accepted: true, ..left("stash 1234") };
        let inspection = Inspection { left_behind: vec![accepted], ..inspection };
        assert_eq!(ended_well(&inspection, &Push::None).0, Verdict::Done);
    }

    #[test]
    fn submodule_commits_that_no_server_has_block_a_pushed_branch() {
        let needed = Left { is_needed: true, ..left("submodule lib") };
        let inspection = Inspection { left_behind: vec![needed], ..inspection() };
        assert_eq!(ended_well(&inspection, &pushed(true)).0, Verdict::Blocked);
    }

    #[test]
    fn turn_without_changes_is_done() {
        let (verdict, reason) = ended_well(&inspection(), &Push::None);
        assert_eq!((verdict, reason.text.as_str()), (Verdict::Done, "the agent ended its turn; no commits"));
    }

    #[test]
    fn unfinished_operation_is_named_and_blocks() {
        let unfinished = vec![("a rebase".to_owned(), "`git rebase --abort`")];
        let (verdict, reason) = ended_well(&Inspection { unfinished, ..inspection() }, &Push::None);
        assert_eq!(verdict, Verdict::Blocked);
        assert_eq!(reason.text, "a rebase is unfinished, so nothing was pushed");
        assert!(reason.hint.unwrap().contains("`git rebase --abort`"));
    }
}
