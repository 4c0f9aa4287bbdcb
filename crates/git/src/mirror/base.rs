//! Where an issue's work begins: a branch and its commit.

use strsim::levenshtein;
use thiserror::Error;

use crate::command::runner::GitError;
use crate::mirror::reachability::PUSHED;
use crate::mirror::repo::{HEAD_REF, Mirror};
use crate::names::{BranchName, Oid};

/// How many names an error lists.
const LISTED: usize = 5;

/// Where work begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// The branch; `None` for a folder whose HEAD is detached, or where an empty repository names none.
    pub branch: Option<BranchName>,
    /// Its commit; `None` in an empty repository, where work begins without a parent.
    pub commit: Option<Oid>,
}

/// Why there is nothing to begin at.
#[derive(Debug, Error)]
pub enum BaseError {
    /// No such branch.
    #[error("{place} has no branch {wanted}{}", offer(.near))]
    Unknown {
        /// The repository.
        place: String,
        /// The branch that was asked for.
        wanted: BranchName,
        /// Names that are close to it, the closest first; or some names, if none is.
        near: Vec<String>,
    },
    /// The repository has branches, but its HEAD names none of them.
    #[error("{place} does not say which of its branches is the default; name one with --base{}", offer(.branches))]
    NoDefault {
        /// The repository.
        place: String,
        /// Some of its branches.
        branches: Vec<String>,
    },
    /// Git says why.
    #[error(transparent)]
    Git(#[from] GitError),
}

fn offer(names: &[String]) -> String {
    match names {
        [] => "; it has no branches at all".to_owned(),
        names => format!("; there is {}", names.join(", ")),
    }
}

impl Mirror {
    /// The commit to begin at, as of the last update: `wanted`, else the default branch (for a folder: what is checked
    /// out there).
    ///
    /// # Errors
    /// [`BaseError::Unknown`] with close names, [`BaseError::NoDefault`].
    pub async fn resolve_base(&self, wanted: Option<&BranchName>) -> Result<Base, BaseError> {
        let place = self.source().to_string();
        if let Some(wanted) = wanted {
            if let Some(commit) = self.branch_tip(wanted).await? {
                return Ok(Base { branch: Some(wanted.clone()), commit: Some(commit) });
            }
            let near = near(wanted.as_str(), self.branches().await?);
            return Err(BaseError::Unknown { place, wanted: wanted.clone(), near });
        }
        let branch = self.default_branch().await?;
        if let Some(branch) = &branch
            && let Some(commit) = self.branch_tip(branch).await?
        {
            return Ok(Base { branch: Some(branch.clone()), commit: Some(commit) });
        }
        let mut branches = self.branches().await?;
        if branch.is_none()
            && let Some(commit) = self.read_ref(HEAD_REF).await?
        {
            return Ok(Base { branch: None, commit: Some(commit) });
        }
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
                Err(BaseError::NoDefault { place, branches })
            }
        }
    }

    /// The commit of one of the source's branches, as of the last update.
    ///
    /// # Errors
    /// Git's own words.
    pub async fn branch_tip(&self, branch: &BranchName) -> Result<Option<Oid>, GitError> {
        self.read_ref(&branch.tracking()).await
    }

    /// What there is of a branch that was pushed before: as the source has it, else as it was pushed last.
    ///
    /// # Errors
    /// Git's own words.
    pub async fn pushed_tip(&self, branch: &BranchName) -> Result<Option<Oid>, GitError> {
        match self.branch_tip(branch).await? {
            Some(tip) => Ok(Some(tip)),
            None => self.read_ref(&format!("{PUSHED}{branch}")).await,
        }
    }

    /// The source's branches, as of the last update. Names that are not UTF-8 are left out.
    ///
    /// # Errors
    /// Git's own words.
    pub async fn branches(&self) -> Result<Vec<String>, GitError> {
        let refs = self.refs(&["refs/remotes/origin"]).await?;
        let name = |(name, _): (Vec<u8>, Oid)| {
            String::from_utf8(name).ok()?.strip_prefix("refs/remotes/origin/").map(str::to_owned)
        };
        Ok(refs.into_iter().filter_map(name).collect())
    }
}

/// The names closest to `wanted`; all of them are equally far if none is close.
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
