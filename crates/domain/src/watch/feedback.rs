//! Decisions about an open pull request: which feedback the agent gets, when a person has to decide, and when it is merged.
//!
//! Every kind of feedback has one record with a budget. The subject of a record is its fingerprint: the head and what was
//! decided about it. It is settled only when the turn that it caused has succeeded, and no kind hides another one.

use jiff::{SignedDuration, Timestamp};

use crate::ids::TaskId;
use crate::watch::scheduled::{Course, RENEWALS_MAX, SeenSchedule, reconsider};

/// How long checks may take to be reported after a push, if the watch does not say.
pub const CHECKS_GRACE: SignedDuration = SignedDuration::from_mins(3);
/// For how long all checks must have passed before a merge, unless the grace is shorter: a server may report a job that needs
/// another one only after that one has ended.
pub const GREEN_LEAST: SignedDuration = SignedDuration::from_secs(30);
/// How long people's comments are gathered after the latest one: they come in bursts.
pub const GATHER: SignedDuration = SignedDuration::from_mins(1);

/// Declares the kinds together with their list, so that none is missing there.
macro_rules! kinds {
    ($($kind:ident = $name:literal: $description:literal),+ $(,)?) => {
        /// A kind of feedback, in the order in which several are given.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FeedbackKind {
            $(#[doc = $description] $kind),+
        }

        impl FeedbackKind {
            pub const ALL: &[Self] = &[$(Self::$kind),+];

            /// The name under which records of this kind are stored and shown.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name),+
                }
            }

            /// The reason to give it, as a sentence.
            pub const fn description(self) -> &'static str {
                match self {
                    $(Self::$kind => $description),+
                }
            }
        }
    };
}

kinds! {
    Verify = "verify": "A command that checks the work failed at the head.",
    Conflict = "conflict": "The branch conflicts with its base.",
    Ci = "ci": "Checks of the head failed.",
    Review = "review": "Trusted people reviewed or commented.",
    BotReview = "bot_review": "Trusted programs reviewed or commented.",
    Merge = "merge": "The server refused to merge.",
}

impl FeedbackKind {
    /// Whether it consists of remarks that the agent answers.
    pub const fn has_remarks(self) -> bool {
        match self {
            Self::Review | Self::BotReview => true,
            Self::Verify | Self::Conflict | Self::Ci | Self::Merge => false,
        }
    }

    /// The kind with this [`name`](Self::name); `None` if this version of kugetsu has none.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

/// The progress of one kind of feedback of an issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub kind: FeedbackKind,
    /// Of the latest feedback.
    pub fingerprint: String,
    /// How many times feedback of this kind was given since the budget began.
    pub given: u32,
    pub state: RecordState,
    /// Of remarks: those that settled turns have answered, as in the fingerprint. They stay answered, whatever becomes of the others.
    pub answered: String,
}

impl Record {
    /// Whether it is about this head, for kinds whose subject is a head.
    pub fn is_about(&self, head: &str) -> bool {
        self.fingerprint.split(' ').next() == Some(head)
    }

    /// Whether it is about a head at which commands did not run.
    fn is_of_missing_results(&self) -> bool {
        self.kind == FeedbackKind::Verify
            && self.fingerprint.split(' ').next().is_some_and(|head| self.fingerprint == without_results(head))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordState {
    /// The agent got it, in this task.
    Given { task: TaskId },
    /// The turn succeeded.
    Settled,
    /// Nothing is given any more until a person says so. The reason is for people.
    Stopped { reason: String },
}

/// How many times feedback is given before a person has to decide. 0 gives none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budgets {
    pub verify: u32,
    pub conflict: u32,
    pub ci: u32,
    pub review: u32,
    pub bot_review: u32,
}

impl Budgets {
    pub const fn of(&self, kind: FeedbackKind) -> u32 {
        match kind {
            FeedbackKind::Verify => self.verify,
            FeedbackKind::Conflict => self.conflict,
            FeedbackKind::Ci => self.ci,
            FeedbackKind::Review => self.review,
            FeedbackKind::BotReview => self.bot_review,
            // The agent can do nothing about it.
            FeedbackKind::Merge => 0,
        }
    }
}

/// When a pull request is merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergePolicy {
    Never,
    /// Its checks passed.
    WhenGreen,
    /// Its checks passed, and a trusted person approved the head.
    WhenApproved,
}

/// A pull request as its server reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub ending: Option<Ending>,
    /// The commit of the branch on the server.
    pub head: String,
    /// When it was first seen.
    pub head_since: Timestamp,
    /// The name of the base branch; empty if it is not known.
    pub base: String,
    pub is_draft: bool,
    /// `None` while the server computes it.
    pub conflicts: Option<bool>,
    pub checks: Checks,
    /// Since when each look has found that the checks of this head passed; `None` if they have not.
    pub green_since: Option<Timestamp>,
    /// Of trusted people, and not answered by a settled turn: reviews, threads that are not resolved, comments.
    pub reviews: Remarks,
    /// Of programs.
    pub bot_reviews: Remarks,
    /// Whether the latest decision of a trusted reviewer asks for changes.
    pub changes_requested: bool,
    /// Whether a trusted person's latest decision approves exactly the head.
    pub is_approved: bool,
    /// The result of the commands that check the work.
    pub verified: Verified,
    /// The server's refusal of the latest merge of this head.
    pub merge_refusal: Option<String>,
    /// The merge that was left to the server.
    pub scheduled: Option<SeenSchedule>,
}

/// The result of the commands that check the work, at one head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// They passed, or there is nothing to pass: the watch has none, or another user pushed the head.
    Passed,
    Failed,
    /// It is about to be stored.
    Pending,
    /// Some did not run, or did not end.
    Missing,
}

/// How a pull request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    Merged,
    ClosedUnmerged,
}

impl Ending {
    /// The name under which it is stored and shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Merged => "merged",
            Self::ClosedUnmerged => "closed",
        }
    }

    /// The ending with this [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Merged, Self::ClosedUnmerged].into_iter().find(|ending| ending.name() == name)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checks {
    /// Nothing is reported.
    None,
    Pending,
    Success,
    /// The names of those that failed.
    Failure(Vec<String>),
}

/// Remarks that wait for an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remarks {
    /// Identifies them: IDs with the times of their last changes.
    pub ids: Vec<String>,
    pub latest: Option<Timestamp>,
}

/// Settings of the repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    pub budgets: Budgets,
    pub merge: MergePolicy,
    /// Whether a head without any checks can be merged.
    pub needs_checks: bool,
    /// How long checks may take to be reported after a push. Before, no head is merged.
    pub checks_grace: SignedDuration,
}

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing before this time, or before the server reports a change.
    Wait { until: Option<Timestamp>, why: &'static str },
    /// Give the agent feedback.
    Give { kind: FeedbackKind, fingerprint: String },
    /// Label the pull request and comment on it, once: a person has to decide.
    Stop { kind: FeedbackKind, fingerprint: String, reason: String },
    /// Merge exactly this head.
    Merge { head: String },
    /// Cancel the merge that was left to the server: something speaks against it now.
    CancelMerge,
    /// Cancel the merge of this head that was left to the server, which may have dropped it, and decide again.
    RenewMerge { head: String },
    /// It was merged or closed, by any user.
    Complete(Ending),
}

/// Why nothing is given and nothing is merged now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// A task of the issue is queued or running: it works on earlier feedback, and the head may move.
    Busy,
    /// A user stopped the issue.
    Stopped,
    /// The agent waits for the answer to its question.
    Asks,
    /// The files of the issue were removed, or are being removed.
    Removed,
}

/// Decides what follows.
pub fn decide(seen: &Seen, records: &[Record], rules: Rules, hold: Option<Hold>, now: Timestamp) -> Vec<Action> {
    if let Some(ending) = seen.ending {
        return vec![Action::Complete(ending)];
    }
    let Some(scheduled) = &seen.scheduled else { return decide_open(seen, records, rules, hold, now) };
    let seen = Seen {
        // The server looks for conflicts again whenever the base moves, which in a queue is often.
        conflicts: seen.conflicts.or(Some(false)),
        // Its checks were waited for before the merge was left to the server.
        head_since: Timestamp::MIN,
        green_since: Some(Timestamp::MIN),
        ..seen.clone()
    };
    let actions = decide_open(&seen, records, rules, hold, now);
    let due = match actions.as_slice() {
        [Action::Merge { head }] => Some(head.as_str()),
        _ => None,
    };
    vec![match reconsider(scheduled, due, now) {
        Course::Wait { until, why } => Action::Wait { until, why },
        Course::Cancel => Action::CancelMerge,
        Course::Renew => Action::RenewMerge { head: scheduled.head.clone() },
        Course::GivenUp { reason } => {
            Action::Stop { kind: FeedbackKind::Merge, fingerprint: scheduled.head.clone(), reason: reason.to_owned() }
        }
    }]
}

fn decide_open(seen: &Seen, records: &[Record], rules: Rules, hold: Option<Hold>, now: Timestamp) -> Vec<Action> {
    if let Some(hold) = hold {
        let why = match hold {
            Hold::Busy => "a task of the issue is not over",
            Hold::Stopped => "a user stopped the issue",
            Hold::Asks => "the agent waits for the answer to its question",
            Hold::Removed => "the files of the issue were removed, or are being removed",
        };
        return vec![Action::Wait { until: None, why }];
    }
    let (mut actions, mut waits) = (Vec::new(), Vec::new());
    for kind in FeedbackKind::ALL {
        match due(*kind, seen, rules, now) {
            Due::Nothing => {}
            Due::Later(wait) => waits.push(wait),
            Due::Now(fingerprint) => {
                let record = records.iter().find(|record| record.kind == *kind);
                actions.extend(match kind {
                    FeedbackKind::Verify => stop_without_results(seen, fingerprint, record),
                    _ => give_or_stop(*kind, fingerprint, record, rules.budgets.of(*kind)),
                });
            }
        }
    }
    if actions.is_empty() && is_mergeable(seen, rules, &mut waits) && !has_stopped(seen, records, rules) {
        match too_early(seen, rules, now) {
            Some(until) => {
                waits.push(Action::Wait { until: Some(until), why: "its checks passed, and further ones may follow" });
            }
            None => actions.push(merge_or_stop(seen.head.clone(), renewals(&seen.head, records))),
        }
    }
    match actions.is_empty() {
        // The earliest time; a wait without one ends with what the server reports.
        true => vec![
            waits
                .into_iter()
                .min_by_key(|wait| match wait {
                    Action::Wait { until: Some(until), .. } => *until,
                    _ => Timestamp::MAX,
                })
                .unwrap_or(Action::Wait { until: None, why: "nothing is left to do before a person acts" }),
        ],
        false => actions,
    }
}

enum Due {
    Nothing,
    Later(Action),
    /// With this fingerprint.
    Now(String),
}

fn due(kind: FeedbackKind, seen: &Seen, rules: Rules, now: Timestamp) -> Due {
    match kind {
        // Failures are decided about before a review is requested; see `after_verification`.
        FeedbackKind::Verify => match seen.verified {
            Verified::Passed | Verified::Failed => Due::Nothing,
            Verified::Pending => {
                Due::Later(Action::Wait { until: None, why: "the results of `verify` are not stored yet" })
            }
            Verified::Missing => Due::Now(without_results(&seen.head)),
        },
        FeedbackKind::Conflict => match seen.conflicts {
            Some(true) => Due::Now(format!("{} onto {}", seen.head, seen.base)),
            Some(false) => Due::Nothing,
            None => Due::Later(Action::Wait { until: None, why: "the server looks for conflicts" }),
        },
        FeedbackKind::Ci => match &seen.checks {
            Checks::Failure(names) => {
                let mut names = names.clone();
                names.sort_unstable();
                Due::Now(format!("{} failed {}", seen.head, names.join(", ")))
            }
            Checks::Pending => Due::Later(Action::Wait { until: None, why: "checks are not over" }),
            Checks::None if now < after(seen.head_since, rules.checks_grace) => Due::Later(Action::Wait {
                until: Some(after(seen.head_since, rules.checks_grace)),
                why: "no checks are reported yet",
            }),
            Checks::None | Checks::Success => Due::Nothing,
        },
        FeedbackKind::Review => match &seen.reviews {
            Remarks { ids, .. } if ids.is_empty() => Due::Nothing,
            Remarks { latest: Some(latest), .. } if now < after(*latest, GATHER) => {
                Due::Later(Action::Wait { until: Some(after(*latest, GATHER)), why: "further comments may follow" })
            }
            Remarks { ids, .. } => Due::Now(ids.join(" ")),
        },
        FeedbackKind::BotReview => match seen.bot_reviews.ids.as_slice() {
            [] => Due::Nothing,
            ids => Due::Now(ids.join(" ")),
        },
        FeedbackKind::Merge => match &seen.merge_refusal {
            Some(refusal) => Due::Now(format!("{} refused: {refusal}", seen.head)),
            None => Due::Nothing,
        },
    }
}

/// Decides what follows from a command that failed at `head`: the agent gets it, or a person has to decide. `None` if it was
/// reported to people already.
pub fn after_verification(command: &str, head: &str, records: &[Record], rules: Rules) -> Option<Action> {
    let kind = FeedbackKind::Verify;
    let fingerprint = format!("{head} failed {command}");
    let record = records.iter().find(|record| record.kind == kind);
    // Commands that did not run say nothing about the agent.
    let of_missing = record.filter(|record| record.is_of_missing_results());
    let of_missing = of_missing.map(|record| Record { state: RecordState::Settled, ..record.clone() });
    let record = of_missing.as_ref().or(record);
    match record {
        // A head whose failure is not recorded would be merged.
        Some(Record { state: RecordState::Stopped { .. }, fingerprint: known, .. }) if *known != fingerprint => {
            let reason =
                format!("{command} failed at {head}, and the agent gets no more such feedback ({})", kind.name());
            Some(Action::Stop { kind, fingerprint, reason })
        }
        _ => give_or_stop(kind, fingerprint, record, rules.budgets.of(kind)),
    }
}

/// The fingerprint of a head at which commands that check the work did not run.
fn without_results(head: &str) -> String {
    format!("{head} unverified")
}

/// A person decides about a head without results, once: its run was canceled, reached its limit, or was lost.
fn stop_without_results(seen: &Seen, fingerprint: String, record: Option<&Record>) -> Option<Action> {
    if record.is_some_and(|record| record.is_about(&seen.head)) {
        return None;
    }
    let reason = format!(
        "the commands in `verify` did not all run at {}, because the run that pushed it ended before",
        seen.head
    );
    Some(Action::Stop { kind: FeedbackKind::Verify, fingerprint, reason })
}

/// Feedback that was given in vain, or too often, is not given again.
fn give_or_stop(kind: FeedbackKind, fingerprint: String, record: Option<&Record>, budget: u32) -> Option<Action> {
    let is_same = record.is_some_and(|record| record.fingerprint == fingerprint);
    let given = record.map_or(0, |record| record.given);
    match record.map(|record| &record.state) {
        // It was reported when it stopped.
        Some(RecordState::Stopped { .. }) => return None,
        // After a user resumed the issue, it was not given yet.
        Some(RecordState::Settled) if is_same && given > 0 => {
            let reason = format!("the agent got this feedback ({}) and changed nothing about it", kind.name());
            return Some(Action::Stop { kind, fingerprint, reason });
        }
        _ => {}
    }
    if given >= budget {
        let reason = format!("the agent got such feedback ({}) {given} times, and there is more", kind.name());
        return Some(Action::Stop { kind, fingerprint, reason });
    }
    Some(Action::Give { kind, fingerprint })
}

fn is_mergeable(seen: &Seen, rules: Rules, waits: &mut Vec<Action>) -> bool {
    let is_green = match seen.checks {
        Checks::Success => true,
        // The grace is over, or a wait says so.
        Checks::None => !rules.needs_checks && waits.is_empty(),
        Checks::Pending | Checks::Failure(_) => false,
    };
    let is_allowed = match rules.merge {
        MergePolicy::Never => false,
        MergePolicy::WhenGreen => true,
        MergePolicy::WhenApproved => seen.is_approved,
    };
    if is_green && rules.merge == MergePolicy::WhenApproved && !seen.is_approved {
        waits.push(Action::Wait { until: None, why: "the head is not approved yet" });
    }
    is_green
        && is_allowed
        && waits.is_empty()
        && !seen.is_draft
        && !seen.changes_requested
        && seen.verified == Verified::Passed
        && seen.conflicts == Some(false)
}

/// How many times the merge of this head was left to the server in vain.
pub fn renewals(head: &str, records: &[Record]) -> u32 {
    let mut of_kind = records.iter().filter(|record| record.kind == FeedbackKind::Merge && record.fingerprint == head);
    of_kind.next().map_or(0, |record| record.given)
}

fn merge_or_stop(head: String, renewals: u32) -> Action {
    if renewals < RENEWALS_MAX {
        return Action::Merge { head };
    }
    let reason = format!("the merge was left to the server {renewals} times, and the server did not merge");
    Action::Stop { kind: FeedbackKind::Merge, fingerprint: head, reason }
}

/// Returns until when checks that have passed are not the last word: servers do not say which ones are still to be reported.
fn too_early(seen: &Seen, rules: Rules, now: Timestamp) -> Option<Timestamp> {
    if seen.checks != Checks::Success {
        return None;
    }
    let all_reported = after(seen.head_since, rules.checks_grace);
    let confirmed = after(seen.green_since.unwrap_or(now), GREEN_LEAST.min(rules.checks_grace));
    Some(all_reported.max(confirmed)).filter(|until| now < *until)
}

/// Whether a kind stopped and what stopped it is still there.
fn has_stopped(seen: &Seen, records: &[Record], rules: Rules) -> bool {
    records.iter().any(|record| {
        matches!(record.state, RecordState::Stopped { .. })
            && !matches!(due(record.kind, seen, rules, Timestamp::MAX), Due::Nothing)
    })
}

fn after(time: Timestamp, pause: SignedDuration) -> Timestamp {
    time.saturating_add(pause).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::watch::scheduled::SCHEDULE_TRUST;

    fn now() -> Timestamp {
        "2026-11-29T12:00:00Z".parse().unwrap()
    }

    /// A pull request whose checks passed, and nothing else.
    fn green() -> Seen {
        Seen {
            ending: None,
            head: "c1".to_owned(),
            head_since: now() - SignedDuration::from_hours(1),
            base: "b1".to_owned(),
            is_draft: false,
            conflicts: Some(false),
            checks: Checks::Success,
            green_since: Some(now() - GREEN_LEAST),
            reviews: Remarks::default(),
            bot_reviews: Remarks::default(),
            changes_requested: false,
            is_approved: false,
            verified: Verified::Passed,
            merge_refusal: None,
            scheduled: None,
        }
    }

    fn rules(merge: MergePolicy) -> Rules {
        Rules {
            budgets: Budgets { verify: 2, conflict: 2, ci: 2, review: 3, bot_review: 1 },
            merge,
            needs_checks: true,
            checks_grace: CHECKS_GRACE,
        }
    }

    fn red() -> Seen {
        Seen { checks: Checks::Failure(vec!["test".to_owned(), "lint".to_owned()]), ..green() }
    }

    fn decided(seen: &Seen, records: &[Record]) -> Vec<Action> {
        decide(seen, records, rules(MergePolicy::WhenGreen), None, now())
    }

    fn record(kind: FeedbackKind, fingerprint: &str, given: u32, state: RecordState) -> Record {
        Record { kind, fingerprint: fingerprint.to_owned(), given, state, answered: String::new() }
    }

    fn waits(actions: &[Action]) -> bool {
        matches!(actions, [Action::Wait { .. }])
    }

    const RED: &str = "c1 failed lint, test";

    #[test]
    fn ending_comes_before_everything() {
        for ending in [Ending::Merged, Ending::ClosedUnmerged] {
            let ended = Seen { ending: Some(ending), ..red() };
            assert_eq!(
                decide(&ended, &[], rules(MergePolicy::Never), Some(Hold::Busy), now()),
                [Action::Complete(ending)]
            );
        }
        assert!(
            waits(&decide(&red(), &[], rules(MergePolicy::WhenGreen), Some(Hold::Stopped), now())),
            "a user stopped it"
        );
    }

    #[test]
    fn every_kind_of_feedback_is_given_and_none_hides_another() {
        let remarks = |id: &str| Remarks { ids: vec![id.to_owned()], latest: Some(now() - GATHER) };
        let all = Seen { conflicts: Some(true), reviews: remarks("r1"), bot_reviews: remarks("b1"), ..red() };
        let given: Vec<_> = decided(&all, &[])
            .into_iter()
            .map(|action| match action {
                Action::Give { kind, fingerprint } => (kind, fingerprint),
                other => panic!("{other:?}"),
            })
            .collect();
        let expected = [
            (FeedbackKind::Conflict, "c1 onto b1"),
            (FeedbackKind::Ci, RED),
            (FeedbackKind::Review, "r1"),
            (FeedbackKind::BotReview, "b1"),
        ];
        assert_eq!(given, expected.map(|(kind, fingerprint)| (kind, fingerprint.to_owned())));
    }

    #[test]
    fn same_failure_of_the_same_head_stops_after_a_turn_that_succeeded() {
        let given = |state| record(FeedbackKind::Ci, RED, 1, state);
        let task = TaskId::new(Uuid::from_u128(1));
        let again = decided(&red(), &[given(RecordState::Given { task })]);
        assert!(matches!(again[..], [Action::Give { .. }]), "the turn did not succeed: {again:?}");
        let stopped = decided(&red(), &[given(RecordState::Settled)]);
        assert!(matches!(&stopped[..], [Action::Stop { kind: FeedbackKind::Ci, .. }]), "{stopped:?}");
        let moved = Seen { head: "c2".to_owned(), ..red() };
        assert!(matches!(decided(&moved, &[given(RecordState::Settled)])[..], [Action::Give { .. }]));
    }

    #[test]
    fn exhausted_budget_stops_once_and_only_its_kind() {
        let spent = record(FeedbackKind::Ci, "c0 failed test", 2, RecordState::Settled);
        let actions = decided(&red(), &[spent]);
        let [Action::Stop { kind, fingerprint, .. }] = &actions[..] else { panic!("{actions:?}") };
        let stopped = record(*kind, fingerprint, 2, RecordState::Stopped { reason: "often".to_owned() });
        assert!(waits(&decided(&red(), std::slice::from_ref(&stopped))), "it is reported once");
        let reviewed = Seen { reviews: Remarks { ids: vec!["r1".to_owned()], latest: None }, ..red() };
        let actions = decided(&reviewed, std::slice::from_ref(&stopped));
        assert!(matches!(&actions[..], [Action::Give { kind: FeedbackKind::Review, .. }]), "{actions:?}");
        assert_eq!(decided(&green(), &[stopped]), [Action::Merge { head: "c1".to_owned() }], "what stopped it is gone");
    }

    #[test]
    fn failed_verification_goes_to_the_agent_until_it_changes_nothing() {
        let rules = rules(MergePolicy::WhenGreen);
        let after = |head: &str, records: &[Record]| after_verification("cargo test", head, records, rules);
        let Some(Action::Give { kind, fingerprint }) = after("c1", &[]) else { panic!("it is given") };
        assert_eq!(kind, FeedbackKind::Verify);
        let settled = [record(kind, &fingerprint, 1, RecordState::Settled)];
        assert!(settled[0].is_about("c1") && !settled[0].is_about("c2"));
        assert!(matches!(after("c1", &settled), Some(Action::Stop { .. })), "the agent changed nothing");
        assert!(matches!(after("c2", &settled), Some(Action::Give { .. })));
        let resumed = [record(kind, &fingerprint, 0, RecordState::Settled)];
        assert!(matches!(after("c1", &resumed), Some(Action::Give { .. })), "a user resumed the issue");
        let spent = [record(kind, &fingerprint, 2, RecordState::Settled)];
        assert!(matches!(after("c2", &spent), Some(Action::Stop { .. })));
        let stopped = [record(kind, &fingerprint, 2, RecordState::Stopped { reason: "often".to_owned() })];
        assert_eq!(after("c1", &stopped), None, "it was reported");
        let Some(Action::Stop { fingerprint, .. }) = after("c3", &stopped) else { panic!("a person decides") };
        assert_eq!(fingerprint, "c3 failed cargo test", "the latest head is not merged either");
    }

    #[test]
    fn head_without_results_of_its_verification_is_left_to_a_person_once() {
        let seen = Seen { verified: Verified::Missing, ..green() };
        let actions = decided(&seen, &[]);
        let [Action::Stop { kind: FeedbackKind::Verify, fingerprint, .. }] = &actions[..] else {
            panic!("{actions:?}")
        };
        let reported = |state| [record(FeedbackKind::Verify, fingerprint, 1, state)];
        let stopped = reported(RecordState::Stopped { reason: "it was canceled".to_owned() });
        for known in [stopped.clone(), reported(RecordState::Settled)] {
            assert!(waits(&decided(&seen, &known)), "{known:?}");
        }
        assert!(waits(&decided(&Seen { verified: Verified::Pending, ..green() }, &[])));
        // The next head is judged by its own results.
        let next = after_verification("cargo test", "c2", &stopped, rules(MergePolicy::WhenGreen));
        assert!(matches!(next, Some(Action::Give { .. })), "{next:?}");
        assert_eq!(
            decided(&Seen { head: "c2".to_owned(), ..green() }, &stopped),
            [Action::Merge { head: "c2".to_owned() }]
        );
    }

    #[test]
    fn nothing_reported_is_not_green() {
        let none = Seen { checks: Checks::None, head_since: now(), ..green() };
        let until = Some(now() + CHECKS_GRACE);
        assert!(matches!(decided(&none, &[])[..], [Action::Wait { until: found, .. }] if found == until));
        let later = |needs_checks| {
            let rules = Rules { needs_checks, ..rules(MergePolicy::WhenGreen) };
            decide(&none, &[], rules, None, now() + CHECKS_GRACE)
        };
        assert!(waits(&later(true)));
        assert_eq!(later(false), [Action::Merge { head: "c1".to_owned() }]);
    }

    #[test]
    fn checks_that_passed_are_not_the_last_word_at_once() {
        let until = |seen: &Seen, rules| match &decide(seen, &[], rules, None, now())[..] {
            [Action::Merge { .. }] => None,
            [Action::Wait { until: Some(until), .. }] => Some(*until),
            other => panic!("{other:?}"),
        };
        let rules = rules(MergePolicy::WhenGreen);
        let young = Seen { head_since: now() - SignedDuration::from_secs(10), ..green() };
        let grace = now() - SignedDuration::from_secs(10) + CHECKS_GRACE;
        assert_eq!(until(&young, rules), Some(grace), "other checks may not be reported yet");
        let first = Seen { green_since: Some(now()), ..green() };
        assert_eq!(until(&first, rules), Some(now() + GREEN_LEAST), "a job may follow the one that ended");
        assert_eq!(until(&green(), rules), None);
        let short = Rules { checks_grace: SignedDuration::from_secs(1), ..rules };
        assert_eq!(until(&first, short), Some(now() + SignedDuration::from_secs(1)));
        assert_eq!(until(&young, short), None);
        // A merge that is not due needs no look.
        let idle = decide(&young, &[], Rules { merge: MergePolicy::Never, ..rules }, None, now());
        assert!(matches!(idle[..], [Action::Wait { until: None, .. }]), "{idle:?}");
    }

    #[test]
    fn peoples_comments_are_gathered_and_programs_are_not() {
        let remarks = Remarks { ids: vec!["r1".to_owned()], latest: Some(now()) };
        let by_people = decided(&Seen { reviews: remarks.clone(), ..green() }, &[]);
        assert!(
            matches!(by_people[..], [Action::Wait { until: Some(until), .. }] if until == now() + GATHER),
            "{by_people:?}"
        );
        let by_programs = decided(&Seen { bot_reviews: remarks, ..green() }, &[]);
        assert!(matches!(by_programs[..], [Action::Give { kind: FeedbackKind::BotReview, .. }]));
    }

    #[test]
    fn merge_that_is_left_to_the_server_is_kept_or_canceled() {
        let scheduled =
            SeenSchedule { head: "c1".to_owned(), is_pending: true, since: None, renewals: 0, changed: None };
        let scheduled = Seen { scheduled: Some(scheduled), ..green() };
        assert!(waits(&decided(&scheduled, &[])));
        assert!(waits(&decided(&Seen { conflicts: None, ..scheduled.clone() }, &[])), "the base moved");
        let after_restart = Seen { green_since: Some(now()), head_since: now(), ..scheduled.clone() };
        assert!(waits(&decided(&after_restart, &[])), "its checks were waited for before");
        assert_eq!(decided(&Seen { head: "c2".to_owned(), ..scheduled.clone() }, &[]), [Action::CancelMerge]);
        assert_eq!(decided(&Seen { checks: red().checks, ..scheduled.clone() }, &[]), [Action::CancelMerge]);
        for hold in [Hold::Busy, Hold::Stopped, Hold::Asks, Hold::Removed] {
            let decided = decide(&scheduled, &[], rules(MergePolicy::WhenGreen), Some(hold), now());
            assert_eq!(decided, [Action::CancelMerge], "{hold:?}");
        }
        let ending = Ending::Merged;
        assert_eq!(decided(&Seen { ending: Some(ending), ..scheduled }, &[]), [Action::Complete(ending)]);
    }

    #[test]
    fn merge_that_the_server_drops_is_renewed_until_a_person_decides() {
        let renewed = |given| [record(FeedbackKind::Merge, "c1", given, RecordState::Settled)];
        assert_eq!(decided(&green(), &renewed(RENEWALS_MAX - 1)), [Action::Merge { head: "c1".to_owned() }]);
        let actions = decided(&green(), &renewed(RENEWALS_MAX));
        assert!(matches!(actions[..], [Action::Stop { kind: FeedbackKind::Merge, .. }]), "{actions:?}");
        let moved = Seen { head: "c2".to_owned(), ..green() };
        assert_eq!(decided(&moved, &renewed(RENEWALS_MAX)), [Action::Merge { head: "c2".to_owned() }]);
        let since = Some(now() - SCHEDULE_TRUST);
        let scheduled = SeenSchedule { head: "c1".to_owned(), is_pending: true, since, renewals: 0, changed: None };
        let scheduled = Seen { scheduled: Some(scheduled), ..green() };
        assert_eq!(decided(&scheduled, &[]), [Action::RenewMerge { head: "c1".to_owned() }]);
    }

    #[test]
    fn pull_request_is_merged_by_the_policy_only() {
        let merged = |seen: &Seen, policy| {
            decide(seen, &[], rules(policy), None, now()) == [Action::Merge { head: "c1".to_owned() }]
        };
        let approved = Seen { is_approved: true, ..green() };
        assert!(!merged(&approved, MergePolicy::Never));
        assert!(merged(&green(), MergePolicy::WhenGreen) && !merged(&green(), MergePolicy::WhenApproved));
        assert!(merged(&approved, MergePolicy::WhenApproved));
        type Change = fn(&mut Seen);
        let obstacles: [Change; 9] = [
            |seen| seen.verified = Verified::Failed,
            |seen| seen.verified = Verified::Pending,
            |seen| seen.verified = Verified::Missing,
            |seen| seen.is_draft = true,
            |seen| seen.conflicts = None,
            |seen| seen.changes_requested = true,
            |seen| seen.checks = Checks::Pending,
            |seen| seen.checks = Checks::None,
            |seen| seen.merge_refusal = Some("no".to_owned()),
        ];
        for change in obstacles {
            let mut seen = approved.clone();
            change(&mut seen);
            assert!(!merged(&seen, MergePolicy::WhenGreen) && !merged(&seen, MergePolicy::WhenApproved), "{seen:?}");
        }
    }
}
