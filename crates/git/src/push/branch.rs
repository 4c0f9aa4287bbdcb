//! The host pushes: one branch, from the mirror, with the host's credentials, and only over what it knows.
//!
//! The commits are first taken into the mirror, which checks them. The push itself never runs in a directory that an
//! agent can write.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use thiserror::Error;

use crate::command::failure::{Cause, StderrTail};
use crate::command::runner::{GitError, Output, TRANSFER_TIMEOUT};
use crate::files::access::{FileError, unique};
use crate::mirror::reachability::PUSHED;
use crate::mirror::repo::Mirror;
use crate::mirror::source::{Source, SourceError};
use crate::names::{BranchName, Oid};
use crate::untrusted::quarantine::Quarantine;
use crate::worktree::lifecycle::Worktree;

/// Why nothing was pushed.
#[derive(Debug, Error)]
pub enum PushError {
    /// Somebody else changed the branch.
    #[error("{branch} on the server is not what kugetsu last saw there ({}); nothing was overwritten; \
             take those commits in, or delete the branch on the server, then try again", at(.theirs))]
    Diverged {
        /// The branch.
        branch: BranchName,
        /// What it is; `None`: it is not there any more.
        theirs: Option<Oid>,
    },
    /// The server refused: a protected branch, a hook, a quota.
    #[error("the server refused {branch}: {stderr}")]
    Rejected {
        /// The branch.
        branch: BranchName,
        /// The server's words.
        stderr: StderrTail,
    },
    /// The server does not answer.
    #[error("{0}")]
    Unreachable(GitError),
    /// The server wants other credentials, or more rights for these.
    #[error("{0}")]
    Unauthenticated(GitError),
    /// The branch is checked out in the repository that it should go to, so its files would no longer fit it.
    #[error("{branch} is checked out at {}, so it cannot be pushed there; switch that to another branch, then try again", at.display())]
    CheckedOut {
        /// The branch.
        branch: BranchName,
        /// Where.
        at: PathBuf,
    },
    /// The folder that it should go to is gone, or is no repository any more.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Git says why.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The system says why.
    #[error(transparent)]
    File(#[from] FileError),
}

fn at(theirs: &Option<Oid>) -> String {
    theirs.as_ref().map_or_else(|| "it is gone".to_owned(), |theirs| format!("it is at {}", theirs.short()))
}

impl PushError {
    /// What a failed command to the server means for a push.
    pub(crate) fn from_transfer(error: GitError) -> Self {
        match (error.cause(), &error) {
            (Cause::Authentication, _) => PushError::Unauthenticated(error),
            (Cause::HostUnknown | Cause::HostKey | Cause::Network, _) | (_, GitError::TimedOut { .. }) => {
                PushError::Unreachable(error)
            }
            _ => PushError::Git(error),
        }
    }
}

/// What the branch on the server must be for a push to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lease {
    /// Exactly this commit, which the host pushed last or found there; `None`: the branch must not be there.
    Expect(Option<Oid>),
}

/// What was pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The branch on the server.
    pub branch: BranchName,
    /// What it is now.
    pub head: Oid,
    /// What it was; the same as `head` where nothing had to be pushed.
    pub was: Option<Oid>,
}

/// What git says of the pushed ref.
struct Said {
    flag: u8,
    /// The words in brackets, such as `[remote rejected] (pre-receive hook declined)`.
    summary: String,
}

impl Mirror {
    /// Pushes `head` to the worktree's branch on the server, or in the folder that the repository comes from, and notes
    /// it as `refs/kugetsu/pushed/<branch>` here. A branch that is at `head` already is left alone.
    ///
    /// # Errors
    /// [`PushError`]; the branch is then as it was.
    pub async fn push(&self, worktree: &Worktree, head: &Oid, lease: Lease) -> Result<Pushed, PushError> {
        let branch = worktree.branch();
        self.check_not_checked_out(branch).await?;
        let staged = format!("refs/kugetsu/outgoing/{}", unique());
        if !self.has(head).await? {
            let quarantine = Quarantine::open(self, &[&worktree.git_dir(), worktree.relay()], None).await?;
            self.import(&quarantine, head, &staged).await?;
        }
        // Before the branch: a server refuses commits whose large files it does not have.
        self.take_large(worktree).await?;
        self.push_large(worktree).await?;
        let pushed = self.push_ref(branch, head, &lease).await;
        if let Ok(published) = &pushed {
            let command = self.command("update-ref", "note what was pushed");
            command.args([format!("{PUSHED}{branch}").as_str(), published.head.as_str()]).run().await?;
        }
        // Exit code 0 also where there is no such ref.
        self.command("update-ref", "forget the pushed commit's name").args(["-d", &staged]).run().await?;
        pushed
    }

    async fn push_ref(&self, branch: &BranchName, head: &Oid, lease: &Lease) -> Result<Pushed, PushError> {
        let Lease::Expect(expected) = lease;
        let full = branch.full();
        let command = self.command("push", format!("push {branch} to {}", self.source())).timeout(TRANSFER_TIMEOUT);
        let command = command.args(["--porcelain", "--no-verify", "--no-progress"]);
        let command = command.arg(format!("--force-with-lease={full}:{}", expected.as_ref().map_or("", Oid::as_str)));
        let command = command.arg("--end-of-options").arg(self.argument().await?).arg(format!("{head}:{full}"));
        let output = self.reach(command).await.output().await?;
        let published = |was| Pushed { branch: branch.clone(), head: head.clone(), was };
        match said(&output) {
            Some(said) if output.code == 0 && said.flag == b'=' => Ok(published(Some(head.clone()))),
            Some(_) if output.code == 0 => Ok(published(expected.clone())),
            Some(said) => Err(self.refused(branch, expected.as_ref(), &said, output).await?),
            None => Err(PushError::from_transfer(output.failed)),
        }
    }

    /// Sorts a refusal: by what git says, and where that can mean two things, by what the branch is now.
    async fn refused(
        &self,
        branch: &BranchName,
        expected: Option<&Oid>,
        said: &Said,
        output: Output,
    ) -> Result<PushError, PushError> {
        if said.summary.contains("currently checked out") {
            let at = match self.source() {
                Source::Path(path) => path.clone(),
                Source::Url(_) => PathBuf::from(self.source().to_string()),
            };
            return Ok(PushError::CheckedOut { branch: branch.clone(), at });
        }
        let theirs = self.on_server(branch).await?;
        if said.summary.contains("stale info") || theirs.as_ref() != expected {
            return Ok(PushError::Diverged { branch: branch.clone(), theirs });
        }
        let remote: Vec<&[u8]> = output
            .stderr
            .split(|byte| *byte == b'\n')
            .filter_map(|line| line.strip_prefix(b"remote:"))
            .map(<[u8]>::trim_ascii)
            .filter(|line| !line.is_empty())
            .collect();
        let mut words = remote.join(&b'\n');
        words.extend_from_slice(b"\n");
        words.extend_from_slice(said.summary.as_bytes());
        Ok(PushError::Rejected { branch: branch.clone(), stderr: StderrTail::new(&words) })
    }

    /// What a branch is on the server now.
    ///
    /// # Errors
    /// [`PushError::Source`], or git's own words.
    pub async fn on_server(&self, branch: &BranchName) -> Result<Option<Oid>, PushError> {
        let command = self
            .git()
            .command("ls-remote", format!("reach {}", self.source()))
            .outside_repository()
            .timeout(TRANSFER_TIMEOUT);
        let command = command.arg("--end-of-options").arg(self.argument().await?).arg(branch.full());
        let output = self.reach(command).await.run().await?;
        let full = branch.full();
        // A pattern also finds `refs/x/refs/heads/<branch>`.
        let own =
            output.lines().find(|line| line.strip_suffix(full.as_bytes()).is_some_and(|rest| rest.ends_with(b"\t")));
        Ok(own.and_then(|line| Oid::read(line.split(|byte| *byte == b'\t').next()?)))
    }

    /// In a folder the branch must not be under anybody's feet, whatever that repository's settings allow.
    async fn check_not_checked_out(&self, branch: &BranchName) -> Result<(), PushError> {
        let Some(local) = self.local_repo().await? else { return Ok(()) };
        let command = self.git().command("worktree", format!("list the worktrees of {}", local.root.display()));
        let output = command.args(["list", "--porcelain", "-z"]).current_dir(&local.root).run().await?;
        let (full, mut place) = (format!("branch {}", branch.full()), PathBuf::new());
        for record in output.records() {
            if let Some(path) = record.strip_prefix(b"worktree ") {
                place = PathBuf::from(OsStr::from_bytes(path));
            } else if record == full.as_bytes() {
                return Err(PushError::CheckedOut { branch: branch.clone(), at: place });
            }
        }
        Ok(())
    }
}

/// Reads `<flag>\t<from>:<to>\t<summary>`; there is one such line for each ref, once the server was reached.
fn said(output: &Output) -> Option<Said> {
    output.lines().find_map(|line| {
        let mut parts = line.split(|byte| *byte == b'\t');
        let (flag, _, summary) = (parts.next()?, parts.next()?, parts.next()?);
        let [flag] = flag else { return None };
        Some(Said { flag: *flag, summary: String::from_utf8_lossy(summary).into_owned() })
    })
}
