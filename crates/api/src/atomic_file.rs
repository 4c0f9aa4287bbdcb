//! Small files of the home that are replaced as a whole: a reader sees the old content or the new one, also if the writer is
//! killed or the machine dies.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use crate::home::Home;

/// Replaces a file. Only its owner can read it. Several processes may do so at once: the last one wins.
///
/// The temporary file is `.<name>.new` beside it, locked while it is written. The file of a process that was killed is not
/// locked, so the next writer overwrites it, and [`remove_leftovers`] removes it.
///
/// # Errors
/// The file cannot be written. The old one stays.
pub fn write_atomic(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = temporary(path);
    let mut file = lock(&temporary)?;
    let written = file.set_len(0).and_then(|()| file.write_all(content)).and_then(|()| file.sync_all());
    if let Err(error) = written.and_then(|()| fs::rename(&temporary, path)) {
        // It has no use; one that cannot be removed is overwritten by the next writer.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

/// Removes the temporary files of writers that were killed.
///
/// # Errors
/// The first that cannot be removed; the others are removed all the same.
pub fn remove_leftovers(home: &Home) -> io::Result<()> {
    let mut paths = [home.id(), home.location(), home.sizes(), home.hook_key()].map(|path| temporary(&path)).to_vec();
    match fs::read_dir(home.agents()) {
        Ok(entries) => paths.extend(entries.flatten().map(|entry| entry.path()).filter(|path| is_temporary(path))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let failures: Vec<_> = paths.iter().filter_map(|path| remove_unused(path).err()).collect();
    failures.into_iter().next().map_or(Ok(()), Err)
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    path.with_file_name(name)
}

fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') && name.ends_with(".new")
}

/// Creates the temporary file, or takes over that of a process that was killed, once no other process writes it.
fn lock(temporary: &Path) -> io::Result<File> {
    loop {
        let file = options().create(true).truncate(false).mode(0o600).open(temporary)?;
        file.lock()?;
        if is_at(&file, temporary)? {
            return Ok(file);
        }
        // Its writer has just put it in use.
    }
}

fn remove_unused(temporary: &Path) -> io::Result<()> {
    let file = match options().open(temporary) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        Ok(()) if is_at(&file, temporary)? => fs::remove_file(temporary),
        Ok(()) | Err(TryLockError::WouldBlock) => Ok(()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// An agent may have put a link or a pipe there.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits());
    options
}

/// Whether the open file is the one at the path.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::thread;

    use super::*;

    fn names(directory: &Path) -> BTreeSet<String> {
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn concurrent_writers_leave_the_whole_content_of_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        write_atomic(&path, b"").unwrap();
        thread::scope(|scope| {
            for writer in 1..=4 {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..25 {
                        write_atomic(path, &vec![writer; 2000 * usize::from(writer)]).unwrap();
                        let content = fs::read(path).unwrap();
                        let first = content[0];
                        assert_eq!(content.len(), 2000 * usize::from(first));
                        assert!(content.iter().all(|byte| *byte == first));
                    }
                });
            }
        });
        assert_eq!(names(directory.path()), BTreeSet::from(["file".to_owned()]));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn the_file_of_a_killed_writer_is_overwritten_or_removed_and_that_of_a_live_one_stays() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().to_owned());
        fs::create_dir_all(home.agents()).unwrap();
        let path = home.agents().join("mine.models");
        fs::write(temporary(&path), "a longer text that was cut of").unwrap();
        write_atomic(&path, b"short").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"short");

        let live = lock(&temporary(&path)).unwrap();
        fs::write(temporary(&home.id()), "cut of").unwrap();
        fs::write(home.agents().join(".other.models.new"), "cut of").unwrap();
        fs::write(home.path().join(".config.toml.new"), "of an editor").unwrap();
        remove_leftovers(&home).unwrap();
        assert_eq!(names(home.path()), BTreeSet::from([".config.toml.new".to_owned(), "agents".to_owned()]));
        let kept = [".mine.models.new".to_owned(), "mine.models".to_owned()];
        assert_eq!(names(&home.agents()), BTreeSet::from(kept));
        drop(live);
        remove_leftovers(&home).unwrap();
        assert_eq!(names(&home.agents()), BTreeSet::from(["mine.models".to_owned()]));
    }
}
