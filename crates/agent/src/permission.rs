//! opencode's permission rules, as they are given to it through a variable.

use std::ffi::OsStr;

use serde_json::{Map, Value};
use thiserror::Error;

use crate::policy::Policy;

/// The variable with permission rules that are merged over the configuration's.
pub(crate) const PERMISSION: &str = "OPENCODE_PERMISSION";

/// The user's own permission rules for the agent cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the variable {variable} holds no JSON object ({detail}); correct it or unset it")]
pub struct InvalidPermissionRules {
    /// The variable.
    pub variable: &'static str,
    /// What is wrong with it.
    pub detail: String,
}

/// The rules under which no question of opencode's is left without an answer. The user's own rules win.
///
/// A sub-agent's question is not told over ACP, and the sub-agent waits for ever. So either the questions that opencode
/// asks by default are allowed beforehand, or, where somebody or the policy is to decide, there are no sub-agents.
pub(crate) fn permission(policy: Policy, own: Option<&OsStr>) -> Result<String, InvalidPermissionRules> {
    let bad = |detail: String| InvalidPermissionRules { variable: PERMISSION, detail };
    let defaults: &[(&str, &str)] = match policy {
        Policy::Allow => &[("external_directory", "allow"), ("doom_loop", "allow")],
        Policy::Ask | Policy::Refuse => &[("task", "deny")],
    };
    let mut rules: Map<String, Value> =
        defaults.iter().map(|(name, action)| ((*name).to_owned(), Value::from(*action))).collect();
    if let Some(own) = own.filter(|own| !own.is_empty()) {
        let own = own.to_str().ok_or_else(|| bad("it is no UTF-8".to_owned()))?;
        let own: Map<String, Value> = serde_json::from_str(own).map_err(|error| bad(error.to_string()))?;
        rules.extend(own);
    }
    Ok(Value::Object(rules).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(policy: Policy, own: &str) -> Value {
        serde_json::from_str(&permission(policy, Some(OsStr::new(own))).unwrap()).unwrap()
    }

    #[test]
    fn no_question_is_left_to_a_sub_agent() {
        assert_eq!(rules(Policy::Allow, "")["external_directory"], "allow");
        assert_eq!(rules(Policy::Ask, "")["task"], "deny");
        assert_eq!(rules(Policy::Refuse, "")["task"], "deny");
    }

    #[test]
    fn the_users_own_rules_win() {
        let rules = rules(Policy::Allow, r#"{"bash": {"*": "ask"}, "external_directory": "deny"}"#);
        assert_eq!(rules["external_directory"], "deny");
        assert_eq!(rules["bash"]["*"], "ask");
        assert_eq!(rules["doom_loop"], "allow");
        for bad in ["{", "[]", "\"allow\""] {
            assert!(permission(Policy::Allow, Some(OsStr::new(bad))).is_err(), "{bad}");
        }
    }
}
