//! The database: whether it can be read and is consistent. It is opened directly, without the daemon.

use std::fs;
use std::path::Path;

use kugetsu_api::home::Home;

use super::check::Check;
use crate::read_only_db::{self, ReadOnlyDb};

const ID: &str = "database";

/// The database exists but could not be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NotReadable;

/// Checks the database. Returns it if it exists and can be read.
pub(crate) async fn check(home: &Home) -> (Result<Option<ReadOnlyDb>, NotReadable>, Check) {
    let shown = home.database().display().to_string();
    let db = match read_only_db::open(home).await {
        Ok(None) if is_used(home) => {
            let message = "it is missing or empty, but the home was used: work in it is not known";
            let repair = "kugetsu db restore, or kugetsu db rebuild without a backup";
            return (Ok(None), Check::bad(ID, shown, message, repair));
        }
        Ok(None) => return (Ok(None), Check::ok(ID, shown, "nothing is stored yet")),
        Ok(Some(db)) => db,
        Err(unreadable) if unreadable.is_older => {
            let check = Check::warning(ID, shown, unreadable.message, "kugetsu daemon stop; kugetsu daemon start");
            return (Err(NotReadable), check);
        }
        Err(unreadable) => {
            let repair = "kugetsu db restore, or kugetsu db rebuild without a backup";
            return (Err(NotReadable), Check::bad(ID, shown, unreadable.message, repair));
        }
    };
    let check = match db.problems().await {
        Ok(wrong) if wrong.is_empty() => Check::ok(ID, shown, "it is consistent"),
        Ok(wrong) => {
            let message = format!("it has damaged rows, which are ignored: {}", wrong.join("; "));
            let repair =
                "start the lost tasks again, or restore a backup: kugetsu db restore; everything else keeps working";
            Check::bad(ID, shown, message, repair)
        }
        Err(error) => {
            Check::bad(ID, shown, error.to_string(), "kugetsu db restore, or kugetsu db rebuild without a backup")
        }
    };
    (Ok(Some(db)), check)
}

/// Whether a database was here: it left the identifier of the home, or relays.
fn is_used(home: &Home) -> bool {
    let has_entries = |path: &Path| fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
    home.id().exists() || has_entries(&home.relays())
}
