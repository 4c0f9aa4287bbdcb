//! Issues that were handed over and wait. When what they wait for may have changed, they are considered again.

use jiff::{SignedDuration, Timestamp};
use kugetsu_domain::watch::conditions::{Condition, ConditionKind, Load, Met, Policy, limits};
use kugetsu_store::error::StoreError;
use kugetsu_store::view::Candidate;

use crate::engine::Engine;
use crate::watches::Watch;

/// After this time a condition that the server did not answer is read again.
const UNKNOWN_AGAIN: SignedDuration = SignedDuration::from_mins(15);
/// After this time conditions are read again that may change without a change in the repository: who is a member, and issues
/// elsewhere.
const ANSWER_AGAIN: SignedDuration = SignedDuration::from_hours(1);

/// Whether the issue has to be read again. `has_news` is whether anything else changed in the repository.
pub(crate) fn is_due(candidate: &Candidate, policy: &Policy, load: Load, has_news: bool, now: Timestamp) -> bool {
    let is_free = !load.is_paused && !load.is_held && limits(policy, load).iter().all(|limit| limit.met == Met::Yes);
    let unmet = || candidate.conditions.iter().filter(|condition| condition.met != Met::Yes);
    // What ends these is listed as a change of the issue.
    let is_out = |condition: &Condition| matches!(condition.kind, ConditionKind::New | ConditionKind::Open);
    if !is_free || unmet().any(is_out) {
        return false;
    }
    let age = now.duration_since(candidate.read_at);
    unmet().filter(|condition| !condition.kind.is_local()).all(|condition| may_be_met(condition, has_news, age))
}

fn may_be_met(condition: &Condition, has_news: bool, age: SignedDuration) -> bool {
    match (condition.met, condition.kind) {
        (Met::Yes | Met::Unread, _) => true,
        (Met::Unknown, _) => age >= UNKNOWN_AGAIN,
        (Met::No, ConditionKind::Dependencies | ConditionKind::PullRequest | ConditionKind::Branch) => {
            has_news || age >= ANSWER_AGAIN
        }
        (Met::No, _) => age >= ANSWER_AGAIN,
    }
}

/// Forgets an issue that is gone.
pub(crate) async fn remove(engine: &Engine, watch: &Watch, number: u64) -> Result<(), StoreError> {
    engine.store().set_candidate(watch.repo.clone(), number, None).await
}

#[cfg(test)]
mod tests {
    use kugetsu_domain::watch::conditions::RuleLoad;
    use kugetsu_domain::watch::trust::Trust;

    use super::*;

    const POLICY: Policy = Policy {
        label: None,
        assignee: None,
        trust: Trust::Members,
        max_running: Some(2),
        max_open_pull_requests: Some(3),
    };

    /// Whether an issue that met everything but these conditions is due, after so many minutes.
    fn due(unmet: &[(ConditionKind, Met)], load: Load, has_news: bool, minutes: i64) -> bool {
        let read_at = Timestamp::UNIX_EPOCH;
        let met =
            |kind: ConditionKind| unmet.iter().find(|(other, _)| *other == kind).map_or(Met::Yes, |(_, met)| *met);
        let condition = |kind: &ConditionKind| Condition { kind: *kind, met: met(*kind), fact: String::new() };
        let candidate = Candidate {
            text_hash: String::new(),
            seen_at: read_at,
            conditions: ConditionKind::ALL.iter().map(condition).collect(),
            rule: None,
            read_at,
        };
        is_due(&candidate, &POLICY, load, has_news, read_at + SignedDuration::from_mins(minutes))
    }

    #[test]
    fn waiting_issue_is_read_again_when_its_conditions_may_have_changed() {
        let free = Load { running: 1, open_pull_requests: 2, ..Load::default() };
        for kind in
            [ConditionKind::Running, ConditionKind::OpenPullRequests, ConditionKind::Repository, ConditionKind::Pause]
        {
            assert!(due(&[(kind, Met::No)], free, false, 0), "{kind:?}");
        }
        let blocked = [(ConditionKind::Dependencies, Met::No)];
        assert!(due(&blocked, free, true, 0) && !due(&blocked, free, false, 59) && due(&blocked, free, false, 60));
        let stranger = [(ConditionKind::Trust, Met::No)];
        assert!(!due(&stranger, free, true, 59) && due(&stranger, free, false, 60));
        let unknown = [(ConditionKind::Trust, Met::Unknown)];
        assert!(!due(&unknown, free, true, 14) && due(&unknown, free, false, 15));
        // What was not read because of another condition delays nothing.
        assert!(due(&[(ConditionKind::Running, Met::No), (ConditionKind::Trust, Met::Unread)], free, false, 0));
        // All of them have to be met.
        assert!(!due(&[blocked[0], stranger[0]], free, true, 30));
    }

    #[test]
    fn issue_that_cannot_start_costs_no_request() {
        let free = Load::default();
        for load in [
            Load { running: 2, ..free },
            Load { open_pull_requests: 3, ..free },
            Load { is_paused: true, ..free },
            Load { is_held: true, ..free },
            Load { rule: Some(RuleLoad { running: 1, max: 1 }), ..free },
        ] {
            assert!(!due(&[], load, true, 1000), "{load:?}");
        }
        for kind in [ConditionKind::New, ConditionKind::Open] {
            assert!(!due(&[(kind, Met::No)], free, true, 1000), "{kind:?}");
        }
    }
}
