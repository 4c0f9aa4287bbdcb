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

use kugetsu_agent::{Profile, config_directory, data_directory};
use kugetsu_api::discard::discard;
use kugetsu_api::regular_file;

use crate::run_context::RunContext;

/// Bytes of settings that are copied, and the maximum directory depth. More than that is not settings.
const SETTINGS_MAX: u64 = 32 * 1024 * 1024;
const DEPTH_MAX: usize = 8;
/// Package managers install into the settings directory; the agent installs again by itself.
const NOT_COPIED: &str = "node_modules";

/// Base directories of its own (XDG Base Directory Specification).
#[derive(Debug)]
pub(crate) struct AgentHome {
    directory: PathBuf,
}

/// The user's base directories.
#[derive(Debug)]
pub(crate) struct UserHome {
    pub(crate) data: PathBuf,
    pub(crate) config: PathBuf,
}

impl UserHome {
    /// The directories that the agent would use without those of [`AgentHome`]. `None` if its variables name none.
    pub(crate) fn of(run: &RunContext) -> Option<Self> {
        let variable = |name: &str| run.agent_variable(name);
        Some(Self { data: data_directory(variable)?, config: config_directory(variable)? })
    }
}

impl AgentHome {
    /// Creates the directories that do not exist below `directory`.
    ///
    /// # Errors
    /// A directory cannot be created, or one of them is a link.
    pub(crate) fn prepare(directory: PathBuf) -> io::Result<Self> {
        let home = Self { directory };
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
        self.directories().map(|(variable, path)| (variable.into(), path.into())).into()
    }

    fn directories(&self) -> [(&'static str, PathBuf); 4] {
        let names = [
            ("XDG_DATA_HOME", "data"),
            ("XDG_STATE_HOME", "state"),
            ("XDG_CACHE_HOME", "cache"),
            ("XDG_CONFIG_HOME", "config"),
        ];
        names.map(|(variable, name)| (variable, self.directory.join(name)))
    }

    /// Copies the user's login, unless the agent has renewed its own since.
    pub(crate) fn copy_login(&self, profile: &Profile, user: &UserHome) -> io::Result<()> {
        for name in profile.login_files() {
            let (from, to) = (user.data.join(name), self.directory.join("data").join(name));
            let theirs = match fs::metadata(&from) {
                Ok(found) => found,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let own = fs::symlink_metadata(&to).ok().filter(fs::Metadata::is_file);
            if own.is_some_and(|own| own.modified().ok() >= theirs.modified().ok()) {
                continue;
            }
            if let Some(parent) = to.parent() {
                create_real_directory(parent)?;
            }
            // Never written through a link that the agent may have left there.
            let fresh = to.with_extension("new");
            let _ = fs::remove_file(&fresh);
            copy(&from, &fresh)?;
            fs::rename(&fresh, &to)?;
        }
        Ok(())
    }

    /// Replaces the settings: the agent's own are copied, since it may write next to them; all others are links to the
    /// user's.
    pub(crate) async fn copy_settings(&self, profile: &Profile, user: &UserHome) -> io::Result<()> {
        let config = self.directory.join("config");
        discard(config.clone()).await?;
        create_real_directory(&config)?;
        let mut room = SETTINGS_MAX;
        for name in profile.config_directories() {
            copy_all(&user.config.join(name), &config.join(name), &mut room, DEPTH_MAX)?;
        }
        for entry in entries(&user.config)? {
            let to = config.join(entry.file_name());
            if fs::symlink_metadata(&to).is_err() {
                symlink(entry.path(), to)?;
            }
        }
        Ok(())
    }
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

    fn homes() -> (tempfile::TempDir, AgentHome, UserHome) {
        let directory = tempfile::tempdir().unwrap();
        let home = AgentHome::prepare(directory.path().join("agent")).unwrap();
        let user = UserHome { data: directory.path().join("data"), config: directory.path().join("config") };
        (directory, home, user)
    }

    #[test]
    fn the_login_is_copied_but_never_through_a_link() {
        let (directory, home, user) = homes();
        let elsewhere = directory.path().join("elsewhere");
        for directory in [&user.data.join("opencode"), &elsewhere] {
            fs::create_dir_all(directory).unwrap();
        }
        let profile = kugetsu_agent::profile("opencode", &[]).unwrap();
        home.copy_login(&profile, &user).unwrap();
        fs::write(user.data.join("opencode/auth.json"), "{}").unwrap();
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
        let (directory, home, user) = homes();
        let profile = kugetsu_agent::profile("opencode", &[]).unwrap();
        home.copy_settings(&profile, &user).await.unwrap();
        for path in ["opencode/agents", "opencode/node_modules/big", "git"] {
            fs::create_dir_all(user.config.join(path)).unwrap();
        }
        fs::write(directory.path().join("real.json"), "{}").unwrap();
        symlink(directory.path().join("real.json"), user.config.join("opencode/opencode.json")).unwrap();
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
        assert_eq!(fs::read_link(own.join("git")).unwrap(), user.config.join("git"));
        assert!(directory.path().join("real.json").exists());
    }

    #[test]
    fn a_link_instead_of_a_directory_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        symlink(directory.path(), directory.path().join("data")).unwrap();
        let error = AgentHome::prepare(directory.path().to_owned()).unwrap_err();
        assert!(error.to_string().contains("data is not a directory"), "{error}");
    }
}
