//! Reviews of a pull request, and the threads below its lines.

use jiff::Timestamp;

use crate::comment::Comment;
use crate::user::User;

/// A reviewer's decision, with the text that came with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    pub id: u64,
    pub author: Option<User>,
    pub verdict: ReviewVerdict,
    /// May be empty.
    pub body: String,
    /// The commit that was reviewed; `None` if the server does not say.
    pub commit: Option<String>,
    pub submitted: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReviewVerdict {
    Approved,
    ChangesRequested,
    /// Neither.
    Commented,
    /// It no longer counts.
    Dismissed,
    /// Not submitted, requested, or a word that this version does not know. It is no approval.
    Other,
}

/// Comments below one line of the change, oldest first. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewThread {
    /// The server's ID of the thread, or of its first comment.
    pub id: String,
    /// The file.
    pub path: String,
    /// The line in the new version of the file; `None` if the line is gone, or only the old version has it.
    pub line: Option<u64>,
    /// The lines of the change around it; empty if the server does not send them.
    pub hunk: String,
    pub comments: Vec<Comment>,
    /// `None` if the server does not say.
    pub is_resolved: Option<bool>,
}
