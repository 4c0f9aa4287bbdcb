//! Reviews and the threads below lines.

use kugetsu_domain::reference::ProjectPath;
use serde::Deserialize;

use super::api::GitHub;
use crate::discussion::{Comment, Review, ReviewThread, ReviewVerdict};
use crate::error::ForgeError;
use crate::http::paging::PER_PAGE;
use crate::kinds::wire::{self, User};

#[derive(Deserialize)]
struct ReviewBody {
    id: u64,
    user: Option<User>,
    body: Option<String>,
    state: Option<String>,
    commit_id: Option<String>,
    submitted_at: Option<String>,
}

#[derive(Deserialize)]
struct LineComment {
    id: u64,
    in_reply_to_id: Option<u64>,
    user: Option<User>,
    body: Option<String>,
    path: Option<String>,
    line: Option<u64>,
    diff_hunk: Option<String>,
    created_at: Option<String>,
    updated_at: Option<String>,
}

impl GitHub {
    pub(super) async fn list_reviews(&self, project: &ProjectPath, number: u64) -> Result<Vec<Review>, ForgeError> {
        let (number, per_page) = (number.to_string(), PER_PAGE.to_string());
        let path = wire::repo_path(project, &["pulls", &number, "reviews"]);
        let review = |review: ReviewBody| {
            Some(Review {
                id: review.id,
                author: wire::user(review.user),
                verdict: match review.state.as_deref() {
                    Some("APPROVED") => ReviewVerdict::Approved,
                    Some("CHANGES_REQUESTED") => ReviewVerdict::ChangesRequested,
                    Some("COMMENTED") => ReviewVerdict::Commented,
                    Some("DISMISSED") => ReviewVerdict::Dismissed,
                    _ => ReviewVerdict::Other,
                },
                body: wire::comment_text(review.body),
                commit: review.commit_id,
                submitted: wire::time(review.submitted_at.as_deref()),
            })
        };
        self.client.list(&path, &[("per_page", &per_page)], review).await
    }

    /// The REST API does not say whether a thread is resolved.
    pub(super) async fn list_threads(
        &self,
        project: &ProjectPath,
        number: u64,
    ) -> Result<Vec<ReviewThread>, ForgeError> {
        let (number, per_page) = (number.to_string(), PER_PAGE.to_string());
        let path = wire::repo_path(project, &["pulls", &number, "comments"]);
        let comments = self.client.list(&path, &[("per_page", &per_page)], Some::<LineComment>).await?;
        let mut threads: Vec<ReviewThread> = Vec::new();
        for comment in comments {
            let id = comment.in_reply_to_id.unwrap_or(comment.id).to_string();
            let reply = Comment {
                id: comment.id,
                author: wire::user(comment.user),
                body: wire::comment_text(comment.body),
                created: wire::time(comment.created_at.as_deref()),
                updated: wire::time(comment.updated_at.as_deref()),
            };
            match threads.iter_mut().find(|thread| thread.id == id) {
                Some(thread) => thread.comments.push(reply),
                None => threads.push(ReviewThread {
                    id,
                    path: comment.path.unwrap_or_default(),
                    line: comment.line,
                    hunk: comment.diff_hunk.unwrap_or_default(),
                    comments: vec![reply],
                    is_resolved: None,
                }),
            }
        }
        Ok(threads)
    }
}
