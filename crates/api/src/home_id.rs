//! The identifier of a home: a UUID in the file `home.id`, and in the database of the home.
//!
//! It shows whether a database belongs to a home, and that a home whose database is missing is not new.

use std::fs;
use std::io;

use uuid::Uuid;

use crate::atomic_file::write_atomic;
use crate::home::Home;
use crate::regular_file;

/// Longest file that is read, in bytes.
const LENGTH_MAX: u64 = 4096;

/// Returns the identifier; `None` if the home has none yet.
///
/// # Errors
/// The file cannot be read, or contains something else.
pub fn read(home: &Home) -> io::Result<Option<Uuid>> {
    let path = home.id();
    let metadata = match fs::symlink_metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !metadata.is_file() || metadata.len() > LENGTH_MAX {
        return Err(io::Error::other("it is not a file with an identifier"));
    }
    let text = regular_file::read_to_string(&path)?;
    // A file that was created and not written, by a machine that lost power.
    if text.trim().is_empty() {
        return Ok(None);
    }
    text.trim().parse().map(Some).map_err(|error| io::Error::other(format!("it contains no identifier: {error}")))
}

/// Stores the identifier. Only the daemon does.
pub fn write(home: &Home, id: Uuid) -> io::Result<()> {
    write_atomic(&home.id(), format!("{id}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_read_back_and_anything_else_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().to_owned());
        assert_eq!(read(&home).unwrap(), None);
        let id = Uuid::now_v7();
        write(&home, id).unwrap();
        assert_eq!(read(&home).unwrap(), Some(id));
        fs::write(home.id(), "").unwrap();
        assert_eq!(read(&home).unwrap(), None);
        fs::write(home.id(), "nonsense").unwrap();
        assert!(read(&home).is_err());
        fs::remove_file(home.id()).unwrap();
        nix::unistd::mkfifo(&home.id(), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(read(&home).is_err(), "a pipe is not read");
    }
}
