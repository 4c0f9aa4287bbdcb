//! The agent for tasks that name none, if the setting `agent.default` is not set.

use std::ffi::OsString;

use kugetsu_agent::{AgentSettings, agent_names, find_program, profile};
use kugetsu_api::home::Home;

use super::login::{LoginState, state};
use super::variables::Variables;

/// Returns the first built-in agent that is installed and logged in, otherwise the first whose login is not known, otherwise the
/// first that is installed. `None` if none is. `settings` are the entries of agents.
pub(crate) fn choose(
    home: &Home,
    settings: &[AgentSettings],
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Option<String> {
    let mut found: Option<(u8, String)> = None;
    for name in agent_names(&[]) {
        let Ok(profile) = profile(&name, settings) else { continue };
        let variables = Variables::read(home, &[&name], environment);
        if find_program(&profile, &variables.search_path()).is_err() {
            continue;
        }
        let rank = match state(&profile, &variables) {
            LoginState::LoggedIn(_) => return Some(name),
            LoginState::Unknown => 1,
            LoginState::NotLoggedIn => 2,
        };
        if found.as_ref().is_none_or(|(best, _)| rank < *best) {
            found = Some((rank, name));
        }
    }
    found.map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn first_agent_that_is_installed_and_logged_in_is_chosen() {
        let directory = tempfile::tempdir().unwrap();
        let (user, programs) = (directory.path(), directory.path().join("bin"));
        fs::create_dir(&programs).unwrap();
        let home = Home::new(user.join("kugetsu"));
        let chosen = |key: &str| {
            choose(&home, &[], &|name: &str| match name {
                "HOME" => Some(user.into()),
                "PATH" => Some(programs.clone().into()),
                name => (name == key).then(|| "x".into()),
            })
        };
        let install = |program: &str| {
            fs::write(programs.join(program), "").unwrap();
            fs::set_permissions(programs.join(program), fs::Permissions::from_mode(0o755)).unwrap();
        };
        assert_eq!(chosen("ANTHROPIC_API_KEY"), None, "none is installed");
        install("claude-agent-acp");
        install("codex-acp");
        assert_eq!(chosen("").as_deref(), Some("claude"), "none is logged in");
        assert_eq!(chosen("OPENAI_API_KEY").as_deref(), Some("codex"));
        install("opencode");
        assert_eq!(chosen("").as_deref(), Some("opencode"), "it may need no login");
        assert_eq!(chosen("CLAUDE_CODE_OAUTH_TOKEN").as_deref(), Some("claude"));
    }
}
