//! The coordinator's desk: the directory it works in, what it may write there, and its skill.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kugetsu_api::home::Home;
use kugetsu_domain::hash::fnv1a;
use kugetsu_process::sandbox::FileAccess;

use super::agent_home::{AgentHome, is_real, make_real};

use crate::skill::SKILL;

/// The desk.
#[derive(Debug)]
pub(crate) struct Desk {
    /// Where the coordinator works.
    pub(crate) directory: PathBuf,
    /// Its skill, for the user to read and change.
    pub(crate) skill_file: PathBuf,
    /// Whether the kernel keeps it from writing elsewhere.
    pub(crate) is_confined: bool,
    /// Its agent's own places.
    pub(crate) agent: AgentHome,
}

/// A skill as a session is told it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Skill {
    /// The text, without the description that is for listing skills.
    pub(crate) text: String,
    /// Tells it from others.
    digest: String,
}

impl Desk {
    /// Makes the desk, or finds it.
    ///
    /// # Errors
    /// As the file system says; also when something else lies in the place of one of its directories.
    pub(crate) fn prepare(home: &Home, is_confined: bool) -> io::Result<Self> {
        let directory = home.coordinator();
        make_real(&directory)?;
        let agent = AgentHome::prepare(home.coordinator_agent())?;
        let desk = Self { skill_file: home.coordinator_skill(), directory, is_confined, agent };
        for place in desk.notes() {
            make_real(&place)?;
        }
        Ok(desk)
    }

    fn notes(&self) -> [PathBuf; 2] {
        ["queue", "logs"].map(|name| self.directory.join(name))
    }

    /// What keeps the coordinator from writing elsewhere, and from seeing what it has no business with. `program` is its
    /// agent's, `temporary` the run's own directory.
    pub(crate) fn file_access(&self, home: &Home, program: &Path, temporary: &Path) -> FileAccess {
        let user = std::env::var_os("HOME").map(PathBuf::from).filter(|user| user.is_dir());
        let secrets = user.iter().flat_map(|user| [".ssh", ".gnupg"].map(|name| user.join(name)));
        let own = std::env::current_exe().ok();
        // Where these lie in a place that is private to the cage they would not be seen. The agent's is often a link.
        let target = program.canonicalize().ok();
        let programs =
            [Some(program), target.as_deref(), own.as_deref()].into_iter().flatten().filter_map(Path::parent);
        let read = user.iter().map(PathBuf::as_path).chain(programs).chain(self.skill_file.parent());
        let readable = read.chain([self.directory.as_path()]).filter(|place| is_real(place)).map(Path::to_owned);
        FileAccess {
            writable: self.notes().into_iter().chain(self.agent.writable()).chain([temporary.to_owned()]).collect(),
            readable: readable.collect(),
            hidden: secrets.chain([home.path().to_owned()]).filter(|place| is_real(place)).collect(),
        }
    }

    /// The skill; the built-in one where there is no file.
    ///
    /// # Errors
    /// In words: it cannot be read.
    pub(crate) fn skill(&self) -> Result<Skill, String> {
        let text = match fs::read_to_string(&self.skill_file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => SKILL.to_owned(),
            Err(error) => return Err(format!("the skill {} cannot be read: {error}", self.skill_file.display())),
        };
        Ok(Skill { digest: digest(&text), text: body(&text).to_owned() })
    }

    /// The skill, if it is another one than the session was told last.
    ///
    /// # Errors
    /// As [`skill`](Self::skill).
    pub(crate) fn changed_skill(&self) -> Result<Option<Skill>, String> {
        let skill = self.skill()?;
        Ok((fs::read_to_string(self.told()).ok().as_ref() != Some(&skill.digest)).then_some(skill))
    }

    /// The session has taken a prompt with this skill in it. Not before: one that did not is told it with the next prompt.
    ///
    /// # Errors
    /// In words: that cannot be kept.
    pub(crate) fn keep_told(&self, skill: &Skill) -> Result<(), String> {
        fs::write(self.told(), &skill.digest).map_err(|error| format!("{}: {error}", self.told().display()))
    }

    /// There is another session, which was told nothing yet.
    ///
    /// # Errors
    /// In words: that cannot be kept.
    pub(crate) fn forget_told(&self) -> Result<(), String> {
        match fs::remove_file(self.told()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(format!("{}: {error}", self.told().display())),
            _ => Ok(()),
        }
    }

    /// What the session was told last.
    fn told(&self) -> PathBuf {
        self.directory.join("skill.told")
    }
}

fn digest(text: &str) -> String {
    format!("{:016x}\n", fnv1a(text.as_bytes()))
}

/// What stands behind the description (agentskills.io, "SKILL.md format").
fn body(text: &str) -> &str {
    let Some(rest) = text.strip_prefix("---\n") else { return text };
    rest.split_once("\n---\n").map_or(text, |(_, body)| body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_skill_names_no_server_and_has_the_form_of_a_skill() {
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
        let skill = desk.skill().unwrap();
        assert_eq!(skill.text, body(SKILL));
        desk.keep_told(&skill).unwrap();
        assert_eq!(desk.changed_skill().unwrap(), None);
        fs::create_dir_all(desk.skill_file.parent().unwrap()).unwrap();
        fs::write(&desk.skill_file, "Be kind.\n").unwrap();
        desk.changed_skill().unwrap().expect("it was changed");
        let changed = desk.changed_skill().unwrap().expect("nobody has taken it yet");
        assert_eq!(changed.text, "Be kind.\n");
        desk.keep_told(&changed).unwrap();
        assert_eq!(desk.changed_skill().unwrap(), None);
        desk.forget_told().unwrap();
        desk.forget_told().unwrap();
        assert_eq!(desk.changed_skill().unwrap(), Some(changed));
    }

    #[test]
    fn a_link_in_the_place_of_a_directory_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().join("home"));
        let desk = Desk::prepare(&home, true).unwrap();
        fs::remove_dir(desk.directory.join("logs")).unwrap();
        std::os::unix::fs::symlink(directory.path(), desk.directory.join("logs")).unwrap();
        assert!(Desk::prepare(&home, true).unwrap_err().to_string().contains("logs is no directory"));
    }
}
