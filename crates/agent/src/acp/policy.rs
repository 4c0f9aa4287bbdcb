//! Makes the permission policy of a run the agent's own, where the protocol can do that: agents that do not ask never learn of
//! it otherwise.

use serde_json::{Value, json};

use super::connection::Connection;
use crate::error::AgentError;
use crate::profile::{PermissionControl, chosen};
use crate::question::Policy;
use crate::session_id::SessionId;

const DOING: &str = "apply agent.permissions";

/// How a session's mode is changed.
#[derive(Debug, PartialEq, Eq)]
enum Control {
    /// By the method for it.
    Mode,
    /// By a session option with this id.
    Option(String),
}

impl Connection {
    /// Sets the session's mode or option for the policy. `response` is the one that opened the session.
    ///
    /// # Errors
    /// The policy restricts the agent, and the agent does not take it. If everything is allowed, the agent works anyway, so
    /// that only a notice is returned.
    pub(super) async fn apply_policy(&self, id: &SessionId, response: &Value) -> Result<Option<String>, AgentError> {
        let policy = self.options.policy;
        let applied = match self.profile.permissions() {
            PermissionControl::Mode { allow, ask } => self.set_mode(id, response, chosen(policy, allow, ask)).await,
            PermissionControl::Option { id: option, allow, ask } => {
                self.set_option(id, option, chosen(policy, allow, ask)).await
            }
            PermissionControl::OpencodeRules | PermissionControl::Variable { .. } | PermissionControl::Unknown => {
                Ok(())
            }
        };
        match applied {
            Ok(()) => Ok(None),
            Err(error @ (AgentError::NoMode { .. } | AgentError::Failed { .. })) if policy == Policy::Allow => {
                Ok(Some(format!("{error}; it may refuse some of its operations itself")))
            }
            Err(error) => Err(error),
        }
    }

    async fn set_mode(&self, session: &SessionId, response: &Value, mode: &str) -> Result<(), AgentError> {
        let (control, offered, current) = modes(response);
        if current.as_deref() == Some(mode) {
            return Ok(());
        }
        // The response to a resumed session need not list them.
        if !offered.is_empty() && !offered.iter().any(|other| other == mode) {
            return Err(AgentError::NoMode { name: mode.to_owned(), known: offered });
        }
        match control {
            Control::Option(option) => self.set_option(session, &option, mode).await,
            Control::Mode => {
                let params = json!({"sessionId": session.as_str(), "modeId": mode});
                self.request("session/set_mode", params, DOING).await.map(drop)
            }
        }
    }

    async fn set_option(&self, session: &SessionId, option: &str, value: &str) -> Result<(), AgentError> {
        let params = json!({"sessionId": session.as_str(), "configId": option, "value": value});
        self.request("session/set_config_option", params, DOING).await.map(drop)
    }
}

/// Returns how the mode is changed, the modes that the session has, and the current one.
fn modes(response: &Value) -> (Control, Vec<String>, Option<String>) {
    let texts = |list: &Value, field: &str| -> Vec<String> {
        let list = list.as_array().map_or(&[][..], Vec::as_slice);
        list.iter().filter_map(|item| item[field].as_str().map(str::to_owned)).collect()
    };
    let modes = &response["modes"];
    let offered = texts(&modes["availableModes"], "id");
    if !offered.is_empty() {
        return (Control::Mode, offered, modes["currentModeId"].as_str().map(str::to_owned));
    }
    let options = response["configOptions"].as_array().map_or(&[][..], Vec::as_slice);
    match options.iter().find(|option| option["category"] == "mode" || option["id"] == "mode") {
        Some(option) => {
            let id = option["id"].as_str().unwrap_or("mode").to_owned();
            let current = option["currentValue"].as_str().map(str::to_owned);
            (Control::Option(id), texts(&option["options"], "value"), current)
        }
        None => (Control::Mode, Vec::new(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_read_in_both_forms() {
        let names = || vec!["default".to_owned(), "yolo".to_owned()];
        let listed =
            json!({"modes": {"currentModeId": "default", "availableModes": [{"id": "default"}, {"id": "yolo"}]}});
        assert_eq!(modes(&listed), (Control::Mode, names(), Some("default".to_owned())));
        let option = json!({"configOptions": [{"id": "model"}, {"id": "m", "category": "mode", "currentValue": "yolo",
            "options": [{"value": "default"}, {"value": "yolo"}]}]});
        assert_eq!(modes(&option), (Control::Option("m".to_owned()), names(), Some("yolo".to_owned())));
        assert_eq!(modes(&Value::Null), (Control::Mode, Vec::new(), None));
    }
}
