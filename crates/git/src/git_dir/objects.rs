//! Object stores, taken over file by file.
//!
//! The source may be a store that an agent can write. A git process (`git fetch <path>`) would read that repository's
//! settings, hooks and alternates; plain file operations read nothing but object files. A partial clone is another
//! reason: a git process would have to send objects that the clone does not have.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::files::access::{
    FileError, IoContext, blocking, create_dir_all, is_real_dir, open_unfollowed, read_dir_if_there,
};
use crate::files::copying::copy_file;

/// How object files are taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    /// By hard link, or by copy where the file system refuses links. For a store that is removed before the other changes.
    Link,
    /// By copy, so that damage to one store does not reach the other.
    Copy,
}

/// The object files that were not taken over.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// Files that are no object or pack at all. A crash of the machine empties files that were just written.
    pub(crate) damaged: Vec<PathBuf>,
    /// Files and directories that could not be read.
    pub(crate) unreadable: Vec<FileError>,
    /// Packs that were taken over without their index, which is damaged or missing.
    pub(crate) unindexed: Vec<PathBuf>,
}

/// Takes over the loose objects and packs that `to` lacks. What is damaged or cannot be read is left and reported.
///
/// Beyond the first bytes of each file, nothing is verified here. Callers either hand the objects to git inside the
/// quarantine or fetch them with `fetch.fsckObjects`, and git compares the content of every object with its id on the way.
///
/// # Errors
/// `to` cannot be written.
pub(crate) async fn take_objects(from: PathBuf, to: PathBuf, take: Take) -> Result<Left, FileError> {
    blocking(&to.clone(), move || {
        let mut left = Left::default();
        let entries = match read_dir_if_there(&from) {
            Ok(entries) => entries.unwrap_or_default(),
            Err(error) => {
                left.unreadable.push(error);
                return Ok(left);
            }
        };
        for path in entries {
            let Some(name) = path.file_name() else { continue };
            // `pack` and the two-digit directories of loose objects. `info` stays behind: its `alternates` would let an
            // agent open any other repository of the machine.
            let is_pack = name == "pack";
            if (is_pack || (name.len() == 2 && name != "..")) && is_real_dir(&path) {
                take_files(&path, &to.join(name), is_pack, take, &mut left)?;
            }
        }
        Ok(left)
    })
    .await
}

fn take_files(from: &Path, to: &Path, is_pack: bool, take: Take, left: &mut Left) -> Result<(), FileError> {
    create_dir_all(to)?;
    let mut files = match read_dir_if_there(from) {
        Ok(files) => files.unwrap_or_default(),
        Err(error) => {
            left.unreadable.push(error);
            return Ok(());
        }
    };
    // An index makes its pack visible to git, so it comes after the pack.
    files.sort_by_key(|path| path.extension().is_some_and(|ending| ending == "idx"));
    for file in &files {
        let Some(name) = file.file_name() else { continue };
        let target = to.join(name);
        // Links lead to files that are not the agent's to give; `tmp_*` are files that a git is still writing.
        let is_candidate = |meta: &std::fs::Metadata| {
            meta.is_file() && meta.nlink() > 0 && !name.as_encoded_bytes().starts_with(b"tmp_")
        };
        match file.symlink_metadata() {
            Ok(meta) if is_candidate(&meta) && !target.exists() => {}
            Ok(_) => continue,
            Err(source) => {
                // A process of the agent's that is still ending may remove it.
                if source.kind() != std::io::ErrorKind::NotFound {
                    left.unreadable.push(FileError { action: "read", path: file.clone(), source });
                }
                continue;
            }
        }
        match is_object_file(file, is_pack) {
            Ok(true) => {}
            Ok(false) => {
                left.damaged.push(file.clone());
                continue;
            }
            Err(error) => {
                left.unreadable.push(error);
                continue;
            }
        }
        if take == Take::Copy || std::fs::hard_link(file, &target).is_err() {
            let temporary = target.with_extension("kugetsu-tmp");
            if let Err(error) = copy_file(file, &temporary) {
                let _ = std::fs::remove_file(&temporary);
                left.unreadable.push(error);
                continue;
            }
            std::fs::rename(&temporary, &target).context("replace", &target)?;
        }
    }
    if is_pack {
        let packs = files.iter().filter_map(|file| Some(to.join(file.file_name()?)));
        left.unindexed.extend(packs.filter(|pack| {
            pack.extension().is_some_and(|ending| ending == "pack")
                && pack.exists()
                && !pack.with_extension("idx").exists()
        }));
    }
    Ok(())
}

/// Whether a file begins as its kind does: a loose object with the header of a zlib stream (RFC 1950), a pack with `PACK`, its
/// index with its own signature. Other files of a pack directory only have to have content.
fn is_object_file(file: &Path, in_pack: bool) -> Result<bool, FileError> {
    let open = || open_unfollowed(file);
    let mut bytes = [0; 4];
    let read = |file: File, bytes: &mut [u8]| {
        let mut filled = 0;
        let mut file = file.take(4);
        loop {
            match file.read(&mut bytes[filled..])? {
                0 => return Ok(filled),
                n => filled += n,
            }
        }
    };
    let filled = open().and_then(|file| read(file, &mut bytes)).context("read", file)?;
    if !in_pack {
        let [method, flags, ..] = bytes;
        return Ok(filled >= 2 && method & 0x0f == 8 && u16::from_be_bytes([method, flags]) % 31 == 0);
    }
    Ok(match file.extension().and_then(|ending| ending.to_str()) {
        Some("pack") => &bytes == b"PACK",
        // Version 2 or newer; version 1 begins with its table of counts, and git no longer writes it.
        Some("idx") => {
            filled == 4 && (&bytes == b"\xfftOc" || bytes[0] == 0 && file.metadata().is_ok_and(|m| m.len() > 1024))
        }
        // `.keep` and `.promisor` are usually empty.
        Some("keep" | "promisor") => true,
        _ => filled > 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn emptied_files_are_left_and_reported() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        for (name, content) in [
            ("aa/good", b"x\x01rest".as_slice()),
            ("aa/empty", b""),
            ("bb/zeros", b"\0\0\0\0"),
            ("pack/pack-1.pack", b"PACK..."),
            ("pack/pack-1.idx", b""),
            ("pack/pack-2.pack", b""),
            ("pack/pack-2.idx", b"\xfftOc"),
            ("pack/pack-1.keep", b""),
            ("info/alternates", b"/x"),
        ] {
            std::fs::create_dir_all(from.join(name).parent().unwrap()).unwrap();
            std::fs::write(from.join(name), content).unwrap();
        }
        for take in [Take::Link, Take::Copy] {
            let left = take_objects(from.clone(), to.clone(), take).await.unwrap();
            let names = |paths: &[PathBuf]| {
                let mut names: Vec<_> = paths.iter().map(|p| p.file_name().unwrap().to_owned()).collect();
                names.sort();
                names
            };
            assert_eq!(names(&left.damaged), ["empty", "pack-1.idx", "pack-2.pack", "zeros"]);
            assert_eq!(names(&left.unindexed), ["pack-1.pack"]);
            assert!(to.join("aa/good").exists() && !to.join("aa/empty").exists() && !to.join("info").exists());
            let is_shared =
                to.join("aa/good").metadata().unwrap().ino() == from.join("aa/good").metadata().unwrap().ino();
            assert_eq!(is_shared, take == Take::Link);
            std::fs::remove_dir_all(&to).unwrap();
        }
    }
}
