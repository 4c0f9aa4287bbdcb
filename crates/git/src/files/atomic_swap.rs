//! Puts one thing in the place of another, so that whoever looks sees the one or the other, whole.

use std::io;
use std::path::Path;

use crate::files::access::{FileError, IoContext, unique};

/// Exchanges two directories of one file system.
///
/// # Errors
/// The system's words; both are where they were.
pub(crate) fn atomic_swap(one: &Path, other: &Path) -> Result<(), FileError> {
    match at_once(one, other) {
        Ok(()) => Ok(()),
        // A file system, or a system, that cannot do it in one step.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS | libc::ENOTSUP)) => {
            in_steps(one, other)
        }
        Err(error) => Err(error).context("put in place", one),
    }
}

#[cfg(target_os = "linux")]
fn at_once(one: &Path, other: &Path) -> io::Result<()> {
    use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
    Ok(renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE)?)
}

#[cfg(not(target_os = "linux"))]
fn at_once(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::Error::from_raw_os_error(libc::ENOSYS))
}

fn in_steps(one: &Path, other: &Path) -> Result<(), FileError> {
    let mut name = other.file_name().unwrap_or_default().to_owned();
    name.push(format!(".old-{}", unique()));
    let aside = other.with_file_name(name);
    std::fs::rename(one, &aside).context("move away", one)?;
    if let Err(error) = std::fs::rename(other, one) {
        std::fs::rename(&aside, one).context("bring back", one)?;
        return Err(error).context("put in place", one);
    }
    if let Err(error) = std::fs::rename(&aside, other) {
        std::fs::rename(one, other).context("bring back", other)?;
        std::fs::rename(&aside, one).context("bring back", one)?;
        return Err(error).context("keep", other);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_exchange() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        for (place, text) in [(&a, "a"), (&b, "b")] {
            std::fs::create_dir(place).unwrap();
            std::fs::write(place.join("f"), text).unwrap();
        }
        let read = |place: &Path| std::fs::read_to_string(place.join("f")).unwrap();
        atomic_swap(&a, &b).unwrap();
        assert_eq!((read(&a), read(&b)), ("b".to_owned(), "a".to_owned()));
        in_steps(&a, &b).unwrap();
        assert_eq!((read(&a), read(&b)), ("a".to_owned(), "b".to_owned()));
        assert!(atomic_swap(&a, &dir.path().join("c")).is_err());
        assert_eq!(read(&a), "a");
    }
}
