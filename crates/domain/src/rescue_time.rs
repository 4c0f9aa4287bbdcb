//! The time in a rescue's name: how it is written, and how it is shown.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::text::rfc3339;

/// Sorts by time, and can stand in the name of a ref.
const FORMAT: &str = "%Y%m%dT%H%M%SZ";

/// A time as it stands in a rescue's name.
pub fn format(at: Timestamp) -> String {
    at.strftime(FORMAT).to_string()
}

/// The time of a rescue as everything else shows times; as it stands in the rescue's name if it is none.
pub fn shown(at: &str) -> String {
    match DateTime::strptime(FORMAT, at).and_then(|time| time.to_zoned(TimeZone::UTC)) {
        Ok(time) => rfc3339(time.timestamp()),
        Err(_) => at.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_time_in_a_name_is_shown_as_all_times() {
        assert_eq!(super::shown("20261122T212734Z"), "2026-11-22T21:27:34.000Z");
        assert_eq!(super::shown("soon"), "soon");
    }
}
