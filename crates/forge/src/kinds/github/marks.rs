//! Who labeled and assigned issues: the events of an issue.

use kugetsu_domain::reference::ProjectPath;
use kugetsu_domain::watch::selection::{Mark, MarkChange, Setting};
use serde::Deserialize;

use super::api::GitHub;
use crate::error::ForgeError;
use crate::http::paging::PER_PAGE;
use crate::kinds::wire::{self, Label, User};

#[derive(Deserialize)]
struct Event {
    id: Option<u64>,
    event: Option<String>,
    actor: Option<User>,
    label: Option<Label>,
    assignee: Option<User>,
    /// The user who assigned or unassigned. For that, `actor` has also been the assignee.
    assigner: Option<User>,
    created_at: Option<String>,
}

impl GitHub {
    pub(super) async fn setting_of(
        &self,
        project: &ProjectPath,
        number: u64,
        mark: &Mark,
    ) -> Result<Setting, ForgeError> {
        let (number, per_page) = (number.to_string(), PER_PAGE.to_string());
        let path = wire::repo_path(project, &["issues", &number, "events"]);
        let change = |event: Event| event.change_of(mark);
        wire::setting(self.client.list_first(&path, &[("per_page", &per_page)], change).await)
    }
}

impl Event {
    fn change_of(self, mark: &Mark) -> Option<MarkChange> {
        let (is_set, subject, actor, name) = match (self.event.as_deref()?, mark) {
            ("labeled", Mark::Label(name)) => (true, self.label.and_then(wire::label_name), self.actor, name),
            ("unlabeled", Mark::Label(name)) => (false, self.label.and_then(wire::label_name), self.actor, name),
            ("assigned", Mark::Assignee(login)) => (true, wire::login(self.assignee), self.assigner, login),
            ("unassigned", Mark::Assignee(login)) => (false, wire::login(self.assignee), self.assigner, login),
            _ => return None,
        };
        // GitHub does not distinguish the case of letters, in labels as in logins.
        subject.filter(|subject| subject.eq_ignore_ascii_case(name))?;
        let at = wire::time(self.created_at.as_deref());
        Some(MarkChange { id: self.id.unwrap_or_default(), at, actor: wire::actor(actor), is_set })
    }
}
