//! What kugetsu knows about an issue, in words for the coordinator.

use kugetsu_domain::machine::Machine;
use kugetsu_domain::task::TaskState;
use kugetsu_store::view::RunView;

/// Longest reason that is repeated, in characters: some are an agent's own words.
const REASON_MAX: usize = 400;

/// Where an issue's latest task stands, in one line.
pub(crate) fn standing(view: &RunView) -> String {
    let mut said = view.task.state.name().to_owned();
    if let Some(reason) = &view.task.reason {
        // One line, whatever an agent wrote into it: it is quoted, and must not look like something else.
        let reason: String = reason.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(REASON_MAX).collect();
        said.push_str(&format!(": {reason}"));
    }
    if let Some(files) = &view.worktree {
        said.push_str(&format!("; branch {}", files.branch));
    }
    if view.run.as_ref().and_then(|run| run.outcome.as_ref()).is_some_and(|outcome| outcome.pushed) {
        said.push_str(", pushed");
    }
    if let Some(change) = &view.change {
        said.push_str(&format!("; change {}", change.url));
        if let Some(state) = change.state() {
            said.push_str(&format!(" ({state})"));
        }
    }
    if view.task.state == TaskState::Blocked {
        said.push_str("; a person is needed");
    }
    said
}
