//! The text of a key: `vel_<environment>_<43 letters and digits>`, which hold 256 random bits.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};

/// What every key begins with.
const PREFIX: &str = "vel_";
/// Digits of 256 bits in base 62: 62^43 is the first power above 2^256.
const DIGITS: usize = 43;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Longest name of an environment.
const ENVIRONMENT_MAX: usize = 16;

/// Why no key can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// The environment's name does not fit into a key.
    #[error("the environment in a key is 1 to {ENVIRONMENT_MAX} lower-case letters and digits")]
    Environment,
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    Random,
}

/// A key that has just been made. Its text is shown once and stored nowhere.
pub struct NewKey {
    text: String,
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewKey(…)")
    }
}

impl NewKey {
    /// A new key for the environment.
    pub fn mint(environment: &str) -> Result<Self, MintError> {
        if !is_environment(environment.as_bytes()) {
            return Err(MintError::Environment);
        }
        let mut bytes = [0; 32];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| MintError::Random)?;
        Ok(Self { text: format!("{PREFIX}{environment}_{}", base62(bytes)) })
    }

    /// The text to show.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What is stored.
    pub fn hash(&self) -> [u8; 32] {
        key_hash(self.text.as_bytes())
    }
}

/// The SHA-256 of a key's text. A plain digest will do: there is no guessing 256 random bits.
pub fn key_hash(text: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, text).as_ref());
    out
}

/// Whether a text can be a key.
pub fn is_key(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(PREFIX.as_bytes()) else { return false };
    let Some(end) = rest.iter().position(|b| *b == b'_') else { return false };
    let (environment, digits) = (&rest[..end], &rest[end + 1..]);
    is_environment(environment) && digits.len() == DIGITS && digits.iter().all(u8::is_ascii_alphanumeric)
}

fn is_environment(name: &[u8]) -> bool {
    (1..=ENVIRONMENT_MAX).contains(&name.len())
        && name.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

/// 256 bits in base 62, most significant digit first: long division by 62, once for each digit.
pub(crate) fn base62(mut number: [u8; 32]) -> String {
    let mut digits = [b'0'; DIGITS];
    for digit in digits.iter_mut().rev() {
        let mut remainder = 0_usize;
        for byte in &mut number {
            let value = (remainder << 8) | usize::from(*byte);
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
            remainder = value % 62;
        }
        *digit = ALPHABET[remainder];
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_new_key_has_the_form_of_the_contract_and_no_two_are_equal() {
        let keys: HashSet<String> =
            (0..100).map(|_| NewKey::mint("live").unwrap().text().to_owned()).collect();
        assert_eq!(keys.len(), 100);
        for key in keys {
            assert!(is_key(key.as_bytes()), "{key}");
            assert_eq!(key.len(), "vel_live_".len() + 43);
        }
    }

    #[test]
    fn base_62_keeps_all_256_bits() {
        assert_eq!(base62([0; 32]), "0".repeat(43));
        let mut one = [0; 32];
        one[31] = 61;
        assert_eq!(base62(one), format!("{}z", "0".repeat(42)));
        one[30] = 1;
        // 256 + 61 = 5 * 62 + 7
        assert_eq!(base62(one), format!("{}57", "0".repeat(41)));
        let digits = base62([255; 32]);
        let back = digits.bytes().fold([0_u8; 32], |mut number, digit| {
            let mut carry = ALPHABET.iter().position(|c| *c == digit).unwrap();
            for byte in number.iter_mut().rev() {
                let value = usize::from(*byte) * 62 + carry;
                *byte = u8::try_from(value & 255).unwrap();
                carry = value >> 8;
            }
            assert_eq!(carry, 0);
            number
        });
        assert_eq!(back, [255; 32]);
    }

    #[test]
    fn what_is_no_key_is_told_apart() {
        let digits = "a".repeat(43);
        assert!(is_key(format!("vel_dev1_{digits}").as_bytes()));
        for text in [
            String::new(),
            "vel_".to_owned(),
            format!("vel__{digits}"),
            format!("vel_Live_{digits}"),
            format!("vel_live_{}", "a".repeat(42)),
            format!("vel_live_{}", "a".repeat(44)),
            format!("vel_live_{}-", "a".repeat(42)),
            format!("vels_{digits}"),
            format!(" vel_live_{digits}"),
            format!("vel_{}_{digits}", "a".repeat(17)),
        ] {
            assert!(!is_key(text.as_bytes()), "{text}");
        }
        assert_eq!(NewKey::mint("a_b").unwrap_err(), MintError::Environment);
    }
}
