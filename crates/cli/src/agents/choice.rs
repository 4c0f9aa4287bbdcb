//! The agent of tasks that name none if the setting `agent.default` is not set.

use std::ffi::OsString;
use std::path::PathBuf;

use kugetsu_agent::{AgentSettings, Profile, agent_names, find_program, profile};
use kugetsu_api::home::Home;

use super::login::{LoginState, Variables, state};

/// A built-in agent that is installed.
pub(crate) struct Candidate {
    pub(crate) profile: Profile,
    pub(crate) login: LoginState,
    /// The reason why its program cannot run, as a sentence without a subject.
    pub(crate) problem: Option<String>,
}

/// Returns the name of the first agent that is installed and logged in, otherwise the first whose login is not known, otherwise
/// the first that is installed. `settings` are the entries of agents.
pub(crate) fn first(
    home: &Home,
    settings: &[AgentSettings],
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Option<String> {
    candidates(home, settings, environment).into_iter().next().map(|found| found.candidate.profile.name().to_owned())
}

/// Returns the first agent of the same order whose runtime is there and new enough, otherwise the first.
pub(crate) async fn choose(
    home: &Home,
    settings: &[AgentSettings],
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Option<Candidate> {
    let mut first = None;
    for Found { mut candidate, program, search_path } in candidates(home, settings, environment) {
        if let Some(runtime) = candidate.profile.installation().runtime.filter(|runtime| runtime.runs(&program)) {
            candidate.problem = runtime.problem(&runtime.state(&search_path).await);
        }
        if candidate.problem.is_none() {
            return Some(candidate);
        }
        first.get_or_insert(candidate);
    }
    first
}

struct Found {
    candidate: Candidate,
    program: PathBuf,
    /// The `PATH` on which it was found.
    search_path: OsString,
}

/// The installed agents, those first that are most likely logged in.
fn candidates(home: &Home, settings: &[AgentSettings], environment: &dyn Fn(&str) -> Option<OsString>) -> Vec<Found> {
    let candidate = |name: &String| {
        let profile = profile(name, settings).ok()?;
        let variables = Variables::read(home, &[name], environment);
        let search_path = variables.search_path();
        let program = find_program(&profile, &search_path).ok()?;
        let login = state(&profile, &variables);
        Some(Found { candidate: Candidate { profile, login, problem: None }, program, search_path })
    };
    let mut candidates: Vec<_> = agent_names(&[]).iter().filter_map(candidate).collect();
    candidates.sort_by_key(|found| match found.candidate.login {
        LoginState::LoggedIn(_) => 0,
        LoginState::Unknown => 1,
        LoginState::NotLoggedIn => 2,
    });
    candidates
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;

    fn install(programs: &Path, program: &str, text: &str) {
        fs::write(programs.join(program), text).unwrap();
        fs::set_permissions(programs.join(program), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// An environment with a variable more.
    fn environment<'a>(user: &'a Path, key: &'a str) -> impl Fn(&str) -> Option<OsString> + 'a {
        move |name| match name {
            "HOME" => Some(user.into()),
            "PATH" => Some(user.join("bin").into()),
            name => (name == key).then(|| "x".into()),
        }
    }

    #[test]
    fn first_agent_that_is_installed_and_logged_in_is_chosen() {
        let directory = tempfile::tempdir().unwrap();
        let (user, programs) = (directory.path(), directory.path().join("bin"));
        fs::create_dir(&programs).unwrap();
        let chosen = |key: &str| first(&Home::new(user.join("kugetsu")), &[], &environment(user, key));
        assert_eq!(chosen("ANTHROPIC_API_KEY"), None, "none is installed");
        install(&programs, "claude-agent-acp", "");
        install(&programs, "codex-acp", "");
        assert_eq!(chosen("").as_deref(), Some("claude"), "none is logged in");
        assert_eq!(chosen("OPENAI_API_KEY").as_deref(), Some("codex"));
        install(&programs, "opencode", "");
        assert_eq!(chosen("").as_deref(), Some("opencode"), "it may need no login");
        assert_eq!(chosen("CLAUDE_CODE_OAUTH_TOKEN").as_deref(), Some("claude"));
    }

    #[tokio::test]
    async fn agent_whose_runtime_is_too_old_comes_last() {
        let directory = tempfile::tempdir().unwrap();
        let (user, programs) = (directory.path(), directory.path().join("bin"));
        fs::create_dir(&programs).unwrap();
        let home = Home::new(user.join("kugetsu"));
        let of_user = environment(user, "ANTHROPIC_API_KEY");
        install(&programs, "node", "#!/bin/sh\necho v12.0.0\n");
        install(&programs, "claude-agent-acp", "#!/usr/bin/env node\n");
        let only = choose(&home, &[], &of_user).await.unwrap();
        assert_eq!(only.profile.name(), "claude");
        let problem = only.problem.unwrap();
        assert!(problem.starts_with("needs node") && problem.ends_with("version 12.0.0 is on PATH"), "{problem}");
        install(&programs, "goose", "");
        let other = choose(&home, &[], &of_user).await.unwrap();
        assert_eq!((other.profile.name(), other.problem), ("goose", None));
    }
}
