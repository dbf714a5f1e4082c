//! Durations as people write them: `30s`, `5m`, `8h`, `90d`.

use std::time::Duration;

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a duration: use a whole number and a unit s, m, h or d, such as 30s or 8h")]
pub struct InvalidDuration(String);

/// Reads a whole number followed by one unit: `s`, `m`, `h` or `d`.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidDuration> {
    let invalid = || InvalidDuration(text.chars().take(32).collect());
    let unit = match text.as_bytes().last() {
        Some(b's') => 1,
        Some(b'm') => 60,
        Some(b'h') => 60 * 60,
        Some(b'd') => 24 * 60 * 60,
        _ => return Err(invalid()),
    };
    let digits = &text[..text.len() - 1];
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(invalid());
    }
    let seconds = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(unit)).ok_or_else(invalid)?;
    // Anything longer overflows the arithmetic on timestamps (years -9999 to 9999).
    if seconds > 1_000 * 366 * 86_400 {
        return Err(invalid());
    }
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit_is_a_duration() {
        assert_eq!(parse_duration("0s"), Ok(Duration::ZERO));
        assert_eq!(parse_duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("5m"), Ok(Duration::from_mins(5)));
        assert_eq!(parse_duration("2h"), Ok(Duration::from_hours(2)));
        assert_eq!(parse_duration("1d"), Ok(Duration::from_hours(24)));
    }

    #[test]
    fn anything_else_is_not() {
        for text in [
            "",
            "s",
            "5",
            "-5s",
            "+5s",
            "1.5h",
            "5 m",
            "5M",
            "ß",
            "1h30m",
            "99999999999999999999s",
            "999999999d",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
