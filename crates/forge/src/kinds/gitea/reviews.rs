//! Reviews and the threads below lines.

use kugetsu_domain::reference::ProjectPath;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::api::Gitea;
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
    dismissed: Option<bool>,
    commit_id: Option<String>,
    submitted_at: Option<String>,
    comments_count: Option<u64>,
}

#[derive(Deserialize)]
struct LineComment {
    id: u64,
    user: Option<User>,
    body: Option<String>,
    path: Option<String>,
    /// The line in the new version; 0 if it is one of the old version.
    position: Option<u64>,
    original_position: Option<u64>,
    diff_hunk: Option<String>,
    created_at: Option<String>,
    updated_at: Option<String>,
    resolver: Option<IgnoredAny>,
}

impl Gitea {
    pub(super) async fn list_reviews(&self, project: &ProjectPath, number: u64) -> Result<Vec<Review>, ForgeError> {
        let bodies = self.review_bodies(project, number).await?;
        let mut reviews: Vec<Review> = bodies.into_iter().map(Review::from).collect();
        reviews.sort_by_key(|review| review.submitted);
        Ok(reviews)
    }

    async fn review_bodies(&self, project: &ProjectPath, number: u64) -> Result<Vec<ReviewBody>, ForgeError> {
        let (number, limit) = (number.to_string(), PER_PAGE.to_string());
        let path = wire::repo_path(project, &["pulls", &number, "reviews"]);
        self.client.list(&path, &[("limit", &limit)], Some::<ReviewBody>).await
    }

    /// The comments of each review are read apart; those below one line are one thread.
    pub(super) async fn list_threads(
        &self,
        project: &ProjectPath,
        number: u64,
    ) -> Result<Vec<ReviewThread>, ForgeError> {
        let mut threads: Vec<ReviewThread> = Vec::new();
        let reviews = self.review_bodies(project, number).await?;
        for review in reviews.into_iter().filter(|review| review.comments_count != Some(0)) {
            let (number, review) = (number.to_string(), review.id.to_string());
            let path = wire::repo_path(project, &["pulls", &number, "reviews", &review, "comments"]);
            let comments: Option<Vec<Option<LineComment>>> = self.client.get(&path).await?;
            for comment in comments.into_iter().flatten().flatten() {
                add(&mut threads, comment);
            }
        }
        threads.iter_mut().for_each(|thread| thread.comments.sort_by_key(|comment| comment.created));
        Ok(threads)
    }
}

fn add(threads: &mut Vec<ReviewThread>, comment: LineComment) {
    let line = comment.position.filter(|line| *line > 0);
    let path = comment.path.unwrap_or_default();
    let id = format!("{path}:{}:{}", line.unwrap_or_default(), comment.original_position.unwrap_or_default());
    let is_resolved = comment.resolver.is_some();
    let reply = Comment {
        id: comment.id,
        author: wire::user(comment.user),
        body: wire::comment_text(comment.body),
        created: wire::time(comment.created_at.as_deref()),
        updated: wire::time(comment.updated_at.as_deref()),
    };
    match threads.iter_mut().find(|thread| thread.id == id) {
        Some(thread) => {
            thread.comments.push(reply);
            thread.is_resolved = Some(is_resolved);
        }
        None => threads.push(ReviewThread {
            id,
            path,
            line,
            hunk: comment.diff_hunk.unwrap_or_default(),
            comments: vec![reply],
            is_resolved: Some(is_resolved),
        }),
    }
}

impl From<ReviewBody> for Review {
    fn from(review: ReviewBody) -> Self {
        let verdict = match review.state.as_deref() {
            _ if review.dismissed == Some(true) => ReviewVerdict::Dismissed,
            Some("APPROVED") => ReviewVerdict::Approved,
            Some("REQUEST_CHANGES") => ReviewVerdict::ChangesRequested,
            Some("COMMENT") => ReviewVerdict::Commented,
            _ => ReviewVerdict::Other,
        };
        Self {
            id: review.id,
            author: wire::user(review.user),
            verdict,
            body: wire::comment_text(review.body),
            commit: review.commit_id,
            submitted: wire::time(review.submitted_at.as_deref()),
        }
    }
}
