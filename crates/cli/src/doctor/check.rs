//! The result of one check.

use std::path::PathBuf;

use kugetsu_domain::ids::RunId;
use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Ok,
    /// Agents can work, but something needs attention.
    Warning,
    /// Agents cannot work.
    Bad,
    /// The check could not be made, or has no certain result.
    Unknown,
}

/// A safe repair, made by `--fix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fix {
    /// Remove the permissions of group and others.
    Private(PathBuf),
    /// Create the missing directories of the home.
    Home,
    /// Start the daemon, which corrects the paths in a home that was moved.
    Start,
    /// Remove a stale socket.
    Socket(PathBuf),
    /// Kill the leftover processes of ended runs.
    Processes(Vec<RunId>),
    /// Run `systemctl --user daemon-reload`.
    Reload,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Check {
    /// Stable across versions: scripts use it.
    pub(crate) id: &'static str,
    pub(crate) state: State,
    /// The agent, server, file or directory that was checked. Empty if there is only one.
    pub(crate) subject: String,
    #[serde(rename = "said")]
    pub(crate) message: String,
    /// A command to type, or an action to take.
    pub(crate) repair: Option<String>,
    /// What `--fix` did.
    pub(crate) fixed: Option<String>,
    #[serde(skip)]
    pub(crate) fix: Option<Fix>,
}

impl Check {
    pub(crate) fn ok(id: &'static str, subject: impl Into<String>, message: impl Into<String>) -> Self {
        let (subject, message) = (subject.into(), message.into());
        Self { id, state: State::Ok, subject, message, repair: None, fixed: None, fix: None }
    }

    pub(crate) fn warning(
        id: &'static str,
        subject: impl Into<String>,
        message: impl Into<String>,
        repair: impl Into<String>,
    ) -> Self {
        Self { state: State::Warning, repair: Some(repair.into()), ..Self::ok(id, subject, message) }
    }

    pub(crate) fn bad(
        id: &'static str,
        subject: impl Into<String>,
        message: impl Into<String>,
        repair: impl Into<String>,
    ) -> Self {
        Self { state: State::Bad, ..Self::warning(id, subject, message, repair) }
    }

    pub(crate) fn unknown(id: &'static str, subject: impl Into<String>, why: impl Into<String>) -> Self {
        Self { state: State::Unknown, ..Self::ok(id, subject, why) }
    }

    #[must_use]
    pub(crate) fn with_repair(self, repair: impl Into<String>) -> Self {
        Self { repair: Some(repair.into()), ..self }
    }

    #[must_use]
    pub(crate) fn with_fix(self, fix: Fix) -> Self {
        Self { fix: Some(fix), ..self }
    }
}
