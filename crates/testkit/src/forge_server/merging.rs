//! Opening and merging pull requests, and their branches, which are those of the project's repository if it has one.

use std::path::{Path, PathBuf};

use super::event::{Action, EventKind};
use super::flavor::Flavor;
use super::issue::{Issue, Subject};
use super::permission::Settings;
use super::pull_request::{BranchHome, MergeMethod, PrState, PullRequest};
use super::repositories;
use super::state::ForgeState;

/// A pull request to open.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) title: String,
    pub(super) body: Option<String>,
    pub(super) head: String,
    pub(super) base: String,
    pub(super) draft: bool,
}

/// Why a pull request is not opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NotOpened {
    /// The number of the one that is open for the branch.
    Exists(u64),
    NoHead,
    NoBase,
    NoCommits,
}

/// Why a pull request is not merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NotMerged {
    Missing,
    /// The head is another commit.
    Moved,
    /// Closed or merged already.
    Closed,
    Draft,
    Conflict,
    /// The server has not checked it yet.
    Checking,
    /// The project does not allow the method.
    Method,
    /// A condition of the server is not met.
    Held,
    /// Only the queue may change the base.
    QueueOnly,
    /// It is in the queue.
    Queued,
}

impl ForgeState {
    /// The repository of a project.
    pub(super) fn repository(&self, path: &str) -> Option<PathBuf> {
        let directory = self.repositories.as_ref()?.join(format!("{path}.git"));
        directory.is_dir().then_some(directory)
    }

    /// Opens a pull request for a branch of the project itself, and returns its number.
    pub(super) fn open_pull(&mut self, path: &str, author: &str, new: Opening) -> Result<u64, NotOpened> {
        let mut pull = PullRequest::new(&new.title, &new.head).base(&new.base);
        if let Some(directory) = self.repository(path) {
            let branches = repositories::branches(&directory);
            let head = branches.get(&new.head).ok_or(NotOpened::NoHead)?;
            let base = branches.get(&new.base).ok_or(NotOpened::NoBase)?;
            if !repositories::has_commits(&directory, base, head) && self.flavor.needs_commits() {
                return Err(NotOpened::NoCommits);
            }
            if repositories::has_conflict(&directory, base, head) {
                pull.state = PrState::Conflict;
            }
            head.clone_into(&mut pull.sha);
            pull.checked = Some((head.clone(), base.clone()));
        } else if new.head == new.base {
            return Err(NotOpened::NoCommits);
        } else if let Some(commit) = self.projects.get(path).and_then(|project| project.pushed.get(&new.head)) {
            commit.clone_into(&mut pull.sha);
        }
        let pulls = self.projects.get(path).into_iter().flat_map(|project| &project.pull_requests);
        let is_same = |pull: &PullRequest| pull.is_open() && pull.head == new.head && pull.base == new.base;
        if let Some((number, _)) = pulls.into_iter().find(|(_, pull)| is_same(pull)) {
            return Err(NotOpened::Exists(*number));
        }
        pull.issue = Issue { body: new.body, ..Issue::new(&new.title).author(author) };
        if new.draft {
            pull.state = PrState::Draft;
        }
        Ok(self.add_pull(path, author, pull))
    }

    /// Whether a merge is possible now.
    pub(super) fn may_merge(
        &self,
        path: &str,
        number: u64,
        expected: Option<&str>,
        method: MergeMethod,
    ) -> Result<(), NotMerged> {
        let project = self.projects.get(path).ok_or(NotMerged::Missing)?;
        let pull = project.pull_requests.get(&number).ok_or(NotMerged::Missing)?;
        let settings = &project.settings;
        let is_allowed = match method {
            MergeMethod::Merge => settings.allows_merge,
            MergeMethod::Squash => settings.allows_squash,
            MergeMethod::Rebase => settings.allows_rebase,
        };
        match pull.state {
            PrState::Merged | PrState::Closed => Err(NotMerged::Closed),
            PrState::Draft => Err(NotMerged::Draft),
            _ if expected.is_some_and(|expected| expected != pull.sha) => Err(NotMerged::Moved),
            PrState::Conflict => Err(NotMerged::Conflict),
            PrState::Computing => Err(NotMerged::Checking),
            PrState::Open if !is_allowed => Err(NotMerged::Method),
            PrState::Open => Ok(()),
        }
    }

    /// Merges the pull request for a request, and returns the commit. GitLab lets a request go past its train.
    pub(super) fn merge_now(
        &mut self,
        path: &str,
        number: u64,
        actor: &str,
        expected: Option<&str>,
        method: MergeMethod,
    ) -> Result<String, NotMerged> {
        self.may_merge(path, number, expected, method)?;
        let project = self.projects.get(path).ok_or(NotMerged::Missing)?;
        let is_queued = project.pull_requests.get(&number).is_some_and(|pull| pull.queued.is_some());
        match &project.settings {
            Settings { has_merge_queue: true, .. } if self.flavor == Flavor::GitHub => {
                Err(if is_queued { NotMerged::Queued } else { NotMerged::QueueOnly })
            }
            Settings { holds_merges: true, .. } => Err(NotMerged::Held),
            Settings { .. } => self.merge(path, number, actor, expected, method),
        }
    }

    /// Merges the pull request, whatever the server's conditions, and returns the commit.
    pub(super) fn merge(
        &mut self,
        path: &str,
        number: u64,
        actor: &str,
        expected: Option<&str>,
        method: MergeMethod,
    ) -> Result<String, NotMerged> {
        self.may_merge(path, number, expected, method)?;
        let directory = self.repository(path);
        let now = self.tick();
        let pulls = self.projects.get_mut(path).map(|project| &mut project.pull_requests);
        let pull = pulls.and_then(|pulls| pulls.get_mut(&number)).ok_or(NotMerged::Missing)?;
        let title = format!("{} (#{number})", pull.issue.title);
        let commit = match &directory {
            Some(directory) => repositories::merge(directory, &pull.base, &pull.sha, method, &title),
            None => Some(format!("{:040x}", 0xc0_ffee_u64 + number)),
        };
        let Some(commit) = commit else {
            pull.state = PrState::Conflict;
            return Err(NotMerged::Conflict);
        };
        pull.state = PrState::Merged;
        pull.merge_commit = Some(commit.clone());
        (pull.auto_merge, pull.queued) = (None, None);
        pull.issue.updated = now;
        self.note_milestone(path, number, actor, "merge_pull");
        self.record(path, actor, EventKind::PullRequest { number, action: Action::Closed });
        self.look_at_branches(path);
        Ok(commit)
    }

    /// Deletes a branch. Returns whether there was one.
    pub(super) fn delete_branch(&mut self, path: &str, branch: &str) -> bool {
        if let Some(directory) = self.repository(path) {
            let deleted = repositories::delete(&directory, branch);
            self.look_at_branches(path);
            return deleted;
        }
        let now = self.tick();
        let Some(project) = self.projects.get_mut(path) else { return false };
        let mut deleted = project.branch(branch).is_some();
        project.pushed.remove(branch);
        let heads = project.pull_requests.values_mut().filter(|pull| pull.head == branch && !pull.branch_gone);
        for pull in heads {
            (pull.branch_gone, pull.issue.updated, deleted) = (true, now, true);
        }
        deleted
    }

    /// Looks at the branches of all repositories: a push moves heads and is reported.
    pub(super) fn look_at_repositories(&mut self) {
        if self.repositories.is_some() {
            let paths: Vec<String> = self.projects.keys().cloned().collect();
            paths.iter().for_each(|path| self.look_at_branches(path));
        }
    }

    fn look_at_branches(&mut self, path: &str) {
        let Some(directory) = self.repository(path) else { return };
        let now = repositories::branches(&directory);
        let Some(project) = self.projects.get_mut(path) else { return };
        let Some(before) = project.branches.replace(now.clone()) else {
            self.move_heads(path, &directory);
            return;
        };
        if before == now {
            return;
        }
        self.tick();
        let none = "0".repeat(40);
        for branch in before.keys().chain(now.keys().filter(|branch| !before.contains_key(*branch))) {
            let [old, new] = [&before, &now].map(|side| side.get(branch).unwrap_or(&none).clone());
            if old != new {
                self.record(path, "pusher", EventKind::Push { branch: branch.clone(), before: old, after: new });
            }
        }
        self.move_heads(path, &directory);
    }

    /// Updates open pull requests of the project's own branches.
    fn move_heads(&mut self, path: &str, directory: &Path) {
        let time = self.now;
        let Some(project) = self.projects.get_mut(path) else { return };
        let Some(branches) = project.branches.clone() else { return };
        let mut moved = Vec::new();
        for (number, pull) in &mut project.pull_requests {
            if pull.home != BranchHome::Project {
                continue;
            }
            let head = branches.get(&pull.head);
            // A test's pull request need not have a branch.
            pull.branch_gone |= head.is_none() && pull.checked.is_some();
            let (Some(head), true) = (head, pull.is_open()) else { continue };
            if *head != pull.sha {
                head.clone_into(&mut pull.sha);
                pull.issue.updated = time;
                moved.push(*number);
            }
            let Some(base) = branches.get(&pull.base) else { continue };
            let now = Some((head.clone(), base.clone()));
            if pull.checked.is_some() && pull.checked != now {
                if matches!(pull.state, PrState::Open | PrState::Conflict) {
                    let conflicts = repositories::has_conflict(directory, base, head);
                    pull.state = if conflicts { PrState::Conflict } else { PrState::Open };
                }
                pull.checked = now;
            }
        }
        for number in moved {
            self.record(path, "pusher", EventKind::PullRequest { number, action: Action::Pushed });
            self.unschedule_moved(path, number);
        }
    }

    /// Moves a branch that is in no repository.
    pub(super) fn push(&mut self, path: &str, branch: &str, commit: &str) {
        let now = self.tick();
        let project = self.project_mut(path);
        project.pushed.insert(branch.to_owned(), commit.to_owned());
        let pulls = project.pull_requests.iter_mut();
        let pushed = pulls.filter(|(_, pull)| pull.is_open() && pull.head == branch && pull.sha != commit);
        let mut moved = Vec::new();
        for (number, pull) in pushed {
            commit.clone_into(&mut pull.sha);
            (pull.branch_gone, pull.issue.updated) = (false, now);
            moved.push(*number);
        }
        for number in moved {
            self.record(path, "pusher", EventKind::PullRequest { number, action: Action::Pushed });
            self.unschedule_moved(path, number);
        }
    }

    /// The issue or pull request of a number in the address of an issue, where both share their numbers.
    pub(super) fn subject_at(&self, path: &str, number: u64) -> Option<Subject> {
        self.projects.get(path)?.subject_at(number)
    }
}
