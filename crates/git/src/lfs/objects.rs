//! The objects that Git LFS stores beside git, handled without git-lfs. An object's name is the SHA-256 of its content;
//! here it is checked, so nothing that an agent stored is trusted or run.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::files::access::{
    FileError, IoContext, blocking, create_dir_all, is_dir_there, open_regular, open_unfollowed, read_dir_if_there,
    unique_suffix,
};

/// Maximum size of a pointer in bytes (<https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md>).
pub(crate) const POINTER_MAX: usize = 1024;

/// The small file that git stores in place of a large one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pointer {
    oid: String,
    size: u64,
}

impl Pointer {
    /// Returns `None` for content that is no pointer.
    pub(crate) fn parse(content: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(content).ok().filter(|text| text.len() <= POINTER_MAX)?;
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        let oid = value("version").and(value("oid"))?.strip_prefix("sha256:").filter(|oid| is_object_name(oid))?;
        Some(Self { oid: oid.to_owned(), size: value("size")?.parse().ok()? })
    }

    /// The pointer to the content of a regular file; `None` for anything else, such as a link.
    pub(super) fn of(file: &Path) -> std::io::Result<Option<Self>> {
        let mut file = open_unfollowed(file)?;
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Ok(None);
        }
        Ok(Some(Self { oid: copy_hashed(&mut file, &mut std::io::sink())?, size: meta.len() }))
    }

    /// The name of the object.
    pub(crate) fn name(&self) -> &str {
        &self.oid
    }

    /// The size of the object in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Whether a file has the content that the pointer names. Links are not followed.
    pub(crate) fn matches(&self, file: &Path) -> bool {
        let Some(mut file) = open_regular(file) else { return false };
        let same_size = file.metadata().is_ok_and(|meta| meta.len() == self.size);
        same_size && copy_hashed(&mut file, &mut std::io::sink()).is_ok_and(|oid| oid == self.oid)
    }
}

fn is_object_name(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Copies a file and returns the SHA-256 of its content.
fn copy_hashed(from: &mut impl Read, to: &mut impl Write) -> std::io::Result<String> {
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 256 * 1024]);
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            n => {
                let chunk = buffer.get(..n).unwrap_or_default();
                hash.update(chunk);
                to.write_all(chunk)?;
            }
        }
    }
}

/// Where a git directory has the LFS object of this name.
pub(crate) fn object_path(git_dir: &Path, name: &str) -> Option<PathBuf> {
    stored_in(&git_dir.join("lfs"), name)
}

/// Where a store has the LFS object of this name. That of a git directory is `lfs`.
pub(super) fn stored_in(store: &Path, name: &str) -> Option<PathBuf> {
    Some(store.join("objects").join(name.get(..2)?).join(name.get(2..4)?).join(name))
}

/// Whether a path is that of an object in some store: `<2 digits>/<2 digits>/<name>`.
pub(crate) fn is_stored_object(path: &Path) -> bool {
    let name = |path: Option<&Path>| path?.file_name()?.to_str().map(str::to_owned);
    let (Some(file), Some(second)) = (name(Some(path)), name(path.parent())) else { return false };
    let first = name(path.parent().and_then(Path::parent));
    is_object_name(&file) && first.is_some_and(|first| file.starts_with(&(first + &second)))
}

/// Name and path of every LFS object in a git directory.
pub(crate) fn stored_objects(git_dir: &Path) -> Result<Vec<(String, PathBuf)>, FileError> {
    if !is_dir_there(git_dir)? || !is_dir_there(&git_dir.join("lfs"))? {
        return Ok(Vec::new());
    }
    let mut files = vec![git_dir.join("lfs/objects")];
    for _ in 0..3 {
        let mut below = Vec::new();
        for dir in files {
            below.extend(read_dir_if_there(&dir)?.unwrap_or_default());
        }
        files = below;
    }
    let named = |file: PathBuf| {
        let name = file.file_name()?.to_str().filter(|name| is_object_name(name))?.to_owned();
        Some((name, file))
    };
    Ok(files.into_iter().filter_map(named).collect())
}

/// Copies the objects that `to` lacks, and only those that are `wanted` if a list is given, and skips those whose content does
/// not match their name. `from` and `to` are git directories.
pub(crate) async fn copy_objects(from: &Path, to: &Path, wanted: Option<BTreeSet<String>>) -> Result<(), FileError> {
    let (from, to) = (from.to_owned(), to.to_owned());
    blocking(&to.clone(), move || {
        for (name, file) in stored_objects(&from)? {
            if wanted.as_ref().is_some_and(|wanted| !wanted.contains(&name)) {
                continue;
            }
            let Some(target_path) = object_path(&to, &name) else { continue };
            // A link leads to a file that is not the agent's to give.
            if !target_path.exists() && file.symlink_metadata().context("read", &file)?.is_file() {
                keep_object(&file, &to, &name)?;
            }
        }
        Ok(())
    })
    .await
}

/// Copies a regular file into the git directory `to` as the object `name`. `false` if its content is another one, and nothing
/// was copied. A link is not followed.
pub(super) fn keep_object(file: &Path, to: &Path, name: &str) -> Result<bool, FileError> {
    match object_path(to, name) {
        Some(target_path) => keep_at(file, &target_path, name),
        None => Ok(false),
    }
}

/// As [`keep_object`], at a path in some store.
pub(super) fn keep_at(file: &Path, target_path: &Path, name: &str) -> Result<bool, FileError> {
    let Some(dir) = target_path.parent() else { return Ok(false) };
    let mut source = open_unfollowed(file).context("read", file)?;
    create_dir_all(dir)?;
    let temporary = dir.join(format!("new-{}", unique_suffix()));
    let mut target = File::create_new(&temporary).context("write", &temporary)?;
    let copied = copy_hashed(&mut source, &mut target).context("copy", file);
    let is_object = copied.as_ref().is_ok_and(|oid| oid == name);
    if is_object {
        std::fs::rename(&temporary, target_path).context("replace", target_path)?;
    } else {
        std::fs::remove_file(&temporary).context("remove", &temporary)?;
        copied?;
    }
    Ok(is_object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn objects_that_do_not_match_their_name_are_skipped() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        let oid = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 5\n");
        let pointer = Pointer::parse(pointer.as_bytes()).unwrap();
        let good = from.join("lfs/objects/2c/f2").join(oid);
        let bad = from.join("lfs/objects/aa/aa").join("a".repeat(64));
        for (file, content) in [(&good, "hello"), (&bad, "hello")] {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, content).unwrap();
        }
        assert!(pointer.matches(&good));
        copy_objects(&from, &to, None).await.unwrap();
        assert_eq!(stored_objects(&to).unwrap(), [(oid.to_owned(), to.join("lfs/objects/2c/f2").join(oid))]);
        std::fs::write(&good, "HELLO").unwrap();
        assert!(!pointer.matches(&good));
        assert_eq!(std::fs::read(to.join("lfs/objects/2c/f2").join(oid)).unwrap(), b"hello", "a copy, not a link");
        assert_eq!(Pointer::parse(b"version 1\nhello\n"), None);
    }
}
