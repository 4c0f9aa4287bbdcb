//! The coordinator's desk: the directory it works in, what it may write there, its agent's own state, and its skill.
//!
//! Its agent gets a state of its own: in the user's, it could leave what other agents, which are not confined, would load
//! and carry out. Only the agent's login is copied there. The user's configuration of the agent is read and not written.

use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use kugetsu_agent::Profile;
use kugetsu_process::cage::Cage;

use crate::coordinator::skill::SKILL;
use crate::home::Home;

/// The desk.
#[derive(Debug)]
pub(crate) struct Desk {
    /// Where the coordinator works.
    pub(crate) directory: PathBuf,
    /// Its skill, for the user to read and change.
    pub(crate) skill_file: PathBuf,
    /// Whether the kernel keeps it from writing elsewhere.
    pub(crate) is_confined: bool,
    /// Its agent's own state.
    state: PathBuf,
}

impl Desk {
    /// Makes the desk, or finds it.
    ///
    /// # Errors
    /// As the file system says; also when something else lies in the place of one of its directories.
    pub(crate) fn prepare(home: &Home, is_confined: bool) -> io::Result<Self> {
        let directory = home.coordinator();
        let desk =
            Self { skill_file: home.coordinator_skill(), state: home.coordinator_agent(), directory, is_confined };
        for place in [desk.directory.clone()].into_iter().chain(desk.writable()) {
            make_real(&place)?;
        }
        Ok(desk)
    }

    /// What it may write: its notes, and its agent's state.
    pub(crate) fn writable(&self) -> Vec<PathBuf> {
        let notes = ["queue", "logs"].map(|name| self.directory.join(name));
        notes.into_iter().chain(self.state_homes().map(|(_, place)| place)).collect()
    }

    /// What keeps the coordinator from writing elsewhere, and from seeing what it has no business with. `program` is its
    /// agent's, `temporary` the run's own directory.
    pub(crate) fn cage(&self, home: &Home, program: &Path, temporary: &Path) -> Cage {
        let user = std::env::var_os("HOME").map(PathBuf::from).filter(|user| user.is_dir());
        let secrets = user.iter().flat_map(|user| [".ssh", ".gnupg"].map(|name| user.join(name)));
        let own = std::env::current_exe().ok();
        // Where these lie in a place that is private to the cage they would not be seen.
        let programs = [Some(program), own.as_deref()].into_iter().flatten().filter_map(Path::parent);
        let read = user.iter().map(PathBuf::as_path).chain(programs).chain(self.skill_file.parent());
        let readable = read.chain([self.directory.as_path()]).filter(|place| is_real(place)).map(Path::to_owned);
        Cage {
            writable: self.writable().into_iter().chain([temporary.to_owned()]).collect(),
            readable: readable.collect(),
            hidden: secrets.chain([home.path().to_owned()]).filter(|place| is_real(place)).collect(),
        }
    }

    /// Notes about its agent's first start, which is another one than in the user's home.
    pub(crate) fn notes(&self) -> PathBuf {
        self.state.join("notes")
    }

    /// The variables that lead its agent to its own state (XDG Base Directory Specification).
    pub(crate) fn env(&self) -> Vec<(OsString, OsString)> {
        self.state_homes().map(|(name, place)| (name.into(), place.into())).into()
    }

    fn state_homes(&self) -> [(&'static str, PathBuf); 3] {
        [("XDG_DATA_HOME", "data"), ("XDG_STATE_HOME", "state"), ("XDG_CACHE_HOME", "cache")]
            .map(|(variable, name)| (variable, self.state.join(name)))
    }

    /// Brings the agent's login up to date: a copy, since what lies in the user's own place is read by agents that are not
    /// confined.
    ///
    /// # Errors
    /// As the file system says.
    pub(crate) fn copy_login(&self, profile: &Profile, data: &Path) -> io::Result<()> {
        for name in profile.login_files() {
            let (from, to) = (data.join(name), self.state.join("data").join(name));
            let theirs = match fs::metadata(&from) {
                Ok(found) => found,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            // Its own may be newer: an agent renews its login from time to time.
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
            let mut file = fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&fresh)?;
            io::copy(&mut fs::File::open(&from)?, &mut file)?;
            fs::rename(&fresh, &to)?;
        }
        Ok(())
    }

    /// The skill, without the description that is for listing skills; the built-in one where there is no file.
    ///
    /// # Errors
    /// In words: it cannot be read.
    pub(crate) fn skill(&self) -> Result<String, String> {
        let text = match fs::read_to_string(&self.skill_file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => SKILL.to_owned(),
            Err(error) => return Err(format!("the skill {} cannot be read: {error}", self.skill_file.display())),
        };
        fs::write(self.told(), digest(&text)).map_err(|error| format!("{}: {error}", self.told().display()))?;
        Ok(body(&text).to_owned())
    }

    /// The skill, if it was changed since a session was told it.
    ///
    /// # Errors
    /// As [`skill`](Self::skill).
    pub(crate) fn changed_skill(&self) -> Result<Option<String>, String> {
        let before = fs::read_to_string(self.told()).ok();
        let skill = self.skill()?;
        Ok((fs::read_to_string(self.told()).ok() != before).then_some(skill))
    }

    /// What the session was told last.
    fn told(&self) -> PathBuf {
        self.directory.join("skill.told")
    }
}

/// Makes a directory, or finds one that is no link: where the coordinator may write it could have left one to elsewhere.
fn make_real(place: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(place)?;
    match is_real(place) {
        true => Ok(()),
        false => Err(io::Error::other(format!("{} is no directory; remove it", place.display()))),
    }
}

fn is_real(place: &Path) -> bool {
    fs::symlink_metadata(place).is_ok_and(|found| found.is_dir())
}

fn digest(text: &str) -> String {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("{:016x}\n", hasher.finish())
}

/// What stands behind the description (agentskills.io, "SKILL.md format").
fn body(text: &str) -> &str {
    let Some(rest) = text.strip_prefix("---\n") else { return text };
    rest.split_once("\n---\n").map_or(text, |(_, body)| body)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn b13_the_skill_names_no_server_and_has_the_form_of_a_skill() {
        let description = SKILL.strip_prefix("---\nname: pm\ndescription: ").unwrap();
        assert!(description.lines().next().unwrap().len() < 1024);
        assert!(body(SKILL).trim_start().starts_with("# You coordinate"));
        for host in ["github", "gitlab", "codeberg", "gitea", "http", ".com", ".org"] {
            assert!(!SKILL.to_lowercase().contains(host), "{host}");
        }
        assert!(SKILL.contains("<domain>/<owner>/<repo>"));
    }

    #[test]
    fn a_changed_skill_is_told_once() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().to_owned());
        let desk = Desk::prepare(&home, true).unwrap();
        assert_eq!(desk.skill().unwrap(), body(SKILL));
        assert_eq!(desk.changed_skill().unwrap(), None);
        fs::create_dir_all(desk.skill_file.parent().unwrap()).unwrap();
        fs::write(&desk.skill_file, "Be kind.\n").unwrap();
        assert_eq!(desk.changed_skill().unwrap().as_deref(), Some("Be kind.\n"));
        assert_eq!(desk.changed_skill().unwrap(), None);
    }

    #[test]
    fn b03_the_login_is_copied_and_never_through_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let desk = Desk::prepare(&Home::new(directory.path().join("home")), true).unwrap();
        let (data, elsewhere) = (directory.path().join("data"), directory.path().join("elsewhere"));
        for place in [&data.join("opencode"), &elsewhere] {
            fs::create_dir_all(place).unwrap();
        }
        let profile = kugetsu_agent::profile("opencode", &[]).unwrap();
        desk.copy_login(&profile, &data).unwrap();
        fs::write(data.join("opencode/auth.json"), "{}").unwrap();
        desk.copy_login(&profile, &data).unwrap();
        let copy = desk.directory.join("agent/data/opencode/auth.json");
        assert_eq!(fs::read_to_string(&copy).unwrap(), "{}");
        assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);

        // Its own is newer: it has renewed its login.
        fs::write(&copy, "renewed").unwrap();
        desk.copy_login(&profile, &data).unwrap();
        assert_eq!(fs::read_to_string(&copy).unwrap(), "renewed");

        fs::remove_dir_all(copy.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(&elsewhere, copy.parent().unwrap()).unwrap();
        assert!(desk.copy_login(&profile, &data).unwrap_err().to_string().contains("no directory"));
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    }

    #[test]
    fn b03_a_link_in_the_place_of_a_directory_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().join("home"));
        let desk = Desk::prepare(&home, true).unwrap();
        fs::remove_dir(desk.directory.join("logs")).unwrap();
        std::os::unix::fs::symlink(directory.path(), desk.directory.join("logs")).unwrap();
        assert!(Desk::prepare(&home, true).unwrap_err().to_string().contains("logs is no directory"));
    }
}
