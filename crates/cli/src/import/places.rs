//! Where the script kept its worktrees: `worktrees` in the home, then `.kugetsu-worktrees` in the directory that the
//! script was called in, then `~/.kugetsu-worktrees`. Nothing outside of these is looked at, whatever a file says.

use std::fs;
use std::path::{Component, Path, PathBuf};

use super::names::directory;

/// The directory that held worktrees, wherever the script was called.
const HIDDEN: &str = ".kugetsu-worktrees";

/// Where the script kept its worktrees.
#[derive(Debug)]
pub(super) struct Places {
    own: PathBuf,
    relays: PathBuf,
    user: Option<PathBuf>,
}

impl Places {
    /// Of this home, and of the user whose home directory is this.
    pub(super) fn new(home: &kugetsu_api::home::Home, user: Option<PathBuf>) -> Self {
        let own = home.worktrees();
        // The directory itself may be a link to a larger disk.
        let own = own.canonicalize().unwrap_or(own);
        Self { own, relays: home.relays(), user: user.map(|user| user.join(HIDDEN)) }
    }

    /// The worktree of an issue: the one that is written down, or the one at the usual place.
    ///
    /// # Errors
    /// There is none, or it is at a place where the script kept none.
    pub(super) fn of(&self, written: Option<&Path>, reference: &str) -> Result<PathBuf, String> {
        if let Some(written) = written {
            if !self.is_one(written) {
                let written = written.display();
                return Err(format!("its worktree {written} is not where the script kept them; it is not touched"));
            }
            if written.symlink_metadata().is_ok() {
                return Ok(written.to_owned());
            }
        }
        let name = directory(reference);
        let usual = [Some(&self.own), self.user.as_ref()].into_iter().flatten().map(|place| place.join(&name));
        let is_name = Path::new(&name).components().count() == 1;
        match usual.filter(|_| is_name).find(|place| place.is_dir()) {
            Some(found) => Ok(found),
            None => Err(match written {
                Some(written) => format!("its worktree {} is not there any more", written.display()),
                None => "there is no worktree of it".to_owned(),
            }),
        }
    }

    /// Whether the script kept worktrees there.
    fn is_one(&self, path: &Path) -> bool {
        let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::RootDir);
        let (Some(parent), true) = (path.parent(), path.is_absolute() && path.components().all(plain)) else {
            return false;
        };
        // A link on the way leads where it leads; what it leads to counts.
        let parent = parent.canonicalize().unwrap_or_else(|_| parent.to_owned());
        parent == self.own || parent.components().any(|part| part.as_os_str() == HIDDEN)
    }

    /// Worktrees that are there, whoever knows of them; those that kugetsu made are not the script's.
    pub(super) fn all(&self) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = [Some(&self.own), self.user.as_ref()]
            .into_iter()
            .flatten()
            .flat_map(|place| fs::read_dir(place).into_iter().flatten().flatten())
            .map(|entry| entry.path())
            .filter(|path| path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) && !self.is_kugetsus(path))
            .collect();
        found.sort();
        found
    }

    /// Whether kugetsu made it, or is making it.
    fn is_kugetsus(&self, worktree: &Path) -> bool {
        let Some(name) = worktree.file_name().map(|name| name.to_string_lossy().into_owned()) else { return true };
        if worktree.parent() != Some(&self.own) {
            return false;
        }
        name.contains(".new-") || self.relays.join(format!("{name}.owned")).exists()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_the_scripts_places_is_taken_for_a_worktree() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let home = kugetsu_api::home::Home::new(root.join("k"));
        let places = Places::new(&home, Some(root.join("user")));
        fs::create_dir_all(root.join("k/worktrees/a")).unwrap();
        fs::create_dir_all(root.join("project/.kugetsu-worktrees/b")).unwrap();
        fs::create_dir_all(root.join("secret/c")).unwrap();
        std::os::unix::fs::symlink(root.join("secret"), root.join("k/worktrees/link")).unwrap();
        let of = |path: &str| places.of(Some(&root.join(path)), "no/such#1");
        assert!(of("k/worktrees/a").is_ok() && of("project/.kugetsu-worktrees/b").is_ok());
        for outside in ["secret/c", "k/worktrees/link/c", "k/worktrees/../../secret/c", "k", "k/state", "."] {
            assert!(of(outside).is_err(), "{outside}");
        }
        assert!(places.of(Some(Path::new("/")), "no/such#1").is_err());
        assert!(places.of(Some(Path::new("relative/.kugetsu-worktrees/x")), "no/such#1").is_err());
        assert!(places.of(None, "../../secret#1").is_err());
    }
}
