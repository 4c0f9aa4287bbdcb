//! What became of a thing that the script left: a row of `init`'s table.

use serde::Serialize;

use crate::ui::{self, Tone};

/// Where what is said begins, behind what became of it.
const COLUMN: usize = 11;

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Taken,
    Left,
    SetAside,
}

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Row {
    what: String,
    pub(crate) outcome: Outcome,
    #[serde(rename = "as")]
    taken_as: Option<String>,
    why: Option<String>,
    /// What to type.
    next: Option<String>,
}

impl Row {
    /// It was taken over as this.
    pub(crate) fn taken(what: impl Into<String>, taken_as: impl Into<String>) -> Self {
        Self { what: what.into(), outcome: Outcome::Taken, taken_as: Some(taken_as.into()), why: None, next: None }
    }

    /// It stays where it is, or goes into the backup unused.
    pub(crate) fn left(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { what: what.into(), outcome: Outcome::Left, taken_as: None, why: Some(why.into()), next: None }
    }

    /// It cannot be read, and goes into the backup under its name.
    pub(crate) fn set_aside(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { outcome: Outcome::SetAside, ..Self::left(what, why) }
    }

    /// The same with a reason.
    #[must_use]
    pub(crate) fn because(self, why: impl Into<String>) -> Self {
        Self { why: Some(why.into()).filter(|why| !why.is_empty()), ..self }
    }

    /// The same with what to type.
    #[must_use]
    pub(crate) fn next(self, next: impl Into<String>) -> Self {
        Self { next: Some(next.into()).filter(|next| !next.is_empty()), ..self }
    }

    /// Shows it: what became of it, which it is, and below that what to type.
    pub(crate) fn show(&self) {
        let mark = match self.outcome {
            Outcome::Taken => (Tone::Good, "taken"),
            Outcome::Left => (Tone::Dim, "left"),
            Outcome::SetAside => (Tone::Warning, "set aside"),
        };
        let said: Vec<&str> = [&self.taken_as, &self.why].into_iter().flatten().map(String::as_str).collect();
        ui::bullet(mark, COLUMN, &format!("{}: {}", self.what, said.join("; ")), self.next.as_slice());
    }
}
