//! The coordinator's workspace: the directory it works in, the files it may access, and its skill.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kugetsu_agent::{Profile, with_targets};
use kugetsu_api::atomic_file::write_atomic;
use kugetsu_api::home::Home;
use kugetsu_api::regular_file;
use kugetsu_domain::hash::fnv1a;
use kugetsu_process::sandbox::FileAccess;
use thiserror::Error;

use super::agent_home::{AgentHome, create_real_directory, is_real_directory};
use super::skill::SKILL;

/// Directories of the user's home with keys.
const SECRETS: [&str; 2] = [".ssh", ".gnupg"];

#[derive(Debug)]
pub(crate) struct Workspace {
    /// Where the coordinator works.
    pub(crate) directory: PathBuf,
    /// The skill, for the user to read and change.
    pub(crate) skill_file: PathBuf,
    /// Whether a sandbox keeps the coordinator from writing elsewhere.
    pub(crate) is_confined: bool,
    pub(crate) agent: AgentHome,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Skill {
    /// The text without its front matter.
    pub(crate) text: String,
    /// Of the whole file.
    digest: String,
}

#[derive(Debug, Error)]
pub(crate) enum WorkspaceError {
    #[error("cannot read the skill {}: {error}", path.display())]
    Skill { path: PathBuf, error: io::Error },
    #[error("cannot write {}: {error}", path.display())]
    SentSkill { path: PathBuf, error: io::Error },
}

impl Workspace {
    /// Creates the directories that do not exist.
    ///
    /// # Errors
    /// A directory cannot be created, or one of them is a link.
    pub(crate) fn prepare(home: &Home, profile: &Profile, is_confined: bool) -> io::Result<Self> {
        let directory = home.coordinator();
        create_real_directory(&directory)?;
        let agent = AgentHome::prepare(home.coordinator_agent(), profile)?;
        let workspace = Self { skill_file: home.coordinator_skill(), directory, is_confined, agent };
        for notes in workspace.notes() {
            create_real_directory(&notes)?;
        }
        Ok(workspace)
    }

    fn notes(&self) -> [PathBuf; 2] {
        ["queue", "logs"].map(|name| self.directory.join(name))
    }

    /// The files that the sandbox lets the coordinator access: it writes only its notes, its agent's directories and
    /// `temporary`, and does not see the rest of kugetsu's home. It may start `programs`.
    pub(crate) fn file_access(&self, home: &Home, programs: &[PathBuf], temporary: &Path) -> FileAccess {
        let user = std::env::var_os("HOME").map(PathBuf::from).filter(|user| user.is_dir());
        // They may be links, into directories that are readable otherwise.
        let secrets = SECRETS.map(|name| user.as_ref().and_then(|user| user.join(name).canonicalize().ok()));
        let hidden = secrets.into_iter().chain([home.path().canonicalize().ok()]).flatten();
        // The sandbox replaces /tmp and other directories by private ones; programs in them have to be named to be seen.
        let programs = with_targets(programs).filter_map(|program| Some(program.parent()?.to_owned()));
        let skill = self.skill_file.parent().map(Path::to_owned);
        let read = user.iter().cloned().chain(programs).chain(skill).chain([self.directory.clone()]);
        FileAccess {
            writable: self.notes().into_iter().chain(self.agent.writable()).chain([temporary.to_owned()]).collect(),
            readable: read.filter(|path| is_real_directory(path)).collect(),
            hidden: hidden.filter(|path| is_real_directory(path)).collect(),
            ..FileAccess::default()
        }
    }

    /// The skill; the built-in one if the file does not exist.
    pub(crate) fn skill(&self) -> Result<Skill, WorkspaceError> {
        let text = match regular_file::read_to_string(&self.skill_file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => SKILL.to_owned(),
            Err(error) => return Err(WorkspaceError::Skill { path: self.skill_file.clone(), error }),
        };
        Ok(Skill { digest: digest(&text), text: without_front_matter(&text).to_owned() })
    }

    /// The skill, if it differs from the one that the session got last.
    pub(crate) fn changed_skill(&self) -> Result<Option<Skill>, WorkspaceError> {
        let skill = self.skill()?;
        Ok((regular_file::read_to_string(&self.sent_skill()).ok().as_ref() != Some(&skill.digest)).then_some(skill))
    }

    /// Notes that the session has taken a prompt with this skill. Not before: a session that has not taken it gets it with the
    /// next prompt.
    pub(crate) fn keep_sent_skill(&self, skill: &Skill) -> Result<(), WorkspaceError> {
        let path = self.sent_skill();
        write_atomic(&path, skill.digest.as_bytes()).map_err(|error| WorkspaceError::SentSkill { path, error })
    }

    /// Notes that a new session has got no skill yet.
    pub(crate) fn forget_sent_skill(&self) -> Result<(), WorkspaceError> {
        let path = self.sent_skill();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(WorkspaceError::SentSkill { path, error }),
            _ => Ok(()),
        }
    }

    /// Holds the digest of the skill that the session got last.
    fn sent_skill(&self) -> PathBuf {
        self.directory.join("skill.told")
    }
}

fn digest(text: &str) -> String {
    format!("{:016x}\n", fnv1a(text.as_bytes()))
}

/// The body of a skill (agentskills.io, "SKILL.md format").
fn without_front_matter(text: &str) -> &str {
    let Some(rest) = text.strip_prefix("---\n") else { return text };
    rest.split_once("\n---\n").map_or(text, |(_, body)| body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opencode() -> Profile {
        kugetsu_agent::profile("opencode", &[]).unwrap()
    }

    #[test]
    fn the_skill_names_no_server_and_has_the_form_of_a_skill() {
        let description = SKILL.strip_prefix("---\nname: pm\ndescription: ").unwrap();
        assert!(description.lines().next().unwrap().len() < 1024);
        assert!(without_front_matter(SKILL).trim_start().starts_with("# You coordinate"));
        for host in ["github", "gitlab", "codeberg", "gitea", "http", ".com", ".org"] {
            assert!(!SKILL.to_lowercase().contains(host), "{host}");
        }
        assert!(SKILL.contains("<domain>/<owner>/<repo>"));
    }

    #[test]
    fn a_changed_skill_is_sent_once() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().to_owned());
        let workspace = Workspace::prepare(&home, &opencode(), true).unwrap();
        let skill = workspace.skill().unwrap();
        assert_eq!(skill.text, without_front_matter(SKILL));
        workspace.keep_sent_skill(&skill).unwrap();
        assert_eq!(workspace.changed_skill().unwrap(), None);
        fs::create_dir_all(workspace.skill_file.parent().unwrap()).unwrap();
        fs::write(&workspace.skill_file, "Be kind.\n").unwrap();
        workspace.changed_skill().unwrap().expect("it has changed");
        let changed = workspace.changed_skill().unwrap().expect("no session has taken it yet");
        assert_eq!(changed.text, "Be kind.\n");
        workspace.keep_sent_skill(&changed).unwrap();
        assert_eq!(workspace.changed_skill().unwrap(), None);
        workspace.forget_sent_skill().unwrap();
        workspace.forget_sent_skill().unwrap();
        assert_eq!(workspace.changed_skill().unwrap(), Some(changed));
    }

    #[test]
    fn a_link_instead_of_a_directory_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().join("home"));
        let workspace = Workspace::prepare(&home, &opencode(), true).unwrap();
        fs::remove_dir(workspace.directory.join("logs")).unwrap();
        std::os::unix::fs::symlink(directory.path(), workspace.directory.join("logs")).unwrap();
        assert!(
            Workspace::prepare(&home, &opencode(), true).unwrap_err().to_string().contains("logs is not a directory")
        );
    }
}
