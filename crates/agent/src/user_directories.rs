//! Directories of the user in the environment of an agent, where agents keep their login and settings: the base directories
//! (XDG Base Directory Specification), and directories of their own.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::profile::{Base, Profile, UserFile};

/// Returns the directory of [`Base::Data`]; otherwise as [`config_directory`].
fn data_directory(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    directory(variable, "XDG_DATA_HOME", ".local/share")
}

/// Returns the directory of [`Base::Config`]. `variable` looks a variable up in the env files, and then in the environment of
/// kugetsu. `None` if the variables name no directory.
pub fn config_directory(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    directory(variable, "XDG_CONFIG_HOME", ".config")
}

impl Base {
    /// Returns the directory; otherwise as [`config_directory`].
    pub fn directory(self, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
        match self {
            Self::Data => data_directory(variable),
            Self::Config => config_directory(variable),
            Self::State => directory(variable, "XDG_STATE_HOME", ".local/state"),
            Self::Cache => directory(variable, "XDG_CACHE_HOME", ".cache"),
            Self::Own { variable: name, below_home } => directory(variable, name, below_home),
        }
    }
}

impl UserFile {
    /// Returns the path; otherwise as [`config_directory`].
    pub fn path_in(&self, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
        let base = self.base.directory(variable)?;
        Some(if self.path.is_empty() { base } else { base.join(self.path) })
    }
}

fn directory(variable: impl Fn(&str) -> Option<OsString>, name: &str, below_home: &str) -> Option<PathBuf> {
    // The specification ignores relative paths, which would depend on the agent's worktree.
    let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let below = |home: PathBuf| if below_home.is_empty() { home } else { home.join(below_home) };
    absolute(name).or_else(|| Some(below(absolute("HOME")?)))
}

/// The directories in a user's home that an agent needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentDirectories {
    /// Sessions, logins that it renews, caches.
    pub writable: BTreeSet<PathBuf>,
    /// Its settings, beside which it may write when it starts.
    pub settings: BTreeSet<PathBuf>,
}

impl AgentDirectories {
    /// `variable` is that of [`UserFile::path_in`]. Of an agent that is not built in nothing is known.
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
                Base::Config | Base::Data | Base::State | Base::Cache => found.add_named(first.as_ref(), &variable),
            }
        }
        found
    }

    fn add_named(&mut self, name: &Path, variable: impl Fn(&str) -> Option<OsString>) {
        for base in [Base::Data, Base::State, Base::Cache] {
            self.writable.extend(base.directory(&variable).map(|base| base.join(name)));
        }
        self.settings.extend(Base::Config.directory(&variable).map(|base| base.join(name)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_directory_is_named_by_its_variable_or_is_below_the_home() {
        let of = |all: &[(&str, &str)]| {
            let variable = |name: &str| Some(all.iter().find(|(other, _)| *other == name)?.1.into());
            (data_directory(variable), config_directory(variable))
        };
        let paths = |data: &str, config: &str| (Some(PathBuf::from(data)), Some(PathBuf::from(config)));
        assert_eq!(of(&[("HOME", "/h")]), paths("/h/.local/share", "/h/.config"));
        assert_eq!(of(&[("HOME", "/h"), ("XDG_DATA_HOME", "/d")]), paths("/d", "/h/.config"));
        assert_eq!(of(&[("XDG_DATA_HOME", "/d"), ("XDG_CONFIG_HOME", "/c")]), paths("/d", "/c"));
        for ignored in ["", "relative"] {
            let expected = paths("/h/.local/share", "/h/.config");
            assert_eq!(of(&[("HOME", "/h"), ("XDG_DATA_HOME", ignored), ("XDG_CONFIG_HOME", ignored)]), expected);
        }
        assert_eq!(of(&[("HOME", "")]), (None, None));
    }

    #[test]
    fn directory_of_an_agent_is_named_by_its_variable_or_is_below_the_home() {
        let claude = crate::profile("claude", &[]).unwrap();
        let gemini = crate::profile("gemini", &[]).unwrap();
        let of = |file: &UserFile, all: &[(&str, &str)]| {
            file.path_in(|name| Some(all.iter().find(|(other, _)| *other == name)?.1.into()))
        };
        let login = |home: &str| Some(PathBuf::from(home));
        let file = &claude.login().files[0];
        assert_eq!(of(file, &[("HOME", "/h")]), login("/h/.claude/.credentials.json"));
        assert_eq!(of(file, &[("HOME", "/h"), ("CLAUDE_CONFIG_DIR", "/c")]), login("/c/.credentials.json"));
        assert_eq!(of(&gemini.login().files[0], &[("HOME", "/h")]), login("/h/.gemini/oauth_creds.json"));
        assert_eq!(of(&gemini.settings()[0], &[("GEMINI_CLI_HOME", "/g")]), login("/g/.gemini/settings.json"));
        assert_eq!(of(file, &[]), None);
    }

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
