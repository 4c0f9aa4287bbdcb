//! The files of a git directory: config, HEAD, packed refs, alternates, shallow.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::files::access::{FileError, create_dir_all, is_real_dir, join_bytes, write_atomic};
use crate::names::Oid;

/// Lists the commits where a history is cut off.
pub(crate) const SHALLOW: &str = "shallow";

/// A HEAD on a branch that has no commit and is never made.
pub(crate) const UNBORN_HEAD: &str = "ref: refs/heads/none";

/// Builder of a git config file.
#[derive(Default)]
pub(crate) struct ConfigFile(Vec<u8>);

impl ConfigFile {
    pub(crate) fn section(&mut self, name: &str, subsection: Option<&[u8]>) -> &mut Self {
        self.0.extend_from_slice(b"[");
        self.0.extend_from_slice(name.as_bytes());
        if let Some(subsection) = subsection {
            self.0.extend_from_slice(b" \"");
            for byte in subsection {
                if matches!(byte, b'"' | b'\\') {
                    self.0.push(b'\\');
                }
                self.0.push(*byte);
            }
            self.0.push(b'"');
        }
        self.0.extend_from_slice(b"]\n");
        self
    }

    /// Sets a key of the latest section.
    pub(crate) fn set(&mut self, key: &str, value: impl AsRef<[u8]>) -> &mut Self {
        self.0.push(b'\t');
        self.0.extend_from_slice(key.as_bytes());
        self.0.extend_from_slice(b" = \"");
        for byte in value.as_ref() {
            match byte {
                b'"' | b'\\' => self.0.extend_from_slice(&[b'\\', *byte]),
                b'\n' => self.0.extend_from_slice(b"\\n"),
                byte => self.0.push(*byte),
            }
        }
        self.0.extend_from_slice(b"\"\n");
        self
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Begins the config of a bare repository. `format` is the object format, `sha1` or `sha256`; `extended` allows
/// extensions, such as a promisor remote.
pub(crate) fn bare_config(format: &str, extended: bool) -> ConfigFile {
    let mut config = ConfigFile::default();
    let sha256 = format != "sha1";
    config.section("core", None);
    config.set("repositoryFormatVersion", if sha256 || extended { "1" } else { "0" });
    config.set("fileMode", "true").set("bare", "true");
    // Many runners at a time wait for each other instead of failing. In milliseconds. A git that gives up is started again,
    // after locks were removed whose holder is gone.
    config.set("filesRefLockTimeout", "3000").set("packedRefsTimeout", "3000");
    if sha256 {
        config.section("extensions", None).set("objectFormat", format);
    }
    config.section("gc", None).set("auto", "0").set("pruneExpire", "never");
    config.section("maintenance", None).set("auto", "false");
    config
}

/// Creates the smallest directory that git accepts as a git directory.
pub(crate) fn create_git_dir(dir: &Path, head: &str, config: &ConfigFile) -> Result<(), FileError> {
    for part in ["objects/info", "objects/pack", "refs/heads", "refs/tags", "info"] {
        create_dir_all(&dir.join(part))?;
    }
    write_atomic(&dir.join("HEAD"), format!("{head}\n").as_bytes())?;
    write_atomic(&dir.join("config"), config.bytes())
}

/// Lets the repository that owns `objects` borrow from other object directories.
pub(crate) fn write_alternates<'p>(objects: &Path, from: impl IntoIterator<Item = &'p Path>) -> Result<(), FileError> {
    let mut lines = Vec::new();
    for path in from {
        lines.extend(alternate_line(path.as_os_str()));
        lines.push(b'\n');
    }
    create_dir_all(&objects.join("info"))?;
    write_atomic(&objects.join("info/alternates"), &lines)
}

/// A path as a line of `alternates`, quoted as in C where git would read it differently.
pub(crate) fn alternate_line(path: &OsStr) -> Vec<u8> {
    let bytes = path.as_bytes();
    if !bytes.contains(&b'\n') && !bytes.starts_with(b"\"") && !bytes.starts_with(b"#") {
        return bytes.to_vec();
    }
    let mut line = vec![b'"'];
    for byte in bytes {
        match byte {
            b'"' | b'\\' => line.extend_from_slice(&[b'\\', *byte]),
            b'\n' => line.extend_from_slice(b"\\n"),
            byte => line.push(*byte),
        }
    }
    line.push(b'"');
    line
}

/// Merges the contents of `shallow` files: every id once, one a line. Lines that are no ids are dropped.
pub(crate) fn merge_shallow(files: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let lines = |file: &Vec<u8>| file.split(|byte| *byte == b'\n').filter_map(Oid::from_bytes).collect::<Vec<_>>();
    let all: BTreeSet<Oid> = files.into_iter().flat_map(|file| lines(&file)).collect();
    all.into_iter().flat_map(|oid| format!("{oid}\n").into_bytes()).collect()
}

/// The content of a `packed-refs` file.
pub(crate) fn format_packed_refs<'r>(refs: impl IntoIterator<Item = (&'r [u8], &'r Oid)>) -> Vec<u8> {
    let mut refs: Vec<_> = refs.into_iter().collect();
    refs.sort_unstable();
    refs.dedup_by(|a, b| a.0 == b.0);
    let mut text = b"# pack-refs with: sorted \n".to_vec();
    for (name, oid) in refs {
        text.extend_from_slice(oid.as_str().as_bytes());
        text.push(b' ');
        text.extend_from_slice(name);
        text.push(b'\n');
    }
    text
}

/// Writes a loose ref, or HEAD itself. No link in its path is followed.
pub(crate) fn write_ref(git_dir: &Path, name: &[u8], commit: &Oid) -> Result<(), FileError> {
    let (dirs, file) = match name.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (name.get(..slash).unwrap_or_default(), name.get(slash + 1..).unwrap_or_default()),
        None => (b"".as_slice(), name),
    };
    let mut dir = git_dir.to_owned();
    for part in dirs.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
        dir = join_bytes(&dir, part);
        if dir.symlink_metadata().is_err() {
            create_dir_all(&dir)?;
        } else if !is_real_dir(&dir) {
            let source = std::io::Error::from(std::io::ErrorKind::NotADirectory);
            return Err(FileError { action: "write a ref in", path: dir, source });
        }
    }
    write_atomic(&join_bytes(&dir, file), format!("{commit}\n").as_bytes())
}
