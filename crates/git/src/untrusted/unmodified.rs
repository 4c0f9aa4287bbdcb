//! Files that git reports as modified although they are as a checkout writes them. Some repositories make every checkout
//! look modified: line endings that their attributes would change, filters, a file system without modes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::command::answer::Answer;
use crate::command::runner::{ConfigScope, GitError, TRANSFER_TIMEOUT};
use crate::files::access::{FileError, IoContext, blocking, create_dir_all, join_bytes, open_regular};
use crate::files::index::copy_index;
use crate::files::removal::remove_tree;
use crate::lfs::objects::{POINTER_MAX, Pointer};
use crate::lfs::setup::uses_lfs_filter;
use crate::names::Oid;
use crate::untrusted::changes::{Entry, StatusError};
use crate::untrusted::quarantine::Quarantine;

/// The attributes by which a checkout writes other bytes than those of the object, apart from filters.
const CONVERTING: [&str; 5] = ["text", "eol", "crlf", "ident", "working-tree-encoding"];
/// Number of files that are checked out for a comparison at a time.
const COMPARED_AT_ONCE: usize = 256;

/// The state of a file as an index records it: times in nanoseconds since 1970, and the lower 32 bits of inode number and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    changed: i128,
    modified: i128,
    inode: u32,
    size: u32,
}

impl Stat {
    #[expect(clippy::cast_possible_truncation, reason = "an index has 32 bits for inode number and size")]
    fn of(file: &Path) -> Option<Self> {
        let meta = file.symlink_metadata().ok()?;
        let nanoseconds = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Some(Self {
            changed: nanoseconds(meta.ctime(), meta.ctime_nsec()),
            modified: nanoseconds(meta.mtime(), meta.mtime_nsec()),
            inode: meta.ino() as u32,
            size: meta.len() as u32,
        })
    }

    /// Parses what `ls-files --debug` prints below a path.
    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            let rest = text.get(text.find(name)? + name.len()..)?;
            rest.split_whitespace().next()
        };
        let time = |name: &str| {
            let (seconds, rest) = field(name)?.split_once(':')?;
            Some(seconds.parse::<i128>().ok()? * 1_000_000_000 + rest.parse::<i128>().ok()?)
        };
        Some(Self {
            changed: time("ctime: ")?,
            modified: time("mtime: ")?,
            inode: field("ino: ")?.parse().ok()?,
            size: field("size: ")?.parse().ok()?,
        })
    }
}

impl Quarantine {
    /// Returns those of the `modified` files of the worktree `files` that only look so. `index` is the agent's; `entries` are
    /// its entries.
    pub(super) async fn unmodified(
        &self,
        files: &Path,
        index: &Path,
        entries: &[Entry],
        modified: BTreeSet<&[u8]>,
    ) -> Result<BTreeSet<Vec<u8>>, StatusError> {
        let mut unmodified = BTreeSet::new();
        let mut rest = modified;
        if rest.is_empty() {
            return Ok(unmodified);
        }
        let settle = |found: Vec<Vec<u8>>, rest: &mut BTreeSet<&[u8]>, all: &mut BTreeSet<Vec<u8>>| {
            rest.retain(|path| !found.iter().any(|found| found == path));
            all.extend(found);
        };
        let found = self.unmodified_by_index(files, index, &rest).await?;
        settle(found, &mut rest, &mut unmodified);
        let found = self.unmodified_lfs_files(files, entries, &rest).await?;
        settle(found, &mut rest, &mut unmodified);
        let converted = self.converted(files, &rest).await?;
        for paths in converted.chunks(COMPARED_AT_ONCE) {
            unmodified.extend(self.equal_to_checkout(files, paths).await?);
        }
        Ok(unmodified)
    }

    /// The files that were not written since git recorded them in the index as unmodified.
    ///
    /// Git itself compares whole seconds, and looks at the content of files that are as new as the index. Without the filter by
    /// which it was checked out, that content seems to be another. Here nanoseconds are compared, so that only a file which was
    /// written in the same tick of the kernel's clock as the index is in doubt.
    async fn unmodified_by_index(
        &self,
        files: &Path,
        index: &Path,
        paths: &BTreeSet<&[u8]>,
    ) -> Result<Vec<Vec<u8>>, StatusError> {
        // The status has refreshed the quarantine's own index, and with it the times.
        let (from, copy) = (index.to_owned(), self.dir().join("recorded-index"));
        let to = copy.clone();
        if !blocking(&copy, move || copy_index(&from, &to)).await? {
            return Ok(Vec::new());
        }
        let written = Stat::of(&copy).map(|stat| stat.modified);
        let list = self.command_on(files, "ls-files", "read the times of the files").env("GIT_INDEX_FILE", &copy);
        let listed = list.args(["--cached", "--debug", "-z"]).whole().await?.yes();
        std::fs::remove_file(&copy).context("remove", &copy)?;
        let (Some(listed), Some(written)) = (listed, written) else { return Ok(Vec::new()) };
        let recorded = recorded_stats(&listed.stdout);
        let is_unmodified = |path: &[u8]| {
            let recorded = recorded.get(path)?;
            let is_older = recorded.modified.max(recorded.changed) < written;
            (is_older && recorded.changed > 0 && Stat::of(&join_bytes(files, path))? == *recorded).then_some(())
        };
        Ok(paths.iter().filter(|path| is_unmodified(path).is_some()).map(|path| path.to_vec()).collect())
    }

    /// The files that are just the content of their Git LFS pointer. Git cannot know, since no filter runs in the quarantine.
    async fn unmodified_lfs_files(
        &self,
        files: &Path,
        entries: &[Entry],
        paths: &BTreeSet<&[u8]>,
    ) -> Result<Vec<Vec<u8>>, StatusError> {
        let is_attributes = |entry: &&Entry| entry.path.rsplit(|byte| *byte == b'/').next() == Some(b".gitattributes");
        if paths.is_empty() || !entries.iter().filter(is_attributes).any(|entry| uses_lfs_filter(files, &entry.path)) {
            return Ok(Vec::new());
        }
        let suspects: Vec<(&Entry, &Oid)> = entries
            .iter()
            .filter(|entry| paths.contains(entry.path.as_slice()))
            .filter_map(|entry| Some((entry, entry.object.as_ref()?)))
            .collect();
        let oids = suspects.iter().map(|(_, oid)| format!("{oid}\n")).collect::<String>();
        let sizes = self.command("cat-file", "look for LFS pointers").arg("--batch-check=%(objectsize)");
        let sizes = sizes.stdin(oids).run().await?;
        let mut unmodified = Vec::new();
        for ((entry, oid), size) in suspects.into_iter().zip(sizes.lines()) {
            let is_small = std::str::from_utf8(size)
                .ok()
                .and_then(|size| size.parse().ok())
                .is_some_and(|n: usize| n <= POINTER_MAX);
            if !is_small {
                continue;
            }
            let blob = self.command("cat-file", "read an LFS pointer").args(["blob", oid.as_str()]).run().await?;
            if let Some(pointer) = Pointer::parse(&blob.stdout) {
                let file = join_bytes(files, &entry.path);
                if blocking(&file.clone(), move || Ok(pointer.matches(&file))).await? {
                    unmodified.push(entry.path.clone());
                }
            }
        }
        Ok(unmodified)
    }

    /// The files that git may write with other bytes than their object has. The others are modified for certain.
    async fn converted(&self, files: &Path, paths: &BTreeSet<&[u8]>) -> Result<Vec<Vec<u8>>, GitError> {
        let all = || paths.iter().map(|path| path.to_vec());
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        let autocrlf = self.git().config_value("core.autocrlf", ConfigScope::User).await?;
        if autocrlf
            .is_some_and(|value| !matches!(value.to_ascii_lowercase().as_slice(), b"false" | b"no" | b"off" | b"0"))
        {
            return Ok(all().collect());
        }
        let check =
            self.command_on(files, "check-attr", "look for line endings").args(["-z", "--stdin"]).args(CONVERTING);
        let output = check.stdin(paths.iter().flat_map(|path| [path, b"\0".as_slice()].concat()).collect::<Vec<_>>());
        let output = output.run().await?;
        // Neither paths nor values are empty, so each three records belong together.
        let records: Vec<&[u8]> = output.records().collect();
        let converted: BTreeSet<&[u8]> = records
            .chunks_exact(3)
            .filter_map(|fields| match fields {
                [path, _, value] if !matches!(*value, b"unspecified" | b"unset") => Some(*path),
                _ => None,
            })
            .collect();
        Ok(all().filter(|path| converted.contains(path.as_slice())).collect())
    }

    /// Those of `paths` that have the bytes and the mode which a checkout writes.
    async fn equal_to_checkout(&self, files: &Path, paths: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, StatusError> {
        let out = self.dir().join("checkout");
        create_dir_all(&out)?;
        let command = self.command_on(files, "checkout-index", "check out files for a comparison");
        let prefix = [b"--prefix=", out.as_os_str().as_bytes(), b"/"].concat();
        let command = command.arg(std::ffi::OsStr::from_bytes(&prefix)).args(["-z", "--stdin"]).no_lazy_fetch();
        let command = command.timeout(TRANSFER_TIMEOUT);
        let command =
            command.stdin(paths.iter().flat_map(|path| [path, b"\0".as_slice()].concat()).collect::<Vec<_>>());
        // 1 and 128: one of them could not be written, such as for an object that is missing. The others are compared.
        if let Answer::No(failed) = command.answer(&[1, 128]).await? {
            tracing::debug!(error = %failed.error, "files count as modified");
        }
        let (files, paths, dir) = (files.to_owned(), paths.to_vec(), out.clone());
        let equal = blocking(&out, move || {
            let is_equal = |path: &Vec<u8>| is_equal(&join_bytes(&dir, path), &join_bytes(&files, path));
            Ok::<_, FileError>(paths.into_iter().filter(is_equal).collect())
        })
        .await?;
        remove_tree(&out).await?;
        Ok(equal)
    }
}

/// The records of `ls-files --debug -z` by path: the path ends with a NUL, what is known of it with the line of its flags. An
/// entry that cannot be parsed is left out, and so is a path in conflict.
fn recorded_stats(text: &[u8]) -> BTreeMap<&[u8], Stat> {
    let (mut stats, mut rest) = (BTreeMap::new(), text);
    while let Some(end) = rest.iter().position(|byte| *byte == 0) {
        let (path, below) = (rest.get(..end).unwrap_or_default(), rest.get(end + 1..).unwrap_or_default());
        // Five indented lines, none of which has anything but ASCII.
        let mut at = 0;
        while below.get(at..).is_some_and(|line| line.starts_with(b"  ")) {
            let line = below.get(at..).unwrap_or_default();
            at += line.iter().position(|byte| *byte == b'\n').map_or(line.len(), |end| end + 1);
        }
        let known = below.get(..at).and_then(|text| Stat::parse(std::str::from_utf8(text).ok()?));
        match known {
            Some(stat) if !stats.contains_key(path) => drop(stats.insert(path, stat)),
            _ => drop(stats.remove(path)),
        }
        rest = below.get(at..).unwrap_or_default();
    }
    stats
}

/// Whether two regular files have the same content and the same permission to execute.
fn is_equal(one: &Path, other: &Path) -> bool {
    let (Some(one), Some(other)) = (open_regular(one), open_regular(other)) else { return false };
    let metadata = |file: &File| file.metadata().map(|meta| (meta.len(), meta.mode() & 0o100)).ok();
    metadata(&one).is_some() && metadata(&one) == metadata(&other) && has_same_content(one, other).unwrap_or(false)
}

fn has_same_content(mut one: File, mut other: File) -> std::io::Result<bool> {
    let (mut left, mut right) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        let length = one.read(&mut left)?;
        if length == 0 {
            return Ok(other.read(&mut right)? == 0);
        }
        let (left, right) = (left.get(..length).unwrap_or_default(), right.get_mut(..length).unwrap_or_default());
        other.read_exact(right)?;
        if left != right {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_stats_are_parsed_by_path() {
        let stat = "  ctime: 12:5\n  mtime: 11:0\n  dev: 2\tino: 7\n  uid: 0\tgid: 0\n  size: 9\tflags: 0\n";
        let text = format!("a\nb\0{stat}c\0  nonsense\nd\0{stat}e\0{stat}e\0{stat}");
        let stats = recorded_stats(text.as_bytes());
        let expected = Stat { changed: 12_000_000_005, modified: 11_000_000_000, inode: 7, size: 9 };
        let names: Vec<&[u8]> = stats.keys().copied().collect();
        assert_eq!(names, [b"a\nb".as_slice(), b"d"]);
        assert!(stats.values().all(|stat| *stat == expected));
        assert!(recorded_stats(b"no end").is_empty());
    }
}
