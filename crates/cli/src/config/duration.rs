//! Lengths of time as people write them: `90s`, `10m`, `1h`, `1h30m`, `7d`.

use std::time::Duration;

const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// Reads a length of time.
///
/// # Errors
/// What is wrong with it, fit to follow the text in a sentence.
pub(crate) fn read(text: &str) -> Result<Duration, String> {
    let refused = || format!("{text:?} is not a length of time; write it as 90s, 10m or 1h");
    let mut rest = text.trim();
    let mut seconds: u64 = 0;
    if rest.is_empty() {
        return Err(refused());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(refused)?;
        let number: u64 = rest[..digits].parse().map_err(|_| refused())?;
        let unit = rest[digits..].chars().next().ok_or_else(refused)?;
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(refused)?;
        seconds = number.checked_mul(*factor).and_then(|more| seconds.checked_add(more)).ok_or_else(refused)?;
        rest = &rest[digits + unit.len_utf8()..];
    }
    Ok(Duration::from_secs(seconds))
}

/// Writes a length of time in whole seconds as short as it can be read back.
pub(crate) fn written(duration: Duration) -> String {
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
    fn lengths_of_time_are_read_as_written() {
        for (text, seconds) in [("90s", 90), ("10m", 600), ("1h", 3_600), ("1h30m", 5_400), ("7d", 604_800), ("0s", 0)]
        {
            assert_eq!(read(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(written(Duration::from_secs(90)), "1m30s");
        assert_eq!(written(Duration::from_secs(0)), "0s");
        for text in ["", "1", "h", "1x", "-1h", "1.5h", "1 h", "99999999999999999999h", "18446744073709551615d", "1h2"]
        {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
