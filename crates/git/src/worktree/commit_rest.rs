//! Commits what an agent left uncommitted, on behalf of the agent. Git runs in quarantine: no hook, filter or setting of the
//! agent takes effect.

use thiserror::Error;

use crate::command::runner::GitError;
use crate::files::access::{FileError, read_if_there, write_atomic};
use crate::git_dir::layout::write_ref;
use crate::mirror::scratch::TemporaryRefs;
use crate::names::Oid;
use crate::printable::printable;
use crate::untrusted::changes::{Changes, StatusError};
use crate::untrusted::operation::Operation;
use crate::untrusted::quarantine::{Conversion, Quarantine};
use crate::untrusted::reader::{Head, uses_reftable};
use crate::worktree::heads::Heads;
use crate::worktree::identity::Identity;
use crate::worktree::lifecycle::{Worktree, WorktreeError};

/// Maximum size of an index in bytes.
const INDEX_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// Why files could not be committed. The worktree is unchanged, unless it is an error of writing to it.
#[derive(Debug, Error)]
pub enum CommitError {
    #[error("{0} is unfinished")]
    Unfinished(Operation),
    /// HEAD is not at the commit that is pushed, or is damaged.
    #[error("HEAD is not on the commit that is pushed")]
    Elsewhere,
    /// Git would run a program on the content of the file.
    #[error("{path} needs the filter {filter:?}, which kugetsu does not run on an agent's files")]
    Filtered {
        /// Escaped.
        path: String,
        filter: String,
    },
    #[error(transparent)]
    Status(#[from] StatusError),
    #[error(transparent)]
    Worktree(#[from] WorktreeError),
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    File(#[from] FileError),
}

impl Worktree {
    /// Commits all uncommitted files, tracked and untracked, on top of HEAD, and moves the branch of HEAD, or a detached HEAD,
    /// to the new commit. The author is the user, as for the agent's own commits. Ignored files stay, and so do repositories
    /// inside the worktree. `None` if there was nothing to commit.
    ///
    /// `expected` is the commit to push ([`Worktree::best_head`]), which HEAD must be at.
    pub async fn commit_rest(&self, expected: Option<&Oid>, message: &str) -> Result<Option<Oid>, CommitError> {
        if let Some(operation) = Operation::read_all(&self.git_dir())?.first() {
            return Err(CommitError::Unfinished(*operation));
        }
        let heads = Heads::read_all(self).await?;
        if uses_reftable(&self.git_dir()) {
            let why = "its refs are in reftable format, which only its own git may write".to_owned();
            return Err(StatusError::Unreadable { dir: self.dir().to_owned(), why }.into());
        }
        let head = heads.own.head_commit();
        let target = match &heads.own.head {
            Some(Head::Symbolic(name)) if name.starts_with(b"refs/heads/") => name.clone(),
            Some(Head::Detached(_)) => b"HEAD".to_vec(),
            _ => return Err(CommitError::Elsewhere),
        };
        if head != expected {
            return Err(CommitError::Elsewhere);
        }
        let quarantine = &heads.quarantine;
        let index = self.git_dir().join("index");
        let changes = quarantine.changes(self.mirror(), self.dir(), &index, head).await?;
        if changes.has_conflicts {
            return Err(CommitError::Unfinished(Operation::Conflict));
        }
        if changes.files.is_empty() {
            return Ok(None);
        }
        self.check_filters(quarantine, &changes).await?;
        let add = quarantine.command_on(self.dir(), "update-index", "add the uncommitted files");
        let add = add.config("core.safecrlf", "false").args(["--add", "--remove", "--replace", "-z", "--stdin"]);
        add.stdin(nul_terminated(&changes)).run().await?;
        let tree =
            quarantine.command("write-tree", "store the uncommitted files").arg("--missing-ok").run().await?.oid()?;
        let (author, _) = Identity::of_user(self.mirror()).await?;
        let commit = quarantine.command("commit-tree", "commit the uncommitted files").args(["-F", "-"]);
        let mut commit = author.set_on(commit.arg(tree.as_str()));
        if let Some(head) = head {
            commit = commit.args(["-p", head.as_str()]);
        }
        let commit = commit.config("i18n.commitEncoding", "UTF-8").stdin(message.as_bytes()).run().await?.oid()?;

        // The worktree borrows the mirror's objects, so it has the commit as soon as the mirror does.
        let mut temporary = TemporaryRefs::new(self.mirror())?;
        self.mirror().import(quarantine, &commit, &temporary.add()).await?;
        let new = quarantine.dir().join("index");
        let absent = || FileError { action: "read", path: new.clone(), source: std::io::ErrorKind::NotFound.into() };
        write_atomic(&index, &read_if_there(&new, INDEX_MAX)?.ok_or_else(absent)?)?;
        write_ref(&self.git_dir(), &target, &commit)?;
        temporary.remove(self.mirror()).await?;
        Ok(Some(commit))
    }

    /// Checks that no file needs a program to become an object.
    async fn check_filters(&self, quarantine: &Quarantine, changes: &Changes) -> Result<(), CommitError> {
        let attributes = quarantine.dir().join("info/attributes");
        write_atomic(&attributes, b"")?;
        let check =
            quarantine.command_on(self.dir(), "check-attr", "look for filters").args(["-z", "--stdin", "filter"]);
        let output = check.stdin(nul_terminated(changes)).run().await?;
        quarantine.set_conversion(Conversion::BuiltIn)?;
        // An empty record would shift the three fields, but neither paths nor values are empty.
        let records: Vec<&[u8]> = output.records().collect();
        for fields in records.chunks_exact(3) {
            if let [path, _, value] = fields
                && !matches!(*value, b"unspecified" | b"unset")
            {
                return Err(CommitError::Filtered { path: printable(path), filter: printable(value) });
            }
        }
        Ok(())
    }
}

fn nul_terminated(changes: &Changes) -> Vec<u8> {
    changes.files.iter().flat_map(|change| change.path.iter().copied().chain([0])).collect()
}
