//! The agent's identifier of a session.

use std::fmt;

use thiserror::Error;

use crate::truncate::truncate;

const MAX_LEN: usize = 256;

/// The agent's identifier of a session. Safe as an argument on a command line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionId(String);

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("invalid session id {0:?}")]
pub struct InvalidSessionId(String);

impl SessionId {
    /// # Errors
    /// [`InvalidSessionId`] if the id is empty, longer than 256 bytes, begins with a dash, or has characters other than
    /// visible ASCII.
    pub fn new(id: &str) -> Result<Self, InvalidSessionId> {
        let valid = !id.is_empty()
            && id.len() <= MAX_LEN
            && !id.starts_with('-')
            && id.bytes().all(|byte| byte.is_ascii_graphic());
        if valid { Ok(Self(id.to_owned())) } else { Err(InvalidSessionId(truncate(id.to_owned(), MAX_LEN))) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_could_be_misread_on_a_command_line_are_invalid() {
        assert_eq!(SessionId::new("ses_dfb1").unwrap().to_string(), "ses_dfb1");
        for bad in ["", "-x", "--all", "a b", "a\nb", "\u{1b}[2J", "ä", &"x".repeat(257)] {
            assert!(SessionId::new(bad).is_err(), "{bad:?}");
        }
    }
}
