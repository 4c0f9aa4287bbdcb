//! What an agent calls a session.

use std::fmt;

use thiserror::Error;

use crate::truncate::truncate;

/// The longest id that is taken from an agent.
const ID_MAX: usize = 256;

/// What an agent calls a session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionId(String);

/// This is no session's id: it is empty, too long, or would be something else on a command line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no id of a session")]
pub struct InvalidSessionId(String);

impl SessionId {
    /// An id that may stand on a command line.
    ///
    /// # Errors
    /// [`InvalidSessionId`] for text that is empty, longer than 256 bytes, begins with a dash, or holds anything but visible
    /// ASCII.
    pub fn new(id: &str) -> Result<Self, InvalidSessionId> {
        let fine = !id.is_empty()
            && id.len() <= ID_MAX
            && !id.starts_with('-')
            && id.bytes().all(|byte| byte.is_ascii_graphic());
        if fine { Ok(Self(id.to_owned())) } else { Err(InvalidSessionId(truncate(id.to_owned(), ID_MAX))) }
    }

    /// The id as text.
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
    fn an_id_may_stand_on_a_command_line_or_is_none() {
        assert_eq!(SessionId::new("ses_dfb1").unwrap().to_string(), "ses_dfb1");
        for bad in ["", "-x", "--all", "a b", "a\nb", "\u{1b}[2J", "ä", &"x".repeat(257)] {
            assert!(SessionId::new(bad).is_err(), "{bad:?}");
        }
    }
}
