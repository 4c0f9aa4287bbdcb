//! Stored events as a stream.

use std::path::Path;

use jiff::Timestamp;
use kugetsu_api::issue::IssueQuery;
use kugetsu_api::problem::Problem;
use kugetsu_domain::ids::IssueId;
use kugetsu_forge::references::reference::Reference;
use kugetsu_store::error::StoreError;
use kugetsu_store::view::StoredEvent;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use crate::engine::Engine;
use crate::problems::store_failed;
use crate::resolve;

/// Events that are read at once.
const CHUNK: u32 = 256;
/// Events that are buffered for a slow reader.
const BUFFER: usize = 64;

/// Returns the issue of a query.
pub async fn issue(engine: &Engine, query: &IssueQuery) -> Result<IssueId, Problem> {
    Ok(resolve::issue(engine, &Reference::new(&query.reference), Path::new(&query.cwd)).await?.id)
}

/// Streams the events after number `after` and not before `since`, of one issue or of all; with `follow` also new ones. A last
/// item that is an error means that the events cannot be read further.
pub fn events(
    engine: &Engine,
    issue: Option<IssueId>,
    (after, since): (i64, Option<Timestamp>),
    follow: bool,
) -> mpsc::Receiver<Result<StoredEvent, Problem>> {
    let (sender, stream) = mpsc::channel(BUFFER);
    let engine = engine.clone();
    tokio::spawn(async move {
        if let Err(error) = send_all(&engine, issue, (after, since), follow, &sender).await {
            tracing::error!(%error, "events cannot be read");
            // A reader that has gone needs no reason.
            let _ = sender.send(Err(store_failed(error))).await;
        }
    });
    stream
}

async fn send_all(
    engine: &Engine,
    issue: Option<IssueId>,
    (mut after, since): (i64, Option<Timestamp>),
    follow: bool,
    stream: &mpsc::Sender<Result<StoredEvent, Problem>>,
) -> Result<(), StoreError> {
    let mut live = engine.store().listen();
    if let Some(since) = since {
        after = after.max(engine.store().last_event(issue, Some(since)).await?);
    }
    loop {
        // The log has everything in order; live events only say when to read it again.
        loop {
            let chunk = engine.store().events_after(issue, after, CHUNK).await?;
            let Some(last) = chunk.last() else { break };
            after = last.seq;
            for event in chunk {
                if stream.send(Ok(event)).await.is_err() {
                    return Ok(());
                }
            }
        }
        if !follow {
            return Ok(());
        }
        loop {
            tokio::select! {
                event = live.recv() => match event {
                    Ok(event) if event.seq > after && issue.is_none_or(|issue| issue == event.issue) => break,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return Err(StoreError::Closed),
                },
                () = stream.closed() => return Ok(()),
            }
        }
    }
}
