//! Reads the database without the daemon, whether one is running or not. Nothing is written and nothing is started.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;

use kugetsu_api::home::Home;
use kugetsu_domain::ids::RunId;
use kugetsu_domain::reference::{IssueRef, RepoRef};
use kugetsu_engine::home::open::compare;
use kugetsu_store::error::{OpenError, StoreError};
use kugetsu_store::open;
use kugetsu_store::query::{IssueFilter, ViewFilter, ViewQuery};
use kugetsu_store::store::Store;
use kugetsu_store::view::{Repo, RunView, WatchState};

#[derive(Debug)]
pub(crate) struct ReadOnlyDb(Store);

/// Why the database cannot be read.
#[derive(Debug)]
pub(crate) struct Unreadable {
    /// Names the file.
    pub(crate) message: String,
    /// The schema is older than this program's; the next daemon migrates it.
    pub(crate) is_older: bool,
}

/// Opens the database. Returns `None` if nothing has been stored yet.
pub(crate) async fn open(home: &Home) -> Result<Option<ReadOnlyDb>, Unreadable> {
    let path = home.database();
    let unreadable = |message| Unreadable { message, is_older: false };
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(format!("could not read the database {}: {error}", path.display()))),
        Ok(metadata) if !metadata.is_file() => {
            return Err(unreadable(format!("the database {} is not a regular file", path.display())));
        }
        Ok(metadata) if metadata.len() == 0 => return Ok(None),
        Ok(_) => {}
    }
    let opened = open::open_read_only(&path);
    opened
        .map(|store| Some(ReadOnlyDb(store)))
        .map_err(|error| Unreadable { is_older: matches!(error, OpenError::Older { .. }), message: error.to_string() })
}

impl ReadOnlyDb {
    pub(crate) fn store(&self) -> Store {
        self.0.clone()
    }

    /// Defects of the file and of its rows, one sentence each.
    pub(crate) async fn problems(&self) -> Result<Vec<String>, StoreError> {
        self.0.check().await
    }

    /// Where the database and the home differ, one sentence each.
    pub(crate) async fn differences(&self, home: &Home) -> Result<Vec<String>, StoreError> {
        compare(home, &self.0).await
    }

    /// The number of issues, destroyed ones included.
    pub(crate) async fn issue_count(&self) -> Result<u64, StoreError> {
        Ok(self.0.shown().await?.into_iter().map(|(_, count)| count).sum())
    }

    /// Writes a copy to a file that does not exist.
    pub(crate) async fn back_up(&self, to: PathBuf) -> Result<(), StoreError> {
        self.0.back_up(to).await
    }

    /// Every repository that an issue belongs to.
    pub(crate) async fn repositories(&self) -> Result<Vec<Repo>, StoreError> {
        self.0.repos().await
    }

    /// The last poll of a watched repository.
    pub(crate) async fn watch(&self, repo: RepoRef) -> Result<WatchState, StoreError> {
        self.0.watch(repo).await
    }

    /// The projects on the server with this base address.
    pub(crate) async fn projects_on(&self, base: &str) -> Result<Vec<String>, String> {
        let all = self.repositories().await.map_err(|error| error.to_string())?;
        let on_server = all.iter().filter(|repo| repo.name.base.as_str() == base);
        Ok(on_server.map(|repo| repo.name.project.to_string()).collect())
    }

    /// The latest run of every issue.
    pub(crate) async fn latest_runs(&self) -> Result<Vec<RunView>, StoreError> {
        Ok(self.0.views(ViewQuery::new(ViewFilter::all_issues())).await?.views)
    }

    /// Those of the runs that are not stored.
    pub(crate) async fn unknown_runs(&self, runs: Vec<RunId>) -> Result<Vec<RunId>, StoreError> {
        self.0.unknown_runs(runs).await
    }

    /// Whether the run is stored, in any state.
    pub(crate) async fn has_run(&self, run: RunId) -> Result<bool, StoreError> {
        self.0.has_run(run).await
    }

    /// The running runs, including the coordinator's.
    pub(crate) async fn running(&self) -> Result<BTreeSet<RunId>, StoreError> {
        let mut running: BTreeSet<RunId> = self
            .0
            .issues(IssueFilter::Running, usize::MAX)
            .await?
            .issues
            .iter()
            .filter_map(|issue| Some(issue.lease()?.run))
            .collect();
        if let Some(coordinator) = self.0.issue(&IssueRef::coordinator()).await? {
            running.extend(coordinator.lease().map(|lease| lease.run));
        }
        Ok(running)
    }
}
