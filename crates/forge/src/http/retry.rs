//! Retries requests that failed for a transient reason. Those that change something on the server get another attempt only if
//! the first one did not arrive, or was refused for the rate of requests.

use std::time::Duration;

use super::limits::Limits;
use crate::error::ForgeError;

/// A failed attempt, and whether another one makes sense.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: ForgeError,
    pub(super) retry: Retry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retry {
    Never,
    /// After the next pause of the exponential backoff.
    Backoff,
    /// After the pause that the server requested.
    After(Duration),
}

impl Failure {
    /// The failure of a request that changes something: only a server that did not look at it may get it again. One that failed
    /// may have done it all the same.
    pub(super) fn unless_it_may_be_done(self) -> Self {
        match self.error {
            ForgeError::RateLimited { .. } => self,
            error => Self { error, retry: Retry::Never },
        }
    }

    /// A failure that another attempt would not have after this time.
    pub(super) fn after(wait: Duration, error: ForgeError) -> Self {
        Self { error, retry: Retry::After(wait) }
    }

    /// A failure that another attempt would not change.
    pub(super) fn permanent(error: ForgeError) -> Self {
        Self { error, retry: Retry::Never }
    }
}

/// Sends until it succeeds, fails permanently, or the limits on attempts or waiting are reached; then returns the last
/// error.
pub(super) async fn with_retry<T, F>(limits: &Limits, send: impl Fn() -> F) -> Result<T, ForgeError>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut waited = Duration::ZERO;
    let mut backoff = limits.first_backoff;
    let mut attempts = 0;
    loop {
        let failure = match send().await {
            Ok(response) => return Ok(response),
            Err(failure) => failure,
        };
        attempts += 1;
        let pause = match failure.retry {
            Retry::Never => return Err(failure.error),
            Retry::Backoff => backoff,
            Retry::After(pause) => pause,
        };
        backoff = backoff.saturating_mul(2);
        if attempts >= limits.attempts || waited.saturating_add(pause) > limits.max_wait {
            return Err(failure.error);
        }
        tracing::debug!(error = %failure.error, ?pause, "retrying");
        tokio::time::sleep(pause).await;
        waited += pause;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tokio::time::Instant;

    use super::*;

    fn failure(retry: Retry) -> Result<(), Failure> {
        Err(Failure { error: ForgeError::RateLimited { server: "x".to_owned(), until: None }, retry })
    }

    /// Plays these results one after another. Returns whether the last one was a success, the number of attempts, and
    /// the time in hundredths of a second: tokio's clock counts milliseconds and rounds up.
    async fn play(results: Vec<Result<(), Failure>>) -> (bool, usize, u128) {
        let (start, all) = (Instant::now(), results.len());
        let left = RefCell::new(results.into_iter());
        let result = with_retry(&Limits::default(), || async { left.borrow_mut().next().unwrap() }).await;
        (result.is_ok(), all - left.borrow().len(), start.elapsed().as_millis() / 10)
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_and_attempts_are_limited() {
        let result = play((0..9).map(|_| failure(Retry::Backoff)).collect()).await;
        assert_eq!(result, (false, 4, 25 + 50 + 100));
    }

    #[tokio::test(start_paused = true)]
    async fn the_pause_of_the_server_is_kept_up_to_the_maximum_wait() {
        let after = |seconds| failure(Retry::After(Duration::from_secs(seconds)));
        assert_eq!(play(vec![after(50), Ok(())]).await, (true, 2, 5000));
        assert_eq!(play(vec![after(50), after(11), Ok(())]).await, (false, 2, 5000));
        assert_eq!(play(vec![after(61), Ok(())]).await, (false, 1, 0));
        assert_eq!(play(vec![after(u64::MAX), Ok(())]).await, (false, 1, 0));
        assert_eq!(play(vec![failure(Retry::Never), Ok(())]).await, (false, 1, 0));
    }
}
