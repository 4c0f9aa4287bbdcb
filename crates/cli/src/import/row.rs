//! What became of a thing that the script left: a row of `init`'s table.

use serde::Serialize;

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

    /// As cells of a table.
    pub(crate) fn cells(&self) -> [String; 3] {
        let became = match self.outcome {
            Outcome::Taken => self.taken_as.clone().unwrap_or_default(),
            Outcome::Left => "left".to_owned(),
            Outcome::SetAside => "set aside".to_owned(),
        };
        let parts: Vec<&str> = [&self.why, &self.next].into_iter().flatten().map(String::as_str).collect();
        [self.what.clone(), became, parts.join("; ")]
    }
}
