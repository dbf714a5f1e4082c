//! Instants, dates and times of day as whole numbers, read and written as ISO 8601 / RFC 3339.
//!
//! Microseconds are Postgres' resolution; what is finer is refused, never rounded.

use std::fmt::Write;

/// Microseconds in a day.
pub const MICROS_PER_DAY: i64 = 86_400_000_000;
/// Microseconds from the Unix epoch to Postgres' (2000-01-01).
pub const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;
/// Days from the Unix epoch to Postgres' (2000-01-01).
pub const POSTGRES_EPOCH_DAYS: i32 = 10_957;

/// Microseconds since the Unix epoch of an RFC 3339 text (any offset, years 1 to 9999); `None` when it is not one.
pub fn parse_timestamp(text: &str) -> Option<i64> {
    if text.len() > 40 || !text.is_ascii() {
        return None;
    }
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, offset_seconds) = match rest.strip_suffix(['Z', 'z']) {
        Some(clock) => (clock, 0),
        None => split_offset(rest)?,
    };
    let micros =
        i64::from(parse_date(date)?) * MICROS_PER_DAY + parse_clock(clock)? - offset_seconds * 1_000_000;
    let (year, _, _) = civil(i32::try_from(micros.div_euclid(MICROS_PER_DAY)).ok()?);
    (1..=9999).contains(&year).then_some(micros)
}

fn split_offset(rest: &str) -> Option<(&str, i64)> {
    let (clock, offset) = rest.split_at_checked(rest.len().checked_sub(6)?)?;
    let sign = match offset.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    (hours < 24 && minutes < 60).then_some((clock, sign * (hours * 3600 + minutes * 60)))
}

/// Days since the Unix epoch of `YYYY-MM-DD`; `None` when it is not a day of the Gregorian calendar.
pub fn parse_date(text: &str) -> Option<i32> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let (year, month, day) =
        (digits(text.get(..4)?, 4)?, digits(text.get(5..7)?, 2)?, digits(text.get(8..)?, 2)?);
    let date =
        jiff::civil::Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?);
    (year >= 1 && date.is_ok()).then(|| days(year, month, day))
}

/// Microseconds since midnight of `HH:MM[:SS[.ffffff]]`.
pub fn parse_time(text: &str) -> Option<i64> {
    if text.len() == 5 { parse_clock(&format!("{text}:00")) } else { parse_clock(text) }
}

fn parse_clock(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.len() < 8 || !text.is_ascii() || bytes[2] != b':' || bytes[5] != b':' {
        return None;
    }
    let (hour, minute, second) = (digits(&text[..2], 2)?, digits(&text[3..5], 2)?, digits(&text[6..8], 2)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let micros = match text.get(8..)? {
        "" => 0,
        fraction => {
            let fraction = fraction.strip_prefix('.')?;
            let kept = fraction.trim_end_matches('0');
            if fraction.is_empty()
                || fraction.len() > 9
                || kept.len() > 6
                || !fraction.bytes().all(|b| b.is_ascii_digit())
            {
                return None;
            }
            format!("{kept:0<6}").parse::<i64>().ok()?
        }
    };
    Some(((hour * 60 + minute) * 60 + second) * 1_000_000 + micros)
}

fn digits(text: &str, count: usize) -> Option<i64> {
    (text.len() == count && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// Days since the Unix epoch of a civil date (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn days(year: i64, month: i64, day: i64) -> i32 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    i32::try_from(era * 146_097 + day_of_era - 719_468).unwrap_or(i32::MAX)
}

/// The civil date of a day since the Unix epoch: year, month, day (the inverse of the above).
fn civil(days: i32) -> (i64, u32, u32) {
    let z = i64::from(days) + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = u32::try_from(doy - (153 * mp + 2) / 5 + 1).unwrap_or(1);
    let month = u32::try_from(if mp < 10 { mp + 3 } else { mp - 9 }).unwrap_or(1);
    (yoe + era * 400 + i64::from(month <= 2), month, day)
}

/// Writes an instant as RFC 3339 in UTC: `2013-01-01T10:00:00Z`, with as many decimals of a second as it has.
pub fn write_timestamp(micros: i64, out: &mut String) {
    write_date(i32::try_from(micros.div_euclid(MICROS_PER_DAY)).unwrap_or(0), out);
    out.push('T');
    write_time(micros.rem_euclid(MICROS_PER_DAY), out);
    out.push('Z');
}

/// Writes a day as `YYYY-MM-DD`.
pub fn write_date(days: i32, out: &mut String) {
    let (year, month, day) = civil(days);
    two_by_two(u32::try_from(year.clamp(0, 9999)).unwrap_or(0) / 100, out);
    two_by_two(u32::try_from(year.clamp(0, 9999)).unwrap_or(0) % 100, out);
    out.push('-');
    two_by_two(month, out);
    out.push('-');
    two_by_two(day, out);
}

/// Writes a time of day as `HH:MM:SS`, with as many decimals of a second as it has.
pub fn write_time(micros: i64, out: &mut String) {
    let seconds = u32::try_from(micros / 1_000_000).unwrap_or(0);
    two_by_two(seconds / 3600, out);
    out.push(':');
    two_by_two(seconds / 60 % 60, out);
    out.push(':');
    two_by_two(seconds % 60, out);
    let fraction = micros % 1_000_000;
    if fraction != 0 {
        let _ = write!(out, ".{fraction:06}");
        out.truncate(out.trim_end_matches('0').len());
    }
}

fn two_by_two(number: u32, out: &mut String) {
    out.push(char::from_digit(number / 10 % 10, 10).unwrap_or('0'));
    out.push(char::from_digit(number % 10, 10).unwrap_or('0'));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(micros: i64) -> String {
        let mut out = String::new();
        write_timestamp(micros, &mut out);
        out
    }

    #[test]
    fn offsets_are_taken_to_utc() {
        assert_eq!(shown(parse_timestamp("2013-01-01T05:00:00-05:00").unwrap()), "2013-01-01T10:00:00Z");
        assert_eq!(shown(parse_timestamp("2024-02-29T23:59:59.5+00:00").unwrap()), "2024-02-29T23:59:59.5Z");
        assert_eq!(parse_timestamp("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(parse_timestamp("2000-01-01T00:00:00Z"), Some(POSTGRES_EPOCH_MICROS));
    }

    #[test]
    fn what_no_calendar_or_clock_has_is_refused() {
        for text in [
            "2023-02-29T00:00:00Z",
            "2023-13-01T00:00:00Z",
            "2023-01-01T24:00:00Z",
            "2023-01-01T00:00:60Z",
            "2023-01-01T00:00:00",
            "2023-01-01",
            "0000-01-01T00:00:00Z",
            "2023-01-01T00:00:00.1234567Z",
            "2023-01-01T00:00:00.Z",
            "2023-01-01T00:00:00+5:00",
            "+2023-01-01T00:00:00Z",
            "infinity",
            "",
            "9999-12-31T23:59:59-01:00",
            "２０２３-01-01T00:00:00Z",
        ] {
            assert_eq!(parse_timestamp(text), None, "{text}");
        }
        assert!(
            parse_date("2023-1-1").is_none() && parse_time("25:00").is_none() && parse_time("1:00").is_none()
        );
        assert_eq!(parse_time("05:17"), Some(19_020_000_000));
        assert!(parse_timestamp("2023-01-01T00:00:00.123456000Z").is_some());
    }

    proptest! {
        #[test]
        fn timestamps_read_back_as_written(micros in -62_135_596_800_000_000_i64..253_402_300_800_000_000) {
            prop_assert_eq!(parse_timestamp(&shown(micros)), Some(micros));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}") {
            let _ = (parse_timestamp(&text), parse_date(&text), parse_time(&text));
        }

        #[test]
        fn dates_agree_with_the_calendar_library(days in -719_162_i32..2_932_896) {
            let mut out = String::new();
            write_date(days, &mut out);
            let theirs = jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().days(days)).unwrap();
            prop_assert_eq!(&out, &theirs.to_string());
            prop_assert_eq!(parse_date(&out), Some(days));
        }
    }
}
