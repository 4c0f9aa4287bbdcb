//! The stored facts, looked at without the daemon: whether one runs or not, nothing is written and nothing is started.

use std::collections::BTreeSet;
use std::fs;
use std::io;

use kugetsu_domain::ids::RunId;
use kugetsu_domain::reference::IssueRef;
use kugetsu_engine::Home;
use kugetsu_store::error::StoreError;
use kugetsu_store::open;
use kugetsu_store::store::Store;
use kugetsu_store::view::{Repo, RunView};

/// The facts, as they are now.
#[derive(Debug)]
pub(crate) struct Facts(Store);

/// Opens them; none where nothing was stored yet.
///
/// # Errors
/// Why they cannot be read, in words that name the file.
pub(crate) async fn open(home: &Home) -> Result<Option<Facts>, String> {
    let path = home.database();
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("the database {} cannot be read: {error}", path.display())),
        Ok(found) if !found.is_file() => {
            return Err(format!("{} is no database but a directory or something else; move it away", path.display()));
        }
        Ok(found) if found.len() == 0 => return Ok(None),
        Ok(_) => {}
    }
    open::look(&path).await.map(|store| Some(Facts(store))).map_err(|error| error.to_string())
}

impl Facts {
    /// What is wrong with the file and its rows, each in a sentence.
    pub(crate) async fn wrong(&self) -> Result<Vec<String>, StoreError> {
        let mut wrong = self.0.check().await?;
        wrong.extend(self.0.damaged().await?);
        Ok(wrong)
    }

    /// Every repository that issues were worked on.
    pub(crate) async fn repositories(&self) -> Result<Vec<Repo>, StoreError> {
        self.0.repos().await
    }

    /// The projects on the server at this address.
    pub(crate) async fn projects_on(&self, base: &str) -> Result<Vec<String>, String> {
        let all = self.repositories().await.map_err(|error| error.to_string())?;
        let on = all.iter().filter(|repo| repo.name.base.as_str() == base);
        Ok(on.map(|repo| repo.name.project.to_string()).collect())
    }

    /// Every issue's latest run.
    pub(crate) async fn latest(&self) -> Result<Vec<RunView>, StoreError> {
        self.0.latest_runs().await
    }

    /// Whether the run is stored, whatever became of it.
    pub(crate) async fn knows(&self, run: RunId) -> Result<bool, StoreError> {
        Ok(self.0.issue_of_run(run).await?.is_some())
    }

    /// The runs that go on, the coordinator's among them.
    pub(crate) async fn live(&self) -> Result<BTreeSet<RunId>, StoreError> {
        let mut live: BTreeSet<RunId> =
            self.0.running().await?.iter().filter_map(|issue| Some(issue.lease()?.run)).collect();
        if let Some(coordinator) = self.0.issue(&IssueRef::coordinator()).await? {
            live.extend(coordinator.lease().map(|lease| lease.run));
        }
        Ok(live)
    }
}
