//! Which agent a name means.

use thiserror::Error;

use crate::opencode;
use crate::profile::{CustomProfile, Profile};

/// There is no agent of this name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("there is no agent {asked:?}, only {}", known.join(", "))]
pub struct UnknownAgent {
    /// The name that was asked for.
    pub asked: String,
    /// The names there are.
    pub known: Vec<String>,
}

/// The agent of this name: one of `custom`, which wins, or one that is built in.
///
/// # Errors
/// [`UnknownAgent`] lists the names there are.
pub fn profile(name: &str, custom: &[CustomProfile]) -> Result<Profile, UnknownAgent> {
    if let Some(own) = custom.iter().find(|own| own.name == name) {
        return Ok(Profile::custom(own));
    }
    if name == opencode::NAME {
        return Ok(opencode::profile());
    }
    let mut known = vec![opencode::NAME.to_owned()];
    known.extend(custom.iter().map(|own| own.name.clone()).filter(|own| own != opencode::NAME));
    Err(UnknownAgent { asked: name.to_owned(), known })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::policy::Policy;
    use crate::profile::Launch;
    use crate::session_id::SessionId;

    fn scripted() -> CustomProfile {
        CustomProfile {
            name: "scripted".into(),
            program: "/bin/agent".into(),
            args: vec!["acp".into()],
            env: vec![("A".into(), "b c".into())],
            delete: Some(["session", "delete", "{session}"].map(str::to_owned).to_vec()),
            attach: None,
        }
    }

    #[test]
    fn an_unknown_agent_is_told_with_the_known_ones() {
        let error = profile("codx", &[scripted()]).unwrap_err();
        assert_eq!(error.to_string(), "there is no agent \"codx\", only opencode, scripted");
    }

    #[test]
    fn a_custom_agent_wins_over_a_built_in_one() {
        let own = CustomProfile { name: "opencode".into(), ..scripted() };
        assert_eq!(profile("opencode", &[own]).unwrap().program, PathBuf::from("/bin/agent"));
    }

    fn env(launch: &Launch, before: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut env = before.iter().map(|(name, value)| (name.into(), value.into())).collect();
        launch.extend_env(&mut env).unwrap();
        env.into_iter().map(|(name, value)| (name.into_string().unwrap(), value.into_string().unwrap())).collect()
    }

    #[test]
    fn every_command_is_a_vector_with_the_session_in_its_place() {
        let id = SessionId::new("ses_a;rm").unwrap();
        let own = profile("scripted", &[scripted()]).unwrap();
        let delete = own.delete_session(&id).unwrap();
        assert_eq!(delete.args, ["session", "delete", "ses_a;rm"]);
        assert_eq!(env(&delete, &[("A", "old")]), [("A".to_owned(), "b c".to_owned())]);
        assert!(own.attach(&id).is_none() && own.export_session(&id).is_none());
        assert_eq!(env(&own.launch(Policy::Ask), &[]).len(), 1);

        let opencode = profile("opencode", &[]).unwrap();
        assert_eq!(opencode.delete_session(&id).unwrap().args, ["session", "delete", "ses_a;rm"]);
        assert_eq!(opencode.attach(&id).unwrap().args, ["--session", "ses_a;rm"]);
        assert_eq!(opencode.export_session(&id).unwrap().args, ["export", "ses_a;rm"]);
    }

    #[test]
    fn the_users_permission_rules_are_merged_or_refused() {
        let launch = profile("opencode", &[]).unwrap().launch(Policy::Ask);
        let env = env(&launch, &[("OPENCODE_PERMISSION", r#"{"bash":"ask"}"#)]);
        let rules = env.iter().filter(|(name, _)| name == "OPENCODE_PERMISSION").collect::<Vec<_>>();
        assert_eq!(rules.len(), 1);
        assert!(rules[0].1.contains(r#""bash":"ask""#) && rules[0].1.contains(r#""task":"deny""#), "{rules:?}");
        let error = launch.extend_env(&mut vec![("OPENCODE_PERMISSION".into(), "{".into())]).unwrap_err().to_string();
        assert!(error.starts_with("the variable OPENCODE_PERMISSION holds no JSON object"), "{error}");
    }
}
