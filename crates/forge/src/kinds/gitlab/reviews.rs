//! Approvals, requests for changes and threads of a merge request. Reviews are no objects.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kugetsu_domain::reference::ProjectPath;
use serde::Deserialize;

use super::api::GitLab;
use super::hunk::{Line, hunk};
use super::issues::Note;
use super::versions::{FileDiff, head_at};
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

/// A line of a version.
#[derive(Clone, Deserialize)]
struct Position {
    /// The head of the version.
    head_sha: Option<String>,
    new_path: Option<String>,
    old_path: Option<String>,
    /// None for a line that was removed.
    new_line: Option<u64>,
    old_line: Option<u64>,
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

    /// A thread names a line of one version, whose changes are read for the lines around it.
    pub(super) async fn list_threads(
        &self,
        project: &ProjectPath,
        number: u64,
    ) -> Result<Vec<ReviewThread>, ForgeError> {
        let per_page = PER_PAGE.to_string();
        let path = ["projects", project.as_str(), "merge_requests", &number.to_string(), "discussions"];
        let mut threads = self.client.list(&path, &[("per_page", &per_page)], thread).await?;
        let mut open: BTreeMap<String, Vec<(Position, &mut ReviewThread)>> = BTreeMap::new();
        for (position, thread) in &mut threads {
            if let Some(head) = position.head_sha.clone().filter(|_| thread.is_resolved != Some(true)) {
                open.entry(head).or_default().push((position.clone(), thread));
            }
        }
        if !open.is_empty() {
            let versions = wire::unless_missing(self.versions(project, number).await)?.unwrap_or_default();
            for (head, threads) in open {
                let changes = self.changes_of(project, number, &versions, &head).await?;
                for (position, thread) in threads {
                    thread.hunk = position.hunk(&changes).unwrap_or_default();
                }
            }
        }
        Ok(threads.into_iter().map(|(_, thread)| thread).collect())
    }
}

impl Position {
    /// The lines around it. A file may have been renamed.
    fn hunk(&self, changes: &[FileDiff]) -> Option<String> {
        let has_path = |at: Option<&str>, of: Option<&str>| at.is_some() && at == of;
        let is_new = |file: &&FileDiff| has_path(self.new_path.as_deref(), file.new_path.as_deref());
        let is_old = |file: &&FileDiff| has_path(self.old_path.as_deref(), file.old_path.as_deref());
        let file = changes.iter().find(is_new).or_else(|| changes.iter().find(is_old))?;
        let line = self.new_line.map(Line::New).or_else(|| self.old_line.map(Line::Old))?;
        hunk(file.diff.as_deref()?, line)
    }
}

/// A discussion about a line; `None` for the others.
fn thread(discussion: Discussion) -> Option<(Position, ReviewThread)> {
    let notes = discussion.notes?;
    let position = notes.first()?.position.clone()?;
    let path = position.new_path.clone().or_else(|| position.old_path.clone())?;
    let line = position.new_line;
    let mut resolvable = notes.iter().filter(|note| note.resolvable == Some(true)).peekable();
    let is_resolved = resolvable.peek().is_some().then(|| resolvable.all(|note| note.resolved == Some(true)));
    let comments = notes.into_iter().map(|note| Comment::from(note.note)).collect();
    let thread = ReviewThread { id: discussion.id, path, line, hunk: String::new(), comments, is_resolved };
    Some((position, thread))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renamed_and_deleted_files_are_found() {
        let changes: Vec<FileDiff> = serde_json::from_value(serde_json::json!([
            { "old_path": "a.rs", "new_path": "b.rs", "renamed_file": true, "diff": "@@ -1,2 +1,2 @@\n fn a() {}\n-x\n+y\n" },
            { "old_path": "gone.rs", "new_path": "gone.rs", "deleted_file": true, "diff": "@@ -1 +0,0 @@\n-z\n" },
            { "old_path": "large.rs", "new_path": "large.rs", "diff": "", "too_large": true },
            { "new_path": "null.rs", "diff": null },
        ]))
        .unwrap();
        let hunk = |json: serde_json::Value| serde_json::from_value::<Position>(json).unwrap().hunk(&changes);
        let renamed = Some("@@ -1,2 +1,2 @@\n fn a() {}\n-x\n+y".to_owned());
        for position in [
            serde_json::json!({ "old_path": "a.rs", "new_path": "b.rs", "new_line": 2 }),
            serde_json::json!({ "old_path": "a.rs", "new_path": "a.rs", "old_line": 2 }),
            serde_json::json!({ "old_path": "a.rs", "new_path": "b.rs", "old_line": 1, "new_line": 1 }),
        ] {
            assert_eq!(hunk(position.clone()), renamed, "{position}");
        }
        let gone = serde_json::json!({ "old_path": "gone.rs", "new_path": "gone.rs", "old_line": 1 });
        assert_eq!(hunk(gone), Some("@@ -1,1 +0,0 @@\n-z".to_owned()));
        for position in [
            serde_json::json!({ "old_path": "large.rs", "new_path": "large.rs", "new_line": 1 }),
            serde_json::json!({ "new_path": "null.rs", "new_line": 1 }),
            serde_json::json!({ "new_path": "other.rs", "new_line": 1 }),
            serde_json::json!({ "new_path": "b.rs" }),
            serde_json::json!({}),
        ] {
            assert_eq!(hunk(position.clone()), None, "{position}");
        }
    }
}
