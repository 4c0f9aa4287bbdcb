//! Properties of every state table.

use std::collections::BTreeSet;

use kugetsu_domain::issue::IssueState;
use kugetsu_domain::machine::Machine;
use kugetsu_domain::run::{RunState, Verdict};
use kugetsu_domain::session::SessionState;
use kugetsu_domain::task::TaskState;

/// Checks a machine. `exits` are the transitions that leave a final state on purpose.
fn check<S: Machine>(exits: &[(&str, &str, &str)]) {
    let mut reached: Vec<S> = Vec::new();
    let mut next: Vec<S> = S::TABLE.iter().filter(|arrow| arrow.from.is_none()).map(|arrow| arrow.to).collect();
    while let Some(state) = next.pop() {
        if !reached.contains(&state) {
            reached.push(state);
            next.extend(S::TABLE.iter().filter(|arrow| arrow.from == Some(state)).map(|arrow| arrow.to));
        }
    }
    for state in S::STATES {
        assert!(reached.contains(state), "nothing leads to a {} {}", state.name(), S::THING);
        assert_eq!(S::from_name(state.name()), Some(*state));
        assert!(state.description().ends_with('.'), "{state:?} has a sentence");
        let leaves = S::TABLE.iter().any(|arrow| arrow.from == Some(*state) && arrow.to != *state);
        assert!(state.is_final() || leaves, "a {} {} has no way out", state.name(), S::THING);
    }
    assert_eq!(S::from_name("nonsense"), None);
    let names: BTreeSet<_> = S::STATES.iter().map(|state| state.name()).collect();
    assert_eq!(names.len(), S::STATES.len(), "two states of one name");

    let mut arrows = BTreeSet::new();
    for arrow in S::TABLE {
        let from = arrow.from.map_or("new", Machine::name);
        assert!(arrows.insert((from, arrow.on.name())), "two arrows for {from} on {}", arrow.on.name());
        assert_eq!(S::next(arrow.from, arrow.on), Ok(arrow.to));
        assert!(arrow.description.ends_with('.'), "{from} on {} has a sentence", arrow.on.name());
    }
    let found: Vec<_> = S::TABLE
        .iter()
        .filter_map(|arrow| Some((arrow.from.filter(|from| from.is_final())?.name(), arrow.on.name(), arrow.to.name())))
        .collect();
    assert_eq!(found, exits, "arrows that leave a final {} state", S::THING);
}

#[test]
fn issue_table_is_sound() {
    check::<IssueState>(&[("destroyed", "queued", "open")]);
}

#[test]
fn task_table_is_sound() {
    check::<TaskState>(&[
        ("blocked", "retried", "queued"),
        ("failed", "retried", "queued"),
        ("timeout", "retried", "queued"),
        ("canceled", "retried", "queued"),
    ]);
}

#[test]
fn run_table_is_sound() {
    check::<RunState>(&[]);
}

#[test]
fn session_table_is_sound() {
    check::<SessionState>(&[("deleted", "session opened", "open")]);
}

#[test]
fn missing_transition_is_named() {
    let error = TaskState::next(Some(TaskState::Done), kugetsu_domain::machine::Trigger::Canceled).unwrap_err();
    assert_eq!(error.to_string(), "a done task cannot be canceled");
}

#[test]
fn verdict_ends_run_and_task_in_the_state_of_its_name() {
    for name in ["done", "blocked", "failed", "timeout", "canceled"] {
        let verdict = Verdict::from_name(name).unwrap();
        assert_eq!(RunState::next(Some(RunState::Working), verdict.trigger()).map(Machine::name), Ok(name));
        assert_eq!(TaskState::next(Some(TaskState::Running), verdict.trigger()).map(Machine::name), Ok(name));
    }
}
