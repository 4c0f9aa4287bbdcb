//! Permission rules for opencode, which it reads from a variable.

use std::ffi::OsStr;

use serde_json::{Map, Value};
use thiserror::Error;

use crate::question::Policy;

/// The variable. opencode merges its rules over those of the configuration.
pub(super) const VARIABLE: &str = "OPENCODE_PERMISSION";

/// The user's value of the variable cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the variable {variable} is not a JSON object: {detail}")]
pub struct InvalidPermissionRules {
    pub variable: &'static str,
    pub detail: String,
}

impl InvalidPermissionRules {
    pub fn hint(&self) -> Option<String> {
        Some(format!("correct it, or remove it: kugetsu env rm {}", self.variable))
    }
}

/// Returns rules with which no question of opencode stays without an answer. The user's rules have precedence.
///
/// A sub-agent's question does not arrive over ACP, and the sub-agent waits for ever. So under [`Policy::Allow`] the
/// operations are allowed that opencode asks about by default, and under the other policies there are no sub-agents.
pub(super) fn merge(policy: Policy, users: Option<&OsStr>) -> Result<String, InvalidPermissionRules> {
    let invalid = |detail: String| InvalidPermissionRules { variable: VARIABLE, detail };
    let defaults: &[(&str, &str)] = match policy {
        Policy::Allow => &[("external_directory", "allow"), ("doom_loop", "allow")],
        Policy::Ask | Policy::Refuse => &[("task", "deny")],
    };
    let mut rules: Map<String, Value> =
        defaults.iter().map(|(name, action)| ((*name).to_owned(), Value::from(*action))).collect();
    if let Some(users) = users.filter(|users| !users.is_empty()) {
        let users = users.to_str().ok_or_else(|| invalid("it is not valid UTF-8".to_owned()))?;
        let users: Map<String, Value> = serde_json::from_str(users).map_err(|error| invalid(error.to_string()))?;
        rules.extend(users);
    }
    Ok(Value::Object(rules).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(policy: Policy, users: &str) -> Value {
        serde_json::from_str(&merge(policy, Some(OsStr::new(users))).unwrap()).unwrap()
    }

    #[test]
    fn sub_agents_never_wait_for_a_permission() {
        assert_eq!(rules(Policy::Allow, "")["external_directory"], "allow");
        assert_eq!(rules(Policy::Ask, "")["task"], "deny");
        assert_eq!(rules(Policy::Refuse, "")["task"], "deny");
    }

    #[test]
    fn rules_of_the_user_have_precedence() {
        let rules = rules(Policy::Allow, r#"{"bash": {"*": "ask"}, "external_directory": "deny"}"#);
        assert_eq!(rules["external_directory"], "deny");
        assert_eq!(rules["bash"]["*"], "ask");
        assert_eq!(rules["doom_loop"], "allow");
        for bad in ["{", "[]", "\"allow\""] {
            assert!(merge(Policy::Allow, Some(OsStr::new(bad))).is_err(), "{bad}");
        }
    }
}
