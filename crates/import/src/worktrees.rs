//! Finds the script's worktrees: in `worktrees` of the home, in `.kugetsu-worktrees` of any directory that the script was
//! called in, and in `~/.kugetsu-worktrees`. No other directory is touched, whatever a file names.

use std::fs;
use std::path::{Component, Path, PathBuf};

use kugetsu_api::home::Home;

use crate::names::directory;

/// The directory of worktrees outside of the home.
const HIDDEN: &str = ".kugetsu-worktrees";

#[derive(Debug)]
pub(crate) struct Worktrees {
    /// `worktrees` in the home, without symbolic links.
    own: PathBuf,
    relays: PathBuf,
    /// `~/.kugetsu-worktrees`.
    user: Option<PathBuf>,
}

impl Worktrees {
    /// `user` is the user's home directory.
    pub(crate) fn new(home: &Home, user: Option<PathBuf>) -> Self {
        let own = home.worktrees();
        // The directory may be a link to a larger disk.
        let own = own.canonicalize().unwrap_or(own);
        Self { own, relays: home.relays(), user: user.map(|user| user.join(HIDDEN)) }
    }

    /// Finds the worktree of an issue: the recorded one, or the one in the usual directory. The error is a message.
    pub(crate) fn of(&self, recorded: Option<&Path>, reference: &str) -> Result<PathBuf, String> {
        if let Some(recorded) = recorded {
            if !self.contains(recorded) {
                let recorded = recorded.display();
                return Err(format!(
                    "its worktree {recorded} is not in a directory of the script's, and is not touched"
                ));
            }
            if recorded.symlink_metadata().is_ok() {
                return Ok(recorded.to_owned());
            }
        }
        let name = directory(reference);
        let is_name = Path::new(&name).components().count() == 1;
        let usual = [Some(&self.own), self.user.as_ref()].into_iter().flatten().map(|parent| parent.join(&name));
        match (usual.filter(|_| is_name).find(|path| path.is_dir()), recorded) {
            (Some(path), _) => Ok(path),
            (None, Some(recorded)) => Err(format!("its worktree {} does not exist any more", recorded.display())),
            (None, None) => Err("it has no worktree".to_owned()),
        }
    }

    /// Whether the path is directly in a directory of worktrees.
    fn contains(&self, path: &Path) -> bool {
        let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::RootDir);
        let (Some(parent), true) = (path.parent(), path.is_absolute() && path.components().all(is_plain)) else {
            return false;
        };
        // A symbolic link on the way counts as the directory that it leads to.
        let parent = parent.canonicalize().unwrap_or_else(|_| parent.to_owned());
        parent == self.own || parent.components().any(|part| part.as_os_str() == HIDDEN)
    }

    /// All existing worktrees of the script, also those that no session names.
    pub(crate) fn all(&self) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = [Some(&self.own), self.user.as_ref()]
            .into_iter()
            .flatten()
            .flat_map(|parent| fs::read_dir(parent).into_iter().flatten().flatten())
            .map(|entry| entry.path())
            .filter(|path| path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) && !self.is_kugetsus(path))
            .collect();
        paths.sort();
        paths
    }

    /// Whether kugetsu has created the worktree, or is creating it.
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
    fn paths_outside_of_the_directories_of_the_script_are_rejected() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let home = Home::new(root.join("k"));
        let worktrees = Worktrees::new(&home, Some(root.join("user")));
        fs::create_dir_all(root.join("k/worktrees/a")).unwrap();
        fs::create_dir_all(root.join("project/.kugetsu-worktrees/b")).unwrap();
        fs::create_dir_all(root.join("secret/c")).unwrap();
        std::os::unix::fs::symlink(root.join("secret"), root.join("k/worktrees/link")).unwrap();
        let of = |path: &str| worktrees.of(Some(&root.join(path)), "no/such#1");
        assert!(of("k/worktrees/a").is_ok() && of("project/.kugetsu-worktrees/b").is_ok());
        for outside in ["secret/c", "k/worktrees/link/c", "k/worktrees/../../secret/c", "k", "k/state", "."] {
            assert!(of(outside).is_err(), "{outside}");
        }
        assert!(worktrees.of(Some(Path::new("/")), "no/such#1").is_err());
        assert!(worktrees.of(Some(Path::new("relative/.kugetsu-worktrees/x")), "no/such#1").is_err());
        assert!(worktrees.of(None, "../../secret#1").is_err());
    }
}
