//! Warns about what an agent left in its worktree for programs of the user to execute.

use kugetsu_api::endpoints;
use kugetsu_api::home::Home;
use kugetsu_api::issue::IssueQuery;

use crate::{connect, ui};

/// Names in one warning.
const NAMED: usize = 8;

/// Warns a person who is about to go to the worktree. A check that could not be made is a warning, too.
pub(crate) async fn warn(home: &Home, query: &IssueQuery) {
    match connect::call(home, &endpoints::ISSUE_PLANTED, query).await {
        Ok(found) if found.planted.is_empty() => {}
        Ok(found) => {
            let more = match found.planted.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(", and {more} more"),
            };
            let named: Vec<String> = found.planted.into_iter().take(NAMED).collect();
            ui::warning(format!(
                "the agent changed what programs execute outside of its sandbox: {}{more}; look at it before you open the directory \
                 in an editor or use git there",
                named.join(", ")
            ));
        }
        Err(failure) => ui::warning(format!(
            "it is not known whether the agent left files that programs execute outside of its sandbox: {}",
            failure.message
        )),
    }
}
