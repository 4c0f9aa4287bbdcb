//! What can go wrong with stored facts, in words for a person.

use std::path::PathBuf;

use kugetsu_domain::flow::Refused;
use thiserror::Error;

/// Why the database could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// It was written by a newer kugetsu.
    #[error(
        "the database {} was written by a newer kugetsu (its schema has step {found}, this program knows {known}); \
         install that version again, or use another home with KUGETSU_HOME", path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The newest step in the file.
        found: i64,
        /// The newest step in this program.
        known: i64,
    },
    /// It is not one of ours, or it is damaged.
    #[error("{} is not a database that kugetsu can read: {why}; move it away to begin with an empty one", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the database engine says.
        why: String,
    },
    /// It was written by an older kugetsu, and is only looked at.
    #[error(
        "the database {} was written by an older kugetsu (its schema has step {found}, this program knows {known}); \
         the daemon brings it up to date when it starts: kugetsu daemon start", path.display()
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// The newest step in the file; 0 for none.
        found: i64,
        /// The newest step in this program.
        known: i64,
    },
    /// It cannot be read.
    #[error("the database {} cannot be read: {why}", path.display())]
    NotReadable {
        /// The file.
        path: PathBuf,
        /// What the database engine says.
        why: String,
    },
    /// It cannot be created or written.
    #[error("the database {} cannot be written: {why}", path.display())]
    NotWritable {
        /// The file.
        path: PathBuf,
        /// What the database engine says.
        why: String,
    },
}

/// Why a fact could not be stored or read.
#[derive(Clone, Debug, Error)]
pub enum StoreError {
    /// The state does not allow it. Nothing was changed.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// kugetsu does not know the issue.
    #[error("kugetsu has no such issue")]
    NoSuchIssue,
    /// The issue has work that is not ended.
    #[error("the issue already has a task that is {state}")]
    IssueBusy {
        /// `queued` or `running`.
        state: &'static str,
    },
    /// The issue was destroyed, or never had a run.
    #[error("the issue has nothing to continue: {0}")]
    NothingToContinue(&'static str),
    /// A stored row makes no sense; the other rows are not touched by it.
    #[error("the database holds a damaged row ({what}); everything else goes on without it")]
    Damaged {
        /// Which row, and what is wrong with it.
        what: String,
    },
    /// There is no room.
    #[error("the disk is full: the change was not stored; free some space and try again")]
    DiskFull,
    /// The database engine refused.
    #[error("the database refused: {0}")]
    Database(String),
    /// The store was closed.
    #[error("the daemon is stopping; try again")]
    Closed,
}
