//! Merges that are left to the server, which merges by itself: in its queue, or when its own conditions are met.

use jiff::{SignedDuration, Timestamp};

use crate::watch::feedback::{Action, FeedbackKind};

/// How long a pull request that left the server's queue may take to be reported as merged.
pub const MERGE_GRACE: SignedDuration = SignedDuration::from_mins(1);

/// A merge that was left to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheduled {
    /// The number of the pull request.
    pub number: u64,
    /// The head that is to be merged.
    pub head: String,
    /// Why the server did not merge it at once; `None` if its branch has a queue.
    pub refusal: Option<String>,
}

/// A merge that was left to the server, as the server reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenSchedule {
    /// The head that is to be merged.
    pub head: String,
    /// Whether the server is still going to merge it.
    pub is_pending: bool,
    /// When the pull request changed last.
    pub changed: Option<Timestamp>,
}

/// Decides what becomes of the merge. `otherwise` are the decisions about the pull request without it: if they are not to merge exactly
/// this head, the merge is canceled before anything else, so that the server merges no other head and nothing that a person stopped.
pub(crate) fn reconsider(scheduled: &SeenSchedule, otherwise: &[Action], now: Timestamp) -> Action {
    if otherwise != [Action::Merge { head: scheduled.head.clone() }] {
        return Action::CancelMerge;
    }
    if scheduled.is_pending {
        return Action::Wait { until: None, why: "the server merges it when its own conditions are met" };
    }
    let grace = scheduled.changed.map(|changed| changed.saturating_add(MERGE_GRACE).unwrap_or(Timestamp::MAX));
    match grace.filter(|grace| now < *grace) {
        Some(grace) => Action::Wait { until: Some(grace), why: "the server may report the merge later" },
        None => Action::Stop {
            kind: FeedbackKind::Merge,
            fingerprint: scheduled.head.clone(),
            reason: "the server does not merge it by itself any more: it left the queue, or a user canceled that"
                .to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-29T12:00:00Z".parse().unwrap()
    }

    fn merge(head: &str) -> Action {
        Action::Merge { head: head.to_owned() }
    }

    #[test]
    fn merge_stays_with_the_server_while_nothing_speaks_against_it() {
        let scheduled = SeenSchedule { head: "c1".to_owned(), is_pending: true, changed: Some(now()) };
        assert!(matches!(reconsider(&scheduled, &[merge("c1")], now()), Action::Wait { until: None, .. }));
        let wait = Action::Wait { until: None, why: "a user stopped the issue" };
        let give = Action::Give { kind: FeedbackKind::Ci, fingerprint: "c1 failed test".to_owned() };
        for is_pending in [true, false] {
            let scheduled = SeenSchedule { is_pending, ..scheduled.clone() };
            for otherwise in [vec![merge("c2")], vec![wait.clone()], vec![give.clone()], vec![]] {
                let decided = reconsider(&scheduled, &otherwise, now());
                assert_eq!(decided, Action::CancelMerge, "{is_pending} {otherwise:?}");
            }
        }
    }

    #[test]
    fn a_person_decides_when_the_server_gives_the_merge_up() {
        let left = SeenSchedule { head: "c1".to_owned(), is_pending: false, changed: Some(now()) };
        let decided = |now| reconsider(&left, &[merge("c1")], now);
        let grace = now() + MERGE_GRACE;
        assert!(matches!(decided(now()), Action::Wait { until: Some(until), .. } if until == grace));
        let stop = |action: &Action| matches!(action, Action::Stop { kind: FeedbackKind::Merge, fingerprint, .. } if fingerprint == "c1");
        assert!(stop(&decided(grace)));
        let undated = SeenSchedule { changed: None, ..left.clone() };
        assert!(stop(&reconsider(&undated, &[merge("c1")], now())));
    }
}
