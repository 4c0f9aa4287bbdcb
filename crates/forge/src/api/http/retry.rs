//! Asking again what failed in passing. Only for what changes nothing at the server.

use std::time::Duration;

use super::limits::Limits;
use crate::api::error::ForgeError;

/// A failure, and whether another try makes sense.
#[derive(Debug)]
pub(in crate::api) struct Failure {
    pub(in crate::api) error: ForgeError,
    pub(in crate::api) retry: Retry,
}

/// When to ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) enum Retry {
    /// It will be the same.
    Never,
    /// After a pause of ours.
    Backoff,
    /// After the pause that the server asked for.
    After(Duration),
}

impl Failure {
    /// A failure that will be the same next time.
    pub(in crate::api) fn finally(error: ForgeError) -> Self {
        Self { error, retry: Retry::Never }
    }
}

/// Asks until it succeeds, fails for good, or tries or patience are used up; then the last failure is told.
pub(super) async fn with_retry<T, F>(limits: &Limits, ask: impl Fn() -> F) -> Result<T, ForgeError>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut paused = Duration::ZERO;
    let mut own = limits.first_pause;
    let mut tried = 0;
    loop {
        let failure = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        tried += 1;
        let pause = match failure.retry {
            Retry::Never => return Err(failure.error),
            Retry::Backoff => own,
            Retry::After(pause) => pause,
        };
        own = own.saturating_mul(2);
        if tried >= limits.tries || paused.saturating_add(pause) > limits.patience {
            return Err(failure.error);
        }
        tracing::debug!(error = %failure.error, ?pause, "asking again");
        tokio::time::sleep(pause).await;
        paused += pause;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tokio::time::Instant;

    use super::*;

    fn failed(retry: Retry) -> Result<(), Failure> {
        Err(Failure { error: ForgeError::RateLimited { server: "x".to_owned(), until: None }, retry })
    }

    /// Gives these answers one after another. Whether the asking ended well, how often was asked, and how many
    /// hundredths of a second it took: tokio's clock goes in milliseconds and rounds up.
    async fn played(answers: Vec<Result<(), Failure>>) -> (bool, usize, u128) {
        let (begun, all) = (Instant::now(), answers.len());
        let left = RefCell::new(answers.into_iter());
        let ended = with_retry(&Limits::default(), || async { left.borrow_mut().next().unwrap() }).await;
        (ended.is_ok(), all - left.borrow().len(), begun.elapsed().as_millis() / 10)
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_and_tries_end() {
        let (ended, asked, took) = played((0..9).map(|_| failed(Retry::Backoff)).collect()).await;
        assert_eq!((ended, asked, took), (false, 4, 25 + 50 + 100));
    }

    #[tokio::test(start_paused = true)]
    async fn the_server_may_ask_for_a_pause_as_long_as_patience_lasts() {
        let after = |seconds| failed(Retry::After(Duration::from_secs(seconds)));
        assert_eq!(played(vec![after(50), Ok(())]).await, (true, 2, 5000));
        assert_eq!(played(vec![after(50), after(11), Ok(())]).await, (false, 2, 5000));
        assert_eq!(played(vec![after(61), Ok(())]).await, (false, 1, 0));
        assert_eq!(played(vec![after(u64::MAX), Ok(())]).await, (false, 1, 0));
        assert_eq!(played(vec![failed(Retry::Never), Ok(())]).await, (false, 1, 0));
    }
}
