//! Values in Postgres' binary formats: encoded for parameters, decoded to values, and turned into JSON directly,
//! masked on the way.

mod array;
mod decode;
mod encode;
mod json;
mod numeric;
mod seen;

pub use decode::{decode_row, decode_value};
pub use encode::{push_batch, push_bind, push_value};
pub use json::{Numbers, RowEncoder, write_json_value};
pub use seen::{Seen, SeenField};

/// Bytes that are not what their type says: a fault of the server's or ours, never of a caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a {0} value is not in its binary format")]
pub struct CodecError(pub &'static str);

/// A fixed number of bytes as an array.
fn exact<const N: usize>(bytes: &[u8], what: &'static str) -> Result<[u8; N], CodecError> {
    bytes.try_into().map_err(|_| CodecError(what))
}
