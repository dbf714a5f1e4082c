//! Exact decimals, bounded before they are built.

use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::Sign;

/// Longest text that is read as a decimal: Postgres' `numeric(1000)` with sign, point and exponent fits.
const TEXT_MAX: usize = 1_100;
/// Largest exponent: a number beyond it fits no column (precision is at most 1000 digits).
const EXPONENT_MAX: i64 = 2_000;

/// Why a text is not a decimal that can be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// Not a number at all.
    #[error("is not a number")]
    NotANumber,
    /// A number, but of more digits or a larger exponent than any column holds.
    #[error("has more digits than any number field holds")]
    TooLarge,
}

/// Reads a JSON number, or the same as text. Never through a float, and never with work beyond the text's length.
pub fn parse(text: &str) -> Result<BigDecimal, DecimalError> {
    if text.len() > TEXT_MAX {
        return Err(if looks_numeric(text) { DecimalError::TooLarge } else { DecimalError::NotANumber });
    }
    if !is_json_number(text) {
        return Err(DecimalError::NotANumber);
    }
    if let Some(at) = text.find(['e', 'E']) {
        let exponent = text[at + 1..].parse::<i64>().map_err(|_| DecimalError::TooLarge)?;
        if exponent.abs() > EXPONENT_MAX {
            return Err(DecimalError::TooLarge);
        }
    }
    let value: BigDecimal = text.parse().map_err(|_| DecimalError::NotANumber)?;
    // A positive exponent gives a negative scale; digits are wanted in full.
    Ok(if value.fractional_digit_count() < 0 { value.with_scale(0) } else { value })
}

fn looks_numeric(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E'))
}

/// The grammar of RFC 8259, section 6.
fn is_json_number(text: &str) -> bool {
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole.len() == 1 || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)))
}

/// How many digits stand before the point (at least 1), and how many after it that are not trailing zeros.
pub fn digits(value: &BigDecimal) -> (u64, u64) {
    let normal = value.normalized();
    let (int, scale) = normal.as_bigint_and_exponent();
    if int.sign() == Sign::NoSign {
        return (1, 0);
    }
    let count = normal.digits();
    let fraction = u64::try_from(scale).unwrap_or(0);
    let whole = if scale >= 0 {
        count.saturating_sub(fraction).max(1)
    } else {
        count.saturating_add(scale.unsigned_abs())
    };
    (whole, fraction)
}

/// Whether `numeric(precision, scale)` holds the value without rounding.
pub fn fits(value: &BigDecimal, precision: u32, scale: u32) -> bool {
    let (whole, fraction) = digits(value);
    let room = u64::from(precision.saturating_sub(scale));
    let zero_whole = value.abs() < 1;
    fraction <= u64::from(scale) && (zero_whole || whole <= room)
}

/// The number in full, without an exponent, with the scale that it has.
pub fn to_text(value: &BigDecimal) -> String {
    value.to_plain_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dec(text: &str) -> BigDecimal {
        parse(text).unwrap()
    }

    #[test]
    fn every_digit_is_kept() {
        for text in ["0", "-1", "0.10", "123456789012345678901234567890.123456789", "10.00"] {
            assert_eq!(to_text(&dec(text)), text);
        }
        assert_eq!(to_text(&dec("1e3")), "1000");
        assert_eq!(to_text(&dec("12.5E-3")), "0.0125");
    }

    #[test]
    fn what_is_not_a_json_number_is_refused() {
        for text in
            ["", "-", "+1", "01", "1.", ".5", "1e", "NaN", "Infinity", "0x10", "1 ", "1,5", "1e+", "--1"]
        {
            assert_eq!(parse(text), Err(DecimalError::NotANumber), "{text}");
        }
    }

    #[test]
    fn a_huge_exponent_costs_nothing() {
        for text in [
            "1e1000000000",
            "1e-1000000000",
            "1e99999999999999999999",
            &format!("1{}", "0".repeat(2_000_000)),
        ] {
            assert_eq!(parse(text), Err(DecimalError::TooLarge));
        }
    }

    #[test]
    fn precision_and_scale_are_those_of_postgres() {
        assert!(fits(&dec("99.99"), 4, 2));
        assert!(!fits(&dec("100"), 4, 2));
        assert!(!fits(&dec("0.001"), 4, 2));
        assert!(fits(&dec("0.100"), 4, 1));
        assert!(fits(&dec("0.99"), 2, 2));
        assert!(!fits(&dec("1.00"), 2, 2));
        assert!(fits(&dec("0"), 1, 1));
        assert!(!fits(&dec("1e400"), 18, 2));
    }
}
