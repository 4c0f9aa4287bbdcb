//! Full references of issues.

use std::path::Path;

use kugetsu_api::issue::IssueQuery;
use kugetsu_api::problem::Problem;
use kugetsu_forge::references::reference::Reference;

use crate::engine::Engine;
use crate::resolve;

/// Returns the query with the full reference of the issue that it names, so that the directory of the caller does not matter any
/// more.
///
/// # Errors
/// There is no such issue.
pub async fn full(engine: &Engine, query: IssueQuery) -> Result<IssueQuery, Problem> {
    let issue = resolve::issue(engine, &Reference::new(&query.reference), Path::new(&query.cwd)).await?;
    Ok(IssueQuery { reference: issue.reference.to_string(), ..query })
}
