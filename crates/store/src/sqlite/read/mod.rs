//! The queries of the readers.

mod agent_runs;
mod delegated;
mod effects;
mod events;
mod integrity;
mod issues;
mod model_limits;
mod queue;
mod usage;
mod views;

pub(super) use agent_runs::agent_runs;
pub(super) use delegated::{delegated, reported, reports_due, settled, stuck};
pub(super) use effects::{due_effects, effects_of, next_effect_due};
pub(super) use events::{events_after, last_event};
pub(super) use integrity::check;
pub(super) use issues::{issues, repos};
pub(super) use model_limits::{model_limits, resumed_at};
pub(super) use queue::{pauses, queue, queue_position};
pub(super) use usage::{live_usage, recent_usage, usage_of_issues, usage_of_repos, usage_since};
pub(super) use views::{runs, shown, views};
