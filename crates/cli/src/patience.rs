//! Says what a command waits for, once that takes longer than a moment.

use std::future::Future;
use std::time::Duration;

use crate::ui;

/// Until then nobody wonders.
const MOMENT: Duration = Duration::from_secs(1);

/// Does the work; what it is is said if it takes long.
pub(crate) async fn saying<Answer>(what: &str, work: impl Future<Output = Answer>) -> Answer {
    let mut work = std::pin::pin!(work);
    if let Ok(answer) = tokio::time::timeout(MOMENT, work.as_mut()).await {
        return answer;
    }
    ui::note(format!("· {what}"));
    work.await
}
