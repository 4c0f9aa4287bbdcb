//! Settings that cannot be used.

use std::fmt;

use thiserror::Error;

/// What is wrong, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) struct ConfigError {
    /// File and line, or the variable.
    pub(crate) place: String,
    pub(crate) message: String,
}

impl ConfigError {
    pub(crate) fn new(place: impl fmt::Display, message: impl Into<String>) -> Self {
        Self { place: place.to_string(), message: message.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}
