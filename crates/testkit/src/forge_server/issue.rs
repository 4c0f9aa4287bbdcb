//! An issue on a forge server.

use super::comment::Comment;
use super::mark::{Mark, MarkChange};

/// The ID of the first record of an issue's marks.
const FIRST_MARK: u64 = 900_001;

/// An issue; every field but the title has a default.
#[derive(Clone, Debug)]
pub struct Issue {
    pub title: String,
    /// The description; `None` is `null` on GitHub and GitLab, and empty on Gitea.
    pub body: Option<String>,
    pub closed: bool,
    /// The login of the author; `None` if the account was deleted.
    pub author: Option<String>,
    pub labels: Vec<String>,
    /// Its type, on GitHub and GitLab.
    pub kind: Option<String>,
    /// Logins.
    pub assignees: Vec<String>,
    /// Numbers of the issues that have to be closed before.
    pub blocked_by: Vec<u64>,
    /// Numbers of its sub-issues, on GitHub.
    pub sub_issues: Vec<u64>,
    pub(super) comments: Vec<Comment>,
    /// Changes of labels and assignees, oldest first.
    pub(super) marks: Vec<MarkChange>,
    /// Who sets the labels and assignees that it is created with; `None` is the author.
    pub(super) labeled_by: Option<String>,
    /// Whether the server records who sets the labels and assignees that it is created with.
    pub(super) records_creation: bool,
    /// Unix seconds; 0 until it is added to a server.
    pub(super) created: i64,
    pub(super) updated: i64,
}

/// An issue or a pull request of a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    Issue(u64),
    PullRequest(u64),
}

impl Subject {
    pub fn number(self) -> u64 {
        match self {
            Self::Issue(number) | Self::PullRequest(number) => number,
        }
    }
}

impl Issue {
    /// An open issue by `kim`, without a description.
    pub fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            body: None,
            closed: false,
            author: Some("kim".to_owned()),
            labels: Vec::new(),
            kind: None,
            assignees: Vec::new(),
            blocked_by: Vec::new(),
            sub_issues: Vec::new(),
            comments: Vec::new(),
            marks: Vec::new(),
            labeled_by: None,
            records_creation: true,
            created: 0,
            updated: 0,
        }
    }

    pub fn body(self, body: &str) -> Self {
        Self { body: Some(body.to_owned()), ..self }
    }

    pub fn label(mut self, name: &str) -> Self {
        self.labels.push(name.to_owned());
        self
    }

    pub fn kind(self, name: &str) -> Self {
        Self { kind: Some(name.to_owned()), ..self }
    }

    pub fn assignee(mut self, login: &str) -> Self {
        self.assignees.push(login.to_owned());
        self
    }

    /// Another user than the author sets its labels and assignees.
    pub fn labeled_by(self, login: &str) -> Self {
        Self { labeled_by: Some(login.to_owned()), ..self }
    }

    /// The server does not record that its labels and assignees were set.
    pub fn without_record(self) -> Self {
        Self { records_creation: false, ..self }
    }

    /// The issue `number` has to be closed before.
    pub fn blocked_by(mut self, number: u64) -> Self {
        self.blocked_by.push(number);
        self
    }

    /// The issue `number` is a part of it.
    pub fn sub_issue(mut self, number: u64) -> Self {
        self.sub_issues.push(number);
        self
    }

    pub fn author(self, login: &str) -> Self {
        Self { author: Some(login.to_owned()), ..self }
    }

    /// The account of the author was deleted.
    pub fn author_gone(self) -> Self {
        Self { author: None, ..self }
    }

    pub fn closed(self) -> Self {
        Self { closed: true, ..self }
    }

    /// Records its labels and assignees at the time of its creation.
    pub(super) fn record_creation(&mut self, now: i64) {
        let actor = self.labeled_by.clone().or_else(|| self.author.clone()).unwrap_or_default();
        if self.records_creation {
            self.record_marks((&[], &[]), &actor, now);
        }
    }

    /// Records what changed since the labels and assignees were `old`.
    pub(super) fn record_marks(&mut self, old: (&[String], &[String]), actor: &str, now: i64) {
        let first = |marks: &Vec<MarkChange>| FIRST_MARK + marks.len() as u64;
        let labels = MarkChange::between((old.0, &self.labels), Mark::Label, (actor, now, first(&self.marks)));
        self.marks.extend(labels);
        let assignees = MarkChange::between((old.1, &self.assignees), Mark::Assignee, (actor, now, first(&self.marks)));
        self.marks.extend(assignees);
    }

    /// Number of comments without records of changes.
    pub(super) fn comment_count(&self) -> usize {
        self.comments.iter().filter(|comment| !comment.system).count()
    }
}
