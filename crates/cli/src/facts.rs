//! The stored facts, looked at without the daemon: whether one runs or not, nothing is written and nothing is started.

use std::collections::BTreeSet;
use std::fs;
use std::io;

use kugetsu_api::home::Home;
use kugetsu_domain::ids::RunId;
use kugetsu_domain::reference::IssueRef;
use kugetsu_store::error::{OpenError, StoreError};
use kugetsu_store::open;
use kugetsu_store::store::Store;
use kugetsu_store::view::{Repo, RunView};

/// The facts, as they are now.
#[derive(Debug)]
pub(crate) struct Facts(Store);

/// Why they cannot be read.
#[derive(Debug)]
pub(crate) struct Unreadable {
    /// In words that name the file.
    pub(crate) said: String,
    /// The daemon makes it right by itself.
    pub(crate) is_older: bool,
}

/// Opens them; none where nothing was stored yet.
///
/// # Errors
/// [`Unreadable`].
pub(crate) async fn open(home: &Home) -> Result<Option<Facts>, Unreadable> {
    let path = home.database();
    let unreadable = |said| Unreadable { said, is_older: false };
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(format!("the database {} cannot be read: {error}", path.display()))),
        Ok(found) if !found.is_file() => {
            let said = format!("{} is no database but a directory or something else", path.display());
            return Err(unreadable(said));
        }
        Ok(found) if found.len() == 0 => return Ok(None),
        Ok(_) => {}
    }
    let opened = open::open_read_only(&path).await;
    opened
        .map(|store| Some(Facts(store)))
        .map_err(|error| Unreadable { is_older: matches!(error, OpenError::Older { .. }), said: error.to_string() })
}

impl Facts {
    /// What is wrong with the file and its rows, each in a sentence.
    pub(crate) async fn wrong(&self) -> Result<Vec<String>, StoreError> {
        let mut wrong = self.0.check().await?;
        wrong.extend(self.0.damaged_rows().await?);
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
