//! The places that the coordinator's agent has for itself: its data, its state, its cache, its settings.
//!
//! Not the user's own: there it could leave what other agents, which are not confined, would load and carry out. Its login
//! and its settings are copied from there for each run; whatever else the user has set up is read and not written.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use kugetsu_agent::Profile;
use kugetsu_api::discard::discard;

/// Most bytes of settings that are copied, and how deep: more is something else that lies there.
const SETTINGS_MAX: u64 = 32 * 1024 * 1024;
const DEPTH_MAX: usize = 8;
/// What package managers put beside settings; the agent fetches it again.
const LEFT_OUT: &str = "node_modules";

/// The places (XDG Base Directory Specification).
#[derive(Debug)]
pub(crate) struct AgentHome {
    directory: PathBuf,
}

/// Where the user's agents have theirs.
#[derive(Debug)]
pub(crate) struct UserHome {
    pub(crate) data: PathBuf,
    pub(crate) config: PathBuf,
}

impl UserHome {
    /// As this process's environment says.
    pub(crate) fn own() -> Self {
        let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
        let place = |variable: &str, usual: &str| {
            let own = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
            own.unwrap_or_else(|| home.join(usual))
        };
        Self { data: place("XDG_DATA_HOME", ".local/share"), config: place("XDG_CONFIG_HOME", ".config") }
    }
}

impl AgentHome {
    /// Makes the places below a directory, or finds them.
    ///
    /// # Errors
    /// As the file system says; also when something else lies in the place of one of them.
    pub(crate) fn prepare(directory: PathBuf) -> io::Result<Self> {
        let home = Self { directory };
        for (_, place) in home.places() {
            make_real(&place)?;
        }
        Ok(home)
    }

    /// What the agent may write.
    pub(crate) fn writable(&self) -> impl Iterator<Item = PathBuf> {
        self.places().into_iter().map(|(_, place)| place)
    }

    /// Notes about the agent's first start, which is another one than in the user's home. It does not write them.
    pub(crate) fn notes(&self) -> PathBuf {
        self.directory.join("notes")
    }

    /// The variables that lead the agent there.
    pub(crate) fn env(&self) -> Vec<(OsString, OsString)> {
        self.places().map(|(variable, place)| (variable.into(), place.into())).into()
    }

    fn places(&self) -> [(&'static str, PathBuf); 4] {
        let names = [
            ("XDG_DATA_HOME", "data"),
            ("XDG_STATE_HOME", "state"),
            ("XDG_CACHE_HOME", "cache"),
            ("XDG_CONFIG_HOME", "config"),
        ];
        names.map(|(variable, name)| (variable, self.directory.join(name)))
    }

    /// Brings the agent's login up to date. One that the agent has renewed itself meanwhile is kept.
    ///
    /// # Errors
    /// As the file system says.
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
            if let Some(place) = to.parent() {
                make_real(place)?;
            }
            // Never through a link that it may have left there.
            let fresh = to.with_extension("new");
            let _ = fs::remove_file(&fresh);
            copy(&from, &fresh)?;
            fs::rename(&fresh, &to)?;
        }
        Ok(())
    }

    /// Makes its settings anew: copies of the agent's own, which it may want to write beside, and links to all others.
    ///
    /// # Errors
    /// As the file system says.
    pub(crate) async fn copy_settings(&self, profile: &Profile, user: &UserHome) -> io::Result<()> {
        let place = self.directory.join("config");
        discard(place.clone()).await?;
        make_real(&place)?;
        let mut room = SETTINGS_MAX;
        for name in profile.config_directories() {
            copy_all(&user.config.join(name), &place.join(name), &mut room, DEPTH_MAX)?;
        }
        for entry in listed(&user.config)? {
            let to = place.join(entry.file_name());
            if fs::symlink_metadata(&to).is_err() {
                symlink(entry.path(), to)?;
            }
        }
        Ok(())
    }
}

/// Copies a directory with what is in it; one that is not there is made empty. Links are followed: people keep their
/// settings elsewhere and link to them.
fn copy_all(from: &Path, to: &Path, room: &mut u64, depth: usize) -> io::Result<()> {
    make_real(to)?;
    for entry in listed(from)? {
        let Ok(found) = fs::metadata(entry.path()) else { continue };
        let place = to.join(entry.file_name());
        if found.is_dir() && depth > 0 && entry.file_name() != LEFT_OUT {
            copy_all(&entry.path(), &place, room, depth - 1)?;
        } else if found.is_file() {
            *room = room.checked_sub(found.len()).ok_or_else(|| {
                io::Error::other(format!("{} holds more than {} MiB", from.display(), SETTINGS_MAX >> 20))
            })?;
            copy(&entry.path(), &place)?;
        }
    }
    Ok(())
}

fn listed(directory: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(directory) {
        Ok(entries) => entries.collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(to)?;
    io::copy(&mut fs::File::open(from)?, &mut file).map(drop)
}

/// Makes a directory, or finds one that is no link: where the coordinator may write it could have left one to elsewhere.
pub(crate) fn make_real(place: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(place)?;
    match is_real(place) {
        true => Ok(()),
        false => Err(io::Error::other(format!("{} is no directory; remove it", place.display()))),
    }
}

/// Whether it is a directory and no link to one.
pub(crate) fn is_real(place: &Path) -> bool {
    fs::symlink_metadata(place).is_ok_and(|found| found.is_dir())
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
    fn the_login_is_copied_and_never_through_a_link() {
        let (directory, home, user) = homes();
        let elsewhere = directory.path().join("elsewhere");
        for place in [&user.data.join("opencode"), &elsewhere] {
            fs::create_dir_all(place).unwrap();
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
        assert!(home.copy_login(&profile, &user).unwrap_err().to_string().contains("no directory"));
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn settings_are_made_anew_for_each_run() {
        let (directory, home, user) = homes();
        let profile = kugetsu_agent::profile("opencode", &[]).unwrap();
        home.copy_settings(&profile, &user).await.unwrap();
        for place in ["opencode/agents", "opencode/node_modules/big", "git"] {
            fs::create_dir_all(user.config.join(place)).unwrap();
        }
        fs::write(directory.path().join("real.json"), "{}").unwrap();
        symlink(directory.path().join("real.json"), user.config.join("opencode/opencode.json")).unwrap();
        let own = directory.path().join("agent/config");
        // Whatever it left there is gone, and is not followed.
        fs::remove_dir_all(&own).unwrap();
        symlink(directory.path(), &own).unwrap();
        home.copy_settings(&profile, &user).await.unwrap();
        assert_eq!(fs::read_to_string(own.join("opencode/opencode.json")).unwrap(), "{}");
        assert!(is_real(&own) && is_real(&own.join("opencode/agents")) && !own.join("opencode/node_modules").exists());
        assert_eq!(fs::read_link(own.join("git")).unwrap(), user.config.join("git"));
        assert!(directory.path().join("real.json").exists());
    }

    #[test]
    fn a_link_in_the_place_of_a_directory_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        symlink(directory.path(), directory.path().join("data")).unwrap();
        let error = AgentHome::prepare(directory.path().to_owned()).unwrap_err();
        assert!(error.to_string().contains("data is no directory"), "{error}");
    }
}
