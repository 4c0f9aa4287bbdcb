//! JSON that more than one kind of forge sends, read leniently: absent and null fields are `None`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use kugetsu_domain::reference::{ProjectPath, ServerBase};
use kugetsu_domain::watch::selection::{MarkChange, Setting};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::discussion::Comment;
use crate::error::ForgeError;
use crate::issue::{Issue, IssueState, Listed};
use crate::user::{self, Permission};

/// Bytes of a comment that are kept. GitLab accepts a million characters, in thousands of comments.
const COMMENT_MAX: usize = 64 * 1024;
/// Longest login in bytes that is taken for one.
const LOGIN_MAX: usize = 255;

/// A label: an object on GitHub and Gitea, a plain name on GitLab and in old responses of GitHub.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Label {
    Name(String),
    Object { name: Option<String> },
}

/// The beginning of a comment.
pub(super) fn comment_text(body: Option<String>) -> String {
    let mut body = body.unwrap_or_default();
    if body.len() > COMMENT_MAX {
        body.truncate(body.floor_char_boundary(COMMENT_MAX));
        body.shrink_to_fit();
    }
    body
}

pub(super) fn label_names(labels: Option<Vec<Label>>) -> Vec<String> {
    labels.into_iter().flatten().filter_map(label_name).collect()
}

pub(super) fn label_name(label: Label) -> Option<String> {
    match label {
        Label::Name(name) | Label::Object { name: Some(name) } => Some(name),
        Label::Object { name: None } => None,
    }
}

/// The user whom the token belongs to.
#[derive(Debug, Deserialize)]
#[serde(try_from = "User")]
pub(super) struct Me {
    pub(super) login: String,
}

impl TryFrom<User> for Me {
    type Error = &'static str;

    fn try_from(user: User) -> Result<Self, Self::Error> {
        login(Some(user)).map(|login| Self { login }).ok_or("a user without a login")
    }
}

/// A user. GitHub calls the login `login`, GitLab `username`, and Gitea has both.
#[derive(Debug, Deserialize)]
pub(super) struct User {
    id: Option<Value>,
    login: Option<String>,
    username: Option<String>,
    /// `Bot` for programs on GitHub, and on Gitea since 2026.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Of GitLab, which leaves it out of the authors of notes.
    bot: Option<bool>,
}

/// The user that Gitea and Forgejo have for their own workflows. No account has a negative ID.
const WORKFLOWS: i64 = -2;

/// The login of a user who may be gone.
pub(super) fn login(user: Option<User>) -> Option<String> {
    let user = user?;
    user.login.or(user.username).filter(|login| !login.is_empty())
}

/// The logins of users who are not gone.
pub(super) fn logins(users: Option<Vec<User>>) -> Vec<String> {
    users.into_iter().flatten().filter_map(|user| login(Some(user))).collect()
}

/// A user who may be gone. Only the server's own mark makes one a program.
pub(super) fn user(user: Option<User>) -> Option<user::User> {
    let user = user?;
    let is_bot = user.kind.as_deref() == Some("Bot") || user.bot == Some(true) || is_id(&user, WORKFLOWS);
    Some(user::User { login: login(Some(user))?, is_bot })
}

fn is_id(user: &User, id: i64) -> bool {
    user.id.as_ref().and_then(Value::as_i64) == Some(id)
}

/// A permission by its name on GitHub and Gitea; `None` if this version does not know it.
pub(super) fn permission(name: &str) -> Option<Permission> {
    Some(match name {
        "owner" | "admin" => Permission::Admin,
        "maintain" => Permission::Maintain,
        "write" => Permission::Write,
        "triage" => Permission::Triage,
        "read" => Permission::Read,
        "none" => Permission::None,
        _ => return None,
    })
}

/// The result of removing something, where its absence is as good.
pub(super) fn unless_gone(removed: Result<(), ForgeError>, says_gone: impl Fn(&str) -> bool) -> Result<(), ForgeError> {
    match removed {
        Err(ForgeError::NotFound { authenticated: true, .. }) => Ok(()),
        Err(ForgeError::Refused { message, .. }) if says_gone(&message) => Ok(()),
        removed => removed,
    }
}

/// The two parts of a path that has no groups.
pub(super) fn owner_and_name(project: &ProjectPath) -> (&str, &str) {
    project.as_str().split_once('/').unwrap_or((project.as_str(), ""))
}

/// A value that the server may not have: it was removed, or this version has none.
pub(super) fn unless_missing<T>(value: Result<T, ForgeError>) -> Result<Option<T>, ForgeError> {
    match value {
        Ok(value) => Ok(Some(value)),
        Err(ForgeError::NotFound { authenticated: true, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The last setting of a mark, by the recorded changes of it.
pub(super) fn setting(changes: Result<Listed<MarkChange>, ForgeError>) -> Result<Setting, ForgeError> {
    match changes {
        Ok(changes) => Ok(Setting::of(changes.entries, changes.is_complete)),
        // The issue was read before, so it is the request that this server does not know. A refusal is an error.
        Err(
            ForgeError::NotFound { authenticated: true, .. }
            | ForgeError::Refused { status: 405, .. }
            | ForgeError::Failing { status: 501, .. },
        ) => Ok(Setting::UNRECORDED),
        Err(error) => Err(error),
    }
}

/// The login of the user who made a change.
pub(super) fn actor(user: Option<User>) -> Option<String> {
    login(user).filter(|login| login.len() <= LOGIN_MAX)
}

/// A time. Gitea sends the years 1 and 1970 instead of null; anything unreadable is `None` as well.
pub(super) fn time(text: Option<&str>) -> Option<Timestamp> {
    text?.parse().ok().filter(|time| *time > Timestamp::UNIX_EPOCH)
}

/// The title without the first prefix that it begins with.
pub(super) fn without_prefix<'a>(title: &'a str, prefixes: &[&str]) -> &'a str {
    let found = prefixes.iter().find(|prefix| has_prefix(title, &[prefix]));
    found.map_or(title, |prefix| title[prefix.len()..].trim_start())
}

/// Whether a title begins with one of these prefixes, in whatever case.
pub(super) fn has_prefix(title: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| title.get(..prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(prefix)))
}

/// The API path of something in a repository, on GitHub and Gitea.
pub(super) fn repo_path<'a>(project: &'a ProjectPath, rest: &[&'a str]) -> Vec<&'a str> {
    std::iter::once("repos").chain(project.as_str().split('/')).chain(rest.iter().copied()).collect()
}

/// A file, on every kind of server.
#[derive(Debug, Deserialize)]
pub(super) struct File {
    /// None for a directory, and for large files of GitHub.
    content: Option<String>,
    encoding: Option<String>,
}

/// The text of a file that was requested; `None` if there is no such file.
pub(super) fn text(
    file: Result<File, ForgeError>,
    server: &ServerBase,
    name: &str,
) -> Result<Option<String>, ForgeError> {
    let file = match file {
        Ok(file) => file,
        Err(ForgeError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let encoded = file.content.filter(|_| file.encoding.as_deref() == Some("base64"));
    let encoded = encoded.map(|content| content.split_whitespace().collect::<String>());
    let bytes = encoded.and_then(|content| STANDARD.decode(content).ok());
    match bytes.and_then(|bytes| String::from_utf8(bytes).ok()) {
        Some(text) => Ok(Some(text)),
        None => Err(ForgeError::Unexpected {
            server: server.to_string(),
            request: format!("GET {name}"),
            reason: "the file is too large, or is not text".to_owned(),
        }),
    }
}

/// An issue of GitHub and Gitea.
#[derive(Debug, Deserialize)]
pub(super) struct RepoIssue {
    number: u64,
    title: Option<String>,
    body: Option<String>,
    state: Option<String>,
    user: Option<User>,
    labels: Option<Vec<Label>>,
    assignees: Option<Vec<User>>,
    html_url: Option<String>,
    created_at: Option<String>,
    updated_at: Option<String>,
    /// Of GitHub.
    #[serde(rename = "type")]
    kind: Option<IssueType>,
    /// Of GitHub.
    sub_issues_summary: Option<SubIssues>,
    /// Present if the issue is a pull request.
    pull_request: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct IssueType {
    name: Option<String>,
}

#[derive(Debug, Deserialize)]
struct SubIssues {
    total: Option<u64>,
    completed: Option<u64>,
}

impl SubIssues {
    fn open(&self) -> u64 {
        self.total.unwrap_or_default().saturating_sub(self.completed.unwrap_or_default())
    }
}

impl From<RepoIssue> for Issue {
    fn from(issue: RepoIssue) -> Self {
        Self {
            number: issue.number,
            title: issue.title.unwrap_or_default(),
            body: issue.body.unwrap_or_default(),
            state: if issue.state.as_deref() == Some("closed") { IssueState::Closed } else { IssueState::Open },
            author: user(issue.user),
            assignees: logins(issue.assignees),
            labels: label_names(issue.labels),
            kind: issue.kind.and_then(|kind| kind.name),
            open_sub_issues: issue.sub_issues_summary.map_or(0, |summary| summary.open()),
            url: issue.html_url.unwrap_or_default(),
            is_pull_request: issue.pull_request.is_some(),
            created: time(issue.created_at.as_deref()),
            updated: time(issue.updated_at.as_deref()),
        }
    }
}

/// A comment of GitHub and Gitea.
#[derive(Debug, Deserialize)]
pub(super) struct RepoComment {
    id: u64,
    user: Option<User>,
    body: Option<String>,
    created_at: Option<String>,
    updated_at: Option<String>,
}

impl From<RepoComment> for Comment {
    fn from(comment: RepoComment) -> Self {
        Self {
            id: comment.id,
            author: user(comment.user),
            body: comment_text(comment.body),
            created: time(comment.created_at.as_deref()),
            updated: time(comment.updated_at.as_deref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unset_times_are_none() {
        for text in ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1970-01-01T01:00:00+01:00", "", "soon"] {
            assert_eq!(time(Some(text)), None, "{text}");
        }
        assert_eq!(time(None), None);
        assert_eq!(time(Some("2026-01-02T03:04:05+01:00")), "2026-01-02T02:04:05Z".parse().ok());
        assert_eq!(time(Some("2026-01-02T03:04:05.678Z")), "2026-01-02T03:04:05.678Z".parse().ok());
    }

    #[test]
    fn labels_are_read_in_every_form() {
        let labels = serde_json::from_str(r#"["a", {"name": "b", "id": 1}, {"name": null}, {}]"#).unwrap();
        assert_eq!(label_names(Some(labels)), ["a", "b"]);
        assert!(label_names(None).is_empty());
    }

    #[test]
    fn only_the_beginning_of_a_title_marks_a_draft() {
        let prefixes = ["WIP:", "[WIP]"];
        assert!(has_prefix("wip: x", &prefixes) && has_prefix("[WIP] x", &prefixes));
        assert!(!has_prefix("no WIP: x", &prefixes) && !has_prefix("é", &prefixes) && !has_prefix("", &prefixes));
    }
}
