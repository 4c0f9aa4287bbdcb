//! Repositories inside a worktree: submodules, checked out or not, and what an agent cloned or made there. Found here,
//! with the commits that their own servers lack. Like all that an agent wrote they are read as files, and no link is
//! followed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::command::runner::GitError;
use crate::files::access::below;
use crate::files::access::{FileError, is_real_dir, off_thread};
use crate::names::Oid;
use crate::shown::shown;
use crate::untrusted::quarantine::Quarantine;
use crate::untrusted::reader::{UntrustedRepo, commits_outside_refs, nested_git_dir};

/// Directories inside directories, so deep.
const DEPTH_MAX: usize = 64;
/// So many directories are looked into.
const LOOKED_MAX: usize = 1_000_000;
/// What of a git directory never holds the git directory of a submodule.
const GITS_OWN: &[&str] = &["objects", "refs", "logs", "hooks", "info", "lfs", "worktrees"];

/// A repository inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NestedRepo {
    /// Its files' directory below the worktree or, where it has no files, its git directory.
    pub(crate) place: Vec<u8>,
    pub(crate) git_dir: PathBuf,
    /// It was found by its files.
    pub(crate) has_files: bool,
}

/// The repositories inside a worktree.
#[derive(Debug, Default)]
pub(crate) struct NestedRepos {
    pub(crate) repositories: Vec<NestedRepo>,
    /// What was not looked into, and why, fit to be shown.
    pub(crate) unread: Vec<String>,
}

/// Finds the repositories in the directories `nested` of a worktree, and the git directories of its submodules, whether
/// their files are there or not.
pub(crate) async fn find_nested_repos(files: &Path, nested: &[Vec<u8>]) -> Result<NestedRepos, FileError> {
    let (files, nested) = (files.to_owned(), nested.to_vec());
    off_thread(&files.clone(), move || {
        let Ok(real) = files.canonicalize() else { return Ok(NestedRepos::default()) };
        let mut walk = Walk { files: real.clone(), seen: BTreeSet::new(), looked: 0, found: NestedRepos::default() };
        for place in nested {
            // A link on the way leads out of the worktree.
            if let Ok(dir) = below(&files, &place).canonicalize()
                && dir.starts_with(&real)
            {
                walk.files_at(&dir, &place, 0);
            }
        }
        if is_real_dir(&real.join(".git")) {
            walk.modules(&real.join(".git/modules"), b".git/modules", 0);
        }
        Ok(walk.found)
    })
    .await
}

struct Walk {
    files: PathBuf,
    seen: BTreeSet<PathBuf>,
    looked: usize,
    found: NestedRepos,
}

impl Walk {
    /// The real directories in `dir`, by name; none, with a word on it, where it cannot be read or is too much.
    fn directories(&mut self, dir: &Path, place: &[u8], depth: usize) -> Vec<(Vec<u8>, PathBuf)> {
        self.looked += 1;
        let too_much = depth > DEPTH_MAX || self.looked > LOOKED_MAX;
        let entries = match std::fs::read_dir(dir) {
            Ok(entries) if !too_much => entries,
            Ok(_) => {
                if self.looked <= LOOKED_MAX + 1 {
                    let place = shown(place);
                    self.found.unread.push(format!("repositories in {place} (too many directories to look through)"));
                }
                return Vec::new();
            }
            Err(error) => {
                self.found.unread.push(format!("repositories in {} ({error})", shown(place)));
                return Vec::new();
            }
        };
        let named = entries.flatten().map(|entry| (entry.file_name().as_encoded_bytes().to_vec(), entry.path()));
        let mut found: Vec<_> = named.filter(|(_, path)| is_real_dir(path)).collect();
        found.sort();
        found
    }

    /// The repositories whose files are in a directory.
    fn files_at(&mut self, dir: &Path, place: &[u8], depth: usize) {
        if let Some(git_dir) = nested_git_dir(dir, &self.files) {
            self.take(place, git_dir.clone(), true);
            self.modules(&git_dir.join("modules"), &[place, b"/.git/modules"].concat(), depth + 1);
        }
        for (name, path) in self.directories(dir, place, depth) {
            if name != b".git" {
                self.files_at(&path, &[place, b"/", &name].concat(), depth + 1);
            }
        }
    }

    /// The git directories in a directory: a submodule's name may hold slashes, and submodules have submodules.
    fn modules(&mut self, dir: &Path, place: &[u8], depth: usize) {
        if !is_real_dir(dir) {
            return;
        }
        let is_git_dir = is_real_dir(&dir.join("objects")) && dir.join("HEAD").symlink_metadata().is_ok();
        if is_git_dir {
            self.take(place, dir.to_owned(), false);
        }
        for (name, path) in self.directories(dir, place, depth) {
            if !is_git_dir || !GITS_OWN.iter().any(|own| own.as_bytes() == name) {
                self.modules(&path, &[place, b"/", &name].concat(), depth + 1);
            }
        }
    }

    /// A git directory without objects, such as a linked worktree's, has no commits that could be lost with it.
    fn take(&mut self, place: &[u8], git_dir: PathBuf, has_files: bool) {
        let objects = git_dir.join("objects");
        if is_real_dir(&objects) && self.seen.insert(git_dir.clone()) {
            self.found.repositories.push(NestedRepo { place: place.to_vec(), git_dir, has_files });
        } else if objects.is_symlink() {
            self.found.unread.push(format!("commits of the repository {} (its objects are a link)", shown(place)));
        }
    }
}

/// The heads of a repository inside, and what its own servers have.
pub(crate) struct NestedHeads {
    pub(crate) head: Option<Oid>,
    /// `HEAD`, refs, and older stashes as `kept/<commit>`.
    heads: Vec<(Vec<u8>, Oid)>,
    known: Vec<Oid>,
}

impl NestedHeads {
    /// Reads them; what is missing or damaged is left out.
    pub(crate) fn read(git_dir: &Path) -> Self {
        let repo = UntrustedRepo::read(git_dir);
        let mut known: Vec<Oid> = repo.refs_below("refs/remotes/").map(|(_, oid)| oid.clone()).collect();
        if !known.is_empty() {
            // A clone packs the tags that it got; one that was made here is a file of its own.
            known.extend(UntrustedRepo::read_packed_refs(git_dir).refs_below("refs/tags/").map(|(_, oid)| oid.clone()));
        }
        let head = repo.head_commit().cloned();
        let is_theirs = |name: &[u8]| name.starts_with(b"refs/remotes/");
        let mut heads: Vec<(Vec<u8>, Oid)> =
            repo.refs.iter().filter(|(name, _)| !is_theirs(name)).map(|(n, oid)| (n.clone(), oid.clone())).collect();
        let named = |heads: &[(Vec<u8>, Oid)], oid: &Oid| heads.iter().any(|(_, named)| named == oid);
        if let Some(head) = head.as_ref().filter(|head| !named(&heads, head)) {
            heads.push((b"HEAD".to_vec(), head.clone()));
        }
        for oid in commits_outside_refs(git_dir) {
            if !named(&heads, &oid) {
                heads.push((format!("kept/{}", oid.short()).into_bytes(), oid));
            }
        }
        Self { head, heads, known }
    }

    /// One of its commits, which says what its ids look like.
    pub(crate) fn any_commit(&self) -> Option<&Oid> {
        self.head.as_ref().or_else(|| self.heads.first().map(|(_, oid)| oid))
    }

    /// The heads with commits that neither its servers, as far as it knows, nor `safe` have. One whose commits cannot be
    /// counted is among them: it cannot be proved safe. `quarantine` is onto this repository.
    pub(crate) async fn unpushed_heads(
        &self,
        quarantine: &Quarantine,
        safe: &[Oid],
    ) -> Result<Vec<&(Vec<u8>, Oid)>, GitError> {
        let digits = self.any_commit().map(Oid::digits);
        let safe = safe.iter().filter(|oid| Some(oid.digits()) == digits);
        let known: Vec<Oid> = self.known.iter().chain(safe).cloned().collect();
        let heads: Vec<_> = self.heads.iter().filter(|(_, oid)| !known.contains(oid)).collect();
        let all: Vec<&Oid> = heads.iter().map(|(_, oid)| oid).collect();
        let commits: Option<BTreeSet<Oid>> = match all.is_empty() {
            true => return Ok(Vec::new()),
            false => quarantine.commits_not_in(&all, &known).await?.map(BTreeSet::from_iter),
        };
        if commits.as_ref().is_some_and(BTreeSet::is_empty) {
            return Ok(Vec::new());
        }
        let mut lacking = Vec::new();
        for head in heads {
            let is_lacking = match &commits {
                Some(commits) if commits.contains(&head.1) => true,
                Some(_) if !head.0.starts_with(b"refs/tags/") => false,
                // A tag may be an object of its own; and where one head is damaged, each is looked at alone.
                _ => quarantine.commits_not_in(&[&head.1], &known).await?.is_none_or(|commits| !commits.is_empty()),
            };
            if is_lacking {
                lacking.push(head);
            }
        }
        Ok(lacking)
    }
}
