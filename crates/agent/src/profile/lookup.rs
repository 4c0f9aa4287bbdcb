//! Finds an agent's profile by its name.

use thiserror::Error;

use super::definition::{CustomProfile, Profile};
use super::opencode;

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no agent {name:?}")]
pub struct UnknownAgent {
    pub name: String,
    /// The names of all agents.
    pub known: Vec<String>,
}

impl UnknownAgent {
    pub fn hint(&self) -> Option<String> {
        Some(format!("use one of {}, or add an agent (see `kugetsu help agents`)", self.known.join(", ")))
    }
}

/// Returns the agent with this name. A custom agent has precedence over a built-in one.
pub fn profile(name: &str, custom: &[CustomProfile]) -> Result<Profile, UnknownAgent> {
    if let Some(custom) = custom.iter().find(|custom| custom.name == name) {
        return Ok(Profile::custom(custom));
    }
    if name == opencode::NAME {
        return Ok(opencode::profile());
    }
    let mut known = vec![opencode::NAME.to_owned()];
    known.extend(custom.iter().map(|custom| custom.name.clone()).filter(|custom| custom != opencode::NAME));
    Err(UnknownAgent { name: name.to_owned(), known })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::profile::Launch;
    use crate::question::Policy;
    use crate::session_id::SessionId;

    fn scripted() -> CustomProfile {
        CustomProfile {
            name: "scripted".into(),
            program: "/bin/agent".into(),
            args: vec!["acp".into()],
            env: vec![("A".into(), "b c".into())],
            delete: Some(["session", "delete", "{session}"].map(str::to_owned).to_vec()),
            attach: None,
            models: None,
        }
    }

    #[test]
    fn unknown_agent_error_lists_the_known_ones() {
        let error = profile("codx", &[scripted()]).unwrap_err();
        assert_eq!(error.to_string(), "no agent \"codx\"");
        assert!(error.hint().unwrap().starts_with("use one of opencode, scripted"));
    }

    #[test]
    fn custom_agent_has_precedence_over_a_built_in_one() {
        let custom = CustomProfile { name: "opencode".into(), ..scripted() };
        assert_eq!(profile("opencode", &[custom]).unwrap().program, PathBuf::from("/bin/agent"));
    }

    fn env(launch: &Launch, before: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut env = before.iter().map(|(name, value)| (name.into(), value.into())).collect();
        launch.extend_env(&mut env).unwrap();
        env.into_iter().map(|(name, value)| (name.into_string().unwrap(), value.into_string().unwrap())).collect()
    }

    #[test]
    fn commands_are_argument_vectors_that_contain_the_session() {
        let id = SessionId::new("ses_a;rm").unwrap();
        let custom = profile("scripted", &[scripted()]).unwrap();
        let delete = custom.delete_session(&id).unwrap();
        assert_eq!(delete.args, ["session", "delete", "ses_a;rm"]);
        assert_eq!(env(&delete, &[("A", "old")]), [("A".to_owned(), "b c".to_owned())]);
        assert!(custom.attach(&id).is_none() && custom.export_session(&id).is_none());
        assert_eq!(env(&custom.launch(Policy::Ask), &[]).len(), 1);

        let opencode = profile("opencode", &[]).unwrap();
        assert_eq!(opencode.delete_session(&id).unwrap().args, ["session", "delete", "ses_a;rm"]);
        assert_eq!(opencode.attach(&id).unwrap().args, ["--session", "ses_a;rm"]);
        assert_eq!(opencode.export_session(&id).unwrap().args, ["export", "ses_a;rm"]);
    }

    #[test]
    fn permission_rules_of_the_user_are_merged_or_refused() {
        let launch = profile("opencode", &[]).unwrap().launch(Policy::Ask);
        let env = env(&launch, &[("OPENCODE_PERMISSION", r#"{"bash":"ask"}"#)]);
        let rules = env.iter().filter(|(name, _)| name == "OPENCODE_PERMISSION").collect::<Vec<_>>();
        assert_eq!(rules.len(), 1);
        assert!(rules[0].1.contains(r#""bash":"ask""#) && rules[0].1.contains(r#""task":"deny""#), "{rules:?}");
        let error = launch.extend_env(&mut vec![("OPENCODE_PERMISSION".into(), "{".into())]).unwrap_err().to_string();
        assert!(error.starts_with("the variable OPENCODE_PERMISSION is not a JSON object"), "{error}");
    }
}
