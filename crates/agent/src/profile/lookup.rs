//! Finds an agent's profile by its name.

use thiserror::Error;

use super::agent_profile::{AgentSettings, Profile};
use super::builtin::definition::{Definition, UNKNOWN};
use super::builtin::{claude, codex, copilot, gemini, goose, kimi, opencode, qwen, vibe};

/// In the order in which they are listed, and in which the default agent is chosen.
static BUILT_IN: [&Definition; 9] = [
    &opencode::OPENCODE,
    &claude::CLAUDE,
    &codex::CODEX,
    &gemini::GEMINI,
    &copilot::COPILOT,
    &goose::GOOSE,
    &qwen::QWEN,
    &kimi::KIMI,
    &vibe::VIBE,
];

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

/// Returns the agent with this name. `settings` are the entries of all agents; that of a built-in one replaces single fields.
pub fn profile(name: &str, settings: &[AgentSettings]) -> Result<Profile, UnknownAgent> {
    let entry = settings.iter().find(|entry| entry.name == name);
    match (built_in(name), entry) {
        (Some(definition), entry) => Ok(Profile::new(definition, entry)),
        (None, Some(entry)) => Ok(Profile::new(&UNKNOWN, Some(entry))),
        (None, None) => Err(UnknownAgent { name: name.to_owned(), known: agent_names(settings) }),
    }
}

/// Returns the names of all agents: the built-in ones first, in the order in which a default agent is chosen.
pub fn agent_names(settings: &[AgentSettings]) -> Vec<String> {
    let own = settings.iter().map(|entry| entry.name.as_str()).filter(|name| built_in(name).is_none());
    BUILT_IN.iter().map(|definition| definition.name).chain(own).map(str::to_owned).collect()
}

/// Returns the name of the agent that is used where none is installed.
pub fn first_built_in() -> &'static str {
    BUILT_IN[0].name
}

/// Whether an agent with this name is built in.
pub fn is_built_in(name: &str) -> bool {
    built_in(name).is_some()
}

/// Returns the refs that built-in agents make in a repository for themselves, and that are no work.
pub fn refs_of_agents() -> Vec<&'static str> {
    BUILT_IN.iter().flat_map(|definition| definition.refs).copied().collect()
}

fn built_in(name: &str) -> Option<&'static Definition> {
    BUILT_IN.into_iter().find(|definition| definition.name == name)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::environment::Variable;
    use crate::profile::Launch;
    use crate::question::Policy;
    use crate::session_id::SessionId;

    fn scripted() -> AgentSettings {
        AgentSettings {
            name: "scripted".into(),
            program: Some("/bin/agent".into()),
            args: Some(vec!["acp".into()]),
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
        let hint = error.hint().unwrap();
        assert!(hint.starts_with("use one of opencode, claude, codex,") && hint.contains(", scripted, or"), "{hint}");
    }

    #[test]
    fn settings_replace_single_fields_of_a_built_in_agent() {
        let id = SessionId::new("s").unwrap();
        let entry = AgentSettings {
            name: "codex".into(),
            program: Some("/opt/codex-acp".into()),
            env: vec![("NO_BROWSER".into(), "0".into())],
            ..AgentSettings::default()
        };
        let (own, plain) = (profile("codex", &[entry]).unwrap(), profile("codex", &[]).unwrap());
        assert_eq!(own.program(), Path::new("/opt/codex-acp"));
        assert_eq!(own.deletion(), plain.deletion());
        assert_eq!(own.attach(&id).unwrap().args, plain.attach(&id).unwrap().args);
        let value = |profile: &Profile, before: &[(&str, &str)]| {
            let env = env(&profile.launch(Policy::Allow), before);
            env.into_iter().filter(|(name, _)| name == "NO_BROWSER").map(|(_, value)| value).collect::<Vec<_>>()
        };
        assert_eq!(value(&plain, &[]), ["1"]);
        assert_eq!(value(&plain, &[("NO_BROWSER", "2")]), ["2"], "the user's environment overrides a default");
        assert_eq!(value(&own, &[("NO_BROWSER", "2")]), ["0"], "the settings override everything");
    }

    #[test]
    fn policy_reaches_agents_that_take_it_from_a_variable() {
        let goose = profile("goose", &[]).unwrap();
        for (policy, mode) in [(Policy::Allow, "auto"), (Policy::Ask, "approve"), (Policy::Refuse, "approve")] {
            let env = env(&goose.launch(policy), &[("GOOSE_MODE", "auto")]);
            assert!(env.contains(&("GOOSE_MODE".to_owned(), mode.to_owned())), "{policy:?}: {env:?}");
        }
    }

    #[test]
    fn token_of_a_forge_is_withheld_unless_the_own_env_file_sets_it() {
        let variable = |is_own| Variable { name: "GITHUB_TOKEN".to_owned(), value: "x".into(), is_own };
        let names = |agent: &str, entry: &[AgentSettings], files: &[Variable]| {
            let mut env = vec![("GITHUB_TOKEN".into(), "x".into()), ("GH_TOKEN".into(), "y".into())];
            profile(agent, entry).unwrap().launch(Policy::Ask).extend_env(&mut env, files).unwrap();
            env.retain(|(name, _)| name == "GITHUB_TOKEN" || name == "GH_TOKEN");
            env.into_iter().map(|(name, _)| name.into_string().unwrap()).collect::<Vec<_>>()
        };
        assert!(names("copilot", &[], &[]).is_empty(), "those of the user's environment");
        assert!(names("copilot", &[], &[variable(false)]).is_empty());
        assert_eq!(names("copilot", &[], &[variable(true)]), ["GITHUB_TOKEN"]);
        assert_eq!(names("claude", &[], &[variable(false)]), ["GITHUB_TOKEN", "GH_TOKEN"]);
        let env = vec![("GH_TOKEN".to_owned(), "z".to_owned())];
        let entry = AgentSettings { name: "copilot".into(), env, ..AgentSettings::default() };
        assert_eq!(names("copilot", &[entry], &[]), ["GH_TOKEN"], "the settings override everything");
    }

    #[test]
    fn login_method_is_chosen_only_if_it_is_the_only_one_that_fits() {
        let codex = profile("codex", &[]).unwrap();
        assert_eq!(codex.login_method(|name| name == "OPENAI_API_KEY"), Some("api-key"));
        assert_eq!(codex.login_method(|_| true), Some("api-key"), "two variables of one method");
        assert_eq!(codex.login_method(|_| false), None);
        assert_eq!(profile("claude", &[]).unwrap().login_method(|_| true), None);
    }

    fn env(launch: &Launch, before: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut env = before.iter().map(|(name, value)| (name.into(), value.into())).collect();
        launch.extend_env(&mut env, &[]).unwrap();
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
        let error =
            launch.extend_env(&mut vec![("OPENCODE_PERMISSION".into(), "{".into())], &[]).unwrap_err().to_string();
        assert!(error.starts_with("the variable OPENCODE_PERMISSION is not a JSON object"), "{error}");
    }
}
