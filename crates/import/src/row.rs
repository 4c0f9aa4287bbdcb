//! The row of the table that `kugetsu init` prints for one file or directory of the script.

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Imported.
    Taken,
    /// Left in its directory, or moved into the backup unused.
    Left,
    /// Unreadable, and moved into the directory `broken` of the backup.
    SetAside,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    pub what: String,
    pub outcome: Outcome,
    #[serde(rename = "as")]
    pub taken_as: Option<String>,
    pub why: Option<String>,
    /// The next command to type.
    pub next: Option<String>,
}

impl Row {
    pub fn taken(what: impl Into<String>, taken_as: impl Into<String>) -> Self {
        Self { what: what.into(), outcome: Outcome::Taken, taken_as: Some(taken_as.into()), why: None, next: None }
    }

    pub fn left(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { what: what.into(), outcome: Outcome::Left, taken_as: None, why: Some(why.into()), next: None }
    }

    pub fn set_aside(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { outcome: Outcome::SetAside, ..Self::left(what, why) }
    }

    /// Adds a reason, unless it is empty.
    #[must_use]
    pub fn because(self, why: impl Into<String>) -> Self {
        Self { why: Some(why.into()).filter(|why| !why.is_empty()), ..self }
    }

    /// Adds what the user can type next, unless it is empty.
    #[must_use]
    pub fn next(self, next: impl Into<String>) -> Self {
        Self { next: Some(next.into()).filter(|next| !next.is_empty()), ..self }
    }
}
