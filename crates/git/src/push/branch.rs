//! The host pushes one branch, from the mirror, with the host's credentials, and only over what it knows.
//!
//! The commits are first imported into the mirror, which verifies them. Git never pushes from a directory that an agent can
//! write.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::command::answer::{Answer, is_damage, lines};
use crate::command::failure::{Cause, StderrTail};
use crate::command::runner::{GitError, TRANSFER_TIMEOUT};
use crate::files::access::FileError;
use crate::mirror::repo::{Mirror, MirrorError, PUSHED};
use crate::mirror::scratch::TemporaryRefs;
use crate::mirror::source::{Source, SourceError};
use crate::names::{BranchName, Oid, is_of_issue};
use crate::untrusted::changes::StatusError;
use crate::untrusted::quarantine::Quarantine;
use crate::worktree::lifecycle::Worktree;

/// How long the server may take to tell whether an unclear push succeeded.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(20);

/// Messages of servers about a branch whose name is the beginning of another's.
const CLASH: [&str; 2] = ["directory file conflict", "cannot lock ref"];

#[derive(Debug, Error)]
pub enum PushError {
    /// Someone else changed the branch on the server.
    #[error("{branch} on the server is not what kugetsu last saw there ({}); nothing was overwritten", current(.theirs))]
    Diverged {
        branch: BranchName,
        /// The commit on the server; `None` if the branch is gone.
        theirs: Option<Oid>,
    },
    /// The server rejected the push: a protected branch, a hook, a quota.
    #[error("the server rejected {branch}: {stderr}")]
    Rejected { branch: BranchName, stderr: StderrTail },
    #[error("{0}")]
    Unreachable(GitError),
    /// The server wants other credentials, or more rights for these.
    #[error("{0}")]
    Unauthenticated(GitError),
    /// The branch is checked out in the target repository, whose files would no longer match it.
    #[error("{branch} is checked out at {}, so it cannot be pushed there", at.display())]
    CheckedOut { branch: BranchName, at: PathBuf },
    /// Others build on the branch, so an issue's commits never go there without a review.
    #[error("{branch} is the branch of {repo} that work starts from, and kugetsu never pushes to it")]
    BaseBranch { branch: BranchName, repo: String },
    /// Others would get a pointer without its content.
    #[error("the LFS content of {files} is not in the worktree, and the server has no commit with it, so nothing was pushed{}", also(.unreadable))]
    LfsContent {
        /// Names, escaped.
        files: String,
        /// Directories and files that could not be searched, escaped.
        unreadable: Vec<String>,
    },
    #[error("the LFS content of {files} cannot be sent without git-lfs, so nothing was pushed")]
    NoGitLfs {
        /// Names, escaped.
        files: String,
    },
    /// The local target repository is gone.
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    File(#[from] FileError),
}

impl PushError {
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Diverged { .. } => {
                Some("merge those commits, or delete the branch on the server, then try again".to_owned())
            }
            Self::CheckedOut { at, .. } => Some(format!("switch {} to another branch, then try again", at.display())),
            Self::BaseBranch { repo, .. } => Some(format!(
                "the commits stay in the worktree; push them from there to a branch of their own: \
                 `git push {repo} HEAD:refs/heads/<new branch>`"
            )),
            Self::LfsContent { .. } => Some(
                "put the content back as files of the worktree (`git lfs pull` there gets what the server has), or make commits \
                 without these files, then run `kugetsu push <issue>`"
                    .to_owned(),
            ),
            Self::NoGitLfs { .. } => Some("install git-lfs, then run `kugetsu push <issue>`".to_owned()),
            Self::Unreachable(error) | Self::Unauthenticated(error) | Self::Git(error) => error.hint(),
            Self::Source(error) => error.hint(),
            Self::Rejected { branch, stderr } if CLASH.iter().any(|phrase| stderr.as_str().contains(phrase)) => {
                Some(format!(
                    "git cannot have the branches a and a/b at once: rename the branch on the server that clashes with {branch}, \
                     then try again"
                ))
            }
            Self::Rejected { .. } | Self::File(_) => None,
        }
    }
}

impl From<StatusError> for PushError {
    fn from(error: StatusError) -> Self {
        match error {
            StatusError::Git(error) => Self::Git(error),
            StatusError::File(error) => Self::File(error),
            StatusError::Unreadable { dir, why } => {
                Self::File(FileError { action: "read all of", path: dir, source: std::io::Error::other(why) })
            }
        }
    }
}

impl From<MirrorError> for PushError {
    fn from(error: MirrorError) -> Self {
        match error {
            MirrorError::Git(error) => Self::from_transfer(error),
            MirrorError::Source(error) => Self::Source(error),
            MirrorError::File(error) => Self::File(error),
            MirrorError::NotOurs(path) => {
                Self::File(FileError { action: "repair", path, source: std::io::Error::other("it is no mirror") })
            }
        }
    }
}

fn also(unreadable: &[String]) -> String {
    match unreadable.first() {
        Some(first) => format!("; could not search {first}"),
        None => String::new(),
    }
}

fn current(theirs: &Option<Oid>) -> String {
    theirs.as_ref().map_or_else(|| "it is gone".to_owned(), |theirs| format!("it is at {}", theirs.short()))
}

impl PushError {
    /// Classifies the error of a command that talks to the server.
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

/// The condition for a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lease {
    /// The branch on the server must be at this commit; `None`: it must not exist.
    Expect(Option<Oid>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    pub branch: BranchName,
    /// The commit that the branch is at now.
    pub head: Oid,
    /// The commit that the branch was at; `head` if nothing had to be pushed.
    pub was: Option<Oid>,
}

/// Git's report on the pushed ref.
struct RefReport {
    flag: u8,
    /// The text in brackets, such as `[remote rejected] (pre-receive hook declined)`.
    summary: String,
}

impl Mirror {
    /// Pushes `head` to the worktree's branch on the server, or in the local source repository, and records it in the mirror
    /// as `refs/kugetsu/pushed/<branch>`. If it fails, the branch is as it was.
    /// A mirror that is damaged is repaired first.
    ///
    /// # Errors
    /// Among others: [`PushError::BaseBranch`] if it is the server's default branch.
    pub async fn push(&self, worktree: &Worktree, head: &Oid, lease: Lease) -> Result<Pushed, PushError> {
        self.repair_if_emptied().await?;
        match self.push_from(worktree, head, lease.clone()).await {
            Err(PushError::Git(error)) if is_damage(&error) => {
                self.repair(&mut |_| ()).await?;
                self.push_from(worktree, head, lease).await
            }
            other => other,
        }
    }

    async fn push_from(&self, worktree: &Worktree, head: &Oid, lease: Lease) -> Result<Pushed, PushError> {
        let branch = worktree.branch();
        self.check_pushable(branch).await?;
        let mut temporary = TemporaryRefs::new(self)?;
        if !self.has_commit(head).await? {
            let quarantine = Quarantine::open(self, &[&worktree.git_dir(), worktree.relay()], None).await?;
            self.import(&quarantine, head, &temporary.add()).await?;
        }
        // Before the branch: servers reject commits whose LFS objects they do not have.
        self.push_lfs_objects(worktree, head).await?;
        let Lease::Expect(expected) = &lease;
        let pushed = match self.push_ref(branch, head, &lease).await {
            // A push can succeed although git reports nothing: a hook of the server may keep the connection open, or the
            // connection broke after the server had taken the branch.
            Err(error @ (PushError::Unreachable(_) | PushError::Git(_))) => match self.has_landed(branch, head).await {
                Ok(true) => Ok(Pushed { branch: branch.clone(), head: head.clone(), was: expected.clone() }),
                Ok(false) | Err(_) => Err(error),
            },
            other => other,
        };
        if pushed.is_ok() {
            self.record_push(branch, head).await?;
        }
        temporary.remove(self).await?;
        pushed
    }

    /// Asks the server whether a push that was interrupted has moved the branch to `head`, and records it if so.
    ///
    /// # Errors
    /// Among others: the server does not answer within `CONFIRM_TIMEOUT`.
    pub async fn confirm_push(&self, branch: &BranchName, head: &Oid) -> Result<bool, PushError> {
        let landed = self.has_landed(branch, head).await?;
        if landed {
            self.record_push(branch, head).await?;
        }
        Ok(landed)
    }

    async fn has_landed(&self, branch: &BranchName, head: &Oid) -> Result<bool, PushError> {
        Ok(self.server_tip_within(branch, CONFIRM_TIMEOUT).await?.as_ref() == Some(head))
    }

    async fn record_push(&self, branch: &BranchName, head: &Oid) -> Result<(), PushError> {
        let command = self.command("update-ref", "record what was pushed");
        command.args([format!("{PUSHED}{branch}").as_str(), head.as_str()]).run().await?;
        Ok(())
    }

    async fn push_ref(&self, branch: &BranchName, head: &Oid, lease: &Lease) -> Result<Pushed, PushError> {
        let Lease::Expect(expected) = lease;
        let full = branch.full_ref();
        let command = self.command("push", format!("push {branch} to {}", self.source())).timeout(TRANSFER_TIMEOUT);
        let command = command.args(["--porcelain", "--no-verify", "--no-progress"]);
        let command = command.arg(format!("--force-with-lease={full}:{}", expected.as_ref().map_or("", Oid::as_str)));
        let command = command.arg("--end-of-options").arg(self.remote_arg().await?).arg(format!("{head}:{full}"));
        let pushed = |was| Pushed { branch: branch.clone(), head: head.clone(), was };
        // 1: the server rejected the ref. A push that was killed may have succeeded, so it is not repeated blindly.
        match self.authenticate(command).await.once().answer(&[1]).await.map_err(PushError::from_transfer)? {
            Answer::Yes(output) => match ref_report(&output.stdout) {
                Some(report) if report.flag == b'=' => Ok(pushed(Some(head.clone()))),
                Some(_) => Ok(pushed(expected.clone())),
                None => Err(output.unexpected().into()),
            },
            Answer::No(failed) => match ref_report(&failed.stdout) {
                Some(report) => Err(self.rejection(branch, expected.as_ref(), &report, &failed.stderr).await?),
                None => Err(PushError::from_transfer(failed.error)),
            },
        }
    }

    /// Finds out why a push was rejected: by git's report and, where that is ambiguous, by the current state of the branch.
    async fn rejection(
        &self,
        branch: &BranchName,
        expected: Option<&Oid>,
        report: &RefReport,
        stderr: &[u8],
    ) -> Result<PushError, PushError> {
        if report.summary.contains("currently checked out") {
            let at = match self.source() {
                Source::Path(path) => path.clone(),
                Source::Url(_) => PathBuf::from(self.source().to_string()),
            };
            return Ok(PushError::CheckedOut { branch: branch.clone(), at });
        }
        let theirs = self.server_tip(branch).await?;
        if report.summary.contains("stale info") || theirs.as_ref() != expected {
            return Ok(PushError::Diverged { branch: branch.clone(), theirs });
        }
        let remote: Vec<&[u8]> = stderr
            .split(|byte| *byte == b'\n')
            .filter_map(|line| line.strip_prefix(b"remote:"))
            .map(<[u8]>::trim_ascii)
            .filter(|line| !line.is_empty())
            .collect();
        let mut message = remote.join(&b'\n');
        message.extend_from_slice(b"\n");
        message.extend_from_slice(report.summary.as_bytes());
        Ok(PushError::Rejected { branch: branch.clone(), stderr: StderrTail::new(&message) })
    }

    /// The commit of a branch on the server now.
    pub async fn server_tip(&self, branch: &BranchName) -> Result<Option<Oid>, PushError> {
        self.server_tip_within(branch, TRANSFER_TIMEOUT).await
    }

    async fn server_tip_within(&self, branch: &BranchName, limit: Duration) -> Result<Option<Oid>, PushError> {
        let command =
            self.git().command("ls-remote", format!("reach {}", self.source())).outside_repository().timeout(limit);
        let command = command.arg("--end-of-options").arg(self.remote_arg().await?).arg(branch.full_ref());
        let output = self.authenticate(command).await.run().await?;
        let full = branch.full_ref();
        // The pattern also matches `refs/x/refs/heads/<branch>`.
        let own =
            output.lines().find(|line| line.strip_suffix(full.as_bytes()).is_some_and(|rest| rest.ends_with(b"\t")));
        Ok(own.and_then(|line| Oid::from_bytes(line.split(|byte| *byte == b'\t').next()?)))
    }

    /// Returns why nothing can be pushed to the branch as things are; `None` if that is for the server to decide.
    pub(crate) async fn refuses_to_push(&self, branch: &BranchName) -> Result<Option<PushError>, PushError> {
        match self.check_pushable(branch).await {
            Ok(()) => Ok(None),
            Err(refused @ (PushError::BaseBranch { .. } | PushError::CheckedOut { .. })) => Ok(Some(refused)),
            Err(error) => Err(error),
        }
    }

    async fn check_pushable(&self, branch: &BranchName) -> Result<(), PushError> {
        self.check_not_default(branch).await?;
        self.check_not_checked_out(branch).await
    }

    /// Checks that the branch is not the server's default branch. One that kugetsu named may be: a server makes the first branch
    /// that an empty repository gets its default.
    async fn check_not_default(&self, branch: &BranchName) -> Result<(), PushError> {
        if is_of_issue(branch.as_str()) || self.default_branch().await?.as_ref() != Some(branch) {
            return Ok(());
        }
        Err(PushError::BaseBranch { branch: branch.clone(), repo: self.source().to_string() })
    }

    /// Checks that the branch is not checked out in the local source repository, whatever its `receive.denyCurrentBranch`
    /// says.
    async fn check_not_checked_out(&self, branch: &BranchName) -> Result<(), PushError> {
        let Some(local) = self.local_repo().await? else { return Ok(()) };
        let command = self.git().command("worktree", format!("list the worktrees of {}", local.root.display()));
        let output = command.args(["list", "--porcelain", "-z"]).current_dir(&local.root).run().await?;
        let (full, mut path) = (format!("branch {}", branch.full_ref()), PathBuf::new());
        for record in output.records() {
            if let Some(worktree) = record.strip_prefix(b"worktree ") {
                path = PathBuf::from(OsStr::from_bytes(worktree));
            } else if record == full.as_bytes() {
                return Err(PushError::CheckedOut { branch: branch.clone(), at: path });
            }
        }
        Ok(())
    }
}

/// Parses `<flag>\t<from>:<to>\t<summary>`. Git prints such a line for each ref, if it reached the server.
fn ref_report(stdout: &[u8]) -> Option<RefReport> {
    lines(stdout).find_map(|line| {
        let mut parts = line.split(|byte| *byte == b'\t');
        let (flag, _, summary) = (parts.next()?, parts.next()?, parts.next()?);
        let [flag] = flag else { return None };
        Some(RefReport { flag: *flag, summary: String::from_utf8_lossy(summary).into_owned() })
    })
}
