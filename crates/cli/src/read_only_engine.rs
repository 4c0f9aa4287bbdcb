//! An engine that reads and decides without the daemon, and cannot change anything: its store rejects every write, and nothing polls
//! it.

use std::io;
use std::ops::Deref;
use std::sync::Arc;

use kugetsu_api::home::Home;
use kugetsu_engine::clock::Clock;
use kugetsu_engine::headroom::measure;
use kugetsu_engine::{Engine, Parts, Settings};
use kugetsu_forge::http::limits::Limits;
use kugetsu_git::command::Git;
use kugetsu_store::open;
use tempfile::TempDir;
use tokio::sync::watch;

use crate::daemon::settings::env_files;
use crate::failure::Failure;
use crate::read_only_db;

pub(crate) struct ReadOnlyEngine {
    engine: Engine,
    /// Holds an empty database while nothing has been stored yet.
    _empty: Option<TempDir>,
}

/// Opens the database, also while a daemon uses it.
///
/// # Errors
/// The database cannot be read, or git is missing.
pub(crate) async fn open(home: &Home, settings: Settings) -> Result<ReadOnlyEngine, Failure> {
    let stored = read_only_db::open(home).await.map_err(|unreadable| {
        let failure = Failure::new(unreadable.message);
        match unreadable.is_older {
            true => failure.hint("let the daemon migrate it: `kugetsu daemon restart`"),
            false => failure.hint("check it with `kugetsu doctor`"),
        }
    })?;
    let (store, empty) = match stored {
        Some(db) => (db.store(), None),
        None => {
            let failed = |error: io::Error| Failure::new(format!("could not create a temporary directory: {error}"));
            let directory = TempDir::new().map_err(failed)?;
            let opened = open::open(&directory.path().join("empty.db"));
            let opened = opened.map_err(|error| Failure::new(error.to_string()).hints(error.hint()))?;
            (opened.store, Some(directory))
        }
    };
    let git = Git::find().await.map_err(|error| Failure::new(error.to_string()).hints(error.hint()))?;
    let (_, settings) = watch::channel(Arc::new(settings));
    let engine = Engine::new(Parts {
        home: home.clone(),
        store,
        settings,
        env_files: env_files(home),
        git,
        clock: Clock::System,
        forge_limits: Limits::default(),
        start_runner: Arc::new(|_, _, _| Err(io::Error::other("nothing is started"))),
        measure: Arc::new(measure),
    });
    Ok(ReadOnlyEngine { engine, _empty: empty })
}

impl Deref for ReadOnlyEngine {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.engine
    }
}
