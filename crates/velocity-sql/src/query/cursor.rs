//! Cursors: where a page ended, signed so that nobody can make one up.
//!
//! `version ‖ digest of the query ‖ key values ‖ HMAC-SHA256`, in base64url. The digest binds a cursor to its schema,
//! conditions and order: used with another query it is refused.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use velocity_schema::{FieldType, Value};

/// The layout of cursors; grows when it changes, so that old cursors are refused and not misread.
const LAYOUT: u8 = 1;
const DIGEST: usize = 16;
const TAG: usize = 32;
/// Longest cursor that is looked at: eight keys of long texts fit.
const CURSOR_MAX: usize = 64 * 1024;

/// The key that cursors are signed with: the same on every replica.
#[derive(Clone)]
pub struct CursorKey([u8; 32]);

impl CursorKey {
    /// A key of 32 random bytes.
    pub fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    fn mac(&self, body: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.0).ok()?;
        mac.update(body);
        Some(mac)
    }
}

impl fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CursorKey(…)")
    }
}

/// What a cursor is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct QueryDigest([u8; DIGEST]);

impl QueryDigest {
    /// The digest of parts in their order. Lengths go with them, so that no two lists of parts look the same.
    pub(super) fn of<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let mut digest = [0; DIGEST];
        digest.copy_from_slice(&hash.finalize()[..DIGEST]);
        Self(digest)
    }
}

/// A cursor for the row whose keys have these values.
pub(super) fn seal(key: &CursorKey, query: QueryDigest, values: &[Value]) -> Option<String> {
    let mut body = vec![LAYOUT];
    body.extend(query.0);
    for value in values {
        if value.is_null() {
            body.push(0);
            continue;
        }
        let text = value.to_text();
        body.push(1);
        body.extend(u32::try_from(text.len()).ok()?.to_be_bytes());
        body.extend(text.as_bytes());
    }
    let tag = key.mac(&body)?.finalize().into_bytes();
    body.extend(tag);
    Some(URL_SAFE_NO_PAD.encode(body))
}

/// Why a cursor is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Not one of ours, or changed.
    Forged,
    /// Ours, but of another query.
    OtherQuery,
}

/// The key values in a cursor.
pub(super) fn open(
    key: &CursorKey,
    query: QueryDigest,
    kinds: &[&FieldType],
    cursor: &str,
) -> Result<Vec<Value>, Refused> {
    if cursor.len() > CURSOR_MAX {
        return Err(Refused::Forged);
    }
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| Refused::Forged)?;
    let (body, tag) = bytes.split_at_checked(bytes.len().saturating_sub(TAG)).ok_or(Refused::Forged)?;
    key.mac(body).ok_or(Refused::Forged)?.verify_slice(tag).map_err(|_| Refused::Forged)?;
    let Some((&LAYOUT, rest)) = body.split_first() else { return Err(Refused::Forged) };
    let (digest, mut rest) = rest.split_at_checked(DIGEST).ok_or(Refused::Forged)?;
    if digest != query.0 {
        return Err(Refused::OtherQuery);
    }
    let mut values = Vec::with_capacity(kinds.len());
    for kind in kinds {
        let (value, after) = read(kind, rest).ok_or(Refused::Forged)?;
        values.push(value);
        rest = after;
    }
    if rest.is_empty() { Ok(values) } else { Err(Refused::Forged) }
}

fn read<'a>(kind: &FieldType, bytes: &'a [u8]) -> Option<(Value, &'a [u8])> {
    let (&present, rest) = bytes.split_first()?;
    if present == 0 {
        return Some((Value::Null, rest));
    }
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (text, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    Some((kind.read_operand(std::str::from_utf8(text).ok()?).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(byte: u8) -> CursorKey {
        CursorKey::new([byte; 32])
    }

    const KINDS: [FieldType; 2] = [FieldType::Timestamp, FieldType::Integer { min: None, max: None }];

    fn kinds() -> Vec<&'static FieldType> {
        KINDS.iter().collect()
    }

    #[test]
    fn a_cursor_gives_its_values_back() {
        let query = QueryDigest::of(["a"]);
        for values in
            [vec![Value::Timestamp(1), Value::Integer(-5)], vec![Value::Null, Value::Integer(i64::MAX)]]
        {
            let cursor = seal(&key(1), query, &values).unwrap();
            assert_eq!(open(&key(1), query, &kinds(), &cursor), Ok(values));
        }
    }

    #[test]
    fn a_cursor_of_another_key_or_query_is_refused() {
        let query = QueryDigest::of(["a", "b"]);
        let cursor = seal(&key(1), query, &[Value::Null, Value::Null]).unwrap();
        assert_eq!(open(&key(2), query, &kinds(), &cursor), Err(Refused::Forged));
        assert_eq!(open(&key(1), QueryDigest::of(["ab"]), &kinds(), &cursor), Err(Refused::OtherQuery));
        assert_ne!(QueryDigest::of(["a", "b"]), QueryDigest::of(["ab"]));
    }

    proptest! {
        #[test]
        fn no_changed_byte_goes_unnoticed(at in any::<prop::sample::Index>(), flip in 1_u8..=255) {
            let query = QueryDigest::of(["a"]);
            let cursor = seal(&key(1), query, &[Value::Timestamp(0), Value::Integer(7)]).unwrap();
            let mut bytes = URL_SAFE_NO_PAD.decode(cursor).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            let forged = URL_SAFE_NO_PAD.encode(bytes);
            prop_assert_eq!(open(&key(1), query, &kinds(), &forged), Err(Refused::Forged));
        }

        #[test]
        fn no_text_is_taken_for_a_cursor(text in ".{0,200}") {
            prop_assert_eq!(open(&key(1), QueryDigest::of(["a"]), &kinds(), &text), Err(Refused::Forged));
        }
    }
}
