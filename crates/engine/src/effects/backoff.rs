//! The delay before something that failed is tried again: effects, and the loop itself when the database fails.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// Returns the delay after `failures` consecutive failures: from 1 s, doubling, up to 1 min. Jitter of up to the delay
/// itself keeps effects that failed together from being retried together.
pub(crate) fn delay(failures: u32) -> Duration {
    let mut policy = ExponentialBuilder::new()
        .with_min_delay(FIRST)
        .with_max_delay(LONGEST)
        .with_jitter()
        .without_max_times()
        .build();
    let step = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX).min(32);
    policy.nth(step).unwrap_or(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_grows_and_is_bounded() {
        for (failures, least) in [(0, 1), (1, 1), (2, 2), (5, 16), (7, 60), (10, 60), (u32::MAX, 60)] {
            let delay = delay(failures);
            assert!(delay >= Duration::from_secs(least), "{failures}: {delay:?}");
            assert!(delay <= LONGEST * 2, "{failures}: {delay:?}");
        }
    }
}
