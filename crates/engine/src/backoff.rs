//! The delay before something that failed is tried again: effects, and the loop itself when the database fails.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

pub(crate) const FIRST: Duration = Duration::from_secs(1);
/// Longest delay after a failure that may end without a person.
pub(crate) const LONGEST: Duration = Duration::from_secs(60);
/// The same after one that a person has to end, such as a token that was revoked.
pub(crate) const LONGEST_FOR_PEOPLE: Duration = Duration::from_secs(600);

/// Returns the delay after `failures` consecutive failures: from 1 s, doubling, up to `longest`. Jitter of up to the delay
/// itself keeps effects that failed together from being retried together.
pub(crate) fn delay(failures: u32, longest: Duration) -> Duration {
    let mut policy = ExponentialBuilder::new()
        .with_min_delay(FIRST)
        .with_max_delay(longest)
        .with_jitter()
        .without_max_times()
        .build();
    let step = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX).min(32);
    policy.nth(step).unwrap_or(longest)
}

#[cfg(test)]
mod tests {
    use kugetsu_store::effect::DELAY_MAX;

    use super::*;

    #[test]
    fn delay_grows_and_is_bounded() {
        for (failures, least) in [(0, 1), (1, 1), (2, 2), (5, 16), (7, 60), (10, 60), (u32::MAX, 60)] {
            let delay = delay(failures, LONGEST);
            assert!(delay >= Duration::from_secs(least), "{failures}: {delay:?}");
            assert!(delay <= LONGEST * 2, "{failures}: {delay:?}");
        }
        for (failures, least) in [(1, 1), (7, 64), (11, 600), (u32::MAX, 600)] {
            let delay = delay(failures, LONGEST_FOR_PEOPLE);
            assert!(delay >= Duration::from_secs(least) && delay <= DELAY_MAX, "{failures}: {delay:?}");
        }
    }
}
