//! The directories of the coordinator's agent: data, state, cache and settings.
//!
//! They are not the user's own ones: there the agent could leave files that other agents, which are not confined, would load
//! and execute. Its login and settings are copied from the user's for each run; everything else that the user has set up is
//! readable only.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use kugetsu_agent::{Base, Profile, UserFile, config_directory};
use kugetsu_api::discard::discard;
use kugetsu_api::regular_file;

use crate::run_context::RunContext;

/// Bytes of settings that are copied, and the maximum directory depth. More than that is not settings.
const SETTINGS_MAX: u64 = 32 * 1024 * 1024;
const DEPTH_MAX: usize = 8;
/// Package managers install into the settings directory; the agent installs again by itself.
const NOT_COPIED: &str = "node_modules";

/// Base directories of its own (XDG Base Directory Specification), and the agent's.
#[derive(Debug)]
pub(crate) struct AgentHome {
    directory: PathBuf,
    /// The variable that names the agent's directory, if it has one.
    own: Option<&'static str>,
}

/// Looks up the variables with which the user's agents find their files.
pub(crate) struct UserHome<'a>(Box<Lookup<'a>>);

type Lookup<'a> = dyn Fn(&str) -> Option<OsString> + Send + Sync + 'a;

impl<'a> UserHome<'a> {
    /// The directories that the agent would use without those of [`AgentHome`]. `None` if its variables name none.
    pub(crate) fn of(run: &'a RunContext) -> Option<Self> {
        let user = Self(Box::new(|name| run.agent_variable(name)));
        user.config().map(|_| user)
    }

    fn config(&self) -> Option<PathBuf> {
        config_directory(&self.0)
    }

    fn path(&self, file: &UserFile) -> Option<PathBuf> {
        file.path_in(&self.0)
    }
}

impl AgentHome {
    /// Creates the directories of `profile` that do not exist below `directory`.
    ///
    /// # Errors
    /// A directory cannot be created, or one of them is a link.
    pub(crate) fn prepare(directory: PathBuf, profile: &Profile) -> io::Result<Self> {
        let files = profile.settings().iter().chain(profile.login().files);
        let own = files.into_iter().find_map(|file| match file.base {
            Base::Own { variable, .. } => Some(variable),
            Base::Data | Base::Config | Base::State | Base::Cache => None,
        });
        let home = Self { directory, own };
        for (_, path) in home.directories() {
            create_real_directory(&path)?;
        }
        Ok(home)
    }

    pub(crate) fn writable(&self) -> impl Iterator<Item = PathBuf> {
        self.directories().into_iter().map(|(_, path)| path)
    }

    /// Notes about first starts of agents in this home, as opposed to the user's. The agent cannot write them.
    pub(crate) fn notes(&self) -> PathBuf {
        self.directory.join("notes")
    }

    /// The variables that make the agent use these directories.
    pub(crate) fn env(&self) -> Vec<(OsString, OsString)> {
        self.directories().into_iter().map(|(variable, path)| (variable.into(), path.into())).collect()
    }

    fn directories(&self) -> Vec<(&'static str, PathBuf)> {
        let names = [
            ("XDG_DATA_HOME", "data"),
            ("XDG_STATE_HOME", "state"),
            ("XDG_CACHE_HOME", "cache"),
            ("XDG_CONFIG_HOME", "config"),
        ];
        let own = self.own.map(|variable| (variable, variable));
        names.into_iter().chain(own).map(|(variable, name)| (variable, self.directory.join(name))).collect()
    }

    /// The path of a file of the agent in these directories.
    fn path(&self, file: &UserFile) -> PathBuf {
        let base = match file.base {
            Base::Data => "data",
            Base::Config => "config",
            Base::State => "state",
            Base::Cache => "cache",
            Base::Own { variable, .. } => variable,
        };
        self.directory.join(base).join(file.path)
    }

    /// Copies the user's login, unless the agent has renewed its own since.
    pub(crate) fn copy_login(&self, profile: &Profile, user: &UserHome<'_>) -> io::Result<()> {
        for file in profile.login().files {
            let (Some(from), to) = (user.path(file), self.path(file)) else { continue };
            let theirs = match fs::metadata(&from) {
                Ok(found) => found,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let own = fs::symlink_metadata(&to).ok().filter(fs::Metadata::is_file);
            if own.is_some_and(|own| own.modified().ok() >= theirs.modified().ok()) {
                continue;
            }
            replace(&from, &to)?;
        }
        Ok(())
    }

    /// Replaces the settings: the agent's own are copied, since it may write next to them; all others are links to the
    /// user's.
    pub(crate) async fn copy_settings(&self, profile: &Profile, user: &UserHome<'_>) -> io::Result<()> {
        let config = self.directory.join("config");
        discard(config.clone()).await?;
        create_real_directory(&config)?;
        let mut room = SETTINGS_MAX;
        for file in profile.settings() {
            let (Some(from), to) = (user.path(file), self.path(file)) else { continue };
            match fs::metadata(&from) {
                Ok(found) if found.is_file() => replace(&from, &to)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound && file.base != Base::Config => {
                    match fs::remove_file(&to) {
                        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                        _ => {}
                    }
                }
                _ => copy_all(&from, &to, &mut room, DEPTH_MAX)?,
            }
        }
        let Some(theirs) = user.config() else { return Ok(()) };
        for entry in entries(&theirs)? {
            let to = config.join(entry.file_name());
            if fs::symlink_metadata(&to).is_err() {
                symlink(entry.path(), to)?;
            }
        }
        Ok(())
    }
}

/// Replaces a file. It is never written through a link that the agent may have left there.
fn replace(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(parent) = to.parent() {
        create_real_directory(parent)?;
    }
    let mut fresh = to.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    let _ = fs::remove_file(&fresh);
    copy(from, &fresh)?;
    fs::rename(&fresh, to)
}

/// Copies a directory recursively; one that does not exist becomes an empty one. Links are followed: users keep their settings
/// elsewhere and link to them.
fn copy_all(from: &Path, to: &Path, room: &mut u64, depth: usize) -> io::Result<()> {
    create_real_directory(to)?;
    for entry in entries(from)? {
        let Ok(found) = fs::metadata(entry.path()) else { continue };
        let target = to.join(entry.file_name());
        if found.is_dir() && depth > 0 && entry.file_name() != NOT_COPIED {
            copy_all(&entry.path(), &target, room, depth - 1)?;
        } else if found.is_file() {
            *room = room.checked_sub(found.len()).ok_or_else(|| {
                io::Error::other(format!("{} holds more than {} MiB", from.display(), SETTINGS_MAX >> 20))
            })?;
            copy(&entry.path(), &target)?;
        }
    }
    Ok(())
}

fn entries(directory: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(directory) {
        Ok(entries) => entries.collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(to)?;
    io::copy(&mut regular_file::open_to_read(from)?, &mut file).map(drop)
}

/// Creates a directory if it does not exist. A link is refused: the coordinator can write here, and could have left one that
/// leads elsewhere.
pub(crate) fn create_real_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    match is_real_directory(path) {
        true => Ok(()),
        false => Err(io::Error::other(format!("{} is not a directory; remove it", path.display()))),
    }
}

/// Whether it is a directory, and not a link to one.
pub(crate) fn is_real_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// The directories of a user and of the coordinator's `agent`.
    struct Homes {
        directory: tempfile::TempDir,
        profile: Profile,
        home: AgentHome,
        user: UserHome<'static>,
        data: PathBuf,
        config: PathBuf,
    }

    fn homes(agent: &str) -> Homes {
        let directory = tempfile::tempdir().unwrap();
        let profile = kugetsu_agent::profile(agent, &[]).unwrap();
        let home = AgentHome::prepare(directory.path().join("agent"), &profile).unwrap();
        let (data, config) = (directory.path().join("data"), directory.path().join("config"));
        let variables = [("XDG_DATA_HOME", data.clone()), ("XDG_CONFIG_HOME", config.clone())];
        let user = directory.path().to_owned();
        let lookup = move |name: &str| match name {
            "HOME" => Some(user.clone().into()),
            _ => variables.iter().find(|(other, _)| *other == name).map(|(_, path)| path.clone().into()),
        };
        Homes { directory, profile, home, user: UserHome(Box::new(lookup)), data, config }
    }

    #[test]
    fn the_login_is_copied_but_never_through_a_link() {
        let Homes { directory, profile, home, user, data, .. } = homes("opencode");
        let elsewhere = directory.path().join("elsewhere");
        for directory in [&data.join("opencode"), &elsewhere] {
            fs::create_dir_all(directory).unwrap();
        }
        home.copy_login(&profile, &user).unwrap();
        fs::write(data.join("opencode/auth.json"), "{}").unwrap();
        home.copy_login(&profile, &user).unwrap();
        let copy = directory.path().join("agent/data/opencode/auth.json");
        assert_eq!(fs::read_to_string(&copy).unwrap(), "{}");
        assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);

        fs::write(&copy, "renewed").unwrap();
        home.copy_login(&profile, &user).unwrap();
        assert_eq!(fs::read_to_string(&copy).unwrap(), "renewed", "the newer one stays");

        fs::remove_dir_all(copy.parent().unwrap()).unwrap();
        symlink(&elsewhere, copy.parent().unwrap()).unwrap();
        assert!(home.copy_login(&profile, &user).unwrap_err().to_string().contains("not a directory"));
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn settings_are_replaced_for_each_run() {
        let Homes { directory, profile, home, user, config, .. } = homes("opencode");
        home.copy_settings(&profile, &user).await.unwrap();
        for path in ["opencode/agents", "opencode/node_modules/big", "git"] {
            fs::create_dir_all(config.join(path)).unwrap();
        }
        fs::write(directory.path().join("real.json"), "{}").unwrap();
        symlink(directory.path().join("real.json"), config.join("opencode/opencode.json")).unwrap();
        let own = directory.path().join("agent/config");
        // A link that the agent left there is removed and not followed.
        fs::remove_dir_all(&own).unwrap();
        symlink(directory.path(), &own).unwrap();
        home.copy_settings(&profile, &user).await.unwrap();
        assert_eq!(fs::read_to_string(own.join("opencode/opencode.json")).unwrap(), "{}");
        assert!(
            is_real_directory(&own)
                && is_real_directory(&own.join("opencode/agents"))
                && !own.join("opencode/node_modules").exists()
        );
        assert_eq!(fs::read_link(own.join("git")).unwrap(), config.join("git"));
        assert!(directory.path().join("real.json").exists());
    }

    #[tokio::test]
    async fn an_agent_with_a_directory_of_its_own_gets_another_one() {
        let Homes { directory, profile, home, user, .. } = homes("claude");
        let theirs = directory.path().join(".claude");
        fs::create_dir_all(theirs.join("projects/big")).unwrap();
        fs::write(theirs.join("settings.json"), "{}").unwrap();
        fs::write(theirs.join(".credentials.json"), "login").unwrap();
        home.copy_settings(&profile, &user).await.unwrap();
        home.copy_login(&profile, &user).unwrap();
        let own = directory.path().join("agent/CLAUDE_CONFIG_DIR");
        assert!(home.env().contains(&("CLAUDE_CONFIG_DIR".into(), own.clone().into())));
        assert_eq!(fs::read_to_string(own.join("settings.json")).unwrap(), "{}");
        assert_eq!(fs::read_to_string(own.join(".credentials.json")).unwrap(), "login");
        assert!(!own.join("projects").exists(), "its sessions are not settings");
        fs::remove_file(theirs.join("settings.json")).unwrap();
        home.copy_settings(&profile, &user).await.unwrap();
        assert!(!own.join("settings.json").exists(), "settings that the user removed");
    }

    #[test]
    fn a_link_instead_of_a_directory_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        symlink(directory.path(), directory.path().join("data")).unwrap();
        let profile = kugetsu_agent::profile("opencode", &[]).unwrap();
        let error = AgentHome::prepare(directory.path().to_owned(), &profile).unwrap_err();
        assert!(error.to_string().contains("data is not a directory"), "{error}");
    }
}
