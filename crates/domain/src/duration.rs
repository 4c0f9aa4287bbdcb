//! Durations as users write them: `90s`, `10m`, `1h30m`, `7d`.

use std::time::Duration;

use thiserror::Error;

/// Units in seconds, largest first.
const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// The text is not a duration, or one that is too long for [`Duration`].
#[derive(Debug, Error)]
#[error("expected a duration such as 90s, 10m, 1h30m or 7d")]
pub struct InvalidDuration;

/// Parses a duration. Every number needs a unit.
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    seconds(text).map(Duration::from_secs).ok_or(InvalidDuration)
}

fn seconds(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    let mut seconds: u64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].chars().next()?;
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        seconds = number.checked_mul(*factor).and_then(|more| seconds.checked_add(more))?;
        rest = &rest[digits + unit.len_utf8()..];
    }
    Some(seconds)
}

/// Formats whole seconds in the shortest form that [`parse`] reads back.
pub fn format(duration: Duration) -> String {
    let mut rest = duration.as_secs();
    let mut out = String::new();
    for (unit, factor) in UNITS {
        if rest >= factor {
            out.push_str(&format!("{}{unit}", rest / factor));
            rest %= factor;
        }
    }
    if out.is_empty() { "0s".to_owned() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_units() {
        for (text, seconds) in [("90s", 90), ("10m", 600), ("1h", 3_600), ("1h30m", 5_400), ("7d", 604_800), ("0s", 0)]
        {
            assert_eq!(parse(text).unwrap(), Duration::from_secs(seconds), "{text}");
        }
        assert_eq!(format(Duration::from_secs(90)), "1m30s");
        assert_eq!(format(Duration::from_secs(0)), "0s");
        for text in ["", "1", "h", "1x", "-1h", "1.5h", "1 h", "99999999999999999999h", "18446744073709551615d", "1h2"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
