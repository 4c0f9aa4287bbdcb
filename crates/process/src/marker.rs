//! A variable in the environment of every process of a run, by which the process can be found when nothing else is left to
//! recognize it by. Its value is the id of the run and a suffix for kugetsu's home, so that a copy of the home, which has the
//! same runs, does not take the processes of the original for its own.

use std::fmt;

/// The variable's name.
pub const MARKER: &str = "KUGETSU_RUN";

const MAX_LEN: usize = 128;

/// The variable [`MARKER`] with its value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Marker(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid run id `{0}`: expected 1 to {MAX_LEN} letters, digits, `-`, `_` or `.`, and no `.` at the beginning")]
pub struct InvalidMarker(String);

impl Marker {
    /// The id also names a cgroup, and must be recognizable in any listing of environments.
    pub fn new(id: impl Into<String>) -> Result<Self, InvalidMarker> {
        let id = id.into();
        let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        if plain && (1..=MAX_LEN).contains(&id.len()) && !id.starts_with('.') {
            Ok(Self(id))
        } else {
            Err(InvalidMarker(id))
        }
    }

    /// The variable's value.
    pub fn id(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MARKER}={}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Marker;

    #[test]
    fn markers_are_plain_names() {
        assert_eq!(Marker::new("0190-a_b.c").unwrap().to_string(), "KUGETSU_RUN=0190-a_b.c");
        for bad in ["", ".", "../x", "a b", "a/b", "ä", &"x".repeat(129)] {
            assert!(Marker::new(bad).is_err(), "{bad}");
        }
    }
}
