//! Parameters in the form in which a Bind message carries them.

use std::fmt;

use bytes::{BufMut, BytesMut};

use tokio_postgres::types::{IsNull, ToSql, Type};

use super::{Oid, RequestError, types};

/// A Bind message counts its parameters in 16 bits.
const MAX_PARAMS: usize = u16::MAX as usize;

/// Binary parameters, each with the type that it is declared as.
///
/// Types are never left to the server to infer: a plan that was prepared for one type would silently
/// misread another. `Debug` shows types and sizes, never values.
#[derive(Clone, Default)]
pub struct Params {
    types: Vec<Oid>,
    body: BytesMut,
}

impl Params {
    /// No parameters yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.types.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }

    /// Adds a value in the binary form of its type, or null.
    pub fn push(&mut self, oid: Oid, value: Option<&[u8]>) -> &mut Self {
        match value {
            Some(bytes) => self.push_with(oid, |body| body.put_slice(bytes)),
            None => self.push_null(oid),
        }
    }

    /// Adds null.
    pub fn push_null(&mut self, oid: Oid) -> &mut Self {
        self.types.push(oid);
        self.body.put_i32(-1);
        self
    }

    /// Adds a value that `write` appends in its binary form, without an allocation in between.
    pub fn push_with(&mut self, oid: Oid, write: impl FnOnce(&mut BytesMut)) -> &mut Self {
        self.types.push(oid);
        let base = self.body.len();
        self.body.put_i32(0);
        write(&mut self.body);
        // A value that does not fit in 31 bits is refused by `validate` before anything is sent.
        let len = i32::try_from(self.body.len() - base - 4).unwrap_or(i32::MAX);
        self.body[base..base + 4].copy_from_slice(&len.to_be_bytes());
        self
    }

    /// Adds a value through `postgres-types`.
    pub fn push_value(&mut self, ty: &Type, value: &(dyn ToSql + Sync)) -> Result<&mut Self, RequestError> {
        let base = self.body.len();
        self.body.put_i32(0);
        match value.to_sql_checked(ty, &mut self.body) {
            Ok(IsNull::No) => {
                let len = i32::try_from(self.body.len() - base - 4).unwrap_or(i32::MAX);
                self.body[base..base + 4].copy_from_slice(&len.to_be_bytes());
            }
            Ok(IsNull::Yes) => {
                self.body.truncate(base);
                self.body.put_i32(-1);
            }
            Err(source) => {
                self.body.truncate(base);
                return Err(RequestError::Encode { index: self.types.len() + 1, oid: ty.oid(), source });
            }
        }
        self.types.push(ty.oid());
        Ok(self)
    }

    /// Adds a `text`.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.push(types::TEXT, Some(value.as_bytes()))
    }

    /// Adds a `bigint`.
    pub fn int8(&mut self, value: i64) -> &mut Self {
        self.push(types::INT8, Some(&value.to_be_bytes()))
    }

    /// Adds an `integer`.
    pub fn int4(&mut self, value: i32) -> &mut Self {
        self.push(types::INT4, Some(&value.to_be_bytes()))
    }

    /// Adds a `boolean`.
    pub fn boolean(&mut self, value: bool) -> &mut Self {
        self.push(types::BOOL, Some(&[u8::from(value)]))
    }

    /// Adds a `uuid` from its 16 bytes.
    pub fn uuid(&mut self, value: &[u8; 16]) -> &mut Self {
        self.push(types::UUID, Some(value))
    }

    pub(super) fn extend_from(&mut self, other: &Self) {
        self.types.extend_from_slice(&other.types);
        self.body.extend_from_slice(&other.body);
    }

    pub(super) fn types(&self) -> &[Oid] {
        &self.types
    }

    /// Length-prefixed values, one after the other.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    pub(super) fn len_bytes(&self) -> usize {
        self.body.len()
    }

    pub(super) fn validate(&self) -> Result<(), RequestError> {
        if self.types.len() > MAX_PARAMS {
            return Err(RequestError::TooManyParams { count: self.types.len(), max: MAX_PARAMS });
        }
        match self.types.iter().position(|oid| *oid == 0) {
            Some(index) => Err(RequestError::UntypedParam { index: index + 1 }),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Params").field("types", &self.types).field("bytes", &self.body.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_length_prefixed_and_null_is_minus_one() {
        let mut params = Params::new();
        params.int4(7).push_null(types::UUID).text("ab");
        assert_eq!(params.types(), [types::INT4, types::UUID, types::TEXT]);
        let expected = [&[0, 0, 0, 4, 0, 0, 0, 7][..], &[255; 4], &[0, 0, 0, 2], b"ab"].concat();
        assert_eq!(params.body(), expected);
    }

    #[test]
    fn a_value_that_its_type_cannot_hold_leaves_no_trace() {
        let mut params = Params::new();
        params.int4(7);
        let refused = params.push_value(&Type::BOOL, &"text");
        assert!(matches!(refused, Err(RequestError::Encode { index: 2, oid: types::BOOL, .. })));
        assert_eq!(params.len(), 1);
        assert_eq!(params.body(), [0, 0, 0, 4, 0, 0, 0, 7]);
    }

    #[test]
    fn a_parameter_without_a_type_is_refused() {
        let mut params = Params::new();
        params.int4(1).push(0, Some(b"x"));
        assert!(matches!(params.validate(), Err(RequestError::UntypedParam { index: 2 })));
    }

    #[test]
    fn values_do_not_show_in_debug_output() {
        let mut params = Params::new();
        params.text("hunter2");
        assert!(!format!("{params:?}").contains("hunter2"));
    }
}
