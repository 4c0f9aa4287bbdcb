//! Special files where git expects regular ones: FIFOs, sockets and devices. Git opens them like any other file, and a FIFO
//! makes it wait for a writer that never comes.

use std::fs::FileType;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use crate::files::access::{FileError, IoContext, blocking, read_if_there, unique_suffix};
use crate::printable::printable;

/// The files that git reads in every directory of a worktree.
const NAMES: [&str; 3] = [".gitattributes", ".gitignore", ".gitmodules"];
/// The files of a git directory that git reads, apart from refs and objects.
const GIT_DIR_FILES: [&str; 16] = [
    "HEAD",
    "config",
    "config.worktree",
    "commondir",
    "gitdir",
    "packed-refs",
    "index",
    "shallow",
    "info/exclude",
    "info/attributes",
    "info/grafts",
    "info/sparse-checkout",
    "objects/info/alternates",
    "objects/info/http-alternates",
    "objects/info/commit-graph",
    "reftable/tables.list",
];
/// The directories of a git directory in which git reads every file.
const GIT_DIR_TREES: [&str; 2] = ["refs", "objects"];
/// Maximum size of a `.git` or `commondir` file in bytes.
const POINTER_MAX: u64 = 64 * 1024;

/// A special file that git would open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SpecialFile {
    path: PathBuf,
    /// The file to move so that git does not open it: this one, or a `.git` that leads to it.
    entry: PathBuf,
    kind: &'static str,
}

impl SpecialFile {
    /// A phrase about it, with its path below `dir`, escaped.
    pub(crate) fn describe(&self, dir: &Path) -> String {
        let path = self.path.strip_prefix(dir).unwrap_or(&self.path);
        format!("{} is {}", printable(path.as_os_str().as_bytes()), self.kind)
    }

    /// The error of an operation that would open it.
    pub(crate) fn error(self) -> FileError {
        let source = std::io::Error::other(format!("it is {}, and git would wait for it; remove it", self.kind));
        FileError { action: "read", path: self.path, source }
    }
}

/// Finds the special files that git would open in a directory of files and in the repositories inside, without those of the
/// directory's own `.git`. Directories that cannot be read are left out, as git cannot enter them either.
pub(crate) async fn special_files(files: &Path) -> Result<Vec<SpecialFile>, FileError> {
    let files = files.to_owned();
    blocking(&files.clone(), move || Ok(search_files(&files))).await
}

/// Finds a special file that git would open in a git directory.
pub(crate) async fn special_file_in_git_dir(git_dir: &Path) -> Result<Option<SpecialFile>, FileError> {
    let git_dir = git_dir.to_owned();
    blocking(&git_dir.clone(), move || Ok(search_git_dir(&git_dir, &GIT_DIR_TREES).into_iter().next())).await
}

/// The same without the objects, of which a mirror has many.
pub(crate) fn special_file_in_mirror(dir: &Path) -> Option<SpecialFile> {
    search_git_dir(dir, &["refs"]).into_iter().next()
}

/// Finds a special file that git would open to find out to which repository a directory belongs.
pub(crate) fn special_file_above(dir: &Path) -> Option<SpecialFile> {
    dir.ancestors().find_map(|dir| {
        let entry = dir.join(".git");
        if entry.symlink_metadata().is_ok() {
            return search_discovered(&target(&entry).unwrap_or(entry));
        }
        dir.join("objects").is_dir().then(|| search_discovered(dir)).flatten()
    })
}

/// Special files that were moved aside, so that git works around them. Dropping it moves them back.
#[derive(Debug, Default)]
pub(crate) struct SetAside {
    moved: Vec<(PathBuf, PathBuf)>,
    /// Phrases about them, escaped.
    pub(crate) described: Vec<String>,
}

impl SetAside {
    /// Renames the special files in a directory of files. Git skips special files of other names.
    pub(crate) async fn of(files: &Path) -> Result<Self, FileError> {
        let mut aside = Self::default();
        for special in special_files(files).await? {
            aside.described.push(special.describe(files));
            let mut name = special.entry.file_name().unwrap_or_default().to_owned();
            name.push(format!(".kugetsu-{}", unique_suffix()));
            let new = special.entry.with_file_name(name);
            match std::fs::rename(&special.entry, &new) {
                Ok(()) => aside.moved.push((special.entry, new)),
                // A `.git` that led to several of them has been moved already.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).context("move aside", &special.entry),
            }
        }
        Ok(aside)
    }
}

impl Drop for SetAside {
    fn drop(&mut self) {
        for (entry, new) in self.moved.drain(..) {
            if let Err(error) = std::fs::rename(&new, &entry) {
                tracing::warn!(file = %entry.display(), %error, "could not move a special file back");
            }
        }
    }
}

fn kind(file_type: FileType) -> Option<&'static str> {
    if file_type.is_fifo() {
        Some("a FIFO")
    } else if file_type.is_socket() {
        Some("a socket")
    } else if file_type.is_char_device() || file_type.is_block_device() {
        Some("a device")
    } else {
        None
    }
}

fn search_files(files: &Path) -> Vec<SpecialFile> {
    let mut found = Vec::new();
    let mut dirs = vec![files.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let (name, path) = (entry.file_name(), entry.path());
            let Ok(file_type) = entry.file_type() else { continue };
            if name == ".git" {
                if dir != files {
                    found.extend(search_nested(&path, file_type));
                }
            } else if file_type.is_dir() {
                dirs.push(path);
            } else if NAMES.iter().any(|known| name == *known) {
                // Git follows a link only at `.gitmodules`.
                let followed = if file_type.is_symlink() && name == ".gitmodules" {
                    path.metadata().map_or(file_type, |meta| meta.file_type())
                } else {
                    file_type
                };
                found.extend(kind(followed).map(|kind| SpecialFile { entry: path.clone(), path, kind }));
            }
        }
    }
    found
}

/// Searches the git directory of a repository among the files.
fn search_nested(entry: &Path, file_type: FileType) -> Vec<SpecialFile> {
    if file_type.is_dir() {
        return search_git_dir(entry, &GIT_DIR_TREES);
    }
    let Some(git_dir) = target(entry) else { return Vec::new() };
    let found = search_git_dir(&git_dir, &GIT_DIR_TREES).into_iter();
    found.map(|special| SpecialFile { entry: entry.to_owned(), ..special }).collect()
}

/// The git directory that a `.git` file or link leads to.
fn target(entry: &Path) -> Option<PathBuf> {
    if entry.is_dir() {
        return Some(entry.to_owned());
    }
    let text = read_if_there(&entry.canonicalize().ok()?, POINTER_MAX).ok()??;
    let path = text.strip_prefix(b"gitdir:")?.trim_ascii();
    Some(entry.parent()?.join(std::ffi::OsStr::from_bytes(path)))
}

/// The directory that a linked worktree's git directory shares with its repository.
fn common_dir(git_dir: &Path) -> Option<PathBuf> {
    let text = read_if_there(&git_dir.join("commondir"), POINTER_MAX).ok()??;
    Some(git_dir.join(std::ffi::OsStr::from_bytes(text.trim_ascii_end())))
}

fn search_discovered(git_dir: &Path) -> Option<SpecialFile> {
    let dirs = [Some(git_dir.to_owned()), common_dir(git_dir)];
    let files = ["HEAD", "config", "config.worktree", "commondir"];
    dirs.into_iter().flatten().find_map(|dir| files.iter().find_map(|name| special_at(dir.join(name))))
}

fn special_at(path: PathBuf) -> Option<SpecialFile> {
    let kind = kind(path.metadata().ok()?.file_type())?;
    Some(SpecialFile { entry: path.clone(), path, kind })
}

fn search_git_dir(git_dir: &Path, trees: &[&str]) -> Vec<SpecialFile> {
    let mut found = Vec::new();
    for dir in [Some(git_dir.to_owned()), common_dir(git_dir)].into_iter().flatten() {
        found.extend(GIT_DIR_FILES.iter().filter_map(|name| special_at(dir.join(name))));
        let mut trees: Vec<PathBuf> = trees.iter().map(|name| dir.join(name)).collect();
        while let Some(tree) = trees.pop() {
            for entry in std::fs::read_dir(&tree).into_iter().flatten().flatten() {
                match entry.file_type() {
                    Ok(file_type) if file_type.is_dir() => trees.push(entry.path()),
                    Ok(file_type) => {
                        let path = entry.path();
                        let is_known = found.iter().any(|known: &SpecialFile| known.path == path);
                        if let Some(kind) = kind(file_type).filter(|_| !is_known) {
                            found.push(SpecialFile { entry: path.clone(), path, kind });
                        }
                    }
                    Err(_) => {}
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fifo(path: &Path) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    }

    #[tokio::test]
    async fn files_that_git_opens_are_found_and_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let files = dir.path().join("files");
        let outside = dir.path().join("outside");
        for name in [".gitattributes", "a/.gitignore", "a/pipe", "nested/.git/HEAD", ".git/HEAD"] {
            fifo(&files.join(name));
        }
        fifo(&outside.join("HEAD"));
        fifo(&dir.path().join("pipe"));
        std::fs::create_dir_all(files.join("linked")).unwrap();
        std::fs::write(files.join("linked/.git"), format!("gitdir: {}\n", outside.display())).unwrap();
        std::os::unix::fs::symlink(dir.path().join("pipe"), files.join(".gitmodules")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("pipe"), files.join("a/.gitattributes")).unwrap();
        let named = async |files: &Path| {
            let mut named: Vec<_> = special_files(files).await.unwrap().iter().map(|f| f.describe(files)).collect();
            named.sort();
            named
        };
        let expected = [
            ".gitattributes is a FIFO".to_owned(),
            ".gitmodules is a FIFO".to_owned(),
            format!("{}/HEAD is a FIFO", outside.display()),
            "a/.gitignore is a FIFO".to_owned(),
            "nested/.git/HEAD is a FIFO".to_owned(),
        ];
        assert_eq!(named(&files).await, expected);
        let aside = SetAside::of(&files).await.unwrap();
        assert_eq!((named(&files).await.len(), aside.described.len()), (0, 5));
        drop(aside);
        assert_eq!(named(&files).await, expected);
    }

    #[tokio::test]
    async fn sockets_and_devices_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let files = dir.path().join("files");
        std::fs::create_dir_all(files.join("a")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(files.join("a/.gitignore")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", files.join(".gitmodules")).unwrap();
        let mut named: Vec<_> = special_files(&files).await.unwrap().iter().map(|f| f.describe(&files)).collect();
        named.sort();
        assert_eq!(named, [".gitmodules is a device", "a/.gitignore is a socket"]);
    }
}
