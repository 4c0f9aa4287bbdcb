//! The bare repositories of projects.

use std::collections::BTreeMap;
use std::path::Path;

use super::pull_request::MergeMethod;
use crate::repository::git::{attempt, text};

/// The commits of all branches.
pub(super) fn branches(directory: &Path) -> BTreeMap<String, String> {
    let refs = text(directory, ["for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "refs/heads"]);
    let pairs = refs.lines().filter_map(|line| line.split_once(' '));
    pairs.map(|(commit, branch)| (branch.to_owned(), commit.to_owned())).collect()
}

/// Whether `head` has commits that `base` does not have.
pub(super) fn has_commits(directory: &Path, base: &str, head: &str) -> bool {
    text(directory, ["rev-list", "--count", &format!("{base}..{head}")]) != "0"
}

pub(super) fn has_conflict(directory: &Path, base: &str, head: &str) -> bool {
    !attempt(directory, ["merge-tree", "--write-tree", base, head]).status.success()
}

/// Merges the commit `head` into a branch, and returns the branch's new commit; `None` if they conflict.
pub(super) fn merge(directory: &Path, branch: &str, head: &str, method: MergeMethod, title: &str) -> Option<String> {
    let reference = format!("refs/heads/{branch}");
    let base = text(directory, ["rev-parse", &reference]);
    let new = match method {
        MergeMethod::Merge => {
            let tree = merged_tree(directory, &base, head)?;
            text(directory, ["commit-tree", &tree, "-p", &base, "-p", head, "-m", title])
        }
        MergeMethod::Squash => {
            let tree = merged_tree(directory, &base, head)?;
            text(directory, ["commit-tree", &tree, "-p", &base, "-m", title])
        }
        MergeMethod::Rebase => rebased(directory, &base, head)?,
    };
    text(directory, ["update-ref", &reference, &new, &base]);
    Some(new)
}

fn merged_tree(directory: &Path, base: &str, head: &str) -> Option<String> {
    let output = attempt(directory, ["merge-tree", "--write-tree", base, head]);
    let tree = String::from_utf8_lossy(&output.stdout).lines().next()?.to_owned();
    output.status.success().then_some(tree)
}

/// The last of copies of the commits on top of `base`.
fn rebased(directory: &Path, base: &str, head: &str) -> Option<String> {
    let commits = text(directory, ["rev-list", "--reverse", "--no-merges", &format!("{base}..{head}")]);
    let mut top = base.to_owned();
    for commit in commits.lines() {
        let parent = format!("--merge-base={commit}^");
        let output = attempt(directory, ["merge-tree", "--write-tree", &parent, &top, commit]);
        let tree = String::from_utf8_lossy(&output.stdout).lines().next()?.to_owned();
        if !output.status.success() {
            return None;
        }
        let message = text(directory, ["log", "-1", "--format=%B", commit]);
        top = text(directory, ["commit-tree", &tree, "-p", &top, "-m", &message]);
    }
    Some(top)
}

/// Returns whether there was such a branch.
pub(super) fn delete(directory: &Path, branch: &str) -> bool {
    let reference = format!("refs/heads/{branch}");
    let exists = attempt(directory, ["rev-parse", "--verify", "--quiet", &reference]).status.success();
    exists && attempt(directory, ["update-ref", "-d", &reference]).status.success()
}
