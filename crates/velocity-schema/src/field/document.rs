//! JSON documents that a database can hold.

use super::{JSON_DEPTH_MAX, Misfit, misfit};

/// The text as it is, where jsonb can hold it: not too deep, no U+0000, no lone surrogates, no number beyond a float.
pub(super) fn check(text: &str) -> Result<String, Misfit> {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for byte in text.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > JSON_DEPTH_MAX {
            return Err(misfit("depth", format!("must be JSON of at most {JSON_DEPTH_MAX} levels")));
        }
    }
    match serde_json::from_str::<Storable>(text) {
        Ok(Storable) => Ok(text.to_owned()),
        Err(_) => Err(misfit(
            "type",
            "must be JSON without the character U+0000, lone surrogates and numbers beyond 1e308",
        )),
    }
}

/// A JSON document that jsonb can hold: walked once, every string decoded, nothing kept.
struct Storable;

impl<'de> serde::Deserialize<'de> for Storable {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StorableVisitor)
    }
}

struct StorableVisitor;

impl<'de> serde::de::Visitor<'de> for StorableVisitor {
    type Value = Storable;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON that a database can hold")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Storable, E> {
        if text.contains('\0') { Err(E::custom("U+0000")) } else { Ok(Storable) }
    }

    fn visit_bool<E>(self, _: bool) -> Result<Storable, E> {
        Ok(Storable)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Storable, E> {
        Ok(Storable)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Storable, E> {
        Ok(Storable)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Storable, E> {
        Ok(Storable)
    }

    fn visit_unit<E>(self) -> Result<Storable, E> {
        Ok(Storable)
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Storable, A::Error> {
        while let Some(Storable) = seq.next_element()? {}
        Ok(Storable)
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Storable, A::Error> {
        while let Some((Storable, Storable)) = map.next_entry()? {}
        Ok(Storable)
    }
}
