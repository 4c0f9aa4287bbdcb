//! Changes by other users, other programs and the network, and the data of a forge server that a test can see.

use std::collections::BTreeMap;

use super::changes::Edit;
use super::check::CheckState;
use super::comment::{Comment, Verdict};
use super::hook::{Delivery, Hook, Mishap};
use super::issue::{Issue, Subject};
use super::permission::{Permission, Settings};
use super::pull_request::PullRequest;
use super::request::ForgeRequest;
use super::server::ForgeServer;
use super::state::{Project, RateLimit};

/// All of these are reported to webhooks, as the changes of requests are.
impl ForgeServer {
    /// Adds a comment and returns its ID.
    ///
    /// # Panics
    /// Panics if there is no such issue or pull request.
    pub fn comment(&self, project: &str, subject: Subject, author: &str, body: &str) -> u64 {
        let id = self.state.change(|forge| forge.add_comment(project, subject, author, body));
        id.expect("the subject of the comment")
    }

    /// # Panics
    /// Panics if there is no such comment.
    pub fn edit_comment(&self, project: &str, subject: Subject, id: u64, body: &str) {
        self.state.change(|forge| forge.edit_comment(project, subject, id, "kim", body)).expect("the comment");
    }

    /// Adds labels, as another user.
    ///
    /// # Panics
    /// Panics if there is no such issue or pull request.
    pub fn label(&self, project: &str, subject: Subject, name: &str) {
        let names = [name.to_owned()];
        self.state.change(|forge| forge.add_labels(project, subject, "kim", &names)).expect("the subject of the label");
    }

    /// Adds a label, as this user.
    ///
    /// # Panics
    /// Panics if there is no such issue or pull request.
    pub fn label_as(&self, project: &str, subject: Subject, actor: &str, name: &str) {
        let names = [name.to_owned()];
        self.state.change(|forge| forge.add_labels(project, subject, actor, &names)).expect("the subject of the label");
    }

    /// Removes a label, as this user.
    ///
    /// # Panics
    /// Panics if there is no such issue or pull request.
    pub fn unlabel_as(&self, project: &str, subject: Subject, actor: &str, name: &str) {
        self.state.change(|forge| forge.remove_label(project, subject, actor, name)).expect("the subject of the label");
    }

    /// Sets the assignees, as this user.
    ///
    /// # Panics
    /// Panics if there is no such issue or pull request.
    pub fn assign_as(&self, project: &str, subject: Subject, actor: &str, logins: &[&str]) {
        let assignees = Some(logins.iter().map(|login| (*login).to_owned()).collect());
        let edit = Edit { assignees, ..Edit::default() };
        self.state.change(|forge| forge.edit(project, subject, actor, edit)).expect("the subject to assign");
    }

    /// Adds a label that issues can get.
    pub fn create_label(&self, project: &str, name: &str) {
        self.with(project, |project| project.labels.insert(name.to_owned()));
    }

    /// Closes or reopens an issue or a pull request, as another user.
    ///
    /// # Panics
    /// Panics if there is no such issue or pull request.
    pub fn set_closed(&self, project: &str, subject: Subject, closed: bool) {
        let edit = Edit { closed: Some(closed), ..Edit::default() };
        self.state.change(|forge| forge.edit(project, subject, "kim", edit)).expect("the subject to close");
    }

    /// Changes title and description, as another user.
    ///
    /// # Panics
    /// Panics if there is no such issue or pull request.
    pub fn edit(&self, project: &str, subject: Subject, title: &str, body: &str) {
        let edit = Edit { title: Some(title.to_owned()), body: Some(body.to_owned()), ..Edit::default() };
        self.state.change(|forge| forge.edit(project, subject, "kim", edit)).expect("the subject to edit");
    }

    /// Makes an issue wait for another one.
    ///
    /// # Panics
    /// Panics if there is no such issue.
    pub fn block(&self, project: &str, issue: u64, by: u64) {
        self.with(project, |project| project.issues.get_mut(&issue).expect("the issue").blocked_by.push(by));
    }

    /// Adds a review and returns its ID.
    ///
    /// # Panics
    /// Panics if there is no such pull request.
    pub fn review(&self, project: &str, number: u64, author: &str, verdict: Verdict, body: &str) -> u64 {
        let id = self.state.change(|forge| forge.add_review(project, number, author, verdict, body));
        id.expect("the pull request to review")
    }

    /// # Panics
    /// Panics if there is no such pull request.
    pub fn approve(&self, project: &str, number: u64, author: &str) -> u64 {
        self.review(project, number, author, Verdict::Approved, "")
    }

    /// Makes GitLab leave out when a merge request was approved, as its older versions do.
    pub fn hide_times_of_approvals(&self) {
        self.state.change(|forge| forge.hides_times_of_approvals = true);
    }

    /// Begins a thread below a line and returns its ID. A line of `None` is gone.
    ///
    /// # Panics
    /// Panics if there is no such pull request.
    pub fn review_thread(&self, project: &str, number: u64, author: &str, at: (&str, Option<u64>), body: &str) -> u64 {
        let id = self.state.change(|forge| forge.add_thread(project, number, author, at, body));
        id.expect("the pull request to review")
    }

    /// Submits a review with a thread whose comment was drafted that many seconds before.
    ///
    /// # Panics
    /// Panics if there is no such pull request.
    pub fn review_with_draft(
        &self,
        project: &str,
        number: u64,
        author: &str,
        [body, comment]: [&str; 2],
        seconds: i64,
    ) {
        self.state
            .change(|forge| {
                let review = forge.add_review(project, number, author, Verdict::ChangesRequested, body)?;
                let thread = forge.add_thread_of(project, number, author, review, ("src/lib.rs", Some(2)), comment)?;
                forge.antedate(project, number, thread, seconds)
            })
            .expect("the pull request to review");
    }

    /// Adds a comment to a thread.
    ///
    /// # Panics
    /// Panics if there is no such thread.
    pub fn reply(&self, project: &str, number: u64, thread: u64, author: &str, body: &str) -> u64 {
        self.state.change(|forge| forge.reply(project, number, thread, author, body)).expect("the thread")
    }

    /// # Panics
    /// Panics if there is no such thread.
    pub fn resolve(&self, project: &str, number: u64, thread: u64) {
        self.with(project, |project| {
            let pull = project.pull_requests.get_mut(&number).expect("the pull request");
            pull.threads.iter_mut().find(|known| known.id == thread).expect("the thread").resolved = true;
        });
    }

    /// Moves a branch of a project that has no repository, and with it the head of its open pull request.
    pub fn push(&self, project: &str, branch: &str, commit: &str) {
        self.state.change(|forge| forge.push(project, branch, commit));
    }

    /// Deletes a branch of a project that has no repository.
    pub fn remove_branch(&self, project: &str, branch: &str) {
        self.with(project, |project| project.pushed.remove(branch));
    }

    /// Deletes a comment.
    ///
    /// # Panics
    /// Panics if there is no such issue or pull request.
    pub fn delete_comment(&self, project: &str, subject: Subject, id: u64) {
        self.with(project, |project| {
            let comments = &mut project.subject_mut(subject).expect("the subject of the comment").comments;
            comments.retain(|comment| comment.id != id);
        });
    }

    /// Reports a check of a commit. One with a log is a job of the server's own.
    pub fn set_check(&self, project: &str, commit: &str, name: &str, state: CheckState, log: Option<&str>) {
        self.state.change(|forge| forge.set_check(project, commit, name, state, log));
    }

    pub fn set_permission(&self, project: &str, login: &str, permission: Permission) {
        self.state.change(|forge| {
            forge.users.insert(login.to_owned());
            forge.project_mut(project).permissions.insert(login.to_owned(), permission);
        });
    }

    pub fn edit_settings(&self, project: &str, edit: impl FnOnce(&mut Settings)) {
        self.with(project, |project| edit(&mut project.settings));
    }

    /// Sets whether the project's branches are merged into through the server's queue. Gitea and Forgejo have none.
    pub fn set_merge_queue(&self, project: &str, exists: bool) {
        self.with(project, |project| project.settings.has_merge_queue = exists);
    }

    /// Runs the pipeline of a merge request on `merge`, a commit that merges its head into its base. The checks of that commit are its
    /// jobs. On GitLab only.
    ///
    /// # Panics
    /// Panics if there is no such merge request.
    pub fn run_merged_results(&self, project: &str, number: u64, merge: &str) {
        self.with(project, |project| {
            let pull = project.pull_requests.get_mut(&number).expect("a merge request");
            pull.merged_result = Some((merge.to_owned(), pull.sha.clone()));
        });
    }

    /// Sets whether a condition of the server, such as an approval, is not met for the project's pull requests. Then a merge is refused;
    /// a scheduled one waits until the condition is met.
    pub fn hold_merges(&self, project: &str, holds: bool) {
        self.state.change(|forge| forge.hold_merges(project, holds));
    }

    /// Merges the pull requests in the queue, in its order. Those that cannot be merged are removed from it.
    pub fn run_merge_queue(&self, project: &str) {
        self.state.change(|forge| forge.run_merge_queue(project));
    }

    /// Removes a pull request from the queue, or disables its auto-merge, as another user.
    ///
    /// # Panics
    /// Panics if no merge of it is scheduled.
    pub fn drop_scheduled(&self, project: &str, number: u64) {
        let dropped = self.state.change(|forge| forge.unschedule(project, number, "kim"));
        assert!(dropped, "the merge of {project}#{number} is not scheduled");
    }

    /// Drops the auto-merge of a pull request as Gitea does after a failed attempt: the timeline does not show it.
    ///
    /// # Panics
    /// Panics if no merge of it is scheduled.
    pub fn forget_scheduled(&self, project: &str, number: u64) {
        let dropped = self
            .with(project, |project| project.pull_requests.get_mut(&number).and_then(|pull| pull.auto_merge.take()));
        assert!(dropped.is_some(), "the merge of {project}#{number} is not scheduled");
    }

    /// Deletes an issue. Its number is not used again.
    pub fn delete_issue(&self, project: &str, number: u64) {
        self.with(project, |project| {
            project.issues.remove(&number);
            project.deleted.insert(number);
        });
    }

    /// Moves a project; requests for the old path are redirected.
    ///
    /// # Panics
    /// Panics if there is no such project.
    pub fn rename_project(&self, old: &str, new: &str) {
        self.state.change(|forge| {
            let project = forge.projects.remove(old).expect("the project to rename");
            forge.projects.insert(new.to_owned(), project);
            forge.moved.insert(old.to_owned(), new.to_owned());
        });
    }

    /// Sets the scopes of tokens that GitHub and GitLab report. With no scopes they report none, as of fine-grained tokens of GitHub.
    pub fn set_scopes(&self, scopes: &str) {
        self.state.change(|forge| forge.scopes = Some(scopes.to_owned()));
    }

    /// Sets the requests that GitHub still answers, and the end of the window in Unix seconds.
    pub fn set_rate_limit(&self, limit: u64, remaining: u64, reset: i64) {
        self.state.change(|forge| forge.rate = RateLimit { limit, remaining, reset });
    }

    /// Sets a file at the root of the default branch.
    ///
    /// # Panics
    /// There is no such project.
    pub fn set_file(&self, project: &str, name: &str, text: &str) {
        self.state.change(|forge| {
            let project = forge.projects.get_mut(project).expect("a project");
            project.files.insert(name.to_owned(), text.to_owned());
        });
    }

    /// Sets the server's clock in Unix seconds. From now on, answers have its time.
    pub fn set_time(&self, now: i64) {
        self.state.change(|forge| (forge.now, forge.is_dated) = (now, true));
    }

    /// Sets the time of a server whose responses have no date. Clients take its times for those of their own clock.
    pub fn set_undated_time(&self, now: i64) {
        self.state.change(|forge| (forge.now, forge.is_dated) = (now, false));
    }

    /// Spoils the next deliveries of webhooks, in order.
    pub fn mishaps(&self, mishaps: &[Mishap]) {
        self.state.mishaps.change(|next| next.extend(mishaps));
    }

    fn with<R>(&self, project: &str, change: impl FnOnce(&mut Project) -> R) -> R {
        self.state.change(|forge| change(forge.project_mut(project)))
    }
}

/// Reading the data.
impl ForgeServer {
    /// # Panics
    /// Panics if there is no such issue or pull request.
    pub fn comments_of(&self, project: &str, subject: Subject) -> Vec<Comment> {
        let comments = self.issue_of(project, subject).comments;
        comments.into_iter().filter(|comment| !comment.system).collect()
    }

    /// # Panics
    /// Panics if there is no such issue or pull request.
    pub fn labels_of(&self, project: &str, subject: Subject) -> Vec<String> {
        self.issue_of(project, subject).labels
    }

    /// The issue, or what a pull request has of one.
    ///
    /// # Panics
    /// Panics if there is no such issue or pull request.
    pub fn issue_of(&self, project: &str, subject: Subject) -> Issue {
        let found = self.state.forge.read(|forge| forge.projects.get(project)?.subject(subject).cloned());
        found.expect("the issue or pull request")
    }

    /// # Panics
    /// Panics if there is no such pull request.
    pub fn pull_request_of(&self, project: &str, number: u64) -> PullRequest {
        self.state.change(|_| ());
        let found = self.state.forge.read(|forge| forge.projects.get(project)?.pull_requests.get(&number).cloned());
        found.expect("the pull request")
    }

    /// All pull requests with their numbers, oldest first.
    pub fn pull_requests_of(&self, project: &str) -> Vec<(u64, PullRequest)> {
        self.state.forge.read(|forge| {
            let pulls = forge.projects.get(project).map(|project| &project.pull_requests);
            pulls.into_iter().flatten().map(|(number, pull)| (*number, pull.clone())).collect()
        })
    }

    /// Whether the server will merge the pull request without a further request.
    ///
    /// # Panics
    /// Panics if there is no such pull request.
    pub fn is_scheduled(&self, project: &str, number: u64) -> bool {
        self.pull_request_of(project, number).is_scheduled()
    }

    pub fn hooks_of(&self, project: &str) -> Vec<Hook> {
        self.state
            .forge
            .read(|forge| forge.projects.get(project).map(|project| project.hooks.clone()))
            .unwrap_or_default()
    }

    /// The number of requests that changed something and succeeded, by kind, such as `comment` or `merge`.
    pub fn changes(&self) -> BTreeMap<&'static str, usize> {
        self.state.forge.read(|forge| forge.changes.clone())
    }

    /// Requests to the other origin that serves the logs of GitHub's jobs.
    pub fn log_requests(&self) -> Vec<ForgeRequest> {
        self.state.log_requests.read(Vec::clone)
    }

    /// The deliveries of webhooks so far; lost ones have no status.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.state.deliveries.read(Vec::clone)
    }

    /// Waits until `count` deliveries were sent or lost, and returns all of them.
    ///
    /// # Panics
    /// Panics after [`crate::wait::DEADLINE`].
    pub async fn await_deliveries(&self, count: usize) -> Vec<Delivery> {
        let enough = |sent: &Vec<Delivery>| (sent.len() >= count).then(|| sent.clone());
        self.state.deliveries.until("deliveries", enough).await
    }
}
