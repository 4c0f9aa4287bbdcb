//! Changes are carried out to their end, also when whoever asked for them goes away in the middle: the server drops the
//! handler then, and what follows from a change that was stored must not be dropped with it.

use std::future::Future;

use kugetsu_api::problem::{Problem, ProblemKind};

use crate::fault::Fault;

/// Does the work in a task of its own.
pub(crate) async fn whole<Output, Error>(
    work: impl Future<Output = Result<Output, Error>> + Send + 'static,
) -> Result<Output, Fault>
where
    Output: Send + 'static,
    Error: Send + 'static,
    Fault: From<Error>,
{
    let done = tokio::spawn(work).await;
    // It panicked; the daemon's log has the place.
    Ok(done.map_err(|error| Problem::new(ProblemKind::Failed, error.to_string()))??)
}
