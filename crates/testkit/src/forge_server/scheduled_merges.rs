//! Merges that the server makes later: when its conditions are met, or through its queue.

use super::check::{Check, CheckState};
use super::event::{Action, EventKind};
use super::flavor::Flavor;
use super::issue::Subject;
use super::pull_request::{MergeMethod, Milestone, PullRequest, Queued};
use super::state::{ForgeState, Project};

/// The method of queues, which requests do not choose.
const QUEUE_METHOD: MergeMethod = MergeMethod::Squash;

impl ForgeState {
    fn pull_mut(&mut self, path: &str, number: u64) -> Option<&mut PullRequest> {
        self.projects.get_mut(path)?.pull_requests.get_mut(&number)
    }

    /// The checks of a pull request's head.
    fn checks_of(&self, path: &str, number: u64) -> &[Check] {
        let Some(project) = self.projects.get(path) else { return &[] };
        let checks = project.pull_requests.get(&number).and_then(|pull| project.checks.get(&pull.sha));
        checks.map_or(&[], Vec::as_slice)
    }

    /// Whether a merge has nothing to wait for, apart from the queue.
    pub(super) fn is_ready(&self, path: &str, number: u64) -> bool {
        self.unmet(path, number).is_none()
    }

    /// The condition that is not met, as GitHub writes it.
    pub(super) fn unmet(&self, path: &str, number: u64) -> Option<String> {
        if self.projects.get(path).is_some_and(|project| project.settings.holds_merges) {
            return Some("At least 1 approving review is required by reviewers with write access.".to_owned());
        }
        let passes = |check: &&Check| matches!(check.state, CheckState::Success | CheckState::Skipped);
        let failing = self.checks_of(path, number).iter().find(|check| !passes(check))?;
        Some(format!("Required status check \"{}\" is expected.", failing.name))
    }

    pub(super) fn has_queue(&self, path: &str) -> bool {
        self.projects.get(path).is_some_and(|project| project.settings.has_merge_queue)
    }

    /// Waits for the conditions, then merges.
    pub(super) fn merge_later(&mut self, path: &str, number: u64, actor: &str, method: MergeMethod) {
        let now = self.tick();
        let Some(pull) = self.pull_mut(path, number) else { return };
        pull.auto_merge = Some(method);
        pull.issue.updated = now;
        self.note_milestone(path, number, actor, "pull_scheduled_merge");
        self.record(path, actor, EventKind::PullRequest { number, action: Action::AutoMergeEnabled });
    }

    /// Adds the pull request to the end of the queue.
    pub(super) fn enqueue(&mut self, path: &str, number: u64, actor: &str, method: Option<MergeMethod>) {
        let now = self.tick();
        let Some(pull) = self.pull_mut(path, number) else { return };
        let method = method.unwrap_or(QUEUE_METHOD);
        (pull.auto_merge, pull.queued) = (None, Some(Queued { method, since: now }));
        pull.issue.updated = now;
        self.record(path, actor, EventKind::PullRequest { number, action: Action::Enqueued });
    }

    /// Ends every scheduled merge. Returns whether there was one.
    pub(super) fn unschedule(&mut self, path: &str, number: u64, actor: &str) -> bool {
        let waited = self.disable_auto_merge(path, number, actor);
        self.dequeue(path, number, actor) || waited
    }

    /// Returns whether it was enabled.
    pub(super) fn disable_auto_merge(&mut self, path: &str, number: u64, actor: &str) -> bool {
        let was_enabled = self.pull_mut(path, number).is_some_and(|pull| pull.auto_merge.take().is_some());
        if was_enabled {
            self.note_unscheduled(path, number, actor, Action::AutoMergeDisabled);
        }
        was_enabled
    }

    /// Returns whether it was in the queue.
    pub(super) fn dequeue(&mut self, path: &str, number: u64, actor: &str) -> bool {
        let was_queued = self.pull_mut(path, number).is_some_and(|pull| pull.queued.take().is_some());
        if was_queued {
            self.note_unscheduled(path, number, actor, Action::Dequeued);
        }
        was_queued
    }

    fn note_unscheduled(&mut self, path: &str, number: u64, actor: &str, action: Action) {
        self.tick();
        self.touch(path, Subject::PullRequest(number));
        self.note_milestone(path, number, actor, "pull_cancel_scheduled_merge");
        self.record(path, actor, EventKind::PullRequest { number, action });
    }

    /// A new head leaves GitHub's queue, and ends every scheduled merge on GitLab. Auto-merge of GitHub and Gitea merges the new head.
    pub(super) fn unschedule_moved(&mut self, path: &str, number: u64) {
        match self.flavor {
            Flavor::GitHub => self.dequeue(path, number, "pusher"),
            Flavor::GitLab => self.unschedule(path, number, "pusher"),
            Flavor::Gitea | Flavor::Forgejo => false,
        };
    }

    /// Merges the pull requests that waited for their checks, or adds them to the queue.
    pub(super) fn merge_ready(&mut self) {
        for (path, number, method) in self.waiting() {
            // A head that was just pushed has no checks yet.
            if !self.checks_of(&path, number).is_empty() {
                self.merge_if_ready(&path, number, method);
            }
        }
    }

    /// Sets whether a condition of the server is not met. Those that waited for it are merged, or added to the queue.
    pub(super) fn hold_merges(&mut self, path: &str, holds: bool) {
        self.project_mut(path).settings.holds_merges = holds;
        for (path, number, method) in self.waiting().into_iter().filter(|(of, ..)| of == path) {
            self.merge_if_ready(&path, number, method);
        }
    }

    fn waiting(&self) -> Vec<(String, u64, MergeMethod)> {
        let of_project = |(path, project): (&String, &Project)| {
            let pulls = project.pull_requests.iter();
            let waiting = pulls.filter_map(|(number, pull)| Some((path.clone(), *number, pull.auto_merge?)));
            waiting.collect::<Vec<_>>()
        };
        self.projects.iter().flat_map(of_project).collect()
    }

    fn merge_if_ready(&mut self, path: &str, number: u64, method: MergeMethod) {
        match (self.is_ready(path, number), self.has_queue(path)) {
            (true, true) => self.enqueue(path, number, "ci", Some(method)),
            // One that cannot be merged continues to wait.
            (true, false) => drop(self.merge(path, number, "ci", None, method)),
            (false, _) => {}
        }
    }

    /// Merges all of the queue, in its order. What cannot be merged is removed from it.
    pub(super) fn run_merge_queue(&mut self, path: &str) {
        let pulls = self.projects.get(path).map(|project| &project.pull_requests);
        let queued = pulls.into_iter().flatten().filter_map(|(number, pull)| Some((pull.queued?, *number)));
        let mut queued: Vec<(Queued, u64)> = queued.collect();
        queued.sort_by_key(|(entry, _)| entry.since);
        for (entry, number) in queued {
            let is_merged =
                self.is_ready(path, number) && self.merge(path, number, "queue", None, entry.method).is_ok();
            if !is_merged {
                self.unschedule(path, number, "queue");
            }
        }
    }

    /// Adds a change to the timeline.
    pub(super) fn note_milestone(&mut self, path: &str, number: u64, actor: &str, kind: &'static str) {
        let (id, at) = (self.new_id(), self.now);
        if let Some(pull) = self.pull_mut(path, number) {
            pull.milestones.push(Milestone { id, actor: actor.to_owned(), at, kind });
        }
    }
}
