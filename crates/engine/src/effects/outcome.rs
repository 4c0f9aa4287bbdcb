//! The result of executing an effect.

use std::fmt::Display;
use std::time::Duration;

use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::IssueId;
use kugetsu_forge::error::ForgeError;
use kugetsu_store::error::StoreError;
use kugetsu_store::write::Enqueue;
use kugetsu_store::write::Settlement;

use crate::backoff;
use crate::repo_file::RepoFileError;
use crate::watch::followed::NotFollowed;
use crate::watch::own_comment::{MAY_EXIST, Written};

/// Decides what becomes of an effect that was executed.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is done. Its events and tasks are stored in the transaction that removes it.
    Settled(Settlement),
    /// It is executed again, after a growing delay.
    Retry {
        /// For the log and `kugetsu why`.
        error: String,
        /// The delay grows up to this.
        longest: Duration,
    },
    /// It is given up and kept for the user to see.
    GivenUp { error: String },
}

impl Outcome {
    /// Done, and nothing changes.
    pub(crate) fn done() -> Self {
        Self::Settled(Settlement::default())
    }

    /// Done, and the issue moves by `event`.
    pub(crate) fn event(issue: IssueId, event: Event) -> Self {
        Self::Settled(Settlement { events: vec![(issue, event)], ..Settlement::default() })
    }

    /// Done, and `tasks` are queued.
    pub(crate) fn enqueue(tasks: Vec<Enqueue>) -> Self {
        Self::Settled(Settlement { enqueue: tasks, ..Settlement::default() })
    }

    pub(crate) fn retry(error: impl Display) -> Self {
        Self::Retry { error: error.to_string(), longest: backoff::LONGEST }
    }

    /// As [`retry`](Self::retry), and given up after `max` executions. `failures` is the number of earlier ones.
    pub(crate) fn retry_up_to(max: u32, failures: u32, error: impl Display) -> Self {
        match failures.saturating_add(1) < max {
            true => Self::retry(error),
            false => Self::GivenUp { error: error.to_string() },
        }
    }
}

/// Failed attempts to write a comment after which it is given up.
pub(super) const COMMENT_ATTEMPTS_MAX: u32 = 20;

/// The outcome of an attempt to write a comment.
pub(super) fn written(result: Result<Written, ForgeError>, failures: u32) -> Outcome {
    match result {
        Ok(Written::Found(_)) => Outcome::done(),
        Ok(Written::MayExist) => Outcome::retry(MAY_EXIST),
        Err(error) if error.is_transient() => error.into(),
        // Also a discussion that does not exist: the token may see it again later.
        Err(error) => Outcome::retry_up_to(COMMENT_ATTEMPTS_MAX, failures, error),
    }
}

/// An issue that is gone needs nothing.
impl From<StoreError> for Outcome {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoSuchIssue => Self::done(),
            error => Self::retry(error),
        }
    }
}

/// A failed request is repeated, also one that a person has to correct: `kugetsu why` shows it.
impl From<ForgeError> for Outcome {
    fn from(error: ForgeError) -> Self {
        let hint = error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
        let longest = if error.is_transient() { backoff::LONGEST } else { backoff::LONGEST_FOR_PEOPLE };
        Self::Retry { error: format!("{error}{hint}"), longest }
    }
}

impl From<NotFollowed> for Outcome {
    fn from(reason: NotFollowed) -> Self {
        match reason {
            NotFollowed::Over => Self::done(),
            NotFollowed::Unwatched => Self::Retry { error: reason.to_string(), longest: backoff::LONGEST_FOR_PEOPLE },
            NotFollowed::Store(error) => Self::retry(error),
            NotFollowed::Forge(error) | NotFollowed::RepoFile(RepoFileError::Forge(error)) => error.into(),
            NotFollowed::RepoFile(error) => Self::retry(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_effect_is_given_up_after_the_maximum_of_executions() {
        for max in [1, 30] {
            let executions =
                (0..).take_while(|n| matches!(Outcome::retry_up_to(max, *n, "why"), Outcome::Retry { .. }));
            // The last one is given up.
            assert_eq!(executions.count() + 1, max as usize);
        }
    }
}
