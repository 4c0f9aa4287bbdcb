//! Tokens and costs of a turn or a run.

use std::ops::AddAssign;

use serde_json::Value;

/// Largest number of tokens that is believed, of one kind in one report or sum: more than a year of any provider's. Larger
/// ones are mistakes of the agent, and the database could not store them.
pub(crate) const TOKENS_MAX: u64 = 1_000_000_000_000;
/// Largest cost that is believed, in US dollars.
pub(crate) const COST_MAX: f64 = 1_000_000.0;

/// For opencode these are sums over all model steps, including those of sub-agents. For other agents they are the figures
/// that the agent reports.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Number of model steps; 0 if the agent does not report each of them.
    pub steps: u32,
    /// Input tokens that were in no cache.
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub reasoning_tokens: u64,
    /// Tokens read from the provider's cache.
    pub cache_read_tokens: u64,
    /// Tokens written to the provider's cache.
    pub cache_write_tokens: u64,
    /// US dollars. `None` if the agent does not report costs, or only a total from which this part cannot be derived.
    pub cost_usd: Option<f64>,
}

impl Usage {
    pub const fn total_tokens(&self) -> u64 {
        self.input_tokens
            .saturating_add(self.output_tokens)
            .saturating_add(self.reasoning_tokens)
            .saturating_add(self.cache_read_tokens)
            .saturating_add(self.cache_write_tokens)
    }
}

/// Reads a number of tokens from an agent. Anything but a number from 0 to [`TOKENS_MAX`] becomes the nearest of these, and
/// anything but a number 0.
pub(crate) fn tokens(value: &Value) -> u64 {
    // Integers beyond i64 and fractions are numbers, too.
    value.as_f64().map_or(0, bounded_tokens)
}

/// NaN and negative numbers become 0.
pub(crate) fn bounded_tokens(number: f64) -> u64 {
    // A cast saturates.
    (number as u64).min(TOKENS_MAX)
}

/// Returns a cost from an agent if it can be one: finite, and not negative.
pub(crate) fn dollars(amount: f64) -> Option<f64> {
    (amount.is_finite() && amount >= 0.0).then(|| amount.min(COST_MAX))
}

fn sum(one: u64, two: u64) -> u64 {
    one.saturating_add(two).min(TOKENS_MAX)
}

impl AddAssign for Usage {
    /// An unknown cost added to a known one counts as 0.
    fn add_assign(&mut self, other: Self) {
        self.steps = self.steps.saturating_add(other.steps);
        self.input_tokens = sum(self.input_tokens, other.input_tokens);
        self.output_tokens = sum(self.output_tokens, other.output_tokens);
        self.reasoning_tokens = sum(self.reasoning_tokens, other.reasoning_tokens);
        self.cache_read_tokens = sum(self.cache_read_tokens, other.cache_read_tokens);
        self.cache_write_tokens = sum(self.cache_write_tokens, other.cache_write_tokens);
        self.cost_usd = match (self.cost_usd, other.cost_usd) {
            (Some(one), Some(two)) => Some((one + two).min(COST_MAX)),
            (one, two) => one.or(two),
        };
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn impossible_numbers_are_bounded() {
        let read = |value: Value| tokens(&value);
        assert_eq!(read(json!(7)), 7);
        assert_eq!(read(json!(7.9)), 7);
        for huge in [json!(1_u64 << 63), json!(u64::MAX), json!(1e300)] {
            assert_eq!(read(huge), TOKENS_MAX);
        }
        for none in [json!(-1), json!(null), json!("7"), json!({})] {
            assert_eq!(read(none), 0);
        }
        assert_eq!(bounded_tokens(f64::NAN), 0);
        assert_eq!((dollars(0.5), dollars(1e300)), (Some(0.5), Some(COST_MAX)));
        for none in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.5] {
            assert_eq!(dollars(none), None, "{none}");
        }
    }

    #[test]
    fn sums_are_bounded() {
        let most = Usage {
            steps: u32::MAX,
            input_tokens: TOKENS_MAX,
            output_tokens: TOKENS_MAX,
            reasoning_tokens: TOKENS_MAX,
            cache_read_tokens: TOKENS_MAX,
            cache_write_tokens: TOKENS_MAX,
            cost_usd: Some(COST_MAX),
        };
        let mut sum = most;
        sum += most;
        assert_eq!(sum, most);
    }
}
