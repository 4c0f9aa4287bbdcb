//! When a limit of a model's provider is reset, as messages name it. Messages are in lower case.

use std::time::Duration;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

/// Longest time that is believed. A provider's limits are reset at least once a month.
const TIME_MAX: Duration = Duration::from_secs(31 * 24 * 3600);
/// A time of day that passed this recently is meant, and not that of the next day: clocks differ.
const RECENT: SignedDuration = SignedDuration::from_mins(15);

/// Phrases before a length of time.
const IN: &[&str] = &[
    "again in ",
    "retry in ",
    "retry after ",
    "retry-after: ",
    "resets in ",
    "reset after ",
    "reset in ",
    "reset in: ",
];
/// Phrases before a moment.
const AT: &[&str] = &["resets at ", "reset at ", "resets on ", "reset on ", "resets ", "again at "];

/// Returns how long it takes until the time that the message names for certain: a length of time, a Unix time, or a time of
/// day with its zone. A time of day without a zone is not certain.
pub(crate) fn named_time(message: &str, now: Timestamp) -> Option<Duration> {
    let length = rests(message, IN).find_map(length);
    let moment = || unix_time(message).or_else(|| rests(message, AT).find_map(|rest| time_in_zone(rest, now)));
    let until = |moment: Timestamp| Duration::try_from(moment.duration_since(now)).ok();
    let time = length.or_else(|| until(moment()?))?;
    Some(time.min(TIME_MAX))
}

/// Whether the message names a moment, in whatever form.
pub(crate) fn names_a_time(message: &str) -> bool {
    rests(message, AT).any(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric()))
}

/// Returns the text after each occurrence of the phrases.
fn rests<'m>(message: &'m str, starts: &'m [&str]) -> impl Iterator<Item = &'m str> {
    starts.iter().flat_map(move |start| message.match_indices(start).map(|(at, _)| &message[at + start.len()..]))
}

/// Reads a length of time, such as `1h 3m 20s`, `3h`, `20.5 seconds` or `120`.
fn length(rest: &str) -> Option<Duration> {
    let mut total = None;
    let mut rest = rest.trim_start_matches([' ', '~']).trim_start_matches("about ");
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let Ok(number) = rest[..digits].trim_end_matches('.').parse::<f64>() else { break };
        // A date or a time of day.
        if rest[digits..].starts_with(['-', ':', '/']) {
            return None;
        }
        let unit_at = rest[digits..].trim_start();
        let letters = unit_at.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(unit_at.len());
        let seconds = match &unit_at[..letters] {
            "ms" | "milliseconds" => 0.001,
            "" | "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3600.0,
            "d" | "day" | "days" => 86400.0,
            "week" | "weeks" => 604_800.0,
            _ => break,
        };
        let time = Duration::try_from_secs_f64(number * seconds).unwrap_or(TIME_MAX);
        total = Some(total.unwrap_or(Duration::ZERO).saturating_add(time).min(TIME_MAX));
        rest = unit_at[letters..].trim_start_matches([' ', ',']).trim_start_matches("and ");
    }
    total
}

/// Reads the Unix time in seconds of `limit reached|1760000000` (Claude Code).
fn unix_time(message: &str) -> Option<Timestamp> {
    let (_, rest) = message.split_once("limit reached|")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    Timestamp::from_second(rest[..digits].parse().ok()?).ok()
}

/// Reads `10pm (europe/berlin)`, `mon 9:30am (utc)` or `dec 6, 1pm (utc)`.
fn time_in_zone(rest: &str, now: Timestamp) -> Option<Timestamp> {
    let (phrase, rest) = rest.split_once('(')?;
    let zone = TimeZone::get(rest.split_once(')')?.0.trim()).ok()?;
    let local = now.to_zoned(zone.clone());
    let (mut date, mut time, mut weekday, mut month) = (None, None, None, None);
    for word in phrase.split([' ', ',']).filter(|word| !word.is_empty() && *word != "at" && *word != "on") {
        if let Some(found) = name_of(word, &WEEKDAYS) {
            weekday = Some(Weekday::from_monday_zero_offset(found).ok()?);
        } else if let Some(found) = name_of(word, &MONTHS) {
            month = Some(found + 1);
        } else if let (Some(month), Ok(day)) = (month, word.trim_end_matches(['s', 't', 'n', 'd', 'r', 'h']).parse()) {
            let this_year = Date::new(local.year(), month, day).ok()?;
            // A date in the past is that of a limit that is over, except around New Year.
            date = match this_year < local.date() {
                false => Some(this_year),
                true if month <= 2 && local.month() >= 11 => Some(this_year.checked_add(1.year()).ok()?),
                true => return None,
            };
        } else {
            time = Some(time_of_day(word)?);
        }
    }
    let time = time?;
    let at = |date: Date| Some(date.to_datetime(time).to_zoned(zone.clone()).ok()?.timestamp());
    if let Some(date) = date {
        return at(date);
    }
    let mut date = local.date();
    // The last candidate is the same day of the next week.
    for _ in 0..=7 {
        let moment = at(date)?;
        let is_day = weekday.is_none_or(|weekday| weekday == date.weekday());
        if is_day && moment > now {
            return Some(moment);
        }
        if is_day && now.duration_since(moment) < RECENT {
            return None;
        }
        date = date.tomorrow().ok()?;
    }
    None
}

const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// Returns the index of the name that the word abbreviates or is.
fn name_of(word: &str, names: &[&str]) -> Option<i8> {
    let is_word = word.chars().all(|c| c.is_ascii_alphabetic() || c == '.');
    let index = names.iter().position(|name| is_word && word.starts_with(name))?;
    i8::try_from(index).ok()
}

/// Reads `10pm`, `3:30am` or `15:00`.
fn time_of_day(word: &str) -> Option<Time> {
    let (clock, offset) = match (word.strip_suffix("am"), word.strip_suffix("pm")) {
        (Some(clock), _) => (clock, Some(0)),
        (_, Some(clock)) => (clock, Some(12)),
        (None, None) => (word, None),
    };
    let (hour, minute) = match clock.split_once(':') {
        Some((hour, minute)) => (hour.parse::<i8>().ok()?, minute.parse().ok()?),
        // A number alone is no time.
        None => (offset.and(clock.parse().ok())?, 0),
    };
    let hour = match offset {
        Some(offset) if (1..=12).contains(&hour) => hour % 12 + offset,
        Some(_) => return None,
        None => hour,
    };
    Time::new(hour, minute, 0, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_day_are_read() {
        let of = |word| time_of_day(word).map(|time| (time.hour(), time.minute()));
        for (word, expected) in [
            ("10pm", Some((22, 0))),
            ("12am", Some((0, 0))),
            ("12pm", Some((12, 0))),
            ("3:30am", Some((3, 30))),
            ("15:05", Some((15, 5))),
            ("13pm", None),
            ("25:00", None),
            ("7", None),
            ("pm", None),
            ("soon", None),
        ] {
            assert_eq!(of(word), expected, "{word}");
        }
    }

    #[test]
    fn moments_in_a_zone_are_the_next_ones() {
        // A Sunday, 14:00 in Berlin.
        let now: Timestamp = "2026-11-29T13:00:00Z".parse().unwrap();
        let of = |text| time_in_zone(text, now).map(|moment| moment.to_string());
        for (text, expected) in [
            ("10pm (europe/berlin)", Some("2026-11-29T21:00:00Z")),
            ("1pm (europe/berlin)", Some("2026-11-30T12:00:00Z")),
            ("mon 9:30am (utc)", Some("2026-11-30T09:30:00Z")),
            ("sunday 1am (utc)", Some("2026-12-06T01:00:00Z")),
            ("dec 6, 1pm (utc)", Some("2026-12-06T13:00:00Z")),
            ("jan 2nd at 00:00 (utc)", Some("2027-01-02T00:00:00Z")),
            ("10pm", None),
            ("feb 31, 1pm (utc)", None),
            ("10pm (", None),
            ("later (utc)", None),
        ] {
            assert_eq!(of(text).as_deref(), expected, "{text}");
        }
    }
}
