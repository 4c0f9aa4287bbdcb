//! Reports to the coordinator how everything ended that one of its messages led to.
//!
//! Every task that ends has such an effect, since it may be the last one that a message waits for, directly or because
//! another task comes after it. Which reports are due is read from the store, so executing the effect twice, or two of
//! them at once, queues each report once: the id of a report is derived from the message and the time when the last of its
//! tasks ended.

use jiff::Timestamp;
use kugetsu_domain::hash::fnv1a;
use kugetsu_domain::ids::TaskId;
use kugetsu_domain::issue::Issue;
use kugetsu_domain::reference::IssueRef;
use kugetsu_domain::task::TaskKind;
use kugetsu_store::error::StoreError;
use kugetsu_store::write::Enqueue;
use uuid::Builder;

use super::outcome::Outcome;
use crate::coordinator::delegate::{coordinators_task, enqueue};
use crate::coordinator::report_text::report_text;
use crate::engine::Engine;

pub(crate) async fn execute(engine: &Engine) -> Outcome {
    match due(engine).await {
        Ok(reports) => Outcome::enqueue(reports),
        Err(error) => Outcome::retry(error),
    }
}

async fn due(engine: &Engine) -> Result<Vec<Enqueue>, StoreError> {
    let Some(coordinator) = engine.store().issue(&IssueRef::coordinator()).await? else { return Ok(vec![]) };
    let mut reports = Vec::new();
    for (message, settled_at) in engine.store().reports_due(coordinator.id).await? {
        match report(engine, &coordinator, message, settled_at).await {
            Ok(report) => reports.extend(report),
            // A damaged row keeps back the report about it, and no other.
            Err(error @ StoreError::Damaged { .. }) => {
                tracing::error!(%message, %error, "no report on this message of the coordinator's");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(reports)
}

/// Returns the report on a message; `None` if the message itself is no longer stored.
async fn report(
    engine: &Engine,
    coordinator: &Issue,
    message: TaskId,
    settled_at: Timestamp,
) -> Result<Option<Enqueue>, StoreError> {
    let Some(text) = report_text(engine, coordinator, message).await? else { return Ok(None) };
    let mut task = coordinators_task(engine, report_id(message, settled_at), TaskKind::Report, text);
    task.asked_by = Some(message);
    // A report covers what ended before it was queued, also if the clock was set back meanwhile.
    task.queued_at = task.queued_at.max(settled_at);
    Ok(Some(enqueue(task)))
}

/// A UUIDv7 of the time when the last task ended, so that task ids keep rising with time.
fn report_id(message: TaskId, settled_at: Timestamp) -> TaskId {
    let millis = u64::try_from(settled_at.as_millisecond()).unwrap_or_default();
    let (high, low) = (fnv1a(message.to_string().as_bytes()), fnv1a(format!("report on {message}").as_bytes()));
    let mut random = [0; 10];
    random[..8].copy_from_slice(&high.to_be_bytes());
    random[8..].copy_from_slice(&low.to_be_bytes()[..2]);
    TaskId::new(Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn report_id_depends_on_message_and_time_and_rises_with_time() {
        let [one, other] = [1, 2].map(|id| TaskId::new(Uuid::from_u128(id)));
        let [early, late] = [1_000, 2_000].map(|millis| Timestamp::from_millisecond(millis).unwrap());
        assert_eq!(report_id(one, early), report_id(one, early));
        assert_ne!(report_id(one, early), report_id(other, early));
        assert!(report_id(one, early) < report_id(one, late));
        assert!(report_id(other, early) < report_id(one, late));
    }
}
