//! The agent's identifier of a session.

use std::fmt;

use thiserror::Error;

const MAX_LEN: usize = 256;

/// The agent's identifier of a session. Safe as an argument on a command line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionId(String);

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "the session id {0:?} cannot be used: expected 1 to {MAX_LEN} visible ASCII characters, not beginning with `-`"
)]
pub struct InvalidSessionId(String);

/// Bytes of an invalid id that the message quotes.
const QUOTED_MAX: usize = 64;

impl SessionId {
    /// # Errors
    /// [`InvalidSessionId`] if the id is empty, longer than 256 bytes, begins with a dash, or has characters other than
    /// visible ASCII.
    pub fn new(id: &str) -> Result<Self, InvalidSessionId> {
        let valid = !id.is_empty()
            && id.len() <= MAX_LEN
            && !id.starts_with('-')
            && id.bytes().all(|byte| byte.is_ascii_graphic());
        if valid { Ok(Self(id.to_owned())) } else { Err(InvalidSessionId(quoted(id))) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn quoted(id: &str) -> String {
    match id.floor_char_boundary(QUOTED_MAX) {
        end if end < id.len() => format!("{}…", &id[..end]),
        _ => id.to_owned(),
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

    #[test]
    fn message_about_an_invalid_id_is_one_short_line() {
        let message = SessionId::new(&"a\nb ".repeat(10_000)).unwrap_err().to_string();
        assert!(message.len() < 300 && !message.contains('\n'), "{message}");
        assert!(message.ends_with("not beginning with `-`"), "{message}");
    }
}
