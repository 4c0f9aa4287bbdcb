//! Requests that GitHub and Gitea understand alike.

use kugetsu_domain::reference::ProjectPath;
use reqwest::Method;
use serde_json::json;

use super::wire::{self, RepoComment};
use crate::discussion::{Comment, Reaction};
use crate::error::ForgeError;
use crate::forge::Subject;
use crate::http::client::Client;

pub(super) async fn post_comment(
    client: &Client,
    project: &ProjectPath,
    subject: Subject,
    body: &str,
) -> Result<Comment, ForgeError> {
    let number = subject.number().to_string();
    let path = wire::repo_path(project, &["issues", &number, "comments"]);
    client.change::<RepoComment>(Method::POST, &path, json!({ "body": body })).await.map(Comment::from)
}

pub(super) async fn patch_comment(
    client: &Client,
    project: &ProjectPath,
    id: u64,
    body: &str,
) -> Result<(), ForgeError> {
    let id = id.to_string();
    let path = wire::repo_path(project, &["issues", "comments", &id]);
    client.change_only(Method::PATCH, &path, Some(json!({ "body": body }))).await
}

pub(super) async fn add_reaction(
    client: &Client,
    project: &ProjectPath,
    comment: u64,
    reaction: Reaction,
) -> Result<(), ForgeError> {
    let id = comment.to_string();
    let path = wire::repo_path(project, &["issues", "comments", &id, "reactions"]);
    client.change_only(Method::POST, &path, Some(json!({ "content": reaction.content() }))).await
}

pub(super) async fn ask_for_review(
    client: &Client,
    project: &ProjectPath,
    number: u64,
    logins: &[String],
) -> Result<(), ForgeError> {
    let number = number.to_string();
    let path = wire::repo_path(project, &["pulls", &number, "requested_reviewers"]);
    client.change_only(Method::POST, &path, Some(json!({ "reviewers": logins }))).await
}
