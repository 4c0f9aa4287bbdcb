//! Who labeled and assigned issues: the timeline of an issue.

use kugetsu_domain::reference::ProjectPath;
use kugetsu_domain::watch::selection::{Mark, MarkChange, Setting};
use serde::Deserialize;

use super::api::Gitea;
use crate::error::ForgeError;
use crate::kinds::wire::{self, Label, User};

/// A comment or a change.
#[derive(Deserialize)]
struct Entry {
    id: Option<u64>,
    #[serde(rename = "type")]
    kind: Option<String>,
    user: Option<User>,
    /// Of a change of a label: `1` if it was added, empty if it was removed.
    body: Option<String>,
    /// None if the label was deleted.
    label: Option<Label>,
    assignee: Option<User>,
    removed_assignee: Option<bool>,
    created_at: Option<String>,
}

impl Gitea {
    /// Pages would be incomplete: their total is that of the page, and entries that the token may not see are removed from a page
    /// after it was cut. Without a page, the server sends the whole timeline.
    pub(super) async fn setting_of(
        &self,
        project: &ProjectPath,
        number: u64,
        mark: &Mark,
    ) -> Result<Setting, ForgeError> {
        let number = number.to_string();
        let path = wire::repo_path(project, &["issues", &number, "timeline"]);
        wire::setting(self.client.list_first(&path, &[], |entry: Entry| entry.change_of(mark)).await)
    }
}

impl Entry {
    fn change_of(self, mark: &Mark) -> Option<MarkChange> {
        let is_set = match (self.kind.as_deref()?, mark) {
            ("label", Mark::Label(name)) => {
                self.label.and_then(wire::label_name).filter(|label| label == name)?;
                self.body.as_deref() == Some("1")
            }
            ("assignees", Mark::Assignee(login)) => {
                wire::login(self.assignee).filter(|assignee| assignee.eq_ignore_ascii_case(login))?;
                self.removed_assignee != Some(true)
            }
            _ => return None,
        };
        let at = wire::time(self.created_at.as_deref());
        Some(MarkChange { id: self.id.unwrap_or_default(), at, actor: wire::actor(self.user), is_set })
    }
}
