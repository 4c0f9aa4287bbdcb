//! The base of an issue's work: a branch and its commit.

use kugetsu_domain::text::shell_word;
use strsim::levenshtein;
use thiserror::Error;

use crate::command::runner::{Git, GitError};
use crate::mirror::repo::{DEFAULT_REF, HEAD_REF, Mirror, PUSHED};
use crate::mirror::source::{Source, SourceError};
use crate::names::{BranchName, Oid, is_of_issue};

/// Bytes of a subject that are kept.
const SUBJECT_MAX: usize = 200;
/// Maximum number of names in an error.
const LISTED: usize = 5;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// `None` if the HEAD of a local repository is detached, or an empty repository names no branch.
    pub branch: Option<BranchName>,
    /// `None` in an empty repository: the first commit has no parent.
    pub commit: Option<Oid>,
}

#[derive(Debug, Error)]
pub enum BaseError {
    #[error("{repo} has no branch {wanted}{}", list(.near))]
    Unknown {
        repo: String,
        wanted: BranchName,
        /// The closest names first.
        near: Vec<String>,
    },
    /// The repository has several branches, and its HEAD names none of them.
    #[error("{repo} has no default branch{}{}", no_commit(.unborn.as_ref()), list(.branches))]
    NoDefault {
        repo: String,
        /// The branch that its HEAD names, which has no commit.
        unborn: Option<BranchName>,
        /// Some of the branches.
        branches: Vec<String>,
    },
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Git(#[from] GitError),
}

impl Source {
    /// Checks that the source has the branch now.
    ///
    /// # Errors
    /// [`BaseError::Unknown`], or [`BaseError::Source`] if it does not answer.
    pub async fn check_base(&self, git: &Git, wanted: &BranchName) -> Result<(), BaseError> {
        let branches = self.branches(git).await?;
        match branches.iter().any(|branch| branch == wanted.as_str()) {
            true => Ok(()),
            false => Err(BaseError::Unknown {
                repo: self.to_string(),
                wanted: wanted.clone(),
                near: near(wanted.as_str(), branches),
            }),
        }
    }
}

impl BaseError {
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoDefault { branches, .. } => {
                let base = branches.first().map_or_else(|| "<branch>".to_owned(), |branch| shell_word(branch));
                Some(format!("name the branch to start from: `kugetsu start <issue> \"<message>\" --base {base}`"))
            }
            Self::Git(error) => error.hint(),
            Self::Unknown { wanted, .. } => Some(format!(
                "name one of its branches (--base, or `base` of its watch or of .kugetsu.toml), or push {wanted} to \
                     it first"
            )),
            Self::Source(error) => error.hint(),
        }
    }
}

fn no_commit(unborn: Option<&BranchName>) -> String {
    unborn.map(|branch| format!(": {branch} has no commit yet")).unwrap_or_default()
}

fn list(names: &[String]) -> String {
    match names {
        [] => "; it has no branches at all".to_owned(),
        names => format!("; there is {}", names.join(", ")),
    }
}

/// A commit of a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its name, abbreviated.
    pub short: String,
    /// The first line of its message. It may contain anything.
    pub subject: String,
}

impl Mirror {
    /// The commits that `head` has and `base` has not, oldest first, without merges of other branches into it. At most the latest `max`.
    pub async fn commits(&self, base: Option<&Oid>, head: &Oid, max: usize) -> Result<Vec<Commit>, GitError> {
        let range = base.map_or_else(|| head.to_string(), |base| format!("{base}..{head}"));
        let log = self.command("log", "list the commits of a branch").no_lazy_fetch();
        let log = log.args(["--no-merges", "--no-show-signature", "-z", "--format=%h %s"]);
        let log = log.arg(format!("--max-count={max}")).args([range.as_str(), "--"]).run().await?;
        let commits = log.stdout.split(|byte| *byte == 0).filter_map(|line| {
            let line = String::from_utf8_lossy(line).into_owned();
            let (short, subject) = line.split_once(' ')?;
            let subject = &subject[..subject.floor_char_boundary(SUBJECT_MAX)];
            Some(Commit { short: short.to_owned(), subject: subject.to_owned() })
        });
        let mut commits: Vec<Commit> = commits.collect();
        commits.reverse();
        Ok(commits)
    }

    /// The commit to begin at, as of the last update: that of `wanted`, else that of the default branch. For a local
    /// repository the default is what is checked out there, also a detached HEAD. If that has no commit: the repository's only
    /// branch, apart from those of issues, else none.
    pub async fn resolve_base(&self, wanted: Option<&BranchName>) -> Result<Base, BaseError> {
        let repo = self.source().to_string();
        if let Some(wanted) = wanted {
            if let Some(commit) = self.branch_tip(wanted).await? {
                return Ok(Base { branch: Some(wanted.clone()), commit: Some(commit) });
            }
            let near = near(wanted.as_str(), self.branches().await?);
            return Err(BaseError::Unknown { repo, wanted: wanted.clone(), near });
        }
        let (branch, commit) = tokio::try_join!(self.default_branch(), self.read_ref(DEFAULT_REF))?;
        if let (Some(branch), Some(commit)) = (&branch, commit) {
            return Ok(Base { branch: Some(branch.clone()), commit: Some(commit) });
        }
        let mut branches = self.branches().await?;
        if branch.is_none()
            && let Some(commit) = self.read_ref(HEAD_REF).await?
        {
            return Ok(Base { branch: None, commit: Some(commit) });
        }
        // Issues that begin before the repository's first commit are independent: none of them is the base of another.
        branches.retain(|name| !is_of_issue(name));
        match branches.as_slice() {
            [] => Ok(Base { branch, commit: None }),
            [only] => {
                let only = BranchName::new(only.clone()).ok();
                let commit = match &only {
                    Some(only) => self.branch_tip(only).await?,
                    None => None,
                };
                Ok(Base { branch: only, commit })
            }
            _ => {
                branches.truncate(LISTED);
                Err(BaseError::NoDefault { repo, unborn: branch, branches })
            }
        }
    }

    /// The branch, or the first of `-2`, `-3`, ... up to `max` that does not exist at the source: earlier work is never
    /// overwritten. Where git cannot have such a branch beside one of the source's (`kugetsu/7` beside `kugetsu`), the slashes
    /// become hyphens. `None` if all of them are taken.
    pub async fn free_branch(&self, wanted: &BranchName, max: u32) -> Result<Option<BranchName>, GitError> {
        let theirs = self.refs(&["refs/remotes/origin"]).await?;
        let theirs: Vec<&[u8]> =
            theirs.iter().filter_map(|(name, _)| name.strip_prefix(b"refs/remotes/origin/")).collect();
        let is_free = |name: &BranchName| {
            let own = name.as_str().as_bytes();
            !theirs.iter().any(|theirs| *theirs == own || is_directory_of(theirs, own) || is_directory_of(own, theirs))
        };
        let flat = wanted.as_str().replace('/', "-");
        let names = [wanted.as_str(), &flat].into_iter().flat_map(|base| {
            (1..=max).map(move |number| if number == 1 { base.to_owned() } else { format!("{base}-{number}") })
        });
        Ok(names.filter_map(|name| BranchName::new(name).ok()).find(is_free))
    }

    /// The commit of one of the source's branches, as of the last update.
    pub async fn branch_tip(&self, branch: &BranchName) -> Result<Option<Oid>, GitError> {
        self.read_ref(&branch.tracking_ref()).await
    }

    /// The commit of a branch that was pushed before: as the source has it, else as kugetsu pushed it last.
    pub async fn pushed_tip(&self, branch: &BranchName) -> Result<Option<Oid>, GitError> {
        match self.branch_tip(branch).await? {
            Some(tip) => Ok(Some(tip)),
            None => self.read_ref(&format!("{PUSHED}{branch}")).await,
        }
    }

    /// Whether the root of a commit has a file or a directory with one of these names.
    pub async fn has_at_root(&self, commit: &Oid, names: &[&str]) -> Result<bool, GitError> {
        let list = self.command("ls-tree", "list the files of the base");
        let list = list.args(["--name-only", "-z", commit.as_str(), "--"]).args(names.iter().copied()).run().await?;
        Ok(!list.stdout.is_empty())
    }

    /// The source's branches, as of the last update, without names that are not UTF-8.
    pub async fn branches(&self) -> Result<Vec<String>, GitError> {
        let refs = self.refs(&["refs/remotes/origin"]).await?;
        let name = |(name, _): (Vec<u8>, Oid)| {
            String::from_utf8(name).ok()?.strip_prefix("refs/remotes/origin/").map(str::to_owned)
        };
        Ok(refs.into_iter().filter_map(name).collect())
    }
}

/// Whether git would need a directory for `other` where it has a file for `name`.
fn is_directory_of(name: &[u8], other: &[u8]) -> bool {
    other.strip_prefix(name).is_some_and(|rest| rest.starts_with(b"/"))
}

/// The first [`LISTED`] names by their distance to `wanted`. The last part of a name (`1.0` of `release/1.0`) counts too.
fn near(wanted: &str, mut names: Vec<String>) -> Vec<String> {
    let lower = wanted.to_lowercase();
    let last = |name: &str| name.rsplit('/').next().unwrap_or(name).to_lowercase();
    names.sort_by_cached_key(|name| {
        let whole = levenshtein(&lower, &name.to_lowercase());
        whole.min(levenshtein(&last(&lower), &last(name)) + 1)
    });
    names.truncate(LISTED);
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_names_come_first() {
        let names = ["main", "develop", "release/1.0", "zebra"].map(str::to_owned).to_vec();
        assert_eq!(near("devlop", names.clone()).first().map(String::as_str), Some("develop"));
        assert_eq!(near("1.0", names).first().map(String::as_str), Some("release/1.0"));
        assert_eq!(levenshtein("kitten", "sitting"), 3);
    }
}
