//! The database: whether it can be read and is consistent. It is opened directly, without the daemon.

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
        Ok(None) => return (Ok(None), Check::ok(ID, shown, "nothing is stored yet")),
        Ok(Some(db)) => db,
        Err(unreadable) if unreadable.is_older => {
            let check = Check::warning(ID, shown, unreadable.message, "kugetsu daemon stop; kugetsu daemon start");
            return (Err(NotReadable), check);
        }
        Err(unreadable) => {
            let repair = "restore it from a backup, or move it away: the next daemon creates an empty one";
            return (Err(NotReadable), Check::bad(ID, shown, unreadable.message, repair));
        }
    };
    let check = match db.problems().await {
        Ok(wrong) if wrong.is_empty() => Check::ok(ID, shown, "it is consistent"),
        Ok(wrong) => {
            let message = format!("it has damaged rows, which are ignored: {}", wrong.join("; "));
            let repair = "start the lost tasks again, or restore the file from a backup; everything else keeps working";
            Check::bad(ID, shown, message, repair)
        }
        Err(error) => Check::bad(ID, shown, error.to_string(), "restore it from a backup, or move it away"),
    };
    (Ok(Some(db)), check)
}
