//! The database: can it be read, and is what it holds sound. It is looked at without the daemon, whether one runs or not.

use kugetsu_api::home::Home;

use super::check::Check;
use crate::read_only_db::{self, ReadOnlyDb};

const ID: &str = "database";

/// It is there and cannot be read, so that nothing is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NotReadable;

/// The facts, where they can be read, and what came of looking.
pub(crate) async fn look(home: &Home) -> (Result<Option<ReadOnlyDb>, NotReadable>, Check) {
    let shown = home.database().display().to_string();
    let db = match read_only_db::open(home).await {
        Ok(None) => return (Ok(None), Check::ok(ID, shown, "nothing is stored yet")),
        Ok(Some(db)) => db,
        Err(unreadable) if unreadable.is_older => {
            let check = Check::warning(ID, shown, unreadable.message, "kugetsu daemon stop; kugetsu daemon start");
            return (Err(NotReadable), check);
        }
        Err(unreadable) => {
            let repair = "put a copy of it back; or move it away, and the next daemon begins with an empty one";
            return (Err(NotReadable), Check::bad(ID, shown, unreadable.message, repair));
        }
    };
    let check = match db.problems().await {
        Ok(wrong) if wrong.is_empty() => Check::ok(ID, shown, "it is sound"),
        Ok(wrong) => {
            let said = format!("it has damaged rows, which are left alone: {}", wrong.join("; "));
            let repair =
                "the rest goes on; begin the tasks that are lost with it again, or put a copy of the file back";
            Check::bad(ID, shown, said, repair)
        }
        Err(error) => Check::bad(ID, shown, error.to_string(), "put a copy of the file back, or move it away"),
    };
    (Ok(Some(db)), check)
}
