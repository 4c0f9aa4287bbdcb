//! Executes an effect.

use kugetsu_domain::effect::Effect;
use kugetsu_store::effect::ClaimedEffect;

use super::outcome::Outcome;
use super::unwatched::wait_for_watch;
use super::{
    announce, answer, cancel_merge, cancel_run, comment, complete, end_pause, find_pull_request, follow, merge,
    publish, remove_files, report, rescue, run,
};
use crate::engine::Engine;

/// Executes a claimed effect. It may have been executed before, wholly or in part: the process can die at any point.
pub(crate) async fn execute(engine: &Engine, claimed: &ClaimedEffect) -> Outcome {
    if let Err(outcome) = wait_for_watch(engine, claimed.effect.kind(), claimed.issue).await {
        return outcome;
    }
    match claimed.effect {
        Effect::Run(lease) => run::execute(engine, lease).await,
        Effect::CancelRun { run } => cancel_run::execute(engine, run),
        Effect::Rescue { run } => {
            rescue::execute(engine, claimed.issue, run, claimed.attempt, claimed.created_at).await
        }
        Effect::RemoveFiles { .. } => remove_files::execute(engine, claimed.issue, claimed.created_at).await,
        Effect::FindPullRequest { .. } => find_pull_request::execute(engine, claimed.issue, claimed.attempt).await,
        Effect::Report { .. } => report::execute(engine).await,
        Effect::EndPause { task, until } => {
            end_pause::execute(engine, claimed.issue, task, until, claimed.created_at).await
        }
        Effect::Publish { run } => publish::execute(engine, claimed.issue, run).await,
        Effect::Comment { run, number } => comment::execute(engine, claimed.issue, run, number, claimed.attempt).await,
        Effect::Follow { at } => follow::execute(engine, claimed.issue, at).await,
        Effect::Merge { .. } => merge::execute(engine, claimed.issue, claimed.attempt).await,
        Effect::CancelMerge { number, .. } => cancel_merge::execute(engine, claimed.issue, number).await,
        Effect::Announce { version } => announce::execute(engine, claimed.issue, version, claimed.attempt).await,
        Effect::Answer { task, .. } => answer::execute(engine, claimed.issue, task, claimed.attempt).await,
        Effect::Complete { ending } => complete::execute(engine, claimed.issue, ending, claimed.attempt).await,
    }
}
