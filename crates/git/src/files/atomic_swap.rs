//! Swaps two directories so that a reader always finds one of them at either path.

use std::io;
use std::path::Path;

use crate::files::access::{FileError, IoContext, unique_suffix};

/// Swaps two directories of one file system. On an error both are where they were.
pub(crate) fn atomic_swap(one: &Path, other: &Path) -> Result<(), FileError> {
    match rename_exchange(one, other) {
        Ok(()) => Ok(()),
        // The kernel or the file system has no `RENAME_EXCHANGE` (macOS, some network file systems).
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS | libc::ENOTSUP)) => {
            swap_by_renames(one, other)
        }
        Err(error) => Err(error).context("replace", one),
    }
}

#[cfg(target_os = "linux")]
fn rename_exchange(one: &Path, other: &Path) -> io::Result<()> {
    use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
    Ok(renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE)?)
}

#[cfg(not(target_os = "linux"))]
fn rename_exchange(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::Error::from_raw_os_error(libc::ENOSYS))
}

/// The fallback: three renames by way of a temporary name. It is not atomic, since `one` is missing for a moment, but no
/// step overwrites anything, and a step that fails undoes those before it. A process that is killed in between leaves the
/// content of `one` beside `other`, under a name with `.old-`.
fn swap_by_renames(one: &Path, other: &Path) -> Result<(), FileError> {
    let mut name = other.file_name().unwrap_or_default().to_owned();
    name.push(format!(".old-{}", unique_suffix()));
    let aside = other.with_file_name(name);
    std::fs::rename(one, &aside).context("move away", one)?;
    if let Err(error) = std::fs::rename(other, one) {
        std::fs::rename(&aside, one).context("restore", one)?;
        return Err(error).context("replace", one);
    }
    if let Err(error) = std::fs::rename(&aside, other) {
        std::fs::rename(one, other).context("restore", other)?;
        std::fs::rename(&aside, one).context("restore", one)?;
        return Err(error).context("keep", other);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_swap_and_undo() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        for (path, text) in [(&a, "a"), (&b, "b")] {
            std::fs::create_dir(path).unwrap();
            std::fs::write(path.join("f"), text).unwrap();
        }
        let read = |path: &Path| std::fs::read_to_string(path.join("f")).unwrap();
        atomic_swap(&a, &b).unwrap();
        assert_eq!((read(&a), read(&b)), ("b".to_owned(), "a".to_owned()));
        swap_by_renames(&a, &b).unwrap();
        assert_eq!((read(&a), read(&b)), ("a".to_owned(), "b".to_owned()));
        assert!(atomic_swap(&a, &dir.path().join("c")).is_err());
        assert_eq!(read(&a), "a");
    }
}
