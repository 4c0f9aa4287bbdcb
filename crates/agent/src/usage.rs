//! Tokens and costs of a turn or a run.

use std::ops::AddAssign;

use serde_json::Value;

/// Largest number of tokens that is believed, of one kind in one report or sum: more than a year of any provider's. Larger
/// ones are mistakes of the agent, and the database could not store them.
pub(crate) const TOKENS_MAX: u64 = 1_000_000_000_000;
/// Largest cost that is believed, in US dollars.
pub(crate) const COST_MAX: f64 = 1_000_000.0;

/// Tokens and costs. For opencode these are sums over all model steps, including those of sub-agents. For other agents they are
/// the figures that the agent reports.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Number of model steps; 0 if the agent does not report each of them.
    pub steps: u32,
    /// `None` if the agent does not report them.
    pub tokens: Option<Tokens>,
    /// US dollars. `None` if the agent does not report costs, or only a total from which this part cannot be derived.
    pub cost_usd: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Input tokens that were in no cache.
    pub input: u64,
    pub output: u64,
    pub reasoning: u64,
    /// Tokens read from the provider's cache.
    pub cache_read: u64,
    /// Tokens written to the provider's cache.
    pub cache_write: u64,
}

impl Usage {
    /// Nothing was used: the model got no prompt.
    pub const ZERO: Self = Self { steps: 0, tokens: Some(Tokens::ZERO), cost_usd: Some(0.0) };
}

impl Tokens {
    pub(crate) const ZERO: Self = Self { input: 0, output: 0, reasoning: 0, cache_read: 0, cache_write: 0 };

    fn all(self) -> [u64; 5] {
        [self.input, self.output, self.reasoning, self.cache_read, self.cache_write]
    }

    pub fn total(self) -> u64 {
        self.all().into_iter().fold(0, u64::saturating_add)
    }

    /// Returns all input tokens, whether they were in a cache or not.
    pub fn all_input(self) -> u64 {
        self.input.saturating_add(self.cache_read).saturating_add(self.cache_write)
    }

    /// Returns all output tokens, with those of reasoning.
    pub fn all_output(self) -> u64 {
        self.output.saturating_add(self.reasoning)
    }

    fn combined(self, other: Self, combine: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            input: combine(self.input, other.input),
            output: combine(self.output, other.output),
            reasoning: combine(self.reasoning, other.reasoning),
            cache_read: combine(self.cache_read, other.cache_read),
            cache_write: combine(self.cache_write, other.cache_write),
        }
    }

    /// Returns what was used after `before`, as input and output alone: `before` may not keep the rest apart.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            input: self.all_input().saturating_sub(before.all_input()),
            output: self.all_output().saturating_sub(before.all_output()),
            ..Self::ZERO
        }
    }

    /// Returns the less of two reports about the same time.
    pub(crate) fn min(self, other: Self) -> Self {
        if self.total() <= other.total() { self } else { other }
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

impl AddAssign for Tokens {
    fn add_assign(&mut self, other: Self) {
        *self = self.combined(other, sum);
    }
}

impl AddAssign for Usage {
    /// Something unknown added to something known counts as 0.
    fn add_assign(&mut self, other: Self) {
        self.steps = self.steps.saturating_add(other.steps);
        self.tokens = match (self.tokens, other.tokens) {
            (Some(one), Some(two)) => Some(one.combined(two, sum)),
            (one, two) => one.or(two),
        };
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
            tokens: Some(Tokens {
                input: TOKENS_MAX,
                output: TOKENS_MAX,
                reasoning: TOKENS_MAX,
                cache_read: TOKENS_MAX,
                cache_write: TOKENS_MAX,
            }),
            cost_usd: Some(COST_MAX),
        };
        let mut sum = most;
        sum += most;
        assert_eq!(sum, most);
    }
}
