//! `numeric`: groups of four decimal digits.
//!
//! `count i16, weight i16, sign u16, scale u16`, then `count` groups; the first counts 10000^weight.

use bigdecimal::BigDecimal;
use bytes::{BufMut, BytesMut};
use velocity_schema::decimal;

use super::CodecError;

const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const MINUS_INFINITY: u16 = 0xF000;
const GROUP: usize = 4;

const fn broken() -> CodecError {
    CodecError("numeric")
}

/// Appends the binary form.
pub(super) fn write(number: &BigDecimal, out: &mut BytesMut) {
    let text = decimal::to_text(number);
    let (negative, text) = text.strip_prefix('-').map_or((false, text.as_str()), |rest| (true, rest));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole = whole.trim_start_matches('0');
    let lead = (GROUP - whole.len() % GROUP) % GROUP;
    let digits = std::iter::repeat_n(b'0', lead).chain(whole.bytes()).chain(fraction.bytes());
    let mut groups: Vec<i16> = Vec::with_capacity((lead + text.len()) / GROUP + 1);
    for (at, digit) in digits.enumerate() {
        let digit = i16::from(digit - b'0');
        match (at % GROUP, groups.last_mut()) {
            (0, _) | (_, None) => groups.push(digit * 1000),
            (1, Some(group)) => *group += digit * 100,
            (2, Some(group)) => *group += digit * 10,
            (_, Some(group)) => *group += digit,
        }
    }
    let mut weight = i16::try_from((lead + whole.len()) / GROUP).unwrap_or(i16::MAX) - 1;
    let zeros = groups.iter().take_while(|group| **group == 0).count();
    groups.drain(..zeros);
    weight -= i16::try_from(zeros).unwrap_or(0);
    groups.truncate(groups.len() - groups.iter().rev().take_while(|group| **group == 0).count());
    if groups.is_empty() {
        weight = 0;
    }
    out.put_i16(i16::try_from(groups.len()).unwrap_or(i16::MAX));
    out.put_i16(weight);
    out.put_u16(if negative && !groups.is_empty() { NEGATIVE } else { 0 });
    out.put_u16(u16::try_from(fraction.len()).unwrap_or(u16::MAX));
    for group in groups {
        out.put_i16(group);
    }
}

/// A `numeric` as it came from the server.
struct Parts<'a> {
    weight: i32,
    sign: u16,
    scale: usize,
    groups: &'a [u8],
}

impl<'a> Parts<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, CodecError> {
        let (&[c0, c1, w0, w1, s0, s1, d0, d1], groups) =
            bytes.split_first_chunk::<8>().ok_or_else(broken)?;
        if groups.len() != usize::from(u16::from_be_bytes([c0, c1])) * 2 {
            return Err(broken());
        }
        Ok(Self {
            weight: i16::from_be_bytes([w0, w1]).into(),
            sign: u16::from_be_bytes([s0, s1]),
            scale: u16::from_be_bytes([d0, d1]).into(),
            groups,
        })
    }

    /// The group that counts 10000^weight.
    fn group(&self, weight: i32) -> u16 {
        let at = usize::try_from(self.weight - weight).ok();
        let bytes = at.and_then(|at| self.groups.get(at * 2..at * 2 + 2));
        bytes.map_or(0, |pair| u16::from_be_bytes([pair[0], pair[1]]))
    }
}

/// Appends the number in full, with the digits after the point that its scale says. `NaN` and the infinities, which no
/// field takes but somebody's SQL may have written, become quoted words.
pub(super) fn write_json(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
    let parts = Parts::read(bytes)?;
    match parts.sign {
        0 => {}
        NEGATIVE => out.push(b'-'),
        NAN => {
            out.extend_from_slice(b"\"NaN\"");
            return Ok(());
        }
        INFINITY | MINUS_INFINITY => {
            out.extend_from_slice(if parts.sign == INFINITY { b"\"Infinity\"" } else { b"\"-Infinity\"" });
            return Ok(());
        }
        _ => return Err(broken()),
    }
    let mut any = false;
    for weight in (0..=parts.weight).rev() {
        let group = four(parts.group(weight));
        let skip = if any { 0 } else { group.iter().take_while(|digit| **digit == b'0').count() };
        out.extend_from_slice(&group[skip..]);
        any = any || skip < GROUP;
    }
    if !any {
        out.push(b'0');
    }
    if parts.scale > 0 {
        out.push(b'.');
        let mut left = parts.scale;
        let mut weight = -1;
        while left > 0 {
            let take = left.min(GROUP);
            out.extend_from_slice(&four(parts.group(weight))[..take]);
            left -= take;
            weight -= 1;
        }
    }
    Ok(())
}

/// The number with its scale; `None` for `NaN` and the infinities.
pub(super) fn read(bytes: &[u8]) -> Result<Option<BigDecimal>, CodecError> {
    let mut text = Vec::with_capacity(32);
    write_json(bytes, &mut text)?;
    let text = std::str::from_utf8(&text).map_err(|_| broken())?;
    if text.starts_with('"') {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| broken())
}

fn four(group: u16) -> [u8; GROUP] {
    let digit = |by: u16| b'0' + u8::try_from(group / by % 10).unwrap_or(0);
    [digit(1000), digit(100), digit(10), digit(1)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn there_and_back(text: &str) -> String {
        let mut out = BytesMut::new();
        write(&text.parse().unwrap(), &mut out);
        let mut json = Vec::new();
        write_json(&out, &mut json).unwrap();
        String::from_utf8(json).unwrap()
    }

    #[test]
    fn every_digit_and_the_scale_are_kept() {
        for text in [
            "0",
            "0.00",
            "1",
            "-1",
            "10000",
            "9999",
            "0.0001",
            "0.00001",
            "123456789.987654321",
            "-0.10",
            "100000000000000000000000000000000",
            "0.000000000000000000000000001",
            "12345.6000",
        ] {
            assert_eq!(there_and_back(text), text);
        }
    }

    #[test]
    fn cut_bytes_are_an_error() {
        let mut out = BytesMut::new();
        write(&"12345.67".parse().unwrap(), &mut out);
        for end in 0..out.len() {
            assert!(write_json(&out[..end], &mut Vec::new()).is_err(), "cut at {end}");
        }
    }

    proptest! {
        #[test]
        fn any_decimal_goes_there_and_back(text in "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,40})?") {
            let number: BigDecimal = text.parse().unwrap();
            prop_assert_eq!(there_and_back(&text), decimal::to_text(&number));
        }
    }
}
