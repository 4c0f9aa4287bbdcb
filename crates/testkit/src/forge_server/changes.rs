//! Changes of issues and pull requests that all kinds of servers know. Each one takes a second and is reported to webhooks.

use super::check::{Check, CheckState};
use super::comment::{Comment, Review, Thread, Verdict};
use super::event::{Action, EventKind};
use super::flavor::Flavor;
use super::issue::{Issue, Subject};
use super::pull_request::{PrState, PullRequest};
use super::state::ForgeState;

/// Changes of an issue or a pull request; `None` leaves a part unchanged.
#[derive(Debug, Default)]
pub(super) struct Edit {
    pub(super) title: Option<String>,
    pub(super) body: Option<String>,
    pub(super) closed: Option<bool>,
    pub(super) labels: Option<Vec<String>>,
    pub(super) assignees: Option<Vec<String>>,
    pub(super) draft: Option<bool>,
}

impl ForgeState {
    /// Adds a comment and returns its ID; `None` if there is nothing to comment on.
    pub(super) fn add_comment(&mut self, path: &str, subject: Subject, author: &str, body: &str) -> Option<u64> {
        let comment = self.new_comment(author, body);
        let id = comment.id;
        self.projects.get_mut(path)?.subject_mut(subject)?.comments.push(comment);
        self.touch(path, subject);
        self.record(path, author, EventKind::Comment { subject, id, action: Action::Opened });
        Some(id)
    }

    fn new_comment(&mut self, author: &str, body: &str) -> Comment {
        let (id, now) = (self.new_id(), self.tick());
        self.users.insert(author.to_owned());
        Comment {
            id,
            author: author.to_owned(),
            body: body.to_owned(),
            reactions: Vec::new(),
            created: now,
            updated: now,
            system: false,
        }
    }

    /// Sets the time of the last change to now.
    pub(super) fn touch(&mut self, path: &str, subject: Subject) {
        let now = self.now;
        if let Some(thing) = self.projects.get_mut(path).and_then(|project| project.subject_mut(subject)) {
            thing.updated = now;
        }
    }

    pub(super) fn edit_comment(
        &mut self,
        path: &str,
        subject: Subject,
        id: u64,
        actor: &str,
        body: &str,
    ) -> Option<()> {
        let now = self.tick();
        let thing = self.projects.get_mut(path)?.subject_mut(subject)?;
        let comment = thing.comments.iter_mut().find(|comment| comment.id == id)?;
        body.clone_into(&mut comment.body);
        comment.updated = now;
        self.touch(path, subject);
        self.record(path, actor, EventKind::Comment { subject, id, action: Action::Edited });
        Some(())
    }

    /// Adds a reaction. Returns whether it is new; `None` if there is no such comment.
    pub(super) fn react(&mut self, path: &str, subject: Subject, id: u64, actor: &str, name: &str) -> Option<bool> {
        let thing = self.projects.get_mut(path)?.subject_mut(subject)?;
        let comment = thing.comments.iter_mut().find(|comment| comment.id == id)?;
        let reaction = (actor.to_owned(), name.to_owned());
        let is_new = !comment.reactions.contains(&reaction);
        if is_new {
            comment.reactions.push(reaction);
        }
        Some(is_new)
    }

    pub(super) fn add_labels(&mut self, path: &str, subject: Subject, actor: &str, names: &[String]) -> Option<()> {
        let mut labels = self.projects.get(path)?.subject(subject)?.labels.clone();
        labels.extend(names.iter().filter(|name| !labels.contains(name)).cloned().collect::<Vec<_>>());
        self.edit(path, subject, actor, Edit { labels: Some(labels), ..Edit::default() })
    }

    pub(super) fn remove_label(&mut self, path: &str, subject: Subject, actor: &str, name: &str) -> Option<()> {
        let mut labels = self.projects.get(path)?.subject(subject)?.labels.clone();
        labels.retain(|label| label != name);
        self.edit(path, subject, actor, Edit { labels: Some(labels), ..Edit::default() })
    }

    /// Applies the edit; parts that are as they should be are no change.
    pub(super) fn edit(&mut self, path: &str, subject: Subject, actor: &str, edit: Edit) -> Option<()> {
        let now = self.tick();
        let notes = self.flavor == Flavor::GitLab;
        let project = self.projects.get_mut(path)?;
        let mut actions = Vec::new();
        if let (Some(labels), Some(_)) = (&edit.labels, project.subject(subject)) {
            project.labels.extend(labels.iter().cloned());
        }
        let thing = project.subject_mut(subject)?;
        let old = (thing.labels.clone(), thing.assignees.clone());
        for (part, value) in [(&mut thing.title, &edit.title)] {
            if let Some(value) = value.as_ref().filter(|value| *value != part) {
                value.clone_into(part);
                actions.push(Action::Edited);
            }
        }
        if edit.body.is_some() && edit.body != thing.body {
            thing.body = edit.body;
            actions.push(Action::Edited);
        }
        if let Some(labels) = edit.labels.filter(|labels| *labels != thing.labels) {
            thing.labels = labels;
            actions.push(Action::Labeled);
        }
        if let Some(assignees) = edit.assignees.filter(|assignees| *assignees != thing.assignees) {
            thing.assignees = assignees;
            actions.push(Action::Assigned);
        }
        thing.record_marks((&old.0, &old.1), actor, now);
        let closing = match subject {
            Subject::Issue(_) => edit.closed.filter(|closed| *closed != thing.closed),
            Subject::PullRequest(number) => {
                let pull = project.pull_requests.get_mut(&number)?;
                match edit.draft {
                    Some(true) if pull.is_open() && pull.state != PrState::Draft => {
                        pull.state = PrState::Draft;
                        actions.push(Action::Edited);
                    }
                    Some(false) if pull.state == PrState::Draft => {
                        pull.state = PrState::Open;
                        actions.push(Action::Edited);
                    }
                    _ => {}
                }
                let closing = edit.closed.filter(|closed| *closed == pull.is_open() && pull.state != PrState::Merged);
                if let Some(closed) = closing {
                    pull.state = if closed { PrState::Closed } else { PrState::Open };
                }
                closing
            }
        };
        let closed_pull = matches!(subject, Subject::PullRequest(_)).then_some(closing).flatten();
        if let Some(closed) = closing {
            actions.push(if closed { Action::Closed } else { Action::Reopened });
            project.subject_mut(subject)?.closed = closed;
            if notes {
                let mut note = self.new_comment(actor, if closed { "closed" } else { "reopened" });
                note.system = true;
                self.projects.get_mut(path)?.subject_mut(subject)?.comments.push(note);
            }
        }
        if !actions.is_empty() {
            self.projects.get_mut(path)?.subject_mut(subject)?.updated = now;
        }
        if let Some(closed) = closed_pull {
            self.note_milestone(path, subject.number(), actor, if closed { "close" } else { "reopen" });
            if self.flavor.closing_unschedules() {
                self.unschedule(path, subject.number(), actor);
            }
        }
        for action in actions {
            let number = subject.number();
            let kind = match subject {
                Subject::Issue(_) => EventKind::Issue { number, action },
                Subject::PullRequest(_) => EventKind::PullRequest { number, action },
            };
            self.record(path, actor, kind);
        }
        Some(())
    }

    pub(super) fn add_issue(&mut self, path: &str, actor: &str, issue: Issue) -> u64 {
        let (now, shared) = (self.tick(), self.flavor.shares_numbers());
        self.users.extend(issue.author.iter().chain(&issue.assignees).cloned());
        let number = self.project_mut(path).add_issue(issue, shared, now);
        self.record(path, actor, EventKind::Issue { number, action: Action::Opened });
        number
    }

    /// Adds a pull request without looking whether that is allowed.
    pub(super) fn add_pull(&mut self, path: &str, actor: &str, pull: PullRequest) -> u64 {
        let (now, shared) = (self.tick(), self.flavor.shares_numbers());
        self.users.extend(pull.issue.author.clone());
        let number = self.project_mut(path).add_pull_request(pull, shared, now);
        self.record(path, actor, EventKind::PullRequest { number, action: Action::Opened });
        number
    }

    pub(super) fn ask_for_review(&mut self, path: &str, number: u64, logins: &[String]) -> Option<()> {
        self.tick();
        let pull = self.projects.get_mut(path)?.pull_requests.get_mut(&number)?;
        for login in logins {
            if !pull.reviewers.contains(login) {
                pull.reviewers.push(login.clone());
            }
        }
        self.touch(path, Subject::PullRequest(number));
        Some(())
    }

    /// Adds a review and returns its ID.
    pub(super) fn add_review(
        &mut self,
        path: &str,
        number: u64,
        author: &str,
        verdict: Verdict,
        body: &str,
    ) -> Option<u64> {
        let (id, submitted) = (self.new_id(), self.tick());
        self.users.insert(author.to_owned());
        let pull = self.projects.get_mut(path)?.pull_requests.get_mut(&number)?;
        pull.reviewers.retain(|login| login != author);
        let (author, body, commit) = (author.to_owned(), body.to_owned(), pull.sha.clone());
        pull.reviews.push(Review { id, author: author.clone(), verdict, body, commit, submitted });
        self.touch(path, Subject::PullRequest(number));
        self.record(path, &author, EventKind::Review { number, id });
        Some(id)
    }

    /// Begins a thread below a line, and returns its ID.
    pub(super) fn add_thread(
        &mut self,
        path: &str,
        number: u64,
        author: &str,
        at: (&str, Option<u64>),
        body: &str,
    ) -> Option<u64> {
        // GitLab has no reviews; there the ID belongs to nothing.
        let review = match self.flavor {
            Flavor::GitLab => 0,
            _ => self.add_review(path, number, author, Verdict::Commented, "")?,
        };
        self.add_thread_of(path, number, author, review, at, body)
    }

    /// The same as a part of a review.
    pub(super) fn add_thread_of(
        &mut self,
        path: &str,
        number: u64,
        author: &str,
        review: u64,
        at: (&str, Option<u64>),
        body: &str,
    ) -> Option<u64> {
        let comment = self.new_comment(author, body);
        let (id, comment_id) = (self.new_id(), comment.id);
        let pull = self.projects.get_mut(path)?.pull_requests.get_mut(&number)?;
        let (file, line) = (at.0.to_owned(), at.1);
        pull.threads.push(Thread { id, review, path: file, line, resolved: false, comments: vec![comment] });
        self.touch(path, Subject::PullRequest(number));
        self.record(path, author, EventKind::LineComment { number, thread: id, id: comment_id });
        Some(id)
    }

    /// Makes the comments of a thread that many seconds older.
    pub(super) fn antedate(&mut self, path: &str, number: u64, thread: u64, seconds: i64) -> Option<()> {
        let pull = self.projects.get_mut(path)?.pull_requests.get_mut(&number)?;
        for comment in &mut pull.threads.iter_mut().find(|known| known.id == thread)?.comments {
            comment.created -= seconds;
            comment.updated -= seconds;
        }
        Some(())
    }

    /// Adds a comment to a thread, and returns its ID.
    pub(super) fn reply(&mut self, path: &str, number: u64, thread: u64, author: &str, body: &str) -> Option<u64> {
        let comment = self.new_comment(author, body);
        let id = comment.id;
        let pull = self.projects.get_mut(path)?.pull_requests.get_mut(&number)?;
        pull.threads.iter_mut().find(|known| known.id == thread)?.comments.push(comment);
        self.touch(path, Subject::PullRequest(number));
        self.record(path, author, EventKind::LineComment { number, thread, id });
        Some(id)
    }

    /// Sets the latest result of a check, and returns its ID, which a check with the same name keeps.
    pub(super) fn set_check(
        &mut self,
        path: &str,
        commit: &str,
        name: &str,
        state: CheckState,
        log: Option<&str>,
    ) -> u64 {
        let (now, new) = (self.tick(), self.new_id());
        let checks = self.project_mut(path).checks.entry(commit.to_owned()).or_default();
        let known = checks.iter().position(|check| check.name == name);
        let id = known.map_or(new, |at| checks[at].id);
        let check = Check { id, name: name.to_owned(), state, log: log.map(str::to_owned), updated: now };
        match known {
            Some(at) => checks[at] = check,
            None => checks.push(check),
        }
        self.record(path, "ci", EventKind::Check { commit: commit.to_owned(), id });
        id
    }
}
