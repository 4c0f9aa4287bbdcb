//! Damage to a worktree's git directory, by which git would refuse to work there, lose track of files, or work on another
//! repository. It is looked for in files; git reads only copies.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::command::answer::Answer;
use crate::files::access::{FileError, is_dir_there, is_there, read_if_there, write_atomic};
use crate::files::removal::remove_tree;
use crate::mirror::repo::Mirror;
use crate::untrusted::changes::StatusError;
use crate::untrusted::quarantine::Quarantine;
use crate::untrusted::reader::{UntrustedRepo, uses_reftable};
use crate::worktree::lifecycle::Worktree;

/// Maximum size of a config or of a list of alternates in bytes.
const TEXT_MAX: u64 = 4 * 1024 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The directory of the files is gone, or is no directory.
    DirectoryMissing,
    GitDirMissing,
    /// `git init` after `.git` was removed, or another repository.
    GitDirReplaced,
    Config,
    Head,
    Index,
    Alternates,
    /// The relay, which is the worktree's `origin`.
    Relay,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DirectoryMissing => "its directory was removed or moved",
            Self::GitDirMissing => "its .git directory was removed",
            Self::GitDirReplaced => "its .git directory was replaced by another repository",
            Self::Config => "its .git/config is missing, invalid or for another directory",
            Self::Head => "its .git/HEAD is missing or invalid",
            Self::Index => "its .git/index is missing or invalid",
            Self::Alternates => "its .git/objects/info/alternates no longer names the mirror",
            Self::Relay => "its relay repository is damaged",
        })
    }
}

/// The settings that matter here.
#[derive(Default)]
struct Config {
    is_valid: bool,
    is_ours: bool,
    is_bare: bool,
    has_work_tree: bool,
    is_reftable: bool,
}

impl Worktree {
    /// Looks for damage. Objects are not looked at; a commit whose objects are missing has no effect on the status.
    ///
    /// # Errors
    /// A check that could not be made.
    pub async fn damage(&self) -> Result<Option<Damage>, StatusError> {
        let git_dir = self.git_dir();
        if !is_dir_there(self.dir())? {
            return Ok(Some(Damage::DirectoryMissing));
        }
        if !is_dir_there(&git_dir)? {
            return Ok(Some(Damage::GitDirMissing));
        }
        let config = read_config(self.mirror(), &git_dir.join("config")).await?;
        let borrows = borrows_from(&git_dir, self.mirror())?;
        if !borrows && config.is_valid && !config.is_ours {
            return Ok(Some(Damage::GitDirReplaced));
        }
        if !config.is_valid || !config.is_ours || config.is_bare || config.has_work_tree {
            return Ok(Some(Damage::Config));
        }
        if !borrows {
            return Ok(Some(Damage::Alternates));
        }
        let repo = UntrustedRepo::read(&git_dir);
        if repo.head.is_none()
            && !config.is_reftable
            && let Some(why) = repo.unreadable.first()
        {
            return Err(StatusError::Unreadable { dir: git_dir, why: why.clone() });
        }
        // The HEAD of a repository in reftable format is a dummy.
        if repo.head.is_none() && !config.is_reftable {
            return Ok(Some(Damage::Head));
        }
        if repo.head_commit().is_some() && !self.index_is_readable().await? {
            return Ok(Some(Damage::Index));
        }
        let relay = self.relay();
        if is_there(relay)?
            && (!is_dir_there(relay)?
                || !borrows_from(relay, self.mirror())?
                || UntrustedRepo::read(relay).head.is_none() && !uses_reftable(relay)
                || !read_config(self.mirror(), &relay.join("config")).await?.is_valid)
        {
            return Ok(Some(Damage::Relay));
        }
        Ok(None)
    }

    async fn index_is_readable(&self) -> Result<bool, StatusError> {
        let quarantine = Quarantine::open(self.mirror(), &[], None).await?;
        if !quarantine.copy_index(&self.git_dir().join("index")).await? {
            return Ok(false);
        }
        let list = quarantine.command_on(self.dir(), "ls-files", "read the index").args(["--stage", "-z"]);
        Ok(list.whole().await?.yes().is_some())
    }

    /// Removes the files and the git directory, and a damaged relay. The caller has rescued them; what belongs to the issue
    /// outside of them stays, so that [`Worktree::create`] makes the worktree again.
    pub async fn remove_damaged(&self, damage: Damage) -> Result<(), FileError> {
        remove_tree(self.dir()).await?;
        if damage == Damage::Relay {
            remove_tree(self.relay()).await?;
        }
        Ok(())
    }
}

/// Parses a config without the files that it includes.
async fn read_config(mirror: &Mirror, path: &Path) -> Result<Config, StatusError> {
    let Some(text) = read_if_there(path, TEXT_MAX)? else { return Ok(Config::default()) };
    let scratch = mirror.scratch_dir()?;
    let copy = scratch.path().join("config");
    write_atomic(&copy, &text)?;
    let list = mirror.git().command("config", "read the config of a worktree").outside_repository().arg("--file");
    let list = list.arg(&copy).args(["--no-includes", "--null", "--list"]);
    // 3 or, since 2.0, 128: the file is invalid.
    let listed = match list.answer(&[1, 3, 128]).await? {
        Answer::Yes(listed) => listed,
        Answer::No(_) => return Ok(Config::default()),
    };
    let mut config = Config { is_valid: true, ..Config::default() };
    for record in listed.records() {
        let mut parts = record.splitn(2, |byte| *byte == b'\n');
        let (key, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or(b"true"));
        match key {
            b"kugetsu.source" => config.is_ours = true,
            b"core.bare" => config.is_bare = !matches!(value, b"false" | b"no" | b"off" | b"0"),
            b"core.worktree" => config.has_work_tree = true,
            b"extensions.refstorage" => config.is_reftable = value.starts_with(b"reftable"),
            _ => {}
        }
    }
    Ok(config)
}

fn borrows_from(git_dir: &Path, mirror: &Mirror) -> Result<bool, FileError> {
    let alternates = read_if_there(&git_dir.join("objects/info/alternates"), TEXT_MAX)?.unwrap_or_default();
    let objects = mirror.objects();
    // A path that git needs quoted is compared by its end.
    let is_mirror = |line: &[u8]| {
        line == objects.as_os_str().as_bytes()
            || line.starts_with(b"\"") && objects.as_os_str().as_bytes().contains(&b'\n')
    };
    Ok(alternates.split(|byte| *byte == b'\n').any(is_mirror))
}
