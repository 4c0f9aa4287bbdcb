//! Who labeled and assigned issues: events of labels, and the notes about changes of assignees, which have no events.

use kugetsu_domain::reference::ProjectPath;
use kugetsu_domain::watch::selection::{Mark, MarkChange, Setting};
use serde::Deserialize;

use super::api::GitLab;
use crate::error::ForgeError;
use crate::http::paging::PER_PAGE;
use crate::issue::Listed;
use crate::kinds::wire::{self, Label, User};

#[derive(Deserialize)]
struct LabelEvent {
    id: Option<u64>,
    user: Option<User>,
    /// None if the label was deleted.
    label: Option<Label>,
    action: Option<String>,
    created_at: Option<String>,
}

#[derive(Deserialize)]
struct Note {
    id: Option<u64>,
    author: Option<User>,
    body: Option<String>,
    /// Whether the server wrote it about a change.
    system: Option<bool>,
    created_at: Option<String>,
}

impl GitLab {
    pub(super) async fn setting_of(
        &self,
        project: &ProjectPath,
        number: u64,
        mark: &Mark,
    ) -> Result<Setting, ForgeError> {
        let number = number.to_string();
        wire::setting(match mark {
            Mark::Label(name) => self.label_changes(project, &number, name).await,
            Mark::Assignee(login) => self.assignee_changes(project, &number, login).await,
        })
    }

    async fn label_changes(
        &self,
        project: &ProjectPath,
        number: &str,
        name: &str,
    ) -> Result<Listed<MarkChange>, ForgeError> {
        let per_page = PER_PAGE.to_string();
        let path = ["projects", project.as_str(), "issues", number, "resource_label_events"];
        let change = |event: LabelEvent| {
            event.label.and_then(wire::label_name).filter(|label| label == name)?;
            let is_set = match event.action.as_deref()? {
                "add" => true,
                "remove" => false,
                _ => return None,
            };
            let at = wire::time(event.created_at.as_deref());
            Some(MarkChange { id: event.id.unwrap_or_default(), at, actor: wire::actor(event.user), is_set })
        };
        self.client.list_first(&path, &[("per_page", &per_page)], change).await
    }

    async fn assignee_changes(
        &self,
        project: &ProjectPath,
        number: &str,
        login: &str,
    ) -> Result<Listed<MarkChange>, ForgeError> {
        let per_page = PER_PAGE.to_string();
        let path = ["projects", project.as_str(), "issues", number, "notes"];
        let query = [("order_by", "created_at"), ("sort", "asc"), ("per_page", per_page.as_str())];
        let change = |note: Note| {
            // Users write notes, too, with any text.
            let text = note.body.filter(|_| note.system == Some(true))?;
            let is_set = assigns(&text, login)?;
            let at = wire::time(note.created_at.as_deref());
            Some(MarkChange { id: note.id.unwrap_or_default(), at, actor: wire::actor(note.author), is_set })
        };
        self.client.list_first(&path, &query, change).await
    }
}

/// Whether a note about a change assigns or unassigns the user; `None` if it does neither. Its text is the same in every language:
/// `assigned to @kim, @lee, and @max and unassigned @ann`.
fn assigns(text: &str, login: &str) -> Option<bool> {
    if text == "removed assignee" || text == "removed all assignees" {
        return Some(false);
    }
    let (mut is_set, mut found) = (None, None);
    for word in text.split_whitespace() {
        match word {
            "assigned" => is_set = Some(true),
            "unassigned" => is_set = Some(false),
            "to" | "and" => {}
            _ => {
                let user = word.strip_prefix('@')?.trim_end_matches(',');
                if user.eq_ignore_ascii_case(login) {
                    found = is_set;
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_name_who_is_assigned_and_unassigned() {
        for (text, expected) in [
            ("assigned to @robot", Some(true)),
            ("assigned to @kim, @Robot, and @lee", Some(true)),
            ("assigned to @kim and unassigned @robot", Some(false)),
            ("unassigned @robot", Some(false)),
            ("removed assignee", Some(false)),
            ("assigned to @robot2 and unassigned @kim", None),
            ("changed the description to @robot", None),
            ("mentioned in issue #3, assigned to @robot", None),
            ("@robot", None),
            ("", None),
        ] {
            assert_eq!(assigns(text, "robot"), expected, "{text}");
        }
    }
}
