//! Approvals, requests for changes and threads of a merge request. Reviews are no objects.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kugetsu_domain::reference::ProjectPath;
use serde::Deserialize;

use super::api::GitLab;
use super::issues::Note;
use super::versions::head_at;
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
        let approvals = self.approvals(project, number).await?;
        let number = number.to_string();
        let path = ["projects", project.as_str(), "merge_requests", &number, "reviewers"];
        let reviewers = wire::unless_missing(self.client.list(&path, &[], Some::<Reviewer>).await)?;
        let reviewers = reviewers.into_iter().flatten();
        let refusing = reviewers.filter(|reviewer| reviewer.state.as_deref() == Some("requested_changes"));
        let refusals = refusing.map(|reviewer| Review {
            id: 0,
            author: wire::user(reviewer.user),
            verdict: ReviewVerdict::ChangesRequested,
            body: String::new(),
            commit: None,
            submitted: wire::time(reviewer.created_at.as_deref()),
        });
        let reviews = approvals.into_iter().chain(refusals);
        Ok((0..).zip(reviews).map(|(id, review)| Review { id, ..review }).collect())
    }

    /// GitLab records the time of an approval and not its commit, and an approval stays after a push unless the project is set to
    /// remove it.
    async fn approvals(&self, project: &ProjectPath, number: u64) -> Result<Vec<Review>, ForgeError> {
        let path = ["projects", project.as_str(), "merge_requests", &number.to_string(), "approvals"];
        let approvals: Approvals = self.client.get(&path).await?;
        let approvals: Vec<Approval> = approvals.approved_by.into_iter().flatten().collect();
        if approvals.is_empty() {
            return Ok(Vec::new());
        }
        let versions = wire::unless_missing(self.versions(project, number).await)?.unwrap_or_default();
        let noted = match approvals.iter().all(|approval| approval.approved_at.is_some()) {
            true => BTreeMap::new(),
            false => self.noted_approvals(project, number).await?,
        };
        let review = |approval: Approval| {
            let author = wire::user(approval.user);
            let noted = author.as_ref().and_then(|author| noted.get(&author.login).copied());
            let submitted = wire::time(approval.approved_at.as_deref()).or(noted);
            let commit = submitted.and_then(|time| head_at(&versions, time)).map(str::to_owned);
            let (verdict, body) = (ReviewVerdict::Approved, String::new());
            Review { id: 0, author, verdict, body, commit, submitted }
        };
        Ok(approvals.into_iter().map(review).collect())
    }

    /// The time of each user's last approval, by the notes about changes. Versions before 18.4 have no other record of it.
    async fn noted_approvals(
        &self,
        project: &ProjectPath,
        number: u64,
    ) -> Result<BTreeMap<String, Timestamp>, ForgeError> {
        let per_page = PER_PAGE.to_string();
        let path = ["projects", project.as_str(), "merge_requests", &number.to_string(), "notes"];
        let query = [("order_by", "created_at"), ("sort", "asc"), ("per_page", per_page.as_str())];
        let notes = self.client.list(&path, &query, |note: Note| note.approval()).await?;
        let mut latest = BTreeMap::new();
        for (login, time) in notes {
            let known: &mut Timestamp = latest.entry(login).or_insert(time);
            *known = time.max(*known);
        }
        Ok(latest)
    }

    pub(super) async fn list_threads(
        &self,
        project: &ProjectPath,
        number: u64,
    ) -> Result<Vec<ReviewThread>, ForgeError> {
        let per_page = PER_PAGE.to_string();
        let path = ["projects", project.as_str(), "merge_requests", &number.to_string(), "discussions"];
        self.client.list(&path, &[("per_page", &per_page)], thread).await
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
