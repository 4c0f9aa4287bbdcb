//! Work in the temporary directory of a run: repositories that the agent cloned or created there, with commits that no server has
//! or with uncommitted files. It is saved with the worktree, like nested repositories, before the directory is removed. Other
//! files there are temporary.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::files::access::{
    FileError, blocking, canonical_if_there, is_dir_there, is_there, join_bytes, read_if_there,
};
use crate::lfs::objects::is_stored_object;
use crate::mirror::repo::Mirror;
use crate::names::Oid;
use crate::printable::printable;
use crate::rescue::commits::{commit_fixed, commit_index};
use crate::rescue::error::RescueError;
use crate::rescue::linked::{FILES, excess, save_files};
use crate::rescue::nested::{Imported, import_from, restored_ref};
use crate::rescue::note::{NestedHead, Note};
use crate::rescue::tree::write_tree;
use crate::untrusted::nested_repos::{NestedHeads, NestedRepo, find_nested_repos};
use crate::untrusted::reader::{LinkedWorktree, UntrustedRepo, linked_worktrees};
use crate::worktree::left_behind::own_files;
use crate::worktree::lifecycle::Worktree;

/// The directory in names of what is saved.
const NAME: &[u8] = b"TMPDIR";
/// Maximum number of repositories whose work is saved. An agent's tests may leave many.
const REPOSITORIES_MAX: usize = 100;
/// Maximum directory depth, and number of directories searched.
const DEPTH_MAX: usize = 64;
const DIRECTORIES_MAX: usize = 1_000_000;

/// Whether a directory, which may be missing, holds a repository, a linked worktree or a store of Git LFS, or cannot be searched.
pub async fn holds_repositories(dir: &Path) -> Result<bool, FileError> {
    Ok(!find(dir).await?.is_empty())
}

#[derive(Debug, Default)]
struct Found {
    /// The directories with a repository that is below the directory searched.
    repositories: Vec<Vec<u8>>,
    /// Directories that are git directories, but not called `.git`.
    bare: Vec<Vec<u8>>,
    linked: Vec<LinkedDir>,
    unreadable: Vec<String>,
    /// Whether there is an LFS object, which commits of the worktree may need.
    has_lfs_objects: bool,
}

impl Found {
    fn is_empty(&self) -> bool {
        let lists =
            [self.repositories.is_empty(), self.bare.is_empty(), self.linked.is_empty(), self.unreadable.is_empty()];
        lists.iter().all(|is_empty| *is_empty) && !self.has_lfs_objects
    }
}

/// A directory whose git directory is elsewhere, such as a linked worktree.
#[derive(Debug)]
struct LinkedDir {
    /// As a canonical path.
    dir: PathBuf,
    /// The git directory, as its `.git` names it.
    target: PathBuf,
    /// As a canonical path; `None` if it is gone.
    git_dir: Option<PathBuf>,
}

impl LinkedDir {
    /// Whether a repository knows this directory as that linked worktree. If one of both was moved, the names of their
    /// directories in the repository are equal.
    fn is_of(&self, linked: &LinkedWorktree) -> bool {
        match &self.git_dir {
            Some(git_dir) => linked.git_dir.canonicalize().is_ok_and(|real| real == *git_dir),
            None => self.target.file_name() == linked.git_dir.file_name(),
        }
    }
}

async fn find(dir: &Path) -> Result<Found, FileError> {
    let top = dir.to_owned();
    blocking(dir, move || {
        let mut found = Found::default();
        let Some(real) = canonical_if_there(&top)? else { return Ok(found) };
        let mut left = vec![(real.clone(), Vec::new(), 0)];
        let mut searched = 0;
        while let Some((dir, path, depth)) = left.pop() {
            searched += 1;
            if depth > DEPTH_MAX || searched > DIRECTORIES_MAX {
                found.unreadable.push(format!("repositories below {} (too many directories)", shown(&path)));
                return Ok(found);
            }
            if let Err(error) = look_at(&real, &dir, &path, depth, &mut left, &mut found) {
                found.unreadable.push(format!("repositories in {} ({})", shown(&path), error.source));
            }
        }
        Ok(found)
    })
    .await
}

/// Looks at a directory below `top`, and adds its directories to `left`: a repository may be in any, also in a git directory.
fn look_at(
    top: &Path,
    dir: &Path,
    path: &[u8],
    depth: usize,
    left: &mut Vec<(PathBuf, Vec<u8>, usize)>,
    found: &mut Found,
) -> Result<(), FileError> {
    look_for_repository(top, dir, path, found)?;
    let is_git_dir = is_dir_there(&dir.join("refs"))? && is_there(&dir.join("HEAD"))?;
    if is_git_dir && dir.join("objects").is_symlink() {
        found.unreadable.push(format!("commits of the repository {} (its objects are a link)", shown(path)));
    } else if is_git_dir && is_dir_there(&dir.join("objects"))? && dir.file_name() != Some(".git".as_ref()) {
        found.bare.push(path.to_vec());
    }
    let failed = |source| FileError { action: "read", path: dir.to_owned(), source };
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            let name = entry.file_name();
            let separator: &[u8] = if path.is_empty() { b"" } else { b"/" };
            left.push((entry.path(), [path, separator, name.as_bytes()].concat(), depth + 1));
        } else if is_stored_object(&entry.path()) {
            found.has_lfs_objects = true;
        }
    }
    Ok(())
}

/// Looks for a repository whose files are in `dir`. Its git directory is followed through a `.git` file or link, as git does, if
/// it is below `top`; else its files are not saved.
fn look_for_repository(top: &Path, dir: &Path, path: &[u8], found: &mut Found) -> Result<(), FileError> {
    let entry = dir.join(".git");
    if is_dir_there(&entry)? {
        found.repositories.push(path.to_vec());
        return Ok(());
    }
    let real_entry = canonical_if_there(&entry)?;
    let target = match &real_entry {
        Some(real) if real.is_dir() => real.clone(),
        Some(real) => {
            let text = read_if_there(real, 64 * 1024)?.unwrap_or_default();
            let Some(target) = text.strip_prefix(b"gitdir:") else { return Ok(()) };
            dir.join(std::ffi::OsStr::from_bytes(target.trim_ascii()))
        }
        None => return Ok(()),
    };
    let git_dir = canonical_if_there(&target)?;
    match &git_dir {
        Some(git_dir) if git_dir.starts_with(top) && is_dir_there(&git_dir.join("objects"))? => {
            // The directory around a bare repository and its linked worktrees has no files that git knows.
            if is_there(&git_dir.join("index"))? || !is_set_bare(git_dir)? {
                found.repositories.push(path.to_vec());
            }
        }
        Some(_) => found.linked.push(LinkedDir { dir: dir.to_owned(), target, git_dir }),
        None => {
            // Without any repository that was there, it is a directory like others.
            let repository = target.parent().and_then(Path::parent);
            if target.starts_with(top)
                || repository.is_some_and(|dir| is_dir_there(&dir.join("objects")).unwrap_or(true))
            {
                found.linked.push(LinkedDir { dir: dir.to_owned(), target, git_dir });
            }
        }
    }
    Ok(())
}

/// Whether the config of a git directory says that it has no files.
fn is_set_bare(git_dir: &Path) -> Result<bool, FileError> {
    let text = read_if_there(&git_dir.join("config"), 1024 * 1024)?.unwrap_or_default();
    let is_bare = |line: &[u8]| {
        let line: Vec<u8> =
            line.iter().filter(|byte| !byte.is_ascii_whitespace()).map(u8::to_ascii_lowercase).collect();
        line == b"bare=true"
    };
    Ok(text.split(|byte| *byte == b'\n').any(is_bare))
}

/// The name of a directory in messages and restored refs.
fn named(path: &[u8]) -> Vec<u8> {
    if path.is_empty() { NAME.to_vec() } else { [NAME, b"/", path].concat() }
}

fn shown(path: &[u8]) -> String {
    printable(&named(path))
}

/// Imports the work in a temporary directory. What is too much, or cannot be read, is added to the note's list of unsaved work.
///
/// Linked worktrees of `worktree` are left to `import_linked`. Returns whether there was work, saved or not.
pub(super) async fn import_temporary(
    mirror: &Mirror,
    worktree: &Worktree,
    dir: &Path,
    max_file: u64,
    note: &mut Note,
    imported: &mut Imported,
) -> Result<bool, RescueError> {
    let found = find(dir).await?;
    let Some(real) = canonical_if_there(dir)? else { return Ok(false) };
    let (unsaved, saved) = (note.unsaved.len(), imported.commits.len());
    note.unsaved.extend(found.unreadable);
    // Linked worktrees that a repository knows.
    let mut known: BTreeSet<PathBuf> = BTreeSet::new();
    let mut is_ours = false;
    for linked in linked_worktrees(&worktree.git_dir())? {
        if let Some(dir) = own_files(&linked)?.filter(|dir| dir.starts_with(&real)) {
            is_ours |= imported.linked.contains(&dir);
            known.insert(dir);
        }
    }
    let nested = find_nested_repos(&real, &found.repositories).await?;
    note.unsaved.extend(nested.unreadable);
    let mut repositories = nested.repositories;
    for path in &found.bare {
        let git_dir = join_bytes(&real, path);
        if repositories.iter().any(|repo| repo.git_dir == git_dir) {
            continue;
        }
        if is_there(&git_dir.join("index"))? {
            let path = shown(path);
            note.unsaved
                .push(format!("what is staged in the bare repository {path}, and its files, wherever they are"));
        }
        repositories.push(NestedRepo { path: path.clone(), git_dir, has_files: false });
    }
    for (number, mut repo) in repositories.into_iter().enumerate() {
        let has_files = repo.has_files && found.repositories.contains(&repo.path);
        let files = join_bytes(&real, &repo.path);
        repo.path = named(&repo.path);
        if number >= REPOSITORIES_MAX {
            let path = printable(&repo.path);
            note.unsaved.push(format!("the repository {path} (there are more than {REPOSITORIES_MAX})"));
            continue;
        }
        import_from(mirror, &repo, note, imported).await?;
        if has_files {
            let result = import_files(mirror, &repo, &files, max_file, note, imported).await;
            unsaved_if_unreadable(result, &repo.path, note)?;
        }
        for linked in linked_worktrees(&repo.git_dir)? {
            let own = own_files(&linked)?.filter(|dir| dir.starts_with(&real));
            let others = found.linked.iter().filter(|other| other.is_of(&linked)).map(|other| other.dir.clone());
            for dir in own.into_iter().chain(others) {
                if !known.insert(dir.clone()) {
                    continue;
                }
                let path = dir.strip_prefix(&real).unwrap_or(&dir).as_os_str().as_bytes().to_vec();
                let own = UntrustedRepo::read(&repo.git_dir);
                let result = save_files(mirror, &[&repo.git_dir], &own, &linked, &dir, max_file, note, imported).await;
                match result {
                    Ok(head) => note.nested.extend(head.map(|head| NestedHead { path: named(&path), ..head })),
                    Err(error) => unsaved_if_unreadable(Err(error), &named(&path), note)?,
                }
            }
        }
    }
    for LinkedDir { dir, git_dir, .. } in found.linked.iter().filter(|linked| !known.contains(&linked.dir)) {
        let path = shown(dir.strip_prefix(&real).unwrap_or(dir).as_os_str().as_bytes());
        let state = if git_dir.is_some() { "elsewhere" } else { "gone" };
        note.unsaved.push(format!("the files of {path}, whose repository is {state}"));
    }
    Ok(is_ours || note.unsaved.len() > unsaved || imported.commits.len() > saved)
}

/// A repository that cannot be read is unsaved work and does not prevent the rescue of others.
fn unsaved_if_unreadable(result: Result<(), RescueError>, path: &[u8], note: &mut Note) -> Result<(), RescueError> {
    match result {
        Err(RescueError::File(error)) => {
            let why = printable(error.to_string().as_bytes());
            note.unsaved.push(format!("the files of the repository {} ({why})", printable(path)));
            Ok(())
        }
        other => other,
    }
}

/// Imports the uncommitted files of a repository as a commit without history: that may be long, and a server has it, or
/// [`import_from`] has imported it.
async fn import_files(
    mirror: &Mirror,
    repo: &NestedRepo,
    dir: &Path,
    max_file: u64,
    note: &mut Note,
    imported: &mut Imported,
) -> Result<(), RescueError> {
    let (heads, quarantine) = NestedHeads::open(mirror, &repo.git_dir).await?;
    let head = match &heads.head {
        Some(head) if quarantine.is_complete(&[head], &[]).await? => Some(head.clone()),
        _ => None,
    };
    quarantine.set_head(head.as_ref())?;
    let changes = quarantine.changes(mirror, dir, &repo.git_dir.join("index"), head.as_ref()).await?;
    let shown = printable(&repo.path);
    note.unsaved.extend(changes.unreadable.iter().map(|why| format!("in the repository {shown}: {why}")));
    if changes.files.is_empty() && changes.nested.is_empty() {
        return Ok(());
    }
    if let Some(why) = excess(dir, &changes) {
        note.unsaved.push(format!("the files of the repository {shown} ({why})"));
        return Ok(());
    }
    let staged: Option<Oid> = match changes.any_staged() {
        true => Some(commit_index(&quarantine, None, &changes.marks).await?),
        false => None,
    };
    let mut its_note = Note::default();
    let (tree, large) = write_tree(&quarantine, dir, &changes, max_file, &mut its_note).await?;
    note.unsaved.extend(its_note.unsaved.iter().map(|file| format!("in the repository {shown}: {file}")));
    note.unsaved
        .extend(large.iter().map(|file| format!("in the repository {shown}: {} (it is too large)", printable(file))));
    let parents: Vec<Oid> = staged.into_iter().collect();
    let text = format!("The files of the repository {shown}.\n");
    let commit = commit_fixed(&quarantine, &tree, &parents, &text).await?;
    match mirror.import(&quarantine, &commit, &imported.refs.add()).await {
        Ok(()) => {}
        Err(crate::command::runner::GitError::Failed { stderr, .. }) => {
            let why = stderr.as_str().replace('\n', "; ");
            note.unsaved.push(format!("the files of the repository {shown} ({why})"));
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    }
    imported.commits.push(commit.clone());
    let head = NestedHead { path: repo.path.clone(), name: FILES.to_vec(), commit };
    note.notices.push(format!("the files of the repository {shown} are in {}", printable(&restored_ref(&head))));
    note.nested.push(head);
    Ok(())
}
