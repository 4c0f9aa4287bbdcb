//! A git directory's files, written by hand: quicker than a git process for each, and nothing in them but what we say.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::files::access::{FileError, make_dir, replace};
use crate::names::Oid;

/// A config file being written.
#[derive(Default)]
pub(crate) struct ConfigText(Vec<u8>);

impl ConfigText {
    /// Begins a section.
    pub(crate) fn section(&mut self, name: &str, sub: Option<&[u8]>) -> &mut Self {
        self.0.extend_from_slice(b"[");
        self.0.extend_from_slice(name.as_bytes());
        if let Some(sub) = sub {
            self.0.extend_from_slice(b" \"");
            for byte in sub {
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

    /// Sets a key of the current section.
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

    /// The file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The beginning of the config of a repository without files of its own, in the given object format.
pub(crate) fn bare_config(format: &str, extended: bool) -> ConfigText {
    let mut config = ConfigText::default();
    let sha256 = format != "sha1";
    config.section("core", None);
    config.set("repositoryFormatVersion", if sha256 || extended { "1" } else { "0" });
    config.set("fileMode", "true").set("bare", "true");
    // Many runners at a time wait for each other instead of failing.
    config.set("filesRefLockTimeout", "20000").set("packedRefsTimeout", "20000");
    if sha256 {
        config.section("extensions", None).set("objectFormat", format);
    }
    config.section("gc", None).set("auto", "0").set("pruneExpire", "never");
    config.section("maintenance", None).set("auto", "false");
    config
}

/// Makes a directory that git takes for a git directory: HEAD, objects, refs, config.
pub(crate) fn make_git_dir(dir: &Path, head: &str, config: &ConfigText) -> Result<(), FileError> {
    for part in ["objects/info", "objects/pack", "refs/heads", "refs/tags", "info"] {
        make_dir(&dir.join(part))?;
    }
    replace(&dir.join("HEAD"), format!("{head}\n").as_bytes())?;
    replace(&dir.join("config"), config.bytes())
}

/// Lets the repository that owns `objects` borrow from other object directories.
pub(crate) fn borrow<'p>(objects: &Path, from: impl IntoIterator<Item = &'p Path>) -> Result<(), FileError> {
    let mut lines = Vec::new();
    for path in from {
        lines.extend(alternate_line(path.as_os_str()));
        lines.push(b'\n');
    }
    make_dir(&objects.join("info"))?;
    replace(&objects.join("info/alternates"), &lines)
}

/// A path as a line of `alternates`: as it is, or quoted as in C where that could be misread.
fn alternate_line(path: &OsStr) -> Vec<u8> {
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

/// A `shallow` file that says what these say: ids, one a line, each once. What is no id is left out.
pub(crate) fn cut_off(files: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let lines = |file: &Vec<u8>| file.split(|byte| *byte == b'\n').filter_map(Oid::read).collect::<Vec<_>>();
    let all: BTreeSet<Oid> = files.into_iter().flat_map(|file| lines(&file)).collect();
    all.into_iter().flat_map(|oid| format!("{oid}\n").into_bytes()).collect()
}

/// A `packed-refs` file.
pub(crate) fn packed_refs<'r>(refs: impl IntoIterator<Item = (&'r [u8], &'r Oid)>) -> Vec<u8> {
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
