//! The time in a rescue's name: how it is written, and how it is shown.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::text::rfc3339;

/// Sorts by time, and can stand in the name of a ref.
const FORMAT: &str = "%Y%m%dT%H%M%SZ";

/// A time as it stands in a rescue's name.
pub fn format(at: Timestamp) -> String {
    at.strftime(FORMAT).to_string()
}

/// The time in the name of a new rescue: `at`, or a second after that of the `newest` one if `at` is not later, because the clock
/// was set back. Names then sort in the order in which rescues are made. `None` if there is no such time.
pub fn later_than(newest: &str, at: &str) -> Option<String> {
    if at > newest {
        return Some(at.to_owned());
    }
    // Earlier versions added a number to the time.
    let newest = DateTime::strptime(FORMAT, newest.split('-').next()?).ok()?;
    let next = newest.to_zoned(TimeZone::UTC).ok()?.timestamp().checked_add(SignedDuration::from_secs(1)).ok()?;
    Some(format(next))
}

/// The time of a rescue as everything else shows times; as it stands in the rescue's name if it is none.
pub fn shown(at: &str) -> String {
    match DateTime::strptime(FORMAT, at) {
        // A clock that was set wrong may have been beyond the last time of a timestamp.
        Ok(time) => rfc3339(time.to_zoned(TimeZone::UTC).map_or(Timestamp::MAX, |time| time.timestamp())),
        Err(_) => at.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_time_in_a_name_is_shown_as_all_times() {
        assert_eq!(super::shown("20261122T212734Z"), "2026-11-22T21:27:34.000Z");
        assert_eq!(super::shown("99991231T235959Z"), "9999-12-30T22:00:00.999Z");
        assert_eq!(super::shown("soon"), "soon");
    }

    #[test]
    fn times_in_names_only_grow() {
        let later = |newest, at| super::later_than(newest, at);
        assert_eq!(later("20261122T212734Z", "20261122T212735Z").as_deref(), Some("20261122T212735Z"));
        assert_eq!(later("20261231T235959Z", "20261122T212735Z").as_deref(), Some("20270101T000000Z"));
        assert_eq!(later("20261122T212734Z-2", "20261122T212734Z").as_deref(), Some("20261122T212735Z"));
        assert_eq!(later("soon", "later"), None);
    }
}
