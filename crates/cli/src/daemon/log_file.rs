//! The daemon's log file. It is rotated when it has grown, so that the logs of a home stay bounded.
//!
//! The file is the standard error of a daemon in the background, so that it also gets panics and what children print.
//! Rotation therefore replaces the descriptor. A daemon in the foreground, or one whose output the service manager takes,
//! has another standard error and rotates nothing.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use kugetsu_api::regular_file;

use nix::sys::stat::fstat;
use nix::unistd::{dup2_stderr, dup2_stdout};

/// A file of more bytes is rotated.
const MAX: u64 = 5 * 1024 * 1024;
/// Number of rotated files that are kept.
const KEPT: u32 = 3;

/// Opens the log for appending, and rotates it first if it has grown.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    if fs::metadata(path).is_ok_and(|log| log.len() > MAX) {
        rotate(path)?;
    }
    append(path)
}

/// Rotates the log if it is this process's standard error and has grown. Later output goes to the new file.
pub(crate) fn rotate_stderr(path: &Path) -> io::Result<()> {
    if let Some(file) = next(io::stderr(), path)? {
        dup2_stdout(&file)?;
        dup2_stderr(&file)?;
    }
    Ok(())
}

/// Returns the file that replaces the open one. `None` if that has not grown, or is not the log at this path.
fn next(open: impl AsFd, path: &Path) -> io::Result<Option<File>> {
    let open = fstat(open)?;
    if u64::try_from(open.st_size).unwrap_or_default() <= MAX {
        return Ok(None);
    }
    let is_at = |path: &Path| {
        fs::metadata(path).is_ok_and(|log| (open.st_dev as u64, open.st_ino as u64) == (log.dev(), log.ino()))
    };
    if is_at(path) {
        rotate(path)?;
    } else if !all_rotated(path).iter().any(|path| is_at(path)) {
        return Ok(None);
    }
    // Opened as well if it was rotated before: by another process, or by this one, which could not open the new file.
    append(path).map(Some)
}

/// Renames the log to `<log>.1` and the earlier ones to the next number. Removes the oldest.
fn rotate(path: &Path) -> io::Result<()> {
    for number in (1..KEPT).rev() {
        match fs::rename(rotated(path, number), rotated(path, number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(path, rotated(path, 1))
}

fn rotated(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// Every rotated log that may exist, also those of earlier versions.
pub(crate) fn all_rotated(path: &Path) -> Vec<PathBuf> {
    (1..=KEPT).map(|number| rotated(path, number)).chain([path.with_extension("log.old")]).collect()
}

fn append(path: &Path) -> io::Result<File> {
    regular_file::open(OpenOptions::new().create(true).append(true).read(true).mode(0o600), path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a log with this text at its beginning that is to be rotated.
    fn grown(path: &Path, text: &str) {
        fs::write(path, text).unwrap();
        OpenOptions::new().write(true).open(path).unwrap().set_len(MAX + 1).unwrap();
    }

    #[test]
    fn few_rotated_logs_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("logs/daemon.log");
        assert_eq!(open(&path).unwrap().metadata().unwrap().len(), 0);
        for round in 0..10 {
            grown(&path, &format!("round {round}"));
            assert_eq!(open(&path).unwrap().metadata().unwrap().len(), 0);
        }
        let first = |number| fs::read(rotated(&path, number)).unwrap()[..7].to_vec();
        assert_eq!([first(1), first(2), first(3)], [b"round 9", b"round 8", b"round 7"]);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1 + KEPT as usize);
    }

    #[test]
    fn only_the_log_itself_is_rotated() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("daemon.log");
        let log = append(&path).unwrap();
        assert!(next(&log, &path).unwrap().is_none(), "it has not grown");
        let terminal = directory.path().join("terminal");
        grown(&terminal, "");
        assert!(next(File::open(terminal).unwrap(), &path).unwrap().is_none());
        grown(&path, "first");
        assert_eq!(next(&log, &path).unwrap().unwrap().metadata().unwrap().len(), 0);
        assert_eq!(fs::read(rotated(&path, 1)).unwrap()[..5], *b"first");
    }

    #[test]
    fn interrupted_rotation_is_completed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("daemon.log");
        let log = append(&path).unwrap();
        grown(&path, "first");
        rotate(&path).unwrap();
        let new = next(&log, &path).unwrap().unwrap().metadata().unwrap();
        assert_eq!((new.ino(), new.len()), (path.metadata().unwrap().ino(), 0));
        assert_eq!(fs::read(rotated(&path, 1)).unwrap()[..5], *b"first");
    }
}
