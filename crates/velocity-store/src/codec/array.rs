//! Arrays of one dimension: `dimensions i32, has nulls i32, element oid u32, (length i32, first index i32)`, elements.

use bytes::{BufMut, BytesMut};

use super::CodecError;

const fn broken() -> CodecError {
    CodecError("array")
}

/// Appends an array whose elements `write` appends; it says `false` for null, having appended nothing.
pub(super) fn write<T>(
    element_oid: u32,
    items: impl ExactSizeIterator<Item = T>,
    out: &mut BytesMut,
    mut write: impl FnMut(T, &mut BytesMut) -> bool,
) {
    out.put_i32(i32::from(items.len() > 0));
    out.put_i32(1);
    out.put_u32(element_oid);
    if items.len() == 0 {
        return;
    }
    out.put_i32(i32::try_from(items.len()).unwrap_or(i32::MAX));
    out.put_i32(1);
    for item in items {
        let base = out.len();
        out.put_i32(-1);
        if write(item, out) {
            let len = i32::try_from(out.len() - base - 4).unwrap_or(i32::MAX);
            out[base..base + 4].copy_from_slice(&len.to_be_bytes());
        }
    }
}

/// The elements of an array.
pub(super) struct Elements<'a> {
    left: usize,
    rest: &'a [u8],
}

impl<'a> Elements<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, CodecError> {
        let (dimensions, rest) = int(bytes)?;
        let rest = rest.get(8..).ok_or_else(broken)?;
        match dimensions {
            0 => Ok(Self { left: 0, rest }),
            1 => {
                let (count, rest) = int(rest)?;
                let left = usize::try_from(count).map_err(|_| broken())?;
                Ok(Self { left, rest: rest.get(4..).ok_or_else(broken)? })
            }
            _ => Err(broken()),
        }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Option<&'a [u8]>, CodecError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let element = element(self.rest);
        match element {
            Ok((value, rest)) => {
                self.rest = rest;
                Some(Ok(value))
            }
            Err(error) => {
                self.left = 0;
                Some(Err(error))
            }
        }
    }
}

fn element(bytes: &[u8]) -> Result<(Option<&[u8]>, &[u8]), CodecError> {
    let (len, rest) = int(bytes)?;
    match usize::try_from(len) {
        Err(_) => Ok((None, rest)),
        Ok(len) => rest.split_at_checked(len).map(|(value, rest)| (Some(value), rest)).ok_or_else(broken),
    }
}

fn int(bytes: &[u8]) -> Result<(i32, &[u8]), CodecError> {
    let (head, rest) = bytes.split_first_chunk::<4>().ok_or_else(broken)?;
    Ok((i32::from_be_bytes(*head), rest))
}
