//! Hours of the day in which no agent starts.

use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use thiserror::Error;

/// Ranges of local times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuietHours(Vec<Range>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    from: Time,
    /// On the next day if it is not later.
    to: Time,
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is not a range of times such as `22:00-07:00`")]
pub struct InvalidQuietHours(String);

impl FromStr for QuietHours {
    type Err = InvalidQuietHours;

    /// Parses ranges such as `22:00-07:00`, with commas between them.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let time = |text: &str| Time::strptime("%H:%M", text.trim()).ok().filter(|_| text.trim().len() == 5);
        let range = |text: &str| {
            let (from, to) = text.split_once('-')?;
            let range = Range { from: time(from)?, to: time(to)? };
            (range.from != range.to).then_some(range)
        };
        let parsed = |text: &str| range(text).ok_or_else(|| InvalidQuietHours(text.trim().to_owned()));
        text.split(',').map(parsed).collect::<Result<_, _>>().map(Self)
    }
}

impl QuietHours {
    /// Returns when the quiet hours began and when they end, if `now` is in them. Ranges that meet are one.
    pub fn around(&self, now: Timestamp, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
        let (since, mut until) = self.range_at(now, zone)?;
        // Ranges that cover the whole day never end, and a day later the answer is the same.
        for _ in 0..self.0.len() {
            let Some((_, later)) = self.range_at(until, zone) else { break };
            until = later;
        }
        Some((since, until))
    }

    fn range_at(&self, now: Timestamp, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
        let today = now.to_zoned(zone.clone()).date();
        let days = [today.yesterday().ok(), Some(today)].into_iter().flatten();
        let ranges = days.flat_map(|day| self.0.iter().filter_map(move |range| range.on(day, zone)));
        ranges.filter(|(since, until)| (*since..*until).contains(&now)).max_by_key(|(_, until)| *until)
    }
}

impl Range {
    /// The range that begins on this day.
    fn on(self, day: Date, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
        let last = if self.to > self.from { day } else { day.tomorrow().ok()? };
        let at = |day: Date, time| day.to_datetime(time).to_zoned(zone.clone()).ok().map(|time| time.timestamp());
        Some((at(day, self.from)?, at(last, self.to)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(hours: &str, now: &str, zone: &TimeZone) -> Option<(String, String)> {
        let now = now.parse::<jiff::civil::DateTime>().unwrap().to_zoned(zone.clone()).unwrap().timestamp();
        let (since, until) = hours.parse::<QuietHours>().unwrap().around(now, zone)?;
        let local = |time: Timestamp| time.to_zoned(zone.clone()).strftime("%d %H:%M").to_string();
        Some((local(since), local(until)))
    }

    fn period(since: &str, until: &str) -> Option<(String, String)> {
        Some((since.to_owned(), until.to_owned()))
    }

    #[test]
    fn quiet_hours_may_pass_midnight() {
        let night = |now| around("22:00-07:00", now, &TimeZone::UTC);
        assert_eq!(night("2026-11-30T21:59:59"), None);
        assert_eq!(night("2026-11-30T22:00:00"), period("30 22:00", "01 07:00"));
        assert_eq!(night("2026-12-01T06:59:59"), period("30 22:00", "01 07:00"));
        assert_eq!(night("2026-12-01T07:00:00"), None);
    }

    #[test]
    fn ranges_that_meet_end_together() {
        let both = |now| around("22:00-06:00, 06:00-07:30,12:00-13:00", now, &TimeZone::UTC);
        assert_eq!(both("2026-11-30T23:00:00"), period("30 22:00", "01 07:30"));
        assert_eq!(both("2026-11-30T12:59:00"), period("30 12:00", "30 13:00"));
        assert_eq!(both("2026-11-30T08:00:00"), None);
        assert!(around("00:00-12:00,12:00-00:00", "2026-11-30T08:00:00", &TimeZone::UTC).is_some());
    }

    #[test]
    fn quiet_hours_are_local_also_when_clocks_change() {
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let hours: QuietHours = "22:00-07:00".parse().unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (since, until) = hours.around(at("2026-10-25T01:30:00Z"), &berlin).unwrap();
        assert_eq!((since, until), (at("2026-10-24T20:00:00Z"), at("2026-10-25T06:00:00Z")), "ten hours");
        assert_eq!(hours.around(at("2026-10-25T05:59:59Z"), &berlin).unwrap().1, until);
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in ["", "22:00", "22-7", "22:00-24:00", "22:00-22:00", "9:00-10:00", "22:00-07:00,", "10pm-7am"] {
            assert!(bad.parse::<QuietHours>().is_err(), "{bad}");
        }
    }
}
