//! The directories in a user's home that an agent needs: what it keeps there, and its settings.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::profile::{Base, Profile, UserFile};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentDirectories {
    /// Sessions, logins that it renews, caches.
    pub writable: BTreeSet<PathBuf>,
    /// Its settings, beside which it may write when it starts.
    pub settings: BTreeSet<PathBuf>,
}

impl AgentDirectories {
    /// Those of a built-in agent. Of other agents nothing is known. `variable` is that of [`UserFile::path_in`].
    pub fn of(profile: &Profile, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let mut found = Self::default();
        let login = profile.login();
        let configured = login.configured.iter().map(|(file, _)| file);
        for file in profile.settings().iter().chain(login.files).chain(configured) {
            let Some(first) = Path::new(file.path).components().next() else { continue };
            let own = UserFile { base: file.base, path: "" }.path_in(&variable);
            match file.base {
                // Its directory is in no other one's.
                Base::Own { below_home, .. } if !below_home.is_empty() => found.writable.extend(own),
                Base::Own { .. } => found.writable.extend(own.map(|base| base.join(first))),
                // Agents use one name in all base directories.
                Base::Config | Base::Data | Base::State | Base::Cache => {
                    for base in [Base::Data, Base::State, Base::Cache] {
                        found.writable.extend(base.directory(&variable).map(|base| base.join(first)));
                    }
                    found.settings.extend(Base::Config.directory(&variable).map(|base| base.join(first)));
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(agent: &str, variables: &[(&str, &str)]) -> AgentDirectories {
        let profile = crate::profile(agent, &[]).unwrap();
        AgentDirectories::of(&profile, |name| {
            let found = variables.iter().chain(&[("HOME", "/u")]).find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    fn paths(paths: &[&str]) -> BTreeSet<PathBuf> {
        paths.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn base_directories_hold_one_directory_of_the_agent_each() {
        let opencode = of("opencode", &[("XDG_DATA_HOME", "/data")]);
        assert_eq!(opencode.writable, paths(&["/data/opencode", "/u/.cache/opencode", "/u/.local/state/opencode"]));
        assert_eq!(opencode.settings, paths(&["/u/.config/opencode"]));
    }

    #[test]
    fn directory_of_the_agent_alone_is_writable() {
        assert_eq!(of("codex", &[]).writable, paths(&["/u/.codex"]));
        assert_eq!(of("codex", &[("CODEX_HOME", "/c")]).writable, paths(&["/c"]));
        assert_eq!(of("gemini", &[]).writable, paths(&["/u/.gemini"]), "never the whole home");
    }
}
