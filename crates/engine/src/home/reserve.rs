//! A file that holds space for the day when the disk is full: without any, a removal that would free space could not even be
//! recorded.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use kugetsu_api::home::Home;
use kugetsu_api::regular_file;

use crate::headroom::free;

/// Enough for the records of a removal and for the rescue of a small change, in bytes.
const SIZE: usize = 4 * 1024 * 1024;
/// Free space below which the reserve is given up, in bytes.
const FULL: u64 = 1024 * 1024;
/// Free space below which no reserve is made, in bytes: it must not fill the disk itself.
const PLENTY: u64 = 4 * SIZE as u64;

fn path(home: &Home) -> PathBuf {
    home.database().with_file_name("reserve")
}

/// Makes the reserve, unless it exists or there is little space.
pub(crate) fn make(home: &Home) -> io::Result<()> {
    let path = path(home);
    if fs::symlink_metadata(&path).is_ok_and(|file| file.len() == SIZE as u64) || free(home)? < PLENTY {
        return Ok(());
    }
    let mut file = regular_file::open(OpenOptions::new().create(true).truncate(true).write(true).mode(0o600), &path)?;
    // A file without data would hold no space, and so might one of zeros on a file system that compresses.
    let written = file.write_all(&noise()).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(&path);
    }
    written
}

/// Gives the reserve up if the disk is full. Called before something that frees space.
pub(crate) fn give_up_if_full(home: &Home) {
    if free(home).is_ok_and(|free| free < FULL) && fs::remove_file(path(home)).is_ok() {
        tracing::warn!("the disk is full; the reserve is given up, so that files can be removed");
    }
}

/// Bytes that cannot be compressed: xorshift64 (Marsaglia 2003).
fn noise() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(SIZE);
    while bytes.len() < SIZE {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_holds_space_and_stays_while_there_is_some() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().to_owned());
        home.create().unwrap();
        make(&home).unwrap();
        let length = || fs::metadata(path(&home)).map(|file| file.len()).ok();
        assert_eq!(length(), Some(SIZE as u64));
        fs::write(path(&home), "short").unwrap();
        make(&home).unwrap();
        assert_eq!(length(), Some(SIZE as u64), "one that was cut off is made again");
        give_up_if_full(&home);
        assert_eq!(length(), Some(SIZE as u64));
    }
}
