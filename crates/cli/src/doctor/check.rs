//! One check, and what came of it.

use std::path::PathBuf;

use kugetsu_domain::ids::RunId;
use serde::Serialize;

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Ok,
    /// Work can be done, and something should be looked at.
    Warning,
    /// Work cannot be done.
    Bad,
    /// It could not be checked, or cannot be known.
    Unknown,
}

/// A repair that can do no harm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fix {
    /// Take everybody's rights but the owner's away.
    Private(PathBuf),
    /// Make what is missing of the home.
    Home,
    /// Remove a socket that nobody listens on.
    Socket(PathBuf),
    /// End the processes of runs that are over.
    Processes(Vec<RunId>),
    /// Remove the directories of runs that are not stored any more.
    Runs(Vec<RunId>),
    /// Let systemd read its units again.
    Reload,
}

/// A check.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Check {
    /// What is checked: the same in every version.
    pub(crate) id: &'static str,
    pub(crate) state: State,
    /// Which one of its kind, or where.
    pub(crate) subject: String,
    pub(crate) said: String,
    pub(crate) repair: Option<String>,
    /// What `--fix` did about it.
    pub(crate) fixed: Option<String>,
    #[serde(skip)]
    pub(crate) fix: Option<Fix>,
}

impl Check {
    pub(crate) fn ok(id: &'static str, subject: impl Into<String>, said: impl Into<String>) -> Self {
        let (subject, said) = (subject.into(), said.into());
        Self { id, state: State::Ok, subject, said, repair: None, fixed: None, fix: None }
    }

    pub(crate) fn warning(
        id: &'static str,
        subject: impl Into<String>,
        said: impl Into<String>,
        repair: impl Into<String>,
    ) -> Self {
        Self { state: State::Warning, repair: Some(repair.into()), ..Self::ok(id, subject, said) }
    }

    pub(crate) fn bad(
        id: &'static str,
        subject: impl Into<String>,
        said: impl Into<String>,
        repair: impl Into<String>,
    ) -> Self {
        Self { state: State::Bad, ..Self::warning(id, subject, said, repair) }
    }

    /// It could not be made, and why.
    pub(crate) fn unknown(id: &'static str, subject: impl Into<String>, why: impl Into<String>) -> Self {
        Self { state: State::Unknown, ..Self::ok(id, subject, why) }
    }

    /// The same with what to type.
    #[must_use]
    pub(crate) fn repaired_by(self, repair: impl Into<String>) -> Self {
        Self { repair: Some(repair.into()), ..self }
    }

    /// The same with a repair that `--fix` makes.
    #[must_use]
    pub(crate) fn fixed_by(self, fix: Fix) -> Self {
        Self { fix: Some(fix), ..self }
    }
}
