//! The mark that every process of a run carries in its environment, so that it can be found when nothing else is left to
//! go by.

use std::fmt;

/// The variable's name.
pub const MARKER: &str = "KUGETSU_RUN";

const MAX: usize = 128;

/// Says whose process it is: the variable [`MARKER`] with a run's id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Marker(String);

/// A run id that cannot be a marker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot mark a run: a marker is 1 to {MAX} letters, digits, `-`, `_` or `.`, and does not begin with `.`"
)]
pub struct InvalidMarker(String);

impl Marker {
    /// A marker for the run with this id.
    ///
    /// # Errors
    /// [`InvalidMarker`], as the id also names a directory and must be found again in any listing.
    pub fn new(id: impl Into<String>) -> Result<Self, InvalidMarker> {
        let id = id.into();
        let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        if plain && (1..=MAX).contains(&id.len()) && !id.starts_with('.') {
            Ok(Self(id))
        } else {
            Err(InvalidMarker(id))
        }
    }

    /// The run's id.
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
    fn a_marker_is_a_plain_name() {
        assert_eq!(Marker::new("0190-a_b.c").unwrap().to_string(), "KUGETSU_RUN=0190-a_b.c");
        for bad in ["", ".", "../x", "a b", "a/b", "ä", &"x".repeat(129)] {
            assert!(Marker::new(bad).is_err(), "{bad}");
        }
    }
}
