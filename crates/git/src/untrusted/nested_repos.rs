//! Repositories inside a worktree: submodules, checked out or not, and what an agent cloned or created there. They are as
//! untrusted as the worktree itself, so they are read as files, and no link is followed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::command::runner::GitError;
use crate::files::access::{FileError, blocking, canonical_if_there, is_dir_there, is_real_dir, is_there, join_bytes};
use crate::mirror::repo::Mirror;
use crate::names::Oid;
use crate::printable::printable;
use crate::untrusted::changes::StatusError;
use crate::untrusted::quarantine::{Quarantine, read_shallow};
use crate::untrusted::reader::{UntrustedRepo, nested_git_dir};

/// Maximum directory depth.
const DEPTH_MAX: usize = 64;
/// Maximum number of directories searched.
const DIRECTORIES_MAX: usize = 1_000_000;
/// The parts of a git directory that never contain the git directory of a submodule.
const GIT_DIR_PARTS: &[&str] = &["objects", "refs", "logs", "hooks", "info", "lfs", "worktrees"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NestedRepo {
    /// The directory of its files below the worktree or, if it has no files, its git directory.
    pub(crate) path: Vec<u8>,
    pub(crate) git_dir: PathBuf,
    pub(crate) has_files: bool,
}

#[derive(Debug, Default)]
pub(crate) struct NestedRepos {
    pub(crate) repositories: Vec<NestedRepo>,
    /// Descriptions of what could not be searched, escaped.
    pub(crate) unreadable: Vec<String>,
}

/// Finds the repositories in the directories `nested` of a worktree, and the git directories of its submodules, whether
/// they are checked out or not.
pub(crate) async fn find_nested_repos(files: &Path, nested: &[Vec<u8>]) -> Result<NestedRepos, FileError> {
    let (files, nested) = (files.to_owned(), nested.to_vec());
    blocking(&files.clone(), move || {
        let Some(real) = canonical_if_there(&files)? else { return Ok(NestedRepos::default()) };
        let mut search =
            Search { files: real.clone(), seen: BTreeSet::new(), directories: 0, found: NestedRepos::default() };
        for path in nested {
            // A link in the path would lead out of the worktree.
            match canonical_if_there(&join_bytes(&files, &path)) {
                Ok(Some(dir)) if dir.starts_with(&real) => search.files_in(&dir, &path, 0),
                Ok(_) => {}
                Err(error) => search.report(&path, &error),
            }
        }
        if is_dir_there(&real.join(".git"))? {
            search.modules_in(&real.join(".git/modules"), b".git/modules", 0);
        }
        Ok(search.found)
    })
    .await
}

/// Finds every repository in the directories of a worktree, also in ignored ones, and the git directories of its submodules.
///
/// At most a million directories are searched, 64 deep; more are reported as unreadable.
pub(crate) async fn find_all_nested_repos(files: &Path) -> Result<NestedRepos, FileError> {
    let files = files.to_owned();
    blocking(&files.clone(), move || {
        let Some(real) = canonical_if_there(&files)? else { return Ok(NestedRepos::default()) };
        let mut search =
            Search { files: real.clone(), seen: BTreeSet::new(), directories: 0, found: NestedRepos::default() };
        // Its own git directory is no nested one.
        search.seen.insert(real.join(".git"));
        for (name, dir) in search.subdirectories(&real, b".", 0) {
            if name != b".git" {
                search.files_in(&dir, &name, 1);
            }
        }
        if is_dir_there(&real.join(".git"))? {
            search.modules_in(&real.join(".git/modules"), b".git/modules", 0);
        }
        Ok(search.found)
    })
    .await
}

struct Search {
    /// The worktree's files, as a canonical path.
    files: PathBuf,
    seen: BTreeSet<PathBuf>,
    directories: usize,
    found: NestedRepos,
}

impl Search {
    /// The directories in `dir`, sorted by name. A directory that cannot be read, or is beyond the limits, is reported in
    /// `found.unreadable`.
    fn subdirectories(&mut self, dir: &Path, path: &[u8], depth: usize) -> Vec<(Vec<u8>, PathBuf)> {
        self.directories += 1;
        let is_beyond = depth > DEPTH_MAX || self.directories > DIRECTORIES_MAX;
        let entries = match std::fs::read_dir(dir) {
            Ok(entries) if !is_beyond => entries,
            Ok(_) => {
                // One message is enough for all directories beyond the limit.
                if self.directories <= DIRECTORIES_MAX + 1 {
                    let path = printable(path);
                    self.found.unreadable.push(format!("repositories in {path} (too many directories to search)"));
                }
                return Vec::new();
            }
            Err(error) => {
                self.found.unreadable.push(format!("repositories in {} ({error})", printable(path)));
                return Vec::new();
            }
        };
        let mut directories = Vec::new();
        for entry in entries {
            match entry.and_then(|entry| Ok((entry.file_type()?.is_dir(), entry))) {
                Ok((false, _)) => {}
                Ok((true, entry)) => {
                    directories.push((entry.file_name().as_encoded_bytes().to_vec(), entry.path()));
                }
                Err(error) => {
                    self.found.unreadable.push(format!("repositories in {} ({error})", printable(path)));
                }
            }
        }
        directories.sort();
        directories
    }

    fn report(&mut self, path: &[u8], error: &FileError) {
        self.found.unreadable.push(format!("commits of the repository {} ({})", printable(path), error.source));
    }

    /// Searches a directory of files.
    fn files_in(&mut self, dir: &Path, path: &[u8], depth: usize) {
        match nested_git_dir(dir, &self.files) {
            Ok(Some(git_dir)) => {
                self.add(path, git_dir.clone(), true);
                self.modules_in(&git_dir.join("modules"), &[path, b"/.git/modules"].concat(), depth + 1);
            }
            Ok(None) => {}
            Err(error) => self.report(path, &error),
        }
        for (name, directory) in self.subdirectories(dir, path, depth) {
            if name != b".git" {
                self.files_in(&directory, &[path, b"/", &name].concat(), depth + 1);
            }
        }
    }

    /// Searches a directory of git directories. Their names may contain slashes, and submodules have submodules.
    fn modules_in(&mut self, dir: &Path, path: &[u8], depth: usize) {
        let looked = is_dir_there(dir).and_then(|is_dir| {
            Ok((is_dir, is_dir && is_dir_there(&dir.join("objects"))? && is_there(&dir.join("HEAD"))?))
        });
        let is_git_dir = match looked {
            Ok((false, _)) => return,
            Ok((true, is_git_dir)) => is_git_dir,
            Err(error) => return self.report(path, &error),
        };
        if is_git_dir {
            self.add(path, dir.to_owned(), false);
        }
        for (name, directory) in self.subdirectories(dir, path, depth) {
            if !is_git_dir || !GIT_DIR_PARTS.iter().any(|part| part.as_bytes() == name) {
                self.modules_in(&directory, &[path, b"/", &name].concat(), depth + 1);
            }
        }
    }

    /// Adds a repository once. A git directory without objects, such as that of a linked worktree, has no commits to lose.
    fn add(&mut self, path: &[u8], git_dir: PathBuf, has_files: bool) {
        let objects = git_dir.join("objects");
        if is_real_dir(&objects) && self.seen.insert(git_dir.clone()) {
            self.found.repositories.push(NestedRepo { path: path.to_vec(), git_dir, has_files });
        } else if objects.is_symlink() {
            let path = printable(path);
            self.found.unreadable.push(format!("commits of the repository {path} (its objects are a link)"));
        }
    }
}

/// The heads of a nested repository, and the commits that its own servers have.
pub(crate) struct NestedHeads {
    pub(crate) head: Option<Oid>,
    /// Refs, a detached `HEAD`, and commits that older stashes and state files name, as `kept/<commit>`. Rescues store
    /// these names.
    heads: Vec<(Vec<u8>, Oid)>,
    /// As of the last fetch.
    on_servers: Vec<Oid>,
    /// Files that are there but could not be read, with the reason, escaped.
    pub(crate) unreadable: Vec<String>,
}

impl NestedHeads {
    /// Reads the heads, and opens a quarantine with their objects. Skips what is missing or damaged.
    pub(crate) async fn open(mirror: &Mirror, git_dir: &Path) -> Result<(Self, Quarantine), StatusError> {
        // The length of an id tells the object format.
        let files = UntrustedRepo::read(git_dir);
        let any = files.head_commit().or_else(|| files.refs.values().next());
        let quarantine = Quarantine::open_separate(mirror, git_dir, any).await?;
        let repo = quarantine.read_refs(git_dir).await?;
        quarantine.set_head(repo.head_commit())?;
        let mut heads = Self::of(git_dir, repo);
        heads.unreadable.extend(quarantine.unreadable());
        Ok((heads, quarantine))
    }

    fn of(git_dir: &Path, repo: UntrustedRepo) -> Self {
        let mut on_servers: Vec<Oid> = repo.refs_below("refs/remotes/").map(|(_, oid)| oid.clone()).collect();
        if !on_servers.is_empty() {
            // Git packs the tags that a clone receives. A loose tag was created here, and the servers may not have it.
            let packed = UntrustedRepo::read_packed_refs(git_dir);
            on_servers.extend(packed.refs_below("refs/tags/").map(|(_, oid)| oid.clone()));
        }
        // Git cuts the history off only at commits that a server sent.
        let shallow = read_shallow(git_dir).unwrap_or_default();
        on_servers.extend(shallow.split(|byte| *byte == b'\n').filter_map(Oid::from_bytes));
        let head = repo.head_commit().cloned();
        let is_remote = |name: &[u8]| name.starts_with(b"refs/remotes/");
        let mut heads: Vec<(Vec<u8>, Oid)> =
            repo.refs.iter().filter(|(name, _)| !is_remote(name)).map(|(n, oid)| (n.clone(), oid.clone())).collect();
        let is_named = |heads: &[(Vec<u8>, Oid)], oid: &Oid| heads.iter().any(|(_, named)| named == oid);
        if let Some(head) = head.as_ref().filter(|head| !is_named(&heads, head)) {
            heads.push((b"HEAD".to_vec(), head.clone()));
        }
        for (_, oid) in repo.others {
            if !is_named(&heads, &oid) {
                heads.push((format!("kept/{}", oid.short()).into_bytes(), oid));
            }
        }
        Self { head, heads, on_servers, unreadable: repo.unreadable }
    }

    /// One of its commits; the length of its id tells the object format.
    fn any_commit(&self) -> Option<&Oid> {
        self.head.as_ref().or_else(|| self.heads.first().map(|(_, oid)| oid))
    }

    /// The heads with commits that neither its servers nor `safe` have. Includes heads whose commits cannot be listed,
    /// since they cannot be proved safe. `quarantine` must hold this repository.
    pub(crate) async fn unpushed_heads(
        &self,
        quarantine: &Quarantine,
        safe: &[Oid],
    ) -> Result<Vec<&(Vec<u8>, Oid)>, GitError> {
        let digits = self.any_commit().map(Oid::hex_len);
        let safe = safe.iter().filter(|oid| Some(oid.hex_len()) == digits);
        let known: Vec<Oid> = self.on_servers.iter().chain(safe).cloned().collect();
        let heads: Vec<_> = self.heads.iter().filter(|(_, oid)| !known.contains(oid)).collect();
        let all: Vec<&Oid> = heads.iter().map(|(_, oid)| oid).collect();
        // One git process for all heads; most repositories have no unpushed commits.
        let commits: Option<BTreeSet<Oid>> = match all.is_empty() {
            true => return Ok(Vec::new()),
            false => quarantine.commits_not_in(&all, &known).await?.map(BTreeSet::from_iter),
        };
        if commits.as_ref().is_some_and(BTreeSet::is_empty) {
            return Ok(Vec::new());
        }
        let mut unpushed = Vec::new();
        for head in heads {
            let is_unpushed = match &commits {
                Some(commits) if commits.contains(&head.1) => true,
                Some(_) if !head.0.starts_with(b"refs/tags/") => false,
                // An annotated tag is no commit of the list. Where one head is damaged there is no list, so each head is
                // looked at alone.
                _ => quarantine.commits_not_in(&[&head.1], &known).await?.is_none_or(|commits| !commits.is_empty()),
            };
            if is_unpushed {
                unpushed.push(head);
            }
        }
        Ok(unpushed)
    }
}
