//! Properties of the scheduling policy.

use std::collections::BTreeSet;

use kugetsu_domain::ids::{IssueId, TaskId};
use kugetsu_domain::reference::IssueRef;
use kugetsu_domain::schedule::{Candidate, choose};
use kugetsu_domain::task::TaskKind;
use proptest::prelude::*;
use uuid::Uuid;

fn queue() -> impl Strategy<Value = Vec<Candidate>> {
    prop::collection::vec((0_u128..8, any::<bool>()), 0..30).prop_map(|queue| {
        let candidate = |(position, (issue, start)): (usize, (u128, bool))| Candidate {
            task: TaskId::new(Uuid::from_u128(position as u128)),
            issue: IssueId::new(Uuid::from_u128(issue)),
            kind: if start { TaskKind::Start } else { TaskKind::Continue },
            repo: IssueRef::coordinator().repo,
            agent: "a".to_owned(),
            model: None,
        };
        queue.into_iter().enumerate().map(candidate).collect()
    })
}

proptest! {
    #[test]
    fn every_slot_is_used_once(queue in queue(), running in 0_usize..6, max in 0_usize..6) {
        let chosen = choose(&queue, &[], running, max);
        let starts = chosen.iter().filter(|one| one.kind == TaskKind::Start).count();
        let issues: BTreeSet<_> = chosen.iter().map(|one| one.issue).collect();
        prop_assert!(starts <= max.saturating_sub(running));
        prop_assert_eq!(issues.len(), chosen.len(), "one issue has one run");
        let mut rest = queue.iter();
        prop_assert!(chosen.iter().all(|one| rest.any(|other| other == one)), "in queue order");
        for left in queue.iter().filter(|one| !chosen.contains(one) && !issues.contains(&one.issue)) {
            prop_assert_eq!(left.kind, TaskKind::Start, "a continue needs no slot");
            prop_assert_eq!(starts, max.saturating_sub(running), "no slot stays empty while a task waits");
        }
    }
}
