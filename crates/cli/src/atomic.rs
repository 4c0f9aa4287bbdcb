//! Writing a file so that every reader finds either the old text or the new one, and nobody but its owner finds any.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Held while a file in `directory` is read, changed and written again: of two who change it at once, neither loses what
/// the other did. Given back when dropped, or however the process ends.
pub(crate) fn changing(directory: &Path) -> io::Result<File> {
    let held = File::open(directory)?;
    held.lock()?;
    Ok(held)
}

/// Replaces the text of `path`, readable by its owner only. A symbolic link stays one: what it points to is replaced.
pub(crate) fn write(path: &Path, text: &str) -> io::Result<()> {
    let target = match path.canonicalize() {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(error),
    };
    let name = target.file_name().ok_or_else(|| io::Error::other("the path names no file"))?;
    let beside = target.with_file_name(format!(".{}.new-{}", name.to_string_lossy(), std::process::id()));
    let written = write_new(&beside, text).and_then(|()| fs::rename(&beside, &target));
    if written.is_err() {
        // The first error says why; what is left of the attempt is only litter.
        let _ = fs::remove_file(&beside);
    }
    written
}

/// Writes the file only if it is not there; says whether it did.
pub(crate) fn write_if_missing(path: &Path, text: &str) -> io::Result<bool> {
    if fs::symlink_metadata(path).is_ok() {
        return Ok(false);
    }
    write(path, text).map(|()| true)
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn files_are_private_and_links_stay_links() {
        let directory = tempfile::tempdir().unwrap();
        let (real, link) = (directory.path().join("real"), directory.path().join("link"));
        fs::write(&real, "old").unwrap();
        symlink(&real, &link).unwrap();
        write(&link, "new").unwrap();
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "nothing is left beside");
        assert!(!write_if_missing(&link, "other").unwrap());
    }
}
