//! The mirror of a local partial clone is made of copied files. A git process would have to send objects that the clone does not
//! have, most of all if its history is cut off as well.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::files::access::{create_dir_all, read_if_there, write_atomic};
use crate::git_dir::layout::{SHALLOW, UNBORN_HEAD, bare_config, create_git_dir, merge_shallow};
use crate::git_dir::objects::{Take, take_objects};
use crate::mirror::local_repo::LocalRepo;
use crate::mirror::partial_clone::Promisor;
use crate::mirror::repo::{Mirror, MirrorError};
use crate::names::Oid;

/// Maximum size of a list in a git directory in bytes.
const LIST_MAX: u64 = 16 * 1024 * 1024;

impl Mirror {
    /// Makes a new mirror in `dir`.
    pub(super) async fn create_copy(
        &self,
        dir: &Path,
        local: &LocalRepo,
        promisor: &Promisor,
    ) -> Result<(), MirrorError> {
        let format = self.git().command("rev-parse", "read the object format").current_dir(&local.root);
        let format = format.arg("--show-object-format").run().await?.line();
        let mut config = bare_config(&format, true);
        promisor.write(&mut config);
        if let Some(parent) = dir.parent() {
            create_dir_all(parent)?;
        }
        create_git_dir(dir, UNBORN_HEAD, &config)?;
        self.at_dir(dir, &format).update_copy(local).await
    }

    /// Copies new objects, the cut-off of the history, and the branches and tags.
    pub(super) async fn update_copy(&self, local: &LocalRepo) -> Result<(), MirrorError> {
        let objects = local.common_dir.join("objects");
        for from in std::iter::once(objects.clone()).chain(alternates(&objects)?) {
            let left = take_objects(from, self.objects(), Take::Copy).await?;
            if let Some(error) = left.unreadable.into_iter().next() {
                return Err(error.into());
            }
        }
        // Before the refs: their history ends there.
        let theirs = read_if_there(&local.common_dir.join(SHALLOW), LIST_MAX)?.unwrap_or_default();
        let shallow = merge_shallow([theirs, self.shallow()?.unwrap_or_default()]);
        if !shallow.is_empty() {
            write_atomic(&self.dir().join(SHALLOW), &shallow)?;
        }
        let list = self.git().command("for-each-ref", format!("list the refs of {}", local.root.display()));
        let list = list.current_dir(&local.root).no_lazy_fetch().args(["--format=%(objectname) %(refname)"]);
        let list = list.args(["refs/heads", "refs/tags"]).run().await?;
        let mut wanted: BTreeMap<Vec<u8>, Oid> = BTreeMap::new();
        for line in list.lines() {
            let mut fields = line.splitn(2, |byte| *byte == b' ');
            let (Some(oid), Some(name)) = (fields.next().and_then(Oid::from_bytes), fields.next()) else { continue };
            let name = match name.strip_prefix(b"refs/heads/") {
                Some(branch) => [b"refs/remotes/origin/", branch].concat(),
                None => name.to_vec(),
            };
            wanted.insert(name, oid);
        }
        let command = || {
            let command = self.command("update-ref", format!("fetch from {}", self.source()));
            command.args(["--no-deref", "--stdin", "-z"])
        };
        let mut lines = Vec::new();
        // Names that are gone first, and by a command of their own: one of them may be a directory of another.
        for (name, _) in self.refs(&["refs/remotes/origin", "refs/tags"]).await? {
            if !wanted.contains_key(&name) {
                lines.extend([b"delete ".as_slice(), &name, b"\0\0"].concat());
            }
        }
        if !lines.is_empty() {
            command().stdin(std::mem::take(&mut lines)).run().await?;
        }
        for (name, oid) in &wanted {
            lines.extend([b"update ".as_slice(), name, b"\0", oid.as_str().as_bytes(), b"\0\0"].concat());
        }
        command().stdin(lines).run().await?;
        Ok(())
    }
}

/// The object directories that a repository borrows from.
fn alternates(objects: &Path) -> Result<Vec<PathBuf>, MirrorError> {
    let list = read_if_there(&objects.join("info/alternates"), LIST_MAX)?.unwrap_or_default();
    let lines = list.split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && !line.starts_with(b"#"));
    Ok(lines.map(|line| objects.join(OsStr::from_bytes(line))).collect())
}
