//! Refs in reftable format. Only git can read them, so it reads a copy of the tables in a git directory of the host's own.

use std::path::{Path, PathBuf};

use crate::command::runner::{Git, GitError};
use crate::files::access::{FileError, IoContext, blocking, create_dir_all, read_if_there, write_atomic};
use crate::git_dir::layout::{ConfigFile, UNBORN_HEAD, create_git_dir, write_alternates};
use crate::names::{Oid, is_ref_name};
use crate::untrusted::changes::StatusError;
use crate::untrusted::reader::{Head, UntrustedRepo, named_stashes};

/// Maximum size of one table in bytes.
const TABLE_MAX: u64 = 256 * 1024 * 1024;
/// Maximum size of the list of tables in bytes.
const LIST_MAX: u64 = 1024 * 1024;
/// Maximum number of tables. Git merges them from a handful on.
const TABLES_MAX: usize = 1000;

/// Reads HEAD, refs and stashes of `git_dir`. `scratch` is a new directory of the host's, and `objects` has the objects.
pub(super) async fn read(
    git: &Git,
    scratch: &Path,
    objects: &Path,
    git_dir: &Path,
) -> Result<UntrustedRepo, StatusError> {
    let (from, to) = (git_dir.join("reftable"), scratch.join("reftable"));
    let format = blocking(&from.clone(), move || copy_tables(&from, &to)).await?;
    let mut config = ConfigFile::default();
    config.section("core", None).set("repositoryFormatVersion", "1").set("bare", "true");
    config.section("extensions", None).set("refStorage", "reftable").set("objectFormat", format);
    create_git_dir(scratch, UNBORN_HEAD, &config)?;
    write_alternates(&scratch.join("objects"), [objects])?;

    let command = |subcommand: &str| git.command(subcommand, "read refs in reftable format").owned_git_dir(scratch);
    let mut repo = UntrustedRepo::default();
    let list = command("for-each-ref").args(["--include-root-refs", "--format=%(objectname) %(refname)"]).run().await?;
    for line in list.lines() {
        let mut fields = line.splitn(2, |byte| *byte == b' ');
        let (Some(oid), Some(name)) = (fields.next().and_then(Oid::from_bytes), fields.next()) else { continue };
        if is_ref_name(name) {
            repo.refs.insert(name.to_vec(), oid);
        } else if name != b"HEAD" {
            repo.others.push((name.to_vec(), oid));
        } else {
            repo.head = Some(Head::Detached(oid));
        }
    }
    // 1: HEAD is detached.
    if let Some(target) = command("symbolic-ref").args(["--quiet", "HEAD"]).answer(&[1]).await?.yes() {
        let name = target.stdout.trim_ascii_end();
        repo.head = is_ref_name(name).then(|| Head::Symbolic(name.to_vec()));
    }
    if repo.get("refs/stash").is_some() {
        let log = command("reflog").args(["show", "--format=%H", "refs/stash"]).run().await?;
        repo.others.extend(named_stashes(log.lines().filter_map(Oid::from_bytes)));
    }
    if list.warns(&["ignoring broken ref", "ignoring ref with broken name"]) {
        return Err(list.incomplete().into());
    }
    Ok(repo)
}

/// Copies the tables that `tables.list` names. Returns the object format, which is in their header.
fn copy_tables(from: &Path, to: &Path) -> Result<&'static str, FileError> {
    let damaged =
        |path: PathBuf, why: &str| FileError { action: "read", path, source: std::io::Error::other(why.to_owned()) };
    create_dir_all(to)?;
    let list = read_if_there(&from.join("tables.list"), LIST_MAX)?
        .ok_or_else(|| damaged(from.join("tables.list"), "it is missing"))?;
    let text = String::from_utf8_lossy(&list);
    let mut format = "sha1";
    for name in text.lines().take(TABLES_MAX) {
        if name.contains('/') || name.starts_with('.') {
            return Err(damaged(from.join("tables.list"), "it names a file outside"));
        }
        let table =
            read_if_there(&from.join(name), TABLE_MAX)?.ok_or_else(|| damaged(from.join(name), "it is missing"))?;
        format = format_of(&table);
        std::fs::write(to.join(name), table).context("write", &to.join(name))?;
    }
    write_atomic(&to.join("tables.list"), &list)?;
    Ok(format)
}

/// The object format of a repository with refs in reftable format; `None` if its tables cannot be read.
pub(super) fn object_format(git_dir: &Path) -> Option<&'static str> {
    let tables = git_dir.join("reftable");
    let list = read_if_there(&tables.join("tables.list"), LIST_MAX).ok()??;
    let first = String::from_utf8_lossy(&list).lines().next().filter(|name| !name.contains('/'))?.to_owned();
    read_if_there(&tables.join(first), TABLE_MAX).ok()?.map(|table| format_of(&table))
}

/// Reads the header: `REFT`, the version, and in version 2 the hash function
/// (<https://git-scm.com/docs/reftable>, "Header version 2").
fn format_of(table: &[u8]) -> &'static str {
    if table.get(4) == Some(&2) && table.get(24..28) == Some(b"s256") { "sha256" } else { "sha1" }
}

/// The sentence about refs that git could not read.
pub(super) fn unreadable(git_dir: &Path, error: &dyn std::fmt::Display) -> String {
    format!(
        "the refs of {} are in reftable format and could not be read ({error}); run `git refs migrate --ref-format=files` \
         there",
        super::reader::printable_path(git_dir)
    )
}

/// Whether an error is about the tables or about this git, not about the machine.
pub(super) fn is_about_tables(error: &StatusError) -> bool {
    matches!(
        error,
        StatusError::Git(GitError::Failed { .. } | GitError::UnexpectedOutput { .. }) | StatusError::File(_)
    )
}
