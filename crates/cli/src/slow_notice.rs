//! Tells the user what a command is waiting for once that takes longer than a moment.

use std::future::Future;
use std::time::Duration;

use crate::ui;

/// Most commands end sooner and print nothing but their result.
const DELAY: Duration = Duration::from_secs(1);

/// Awaits `work`, and prints `notice` if it takes longer than [`DELAY`].
pub(crate) async fn notify_if_slow<Output>(notice: &str, work: impl Future<Output = Output>) -> Output {
    let mut work = std::pin::pin!(work);
    if let Ok(output) = tokio::time::timeout(DELAY, work.as_mut()).await {
        return output;
    }
    ui::note(format!("· {notice}"));
    work.await
}
