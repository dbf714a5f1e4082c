//! Durations as CEL writes them: `1h30m`, `-1.5s`, `250ms`.

use bigdecimal::{BigDecimal, ToPrimitive};

/// Longest text that is read.
const TEXT_MAX: usize = 64;
/// The units and how many microseconds each has; `ns` is read where it comes out whole.
const UNITS: [(&str, &str); 6] =
    [("ms", "1000"), ("us", "1"), ("ns", "0.001"), ("h", "3600000000"), ("m", "60000000"), ("s", "1000000")];

/// The microseconds of a duration; `None` when it is none or has a fraction of a microsecond.
pub(super) fn parse(text: &str) -> Option<i64> {
    if text.len() > TEXT_MAX {
        return None;
    }
    let (negative, mut rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let mut total = BigDecimal::from(0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let amount = crate::decimal::parse(&rest[..digits]).ok()?;
        rest = &rest[digits..];
        let (unit, factor) = UNITS.iter().find(|(unit, _)| rest.starts_with(unit))?;
        rest = &rest[unit.len()..];
        total += amount * crate::decimal::parse(factor).ok()?;
    }
    let whole = total.is_integer() && text.len() > usize::from(negative);
    let micros = whole.then(|| total.to_i64()).flatten()?;
    Some(if negative { -micros } else { micros })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_to_the_microsecond() {
        assert_eq!(parse("1h30m"), Some(5_400_000_000));
        assert_eq!(parse("-1.5s"), Some(-1_500_000));
        assert_eq!(parse("250ms"), Some(250_000));
        assert_eq!(parse("3us"), Some(3));
        assert_eq!(parse("1000ns"), Some(1));
        for bad in ["", "-", "1", "h", "1x", "1.h", "1ns", "1 h", "99999999999999999999h", "1h-2m"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
