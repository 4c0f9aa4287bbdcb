//! The contents that Git LFS keeps beside git, without git-lfs: which file is the content of which pointer, and whole
//! contents taken from one repository to another. Nothing an agent wrote is run or believed: a content is its SHA-256.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::files::access::{FileError, IoContext, is_real_dir, make_dir, off_thread, unique};

/// Pointers are smaller (<https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md>).
pub(crate) const POINTER_MAX: usize = 1024;

/// What stands in git for a large file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pointer {
    oid: String,
    size: u64,
}

impl Pointer {
    /// Reads a pointer; `None` for any other content.
    pub(crate) fn read(content: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(content).ok().filter(|text| text.len() <= POINTER_MAX)?;
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        let oid = value("version").and(value("oid"))?.strip_prefix("sha256:").filter(|oid| is_content_name(oid))?;
        Some(Self { oid: oid.to_owned(), size: value("size")?.parse().ok()? })
    }

    /// Whether a file has just the content that this stands for. No link is followed.
    pub(crate) fn is_of(&self, file: &Path) -> bool {
        let Some(mut file) = open(file) else { return false };
        let same_size = file.metadata().is_ok_and(|meta| meta.len() == self.size);
        same_size && copy_hashed(&mut file, &mut std::io::sink()).is_ok_and(|oid| oid == self.oid)
    }
}

fn is_content_name(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn open(path: &Path) -> Option<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path).ok()?;
    file.metadata().is_ok_and(|meta| meta.is_file()).then_some(file)
}

/// Copies, and returns the SHA-256 of what was copied.
fn copy_hashed(from: &mut impl Read, to: &mut impl Write) -> std::io::Result<String> {
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 256 * 1024]);
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            n => {
                let part = buffer.get(..n).unwrap_or_default();
                hash.update(part);
                to.write_all(part)?;
            }
        }
    }
}

/// The contents in a git directory: name and file.
pub(crate) fn contents(git_dir: &Path) -> Vec<(String, PathBuf)> {
    let inside = |dir: &Path| -> Vec<PathBuf> {
        let entries = if is_real_dir(dir) { std::fs::read_dir(dir).ok() } else { None };
        entries.into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    if !is_real_dir(git_dir) || !is_real_dir(&git_dir.join("lfs")) {
        return Vec::new();
    }
    let files =
        inside(&git_dir.join("lfs/objects")).into_iter().flat_map(|dir| inside(&dir)).flat_map(|dir| inside(&dir));
    let named = |file: PathBuf| {
        let name = file.file_name()?.to_str().filter(|name| is_content_name(name))?.to_owned();
        Some((name, file))
    };
    files.filter_map(named).collect()
}

/// Copies the contents that `to` lacks; one that is not what its name says is left out. Both are git directories.
pub(crate) async fn take_contents(from: &Path, to: &Path) -> Result<(), FileError> {
    let (from, to) = (from.to_owned(), to.to_owned());
    off_thread(&to.clone(), move || {
        for (name, file) in contents(&from) {
            let (Some(a), Some(b)) = (name.get(..2), name.get(2..4)) else { continue };
            let dir = to.join("lfs/objects").join(a).join(b);
            let place = dir.join(&name);
            if place.exists() {
                continue;
            }
            let Some(mut source) = open(&file) else { continue };
            make_dir(&dir)?;
            let beside = dir.join(format!("new-{}", unique()));
            let mut target = File::create_new(&beside).context("write", &beside)?;
            let copied = copy_hashed(&mut source, &mut target).context("copy", &file);
            if copied.as_ref().is_ok_and(|oid| *oid == name) {
                std::fs::rename(&beside, &place).context("put in place", &place)?;
            } else {
                std::fs::remove_file(&beside).context("remove", &beside)?;
                copied?;
            }
        }
        Ok(())
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_content_is_what_its_name_says_or_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        let oid = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 5\n");
        let pointer = Pointer::read(pointer.as_bytes()).unwrap();
        let good = from.join("lfs/objects/2c/f2").join(oid);
        let bad = from.join("lfs/objects/aa/aa").join("a".repeat(64));
        for (file, content) in [(&good, "hello"), (&bad, "hello")] {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, content).unwrap();
        }
        assert!(pointer.is_of(&good));
        take_contents(&from, &to).await.unwrap();
        assert_eq!(contents(&to), [(oid.to_owned(), to.join("lfs/objects/2c/f2").join(oid))]);
        std::fs::write(&good, "HELLO").unwrap();
        assert!(!pointer.is_of(&good));
        assert_eq!(std::fs::read(to.join("lfs/objects/2c/f2").join(oid)).unwrap(), b"hello", "a copy, not a link");
        assert_eq!(Pointer::read(b"version 1\nhello\n"), None);
    }
}
