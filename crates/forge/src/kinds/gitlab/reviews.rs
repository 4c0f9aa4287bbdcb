//! Approvals, requests for changes and threads of a merge request. Reviews are no objects.

use kugetsu_domain::reference::ProjectPath;
use serde::Deserialize;

use super::api::GitLab;
use super::issues::Note;
use crate::discussion::{Comment, Review, ReviewThread, ReviewVerdict};
use crate::error::ForgeError;
use crate::http::paging::PER_PAGE;
use crate::kinds::wire::{self, User};

#[derive(Deserialize)]
struct Approvals {
    approved_by: Option<Vec<Approval>>,
}

#[derive(Deserialize)]
struct Approval {
    user: Option<User>,
    approved_at: Option<String>,
}

#[derive(Deserialize)]
struct Reviewer {
    user: Option<User>,
    state: Option<String>,
    created_at: Option<String>,
}

#[derive(Deserialize)]
struct Discussion {
    id: String,
    notes: Option<Vec<LineNote>>,
}

#[derive(Deserialize)]
struct LineNote {
    #[serde(flatten)]
    note: Note,
    position: Option<Position>,
    resolvable: Option<bool>,
    resolved: Option<bool>,
}

#[derive(Deserialize)]
struct Position {
    new_path: Option<String>,
    old_path: Option<String>,
    new_line: Option<u64>,
}

impl GitLab {
    /// The present decision of each reviewer. The texts that came with it are comments or threads.
    pub(super) async fn list_reviews(&self, project: &ProjectPath, number: u64) -> Result<Vec<Review>, ForgeError> {
        let number = number.to_string();
        let path = ["projects", project.as_str(), "merge_requests", &number, "approvals"];
        let approvals: Approvals = self.client.get(&path).await?;
        let approved = approvals.approved_by.into_iter().flatten();
        let approved = approved.map(|approval| (approval.user, ReviewVerdict::Approved, approval.approved_at));
        let path = ["projects", project.as_str(), "merge_requests", &number, "reviewers"];
        let reviewers = wire::unless_missing(self.client.list(&path, &[], Some::<Reviewer>).await)?;
        let entries = reviewers.into_iter().flat_map(|reviewers| reviewers.entries);
        let refused = entries.filter(|reviewer| reviewer.state.as_deref() == Some("requested_changes"));
        let refused = refused.map(|reviewer| (reviewer.user, ReviewVerdict::ChangesRequested, reviewer.created_at));
        let review = |(id, (user, verdict, at)): (u64, (Option<User>, ReviewVerdict, Option<String>))| Review {
            id,
            author: wire::user(user),
            verdict,
            body: String::new(),
            commit: None,
            submitted: wire::time(at.as_deref()),
        };
        Ok((0..).zip(approved.chain(refused)).map(review).collect())
    }

    pub(super) async fn list_threads(
        &self,
        project: &ProjectPath,
        number: u64,
    ) -> Result<Vec<ReviewThread>, ForgeError> {
        let per_page = PER_PAGE.to_string();
        let path = ["projects", project.as_str(), "merge_requests", &number.to_string(), "discussions"];
        let threads = self.client.list(&path, &[("per_page", &per_page)], thread).await?;
        Ok(threads.entries)
    }
}

/// A discussion about a line; `None` for the others.
fn thread(discussion: Discussion) -> Option<ReviewThread> {
    let notes = discussion.notes?;
    let position = notes.first()?.position.as_ref()?;
    let path = position.new_path.clone().or_else(|| position.old_path.clone())?;
    let line = position.new_line;
    let mut resolvable = notes.iter().filter(|note| note.resolvable == Some(true)).peekable();
    let is_resolved = resolvable.peek().is_some().then(|| resolvable.all(|note| note.resolved == Some(true)));
    let comments = notes.into_iter().map(|note| Comment::from(note.note)).collect();
    Some(ReviewThread { id: discussion.id, path, line, hunk: String::new(), comments, is_resolved })
}
