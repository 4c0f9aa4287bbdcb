//! Reads a list from the store page by page.

use futures::Stream;
use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_domain::ids::TaskId;
use kugetsu_store::error::StoreError;
use kugetsu_store::query::{ViewFilter, ViewQuery};
use kugetsu_store::store::Store;
use kugetsu_store::view::RunView;

use crate::api_error::ApiError;

/// Number of tasks that are in memory at a time. A message may have a megabyte.
const PAGE: u32 = 100;

pub(crate) struct Pages {
    store: Store,
    /// The query for the next page; `None` after the last one.
    query: Option<ViewQuery>,
    /// How many more tasks to read at most.
    limit: Option<u32>,
}

impl Pages {
    /// Reads what `query` selects, at most `limit` tasks, from the task that follows `after` in the query's order.
    pub(crate) async fn new(
        store: &Store,
        query: ViewQuery,
        limit: Option<u32>,
        after: Option<&str>,
    ) -> Result<Self, ApiError> {
        let cursor = match after {
            Some(after) => Some(cursor(store, after).await?),
            None => None,
        };
        Ok(Self { store: store.clone(), query: Some(query.cursor(cursor)), limit })
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Vec<RunView>>, StoreError> {
        let Some(query) = self.query.take() else { return Ok(None) };
        let size = match (self.limit, &query.filter) {
            // It has no second page.
            (Some(limit), ViewFilter::Next) => limit,
            (limit, _) => limit.map_or(PAGE, |limit| limit.min(PAGE)),
        };
        let page = self.store.views(query.clone().limit(size)).await?;
        self.limit = self.limit.map(|limit| limit - size);
        let next = page.next.filter(|_| self.limit != Some(0));
        self.query = next.map(|next| query.cursor(Some(next)));
        Ok(Some(page.views))
    }

    pub(crate) fn stream(self) -> impl Stream<Item = Result<Vec<RunView>, StoreError>> {
        futures::stream::try_unfold(self, |mut pages| async move { Ok(pages.next().await?.map(|page| (page, pages))) })
    }
}

/// Returns the cursor of the page that begins after this task.
async fn cursor(store: &Store, task: &str) -> Result<i64, ApiError> {
    let missing = || Problem::new(ProblemKind::NotFound, format!("there is no task {task}"));
    let id: TaskId = task.parse().map_err(|_| missing())?;
    let page = store.views(ViewQuery::new(ViewFilter::Task(id)).limit(1)).await?;
    Ok(page.next.ok_or_else(missing)?)
}
