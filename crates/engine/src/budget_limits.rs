//! The settings of budgets.

use kugetsu_domain::budget::{Scope, Unit};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::Value;

/// How much runs may use. A limit that is not set does not exist.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct BudgetLimits {
    /// Tokens that all runs of a day may use, in local time, those in progress included. Further tasks wait until the next day.
    #[schemars(range(min = 1, max = 1_000_000_000_000_u64), extend("examples" = [50_000_000]))]
    pub day_tokens: Option<u64>,
    /// US dollars that all runs of a day may use, in local time, those in progress included. Further tasks wait until the next day.
    #[serde(default, deserialize_with = "dollars")]
    #[schemars(with = "Option<String>", extend("format" = "dollars", "examples" = ["20.00"]))]
    pub day_usd: Option<f64>,
    /// Tokens that all runs of an issue may use.
    #[schemars(range(min = 1, max = 1_000_000_000_000_u64), extend("examples" = [5_000_000]))]
    pub issue_tokens: Option<u64>,
    /// US dollars that all runs of an issue may use.
    #[serde(default, deserialize_with = "dollars")]
    #[schemars(with = "Option<String>", extend("format" = "dollars", "examples" = ["5.00"]))]
    pub issue_usd: Option<f64>,
    /// Tokens that all runs of a repository may use that are in the history (`queue.keep`).
    #[schemars(range(min = 1, max = 1_000_000_000_000_u64), extend("examples" = [100_000_000]))]
    pub repo_tokens: Option<u64>,
    /// US dollars that all runs of a repository may use that are in the history (`queue.keep`).
    #[serde(default, deserialize_with = "dollars")]
    #[schemars(with = "Option<String>", extend("format" = "dollars", "examples" = ["50.00"]))]
    pub repo_usd: Option<f64>,
    /// US dollars that a run may use before it is ended. It has no effect on agents that report their cost only at the end of a turn.
    #[serde(default, deserialize_with = "dollars")]
    #[schemars(with = "Option<String>", extend("format" = "dollars", "examples" = ["2.50"]))]
    pub run_usd: Option<f64>,
}

impl BudgetLimits {
    pub(crate) fn of(&self, scope: &Scope, unit: Unit) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "no budget has 2^53 tokens")]
        let tokens = |limit: Option<u64>| limit.map(|limit| limit as f64);
        match (scope, unit) {
            (Scope::Run, Unit::Dollars) => self.run_usd,
            // No agent reports tokens during a run.
            (Scope::Run, Unit::Tokens) => None,
            (Scope::Issue(_), Unit::Dollars) => self.issue_usd,
            (Scope::Issue(_), Unit::Tokens) => tokens(self.issue_tokens),
            (Scope::Repo(_), Unit::Dollars) => self.repo_usd,
            (Scope::Repo(_), Unit::Tokens) => tokens(self.repo_tokens),
            (Scope::Day, Unit::Dollars) => self.day_usd,
            (Scope::Day, Unit::Tokens) => tokens(self.day_tokens),
        }
    }
}

/// An amount as a number or as a text. An empty text unsets it.
fn dollars<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let amount = match Option::<Value>::deserialize(deserializer)? {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) if text.is_empty() => return Ok(None),
        Some(Value::String(text)) => text.trim().trim_start_matches('$').parse().ok(),
        Some(value) => value.as_f64(),
    };
    let amount = amount.filter(|amount: &f64| (0.01..=1_000_000.0).contains(amount));
    amount.map(Some).ok_or_else(|| D::Error::custom("not an amount from 0.01 to 1000000 US dollars"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn amounts_are_numbers_or_texts() {
        let of = |value: Value| serde_json::from_value::<BudgetLimits>(json!({"day_usd": value})).map(|it| it.day_usd);
        for value in [json!("5.00"), json!("$5"), json!(5), json!(5.0)] {
            assert_eq!(of(value).unwrap(), Some(5.0));
        }
        assert_eq!((of(json!("")).unwrap(), of(Value::Null).unwrap()), (None, None));
        for value in [json!("five"), json!(0), json!(-1), json!("NaN"), json!(true)] {
            assert!(of(value.clone()).is_err(), "{value}");
        }
    }
}
