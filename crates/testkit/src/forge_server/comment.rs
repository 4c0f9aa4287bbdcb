//! Comments, reviews and the threads below lines.

/// A comment on an issue or a pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    pub id: u64,
    pub author: String,
    pub body: String,
    /// Logins and names of reactions, such as `eyes`.
    pub reactions: Vec<(String, String)>,
    /// Unix seconds.
    pub created: i64,
    /// Unix seconds.
    pub updated: i64,
    /// A record of a change, which GitLab lists among the comments.
    pub system: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Approved,
    ChangesRequested,
    Commented,
    Dismissed,
    /// Written, but not submitted yet.
    Pending,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    pub id: u64,
    pub author: String,
    pub verdict: Verdict,
    pub body: String,
    /// The head at that time.
    pub commit: String,
    /// Unix seconds.
    pub submitted: i64,
}

/// Comments below a line of a pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread {
    pub id: u64,
    /// The review that began it.
    pub review: u64,
    pub path: String,
    /// In the new version; `None` if the line is gone.
    pub line: Option<u64>,
    pub resolved: bool,
    /// Never empty.
    pub comments: Vec<Comment>,
}

/// The lines of the change that every thread shows.
pub(super) const HUNK: &str = "@@ -1,2 +1,3 @@\n fn main() {\n+    run();\n }";
