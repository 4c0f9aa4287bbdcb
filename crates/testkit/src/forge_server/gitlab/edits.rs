//! Edits that issues and merge requests share.

use super::view::View;
use crate::forge_server::api_request::ApiRequest;
use crate::forge_server::changes::Edit;
use crate::forge_server::issue::Subject;
use crate::forge_server::state::ForgeState;

pub(super) fn view<'a>(forge: &'a ForgeState, request: &'a ApiRequest, path: &'a str) -> Option<View<'a>> {
    Some(View { base: &request.base, path, project: forge.projects.get(path)? })
}

/// The edit of an issue or a merge request. `None` if it names an unknown user.
pub(super) fn edit_of(forge: &ForgeState, request: &ApiRequest, path: &str, subject: Subject) -> Option<Edit> {
    let current = || Some(forge.projects.get(path)?.subject(subject)?.labels.clone());
    let mut labels = request.names("labels").or_else(current)?;
    let [add, remove] = ["add_labels", "remove_labels"].map(|field| request.names(field).unwrap_or_default());
    labels.extend(add.into_iter().filter(|name| !labels.contains(name)).collect::<Vec<_>>());
    labels.retain(|name| !remove.contains(name));
    let assignees = request
        .ids("assignee_ids")
        .map(|ids| ids.into_iter().filter_map(|id| forge.user_of_id(id)).map(str::to_owned).collect());
    Some(Edit {
        title: request.text("title").map(str::to_owned),
        body: request.text("description").map(str::to_owned),
        closed: request.text("state_event").map(|event| event == "close"),
        labels: Some(labels),
        assignees,
        draft: None,
    })
}
