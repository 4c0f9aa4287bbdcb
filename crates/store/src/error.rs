//! Errors of opening, reading and writing the database.

use std::path::{Path, PathBuf};

use kugetsu_domain::flow::Refused;
use thiserror::Error;

/// Why the database could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Written by a newer kugetsu.
    #[error(
        "the database {} was written by a newer kugetsu: its schema is version {found}, this program supports up to \
         version {known}", path.display()
    )]
    Newer {
        path: PathBuf,
        /// Schema version of the file.
        found: i64,
        /// Newest schema version of this program.
        known: i64,
    },
    /// Written by an older kugetsu, and opened read-only, which does not migrate.
    #[error(
        "the database {} was written by an older kugetsu: its schema is version {found}, this program needs version \
         {known}", path.display()
    )]
    Older {
        path: PathBuf,
        /// Schema version of the file; 0 if it has none.
        found: i64,
        /// Newest schema version of this program.
        known: i64,
    },
    /// Not a database, another program's, or damaged.
    #[error("{} is not a database of kugetsu: {reason}", path.display())]
    Invalid { path: PathBuf, reason: String },
    #[error("could not read the database {}: {reason}", path.display())]
    Unreadable { path: PathBuf, reason: String },
    #[error("could not write the database {}: {reason}", path.display())]
    Unwritable { path: PathBuf, reason: String },
    #[error("could not open the database {}: the disk is full", path.display())]
    DiskFull { path: PathBuf },
}

impl OpenError {
    /// Returns what the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Newer { .. } => {
                Some("install that version again, or restore an earlier backup with `kugetsu db restore <file>`")
            }
            Self::Older { .. } => Some("the daemon migrates it when it starts: `kugetsu daemon start`"),
            Self::Invalid { .. } => {
                Some("restore a backup with `kugetsu db restore`, or rebuild it with `kugetsu db rebuild`")
            }
            Self::DiskFull { .. } => {
                Some("free some space on that disk, and try again; running agents are not affected")
            }
            Self::Unreadable { .. } | Self::Unwritable { .. } => None,
        }
    }
}

/// Why a change could not be stored or a value could not be read. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum StoreError {
    /// The issue's state does not allow the event.
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("no such issue")]
    NoSuchIssue,
    /// The issue was to be new.
    #[error("kugetsu knows the issue already")]
    Known,
    /// A task of the issue has not ended.
    #[error("the issue already has a {state} task")]
    IssueBusy {
        /// `queued` or `running`.
        state: &'static str,
    },
    /// The issue was destroyed.
    #[error("the issue has nothing to continue: {0}")]
    NothingToContinue(&'static str),
    /// A stored row cannot be read. Other rows are unaffected.
    #[error("damaged row in the database: {what}")]
    Damaged {
        /// The row, the column and the reason.
        what: String,
    },
    /// The database refuses a value, and always will.
    #[error("the database cannot store this: {0}")]
    Unstorable(String),
    #[error("the disk is full; the change was not stored")]
    DiskFull,
    #[error("database error: {0}")]
    Database(String),
    /// The file at the database's path is no longer the one that is open: what is written into that would be lost.
    #[error(
        "{} was {how} while the daemon was running, so nothing can be stored{}", path.display(), contents(saved.as_deref())
    )]
    Lost {
        path: PathBuf,
        /// `deleted`, `replaced` or `overwritten`.
        how: &'static str,
        /// A copy of what the open file held.
        saved: Option<PathBuf>,
    },
    /// The daemon is stopping, or the store was opened read-only.
    #[error("the database is closed")]
    Closed,
}

fn contents(saved: Option<&Path>) -> String {
    saved.map_or_else(String::new, |saved| format!("; its contents were saved to {}", saved.display()))
}

impl StoreError {
    /// Whether the error is about a row, and others can be read.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. })
    }

    /// Returns what the user can do about it, as far as that does not depend on the command.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Damaged { .. } => Some("everything else keeps working; `kugetsu doctor` lists the damaged rows"),
            Self::DiskFull => Some("free some space and try again"),
            Self::Closed => Some("the daemon is stopping; try again"),
            Self::Lost { saved: Some(_), .. } => Some(
                "restore the copy: `kugetsu daemon stop`, then `kugetsu db restore <file>`; running agents are not affected",
            ),
            Self::Lost { saved: None, .. } => Some(
                "restore a backup: `kugetsu daemon stop`, then `kugetsu db restore`; running agents are not affected",
            ),
            Self::Refused(_)
            | Self::NoSuchIssue
            | Self::Known
            | Self::IssueBusy { .. }
            | Self::NothingToContinue(_)
            | Self::Unstorable(_)
            | Self::Database(_) => None,
        }
    }
}
