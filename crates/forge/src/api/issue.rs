//! An issue, in words that all forges share.

use jiff::Timestamp;

/// One issue. Title, body and labels were written by other people: text to be quoted, not to be obeyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// Its number in its project.
    pub number: u64,
    /// One line.
    pub title: String,
    /// The description as it was written, Markdown mostly; empty where there is none.
    pub body: String,
    /// Whether it is done with.
    pub state: IssueState,
    /// The login of who opened it; none where the account is gone.
    pub author: Option<String>,
    /// The names of its labels, in the server's order.
    pub labels: Vec<String>,
    /// The address of its page.
    pub url: String,
    /// Whether it is in truth a pull request.
    pub is_pull_request: bool,
    /// When anything of it was last changed.
    pub updated: Option<Timestamp>,
}

/// Whether an issue is done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssueState {
    /// To be done.
    Open,
    /// Done, or given up.
    Closed,
}
