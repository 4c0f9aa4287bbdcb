//! The LFS objects of a worktree on their way to the server, by way of the mirror.

use std::collections::BTreeSet;
use std::path::Path;

use crate::command::runner::TRANSFER_TIMEOUT;
use crate::files::access::FileError;
use crate::lfs::content::{Absent, find_content, has_content, share_content, users_storage};
use crate::lfs::objects::{Pointer, copy_objects};
use crate::lfs::setup::{Lfs, file_url};
use crate::mirror::repo::Mirror;
use crate::names::Oid;
use crate::printable::printable;
use crate::push::branch::PushError;
use crate::push::outgoing::{LfsFile, Outgoing};
use crate::untrusted::changes::StatusError;
use crate::untrusted::quarantine::Quarantine;
use crate::worktree::lifecycle::Worktree;

/// Number of files that an error names.
const NAMED_MAX: usize = 5;

impl Worktree {
    /// Copies the content of LFS files in commits that a push of `head` would send into the mirror: from the worktree, the relay,
    /// the user's `lfs.storage`, and `temporary`, the run's temporary directory, which an agent can make its store.
    pub async fn keep_lfs_content(&self, head: &Oid, temporary: &Path) -> Result<(), StatusError> {
        let mirror = self.mirror();
        let quarantine = Quarantine::open(mirror, &[&self.git_dir(), self.relay()], None).await?;
        let known = mirror.server_commits().await?;
        let is_partial = mirror.promisor().is_some();
        let outgoing = Outgoing { git: quarantine.git(), git_dir: quarantine.dir(), is_partial, head, known: &known };
        let files = outgoing.lfs_files().await?;
        mirror.copy_lfs_content(self, Some(temporary), &files).await?;
        Ok(())
    }
}

impl Mirror {
    /// Copies the LFS objects of a worktree and its relay into the mirror, where they outlive it, and the content of `files`
    /// from wherever it is. Returns the content that was not found.
    pub(crate) async fn copy_lfs_content(
        &self,
        worktree: &Worktree,
        temporary: Option<&Path>,
        files: &[LfsFile],
    ) -> Result<Absent, StatusError> {
        self.copy_lfs_objects(worktree).await?;
        let wanted: BTreeSet<Pointer> = files.iter().map(|file| file.pointer.clone()).collect();
        let wanted: Vec<Pointer> = wanted.into_iter().filter(|pointer| !has_content(self.dir(), pointer)).collect();
        if wanted.is_empty() {
            return Ok(Absent::default());
        }
        let shared = users_storage(self.git()).await?.filter(|storage| storage.is_absolute());
        let dirs = [worktree.dir(), worktree.relay()].into_iter().chain(temporary).map(Path::to_owned).collect();
        Ok(find_content(wanted, shared, dirs, self.dir()).await?)
    }

    /// Copies the LFS objects of a worktree and its relay into the mirror.
    async fn copy_lfs_objects(&self, worktree: &Worktree) -> Result<(), FileError> {
        for git_dir in [worktree.git_dir().as_path(), worktree.relay()] {
            copy_objects(git_dir, self.dir(), None).await?;
        }
        Ok(())
    }

    /// Sends the LFS objects that files of new commits stand for to the server, from the mirror, which has these commits.
    /// git-lfs skips those that the server has.
    ///
    /// Objects that no commit of the push names stay here: nothing has looked for secrets in them.
    ///
    /// # Errors
    /// Among others: content that is neither found nor at the server, and content that cannot be sent without git-lfs.
    pub(crate) async fn push_lfs_objects(&self, worktree: &Worktree, head: &Oid) -> Result<(), PushError> {
        let (known, is_partial) = (self.server_commits().await?, self.promisor().is_some());
        let outgoing = Outgoing { git: self.git(), git_dir: self.dir(), is_partial, head, known: &known };
        let files = outgoing.lfs_files().await?;
        let absent = self.copy_lfs_content(worktree, None, &files).await?;
        let (missing, here): (Vec<LfsFile>, Vec<LfsFile>) =
            files.into_iter().partition(|file| absent.pointers.contains(&file.pointer));
        let local = self.local_repo().await?;
        let is_at_target =
            |file: &LfsFile| local.as_ref().is_some_and(|local| has_content(&local.common_dir, &file.pointer));
        let missing = missing.into_iter().filter(|file| !is_at_target(file)).collect();
        let missing = outgoing.unknown_to_server(missing).await?;
        if !missing.is_empty() {
            return Err(PushError::LfsContent { files: named(&missing), unreadable: absent.unreadable });
        }
        if here.is_empty() {
            return Ok(());
        }
        if Lfs::detect(self.git()).await? == Lfs::Missing {
            let unsent = here.into_iter().filter(|file| !is_at_target(file)).collect();
            let unsent = outgoing.unknown_to_server(unsent).await?;
            return match unsent.is_empty() {
                true => Ok(()),
                false => Err(PushError::NoGitLfs { files: named(&unsent) }),
            };
        }
        let custom = match self.default_branch().await? {
            // The LFS server may be another one. The default branch names it, not the agent's commits.
            Some(branch) => {
                let command = self.command("config", "read .lfsconfig");
                let command = command.arg(format!("--blob={}:.lfsconfig", branch.tracking_ref()));
                // 1: there is no such file or setting, or git cannot parse the file.
                let found = self.authenticate(command.args(["--get", "lfs.url"])).await.answer(&[1]).await?;
                found.yes().map(|output| output.line())
            }
            None => None,
        };
        let remote = match local {
            Some(local) => file_url(local.root.as_os_str().as_encoded_bytes()).into(),
            None => self.remote_arg().await?,
        };
        if let Some(storage) = users_storage(self.git()).await? {
            // Not as an option: git-lfs would use it for a repository that it pushes to, too.
            self.command("config", "set where the LFS objects are").args(["lfs.storage", "lfs"]).run().await?;
            let is_local = local.is_some() || self.source().to_string().starts_with("file://");
            if is_local && storage.is_absolute() {
                // Where the user's git-lfs looks for the content of all local repositories.
                let pointers = here.iter().map(|file| file.pointer.clone()).collect();
                share_content(self.dir(), &storage, pointers).await?;
            }
        }
        let names: BTreeSet<&str> = here.iter().map(|file| file.pointer.name()).collect();
        let names: Vec<&str> = names.into_iter().collect();
        for chunk in names.chunks(200) {
            let mut command =
                self.command("lfs", format!("send LFS objects to {}", self.source())).timeout(TRANSFER_TIMEOUT);
            if let Some(url) = &custom {
                command = command.config("lfs.url", url);
            }
            let command = command.args(["push", "--object-id"]).arg(&remote).args(chunk);
            self.authenticate(command).await.run().await.map_err(PushError::from_transfer)?;
        }
        Ok(())
    }
}

/// The names of files, escaped, the first few.
pub(crate) fn named(files: &[LfsFile]) -> String {
    let names: BTreeSet<String> = files.iter().map(|file| printable(&file.path)).collect();
    let more = names.len().saturating_sub(NAMED_MAX);
    let first: Vec<String> = names.into_iter().take(NAMED_MAX).collect();
    match more {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}
