//! Comments that kugetsu writes once, however many attempts that takes.

use kugetsu_domain::ids::RunId;
use kugetsu_domain::reference::ProjectPath;
use kugetsu_domain::watch::publication::{comment, has_marker};
use kugetsu_forge::discussion::Comment;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::forge::{Forge, Subject};

/// Attempts after a failed one that only look for a comment: the failed one may have written it, and servers list a comment some
/// seconds late.
const LOOKS: u32 = 3;

/// How an attempt to write a comment ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Written {
    /// The ID of the comment.
    Found(u64),
    /// None was found yet, and an earlier attempt may have written it.
    MayExist,
}

/// Error of an attempt that ended with [`Written::MayExist`].
pub(crate) const MAY_EXIST: &str = "an attempt may have commented, and the server does not list it yet";

/// Identifies a comment that kugetsu writes for the agent of a run.
pub(crate) fn agent_marker(run: RunId, number: u32) -> String {
    format!("comment {run} {number}")
}

/// Finds a comment that kugetsu wrote, by its author `own` and its marker.
pub(crate) fn own_comment<'a>(comments: &'a [Comment], own: &str, marker: &str) -> Option<&'a Comment> {
    let is_own = |comment: &&Comment| comment.author.as_ref().is_some_and(|author| author.login == own);
    comments.iter().find(|comment| is_own(comment) && has_marker(&comment.body, marker))
}

/// A comment to write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnComment<'a> {
    pub(crate) project: &'a ProjectPath,
    pub(crate) subject: Subject,
    pub(crate) text: &'a str,
    pub(crate) marker: &'a str,
}

impl OwnComment<'_> {
    /// Writes the text into the comment with this marker, or into a new one. `failures` is the number of attempts that failed before.
    /// Two attempts at once would write two comments.
    pub(crate) async fn write(&self, forge: &dyn Forge, failures: u32) -> Result<Written, ForgeError> {
        let Self { project, subject, text, marker } = *self;
        let text = comment(text, marker);
        let own = forge.whoami().await?.login;
        let comments = forge.comments(project, subject).await?.entries;
        match own_comment(&comments, &own, marker) {
            Some(found) => {
                if found.body.trim() != text {
                    forge.edit_comment(project, subject, found.id, &text).await?;
                }
                Ok(Written::Found(found.id))
            }
            None if (1..=LOOKS).contains(&failures) => Ok(Written::MayExist),
            None => forge.add_comment(project, subject, &text).await.map(|comment| Written::Found(comment.id)),
        }
    }
}
