//! Repairs a worktree whose home was moved, renamed or copied. Git stores absolute paths: its git directory and its relay
//! name the mirror's objects, and its config names the relay.
//!
//! The ownership record holds the path that these files are right for, and is written last: a repair that was cut off is
//! made again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::files::access::{is_real_dir, read_if_there, write_atomic};
use crate::git_dir::layout::alternate_line;
use crate::lfs::setup::file_url;
use crate::worktree::lifecycle::{Worktree, WorktreeError};
use crate::worktree::ownership::{claim, recorded_directory};

/// Maximum size of a config or of a list of alternates in bytes.
const TEXT_MAX: u64 = 4 * 1024 * 1024;

/// The paths that a repair replaces.
struct Paths {
    relay: PathBuf,
    objects: PathBuf,
}

impl Worktree {
    /// Makes the worktree fit the paths that it has now. The caller has checked that it is kugetsu's.
    ///
    /// # Errors
    /// A file cannot be written, or git failed.
    pub(crate) async fn settle(&self) -> Result<(), WorktreeError> {
        let Some(recorded) = recorded_directory(self.relay())?.filter(|recorded| recorded != self.dir()) else {
            return Ok(());
        };
        let new = Paths { relay: self.relay().to_owned(), objects: self.mirror().objects() };
        if let Some(old) = self.earlier_paths(&recorded) {
            for repository in [&self.git_dir(), self.relay()] {
                replace_alternate(repository, &old, &new)?;
            }
            self.replace_urls(&old, &new).await?;
        }
        Ok(claim(self.dir(), self.relay())?)
    }

    /// The paths of the relay and of the mirror's objects when the worktree was at `recorded`: the paths of a home relative to
    /// each other never change.
    fn earlier_paths(&self, recorded: &Path) -> Option<Paths> {
        let objects = self.mirror().objects();
        let home = self.dir().ancestors().find(|home| self.relay().starts_with(home) && objects.starts_with(home))?;
        let below = self.dir().strip_prefix(home).ok()?;
        let earlier = recorded.ancestors().nth(below.components().count())?;
        if !recorded.ends_with(below) {
            return None;
        }
        let move_back = |path: &Path| path.strip_prefix(home).ok().map(|below| earlier.join(below));
        Some(Paths { relay: move_back(self.relay())?, objects: move_back(&objects)? })
    }

    /// Replaces the addresses of the relay in the config, which the agent may have changed. Git edits a copy.
    async fn replace_urls(&self, old: &Paths, new: &Paths) -> Result<(), WorktreeError> {
        let git_dir = self.git_dir();
        if !is_real_dir(&git_dir) {
            return Ok(());
        }
        let path = git_dir.join("config");
        let Some(text) = read_if_there(&path, TEXT_MAX)? else { return Ok(()) };
        let scratch = self.mirror().scratch_dir()?;
        let copy = scratch.path().join("config");
        write_atomic(&copy, &text)?;
        let command =
            |action: &str| self.mirror().git().command("config", action).outside_repository().arg("--file").arg(&copy);
        // 3 or, since 2.0, 128: the file is invalid, which is damage.
        let list = command("read the config of a worktree").args(["--no-includes", "--null", "--list"]);
        let Some(listed) = list.answer(&[1, 3, 128]).await?.yes() else { return Ok(()) };
        let entries: Vec<(Vec<u8>, Vec<u8>)> = listed
            .records()
            .filter_map(|record| {
                let at = record.iter().position(|byte| *byte == b'\n')?;
                Some((record[..at].to_vec(), record[at + 1..].to_vec()))
            })
            .collect();
        let urls = |paths: &Paths| {
            let path = paths.relay.as_os_str().as_encoded_bytes();
            [path.to_vec(), file_url(path).into_bytes()]
        };
        let replaced = |value: &[u8]| {
            urls(old).iter().position(|old| old == value).map_or_else(|| value.to_vec(), |at| urls(new)[at].clone())
        };
        let keys: BTreeSet<&Vec<u8>> =
            entries.iter().filter(|(_, value)| replaced(value) != *value).map(|(key, _)| key).collect();
        if keys.is_empty() {
            return Ok(());
        }
        for key in keys {
            let key_argument = String::from_utf8_lossy(key).into_owned();
            let mut values = entries.iter().filter(|(other, _)| other == key).map(|(_, value)| replaced(value));
            // All values of the key, in their order.
            let first = values.next().unwrap_or_default();
            let set = command("correct the config of a worktree").args(["--replace-all", &key_argument]);
            set.arg(os(first)).run().await?;
            for value in values {
                let add = command("correct the config of a worktree").args(["--add", &key_argument]);
                add.arg(os(value)).run().await?;
            }
        }
        let Some(corrected) = read_if_there(&copy, TEXT_MAX)? else { return Ok(()) };
        Ok(write_atomic(&path, &corrected)?)
    }
}

fn os(bytes: Vec<u8>) -> std::ffi::OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes)
}

/// Lets a repository borrow from the mirror where it is now. No link that an agent made is followed.
fn replace_alternate(repository: &Path, old: &Paths, new: &Paths) -> Result<(), WorktreeError> {
    let [objects, info] = ["objects", "objects/info"].map(|below| repository.join(below));
    if ![repository, &objects, &info].iter().all(|directory| is_real_dir(directory)) {
        return Ok(());
    }
    let path = repository.join("objects/info/alternates");
    let Some(text) = read_if_there(&path, TEXT_MAX)? else { return Ok(()) };
    let [old, new] = [old, new].map(|paths| alternate_line(paths.objects.as_os_str()));
    let lines: Vec<&[u8]> =
        text.split(|byte| *byte == b'\n').map(|line| if line == old { new.as_slice() } else { line }).collect();
    Ok(write_atomic(&path, &lines.join(&b'\n'))?)
}
