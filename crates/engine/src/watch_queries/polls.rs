//! Polls on request, and polls that change nothing.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kugetsu_api::problem::Problem;
use kugetsu_api::watch::{ConditionObject, ConsideredObject, PollObject, PollRequest};
use kugetsu_domain::reference::IssueRef;
use kugetsu_domain::text::rfc3339;
use kugetsu_domain::watch::conditions::{Condition, Met, is_eligible};
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::issue::{Issue, IssueQuery};
use kugetsu_store::error::StoreError;
use kugetsu_store::view::Poll;

use super::list::selected;
use crate::engine::Engine;
use crate::forges::known;
use crate::problems::store_failed;
use crate::repo_file::with_current_file;
use crate::watch::candidates::remove;
use crate::watch::handover::{consider, is_handed_over, judge};
use crate::watch::task::HandoverError;
use crate::watches::Watch;

/// Whether a poll may change anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Issues that meet every condition start.
    Real,
    /// Nothing is stored, queued or written. Works with a store that cannot be written.
    Dry,
}

/// Reads the selected repositories now, and decides about all issues that were handed over. What a server refuses is part of the
/// result: it does not keep the other repositories from being read. Effects that failed are tried again at once.
///
/// # Errors
/// There is no such watch.
pub async fn poll(engine: &Engine, request: &PollRequest, mode: Mode) -> Result<Vec<PollObject>, Problem> {
    let mut polled = Vec::new();
    for watch in selected(engine, request.watch.as_deref())? {
        let mut object =
            PollObject { watch: watch.name.clone(), repo: watch.repo.to_string(), ..PollObject::default() };
        match read(engine, &watch, mode, &mut object).await {
            Ok(()) if mode == Mode::Real && object.error.is_none() => {
                clear_error(engine, &watch).await.map_err(store_failed)?;
            }
            Ok(()) => {}
            Err(error) => object.error = Some(with_hint(&error)),
        }
        polled.push(object);
    }
    if mode == Mode::Real {
        engine.retry_effects();
    }
    Ok(polled)
}

/// Removes the error of the last poll: what it reports is over.
async fn clear_error(engine: &Engine, watch: &Watch) -> Result<(), StoreError> {
    let state = engine.store().watch(watch.repo.clone()).await?;
    match (state.polled_at, state.error) {
        (Some(at), Some(_)) => {
            engine.store().set_poll(watch.repo.clone(), Poll { since: state.since, at, error: None }).await
        }
        _ => Ok(()),
    }
}

/// The message of an error, with its hint.
pub(super) fn with_hint(error: &HandoverError) -> String {
    match error {
        HandoverError::Forge(error) => with_forge_hint(error),
        HandoverError::RepoFile(error) => format!("{error}; correct the file there, no issue starts before"),
        other => other.to_string(),
    }
}

pub(super) fn with_forge_hint(error: &ForgeError) -> String {
    match error.hint() {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    }
}

async fn read(engine: &Engine, watch: &Watch, mode: Mode, object: &mut PollObject) -> Result<(), HandoverError> {
    let forge = known(engine, &watch.repo.base)?;
    let watch = &with_current_file(engine, watch, forge.as_ref()).await?;
    let mut issues: BTreeMap<u64, Issue> = BTreeMap::new();
    let query = IssueQuery { open: true, label: watch.policy.label.clone(), ..IssueQuery::default() };
    let listed = forge.issues(&watch.repo.project, &query).await?;
    if !listed.is_complete {
        object.error = Some(format!("the server has more issues than the first {}", listed.entries.len()));
    }
    issues.extend(listed.entries.into_iter().map(|issue| (issue.number, issue)));
    // Those that were closed, or lost the label, since they were handed over.
    for (number, _) in engine.store().candidates(watch.repo.clone()).await? {
        if issues.contains_key(&number) {
            continue;
        }
        match forge.issue(&watch.repo.project, number).await {
            Ok(issue) => drop(issues.insert(number, issue)),
            Err(ForgeError::NotFound { authenticated: true, .. }) if mode == Mode::Real => {
                remove(engine, watch, number).await?;
            }
            Err(ForgeError::NotFound { authenticated: true, .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut also_running = Vec::new();
    for issue in issues.values() {
        let conditions = match mode {
            Mode::Real => consider(engine, watch, forge.as_ref(), issue).await.map(|considered| considered.conditions),
            Mode::Dry => {
                judge(engine, watch, forge.as_ref(), issue, &also_running).await.map(|judged| judged.conditions)
            }
        };
        let conditions = match conditions {
            Ok(conditions) => conditions,
            // The others can be read all the same.
            Err(error) => {
                object.error = Some(format!("#{}: {}", issue.number, with_hint(&error)));
                continue;
            }
        };
        let starts = is_eligible(&conditions);
        also_running.extend(starts.then(|| watch.limited_rule(&issue.labels, issue.kind.as_deref())));
        if is_handed_over(&conditions) {
            object.issues.push(ConsideredObject {
                issue: IssueRef { repo: watch.repo.clone(), number: issue.number }.to_string(),
                title: issue.title.clone(),
                starts,
                conditions: objects(&conditions, engine.now()),
            });
        }
    }
    Ok(())
}

pub(super) fn objects(conditions: &[Condition], read_at: Timestamp) -> Vec<ConditionObject> {
    let object = |condition: &Condition| ConditionObject {
        name: condition.kind.name().to_owned(),
        met: match condition.met {
            Met::Unread => Met::Unknown,
            met => met,
        }
        .name()
        .to_owned(),
        fact: condition.fact.clone(),
        read_at: (condition.met != Met::Unread).then(|| rfc3339(read_at)),
    };
    conditions.iter().map(object).collect()
}
