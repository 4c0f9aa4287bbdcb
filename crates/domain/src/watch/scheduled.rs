//! Merges that are left to the server: to its queue, or to its auto-merge, which waits until the server's own conditions are met.

use jiff::{SignedDuration, Timestamp};

/// How long a pull request that left the server's queue may take to be reported as merged.
pub const MERGE_GRACE: SignedDuration = SignedDuration::from_mins(1);

/// How long the server is trusted to make a merge, if it does not show that it has dropped it. It doubles each time.
pub const SCHEDULE_TRUST: SignedDuration = SignedDuration::from_hours(1);

/// How many times a merge is left to such a server in vain before a person has to decide.
pub const RENEWALS_MAX: u32 = 4;

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
    /// When it was left to the server, if the server does not show that it has dropped it since.
    pub since: Option<Timestamp>,
    /// How many times it was left to the server in vain before.
    pub renewals: u32,
    /// When the pull request changed last.
    pub changed: Option<Timestamp>,
}

/// The further course of a merge that was left to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Course {
    /// The server merges, or may have merged. Nothing is to be done before `until`, or before the server reports a change.
    Wait { until: Option<Timestamp>, why: &'static str },
    /// Something speaks against it.
    Cancel,
    /// The server may have dropped it.
    Renew,
    /// A person has to decide.
    GivenUp { reason: &'static str },
}

/// Decides what becomes of the merge. `due` is the head that would be merged now if nothing was left to the server. If it is not the
/// scheduled one, the merge is canceled before anything else, so that the server merges no other head and nothing that a person stopped.
pub(crate) fn reconsider(scheduled: &SeenSchedule, due: Option<&str>, now: Timestamp) -> Course {
    if due != Some(scheduled.head.as_str()) {
        return Course::Cancel;
    }
    if scheduled.is_pending {
        let trusted = SCHEDULE_TRUST.saturating_mul(2_i32.saturating_pow(scheduled.renewals));
        let until = scheduled.since.map(|since| since.saturating_add(trusted).unwrap_or(Timestamp::MAX));
        return match until.filter(|until| *until <= now) {
            Some(_) => Course::Renew,
            None => Course::Wait { until, why: "the server merges it when its own conditions are met" },
        };
    }
    let grace = scheduled.changed.map(|changed| changed.saturating_add(MERGE_GRACE).unwrap_or(Timestamp::MAX));
    match grace.filter(|grace| now < *grace) {
        Some(grace) => Course::Wait { until: Some(grace), why: "the server may report the merge later" },
        None => Course::GivenUp {
            reason: "the server has given up the merge that was left to it: it left the queue, or a user canceled it",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-29T12:00:00Z".parse().unwrap()
    }

    fn seen(is_pending: bool, changed: Option<Timestamp>) -> SeenSchedule {
        SeenSchedule { head: "c1".to_owned(), is_pending, since: None, renewals: 0, changed }
    }

    #[test]
    fn merge_that_the_server_may_have_dropped_is_renewed_less_and_less_often() {
        for (renewals, hours) in [(0, 1), (1, 2), (3, 8)] {
            let scheduled = SeenSchedule { since: Some(now()), renewals, ..seen(true, None) };
            let decided = |now| reconsider(&scheduled, Some("c1"), now);
            let end = now() + SignedDuration::from_hours(hours);
            assert!(matches!(decided(now()), Course::Wait { until: Some(until), .. } if until == end), "{renewals}");
            assert_eq!(decided(end), Course::Renew, "{renewals}");
        }
    }

    #[test]
    fn merge_stays_with_the_server_while_nothing_speaks_against_it() {
        let scheduled = seen(true, Some(now()));
        assert!(matches!(reconsider(&scheduled, Some("c1"), now()), Course::Wait { until: None, .. }));
        for is_pending in [true, false] {
            let scheduled = SeenSchedule { is_pending, ..scheduled.clone() };
            for due in [Some("c2"), None] {
                assert_eq!(reconsider(&scheduled, due, now()), Course::Cancel, "{is_pending} {due:?}");
            }
        }
    }

    #[test]
    fn a_person_decides_when_the_server_gives_the_merge_up() {
        let left = seen(false, Some(now()));
        let decided = |now| reconsider(&left, Some("c1"), now);
        let grace = now() + MERGE_GRACE;
        assert!(matches!(decided(now()), Course::Wait { until: Some(until), .. } if until == grace));
        assert!(matches!(decided(grace), Course::GivenUp { .. }));
        let undated = SeenSchedule { changed: None, ..left.clone() };
        assert!(matches!(reconsider(&undated, Some("c1"), now()), Course::GivenUp { .. }));
    }
}
