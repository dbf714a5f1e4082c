//! Splits the server's byte stream into messages.

use bytes::{Buf, Bytes, BytesMut};

use super::ConnectError;

/// Largest message that is not a row: errors, descriptions, parameters. Postgres itself stays far below.
const MAX_CONTROL_FRAME: usize = 1024 * 1024;

/// Asked of the socket at a time: some dozens of small rows.
const READ_CHUNK: usize = 16 * 1024;

/// Tag of a row message, the only one whose size the data decides.
pub(super) const DATA_ROW: u8 = b'D';

/// One message of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    /// A message's tag and body.
    Message { tag: u8, body: Bytes },
    /// A row that was larger than what its statement may still take; its bytes were not kept.
    OversizedRow,
}

/// The read buffer and what is known about the message at its start.
#[derive(Debug, Default)]
pub(super) struct FrameReader {
    buffer: BytesMut,
    /// Bytes of an oversized row still to be thrown away.
    skip: usize,
}

impl FrameReader {
    /// The buffer to read into, with room for the next read. It grows with what arrives, never with
    /// what a header claims.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        let wanted = READ_CHUNK.max(self.buffer.len().min(1024 * 1024));
        if self.buffer.capacity() - self.buffer.len() < READ_CHUNK / 4 {
            self.buffer.reserve(wanted);
        }
        &mut self.buffer
    }

    /// Whether bytes of an unfinished message are waiting.
    #[cfg(test)]
    fn is_drained(&self) -> bool {
        self.buffer.is_empty() && self.skip == 0
    }

    /// The next whole message. `row_room` is the size up to which a row is wanted.
    pub(super) fn next(&mut self, row_room: usize) -> Result<Option<Frame>, ConnectError> {
        if self.skip > 0 {
            let now = self.skip.min(self.buffer.len());
            self.buffer.advance(now);
            self.skip -= now;
            return Ok((self.skip == 0).then_some(Frame::OversizedRow));
        }
        let Some(header) = self.buffer.first_chunk::<5>() else { return Ok(None) };
        let tag = header[0];
        let len = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
        let body_len = (len as usize).checked_sub(4).ok_or_else(|| {
            ConnectError::Protocol(format!("message {:?} claims a length of {len}", char::from(tag)))
        })?;
        if body_len > MAX_CONTROL_FRAME && tag != DATA_ROW {
            return Err(ConnectError::Protocol(format!(
                "message {:?} claims a length of {len}",
                char::from(tag)
            )));
        }
        if tag == DATA_ROW && body_len > row_room.max(READ_CHUNK) {
            self.buffer.advance(5);
            self.skip = body_len;
            return self.next(row_room);
        }
        if self.buffer.len() < 5 + body_len {
            return Ok(None);
        }
        self.buffer.advance(5);
        let body = self.buffer.split_to(body_len).freeze();
        Ok(Some(Frame::Message { tag, body }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(tag: u8, body: &[u8]) -> Vec<u8> {
        let len = u32::try_from(body.len() + 4).unwrap();
        [&[tag][..], &len.to_be_bytes(), body].concat()
    }

    fn drain(reader: &mut FrameReader, room: usize, into: &mut Vec<Frame>) -> Result<(), ConnectError> {
        while let Some(frame) = reader.next(room)? {
            into.push(frame);
        }
        Ok(())
    }

    fn frames() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
        let frame = (
            any::<u8>(),
            prop_oneof![
                4 => prop::collection::vec(any::<u8>(), 0..64),
                1 => prop::collection::vec(any::<u8>(), READ_CHUNK..READ_CHUNK * 3),
            ],
        );
        prop::collection::vec(frame, 0..12)
    }

    proptest! {
        #[test]
        fn messages_come_out_the_same_wherever_the_stream_is_cut(
            frames in frames(), cuts in prop::collection::vec(1_usize..5000, 1..64),
        ) {
            let stream: Vec<u8> = frames.iter().flat_map(|(tag, body)| encode(*tag, body)).collect();
            let mut reader = FrameReader::default();
            let mut got = Vec::new();
            let mut rest = &stream[..];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                reader.buffer().extend_from_slice(now);
                drain(&mut reader, 2 * READ_CHUNK, &mut got).unwrap();
                rest = later;
            }
            let wanted: Vec<Frame> = frames
                .iter()
                .map(|(tag, body)| match *tag {
                    DATA_ROW if body.len() > 2 * READ_CHUNK => Frame::OversizedRow,
                    tag => Frame::Message { tag, body: Bytes::copy_from_slice(body) },
                })
                .collect();
            prop_assert_eq!(got, wanted);
            prop_assert!(reader.is_drained());
        }

        #[test]
        fn garbage_never_panics_nor_makes_the_buffer_grow_beyond_what_arrived(
            garbage in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..40),
        ) {
            let mut reader = FrameReader::default();
            let mut arrived = 0;
            for piece in garbage {
                arrived += piece.len();
                reader.buffer().extend_from_slice(&piece);
                if drain(&mut reader, 1024, &mut Vec::new()).is_err() {
                    break;
                }
                prop_assert!(reader.buffer().capacity() <= 4 * (READ_CHUNK + arrived));
            }
        }
    }

    #[test]
    fn a_claimed_gigabyte_allocates_nothing() {
        let mut reader = FrameReader::default();
        reader.buffer().extend_from_slice(&[DATA_ROW, 0x7f, 0xff, 0xff, 0xff, 1, 2, 3]);
        assert_eq!(reader.next(usize::MAX).unwrap(), None);
        assert!(reader.buffer().capacity() <= 2 * READ_CHUNK);
    }

    #[test]
    fn lengths_that_cannot_be_are_refused() {
        for header in [[b'Z', 0, 0, 0, 3], [b'C', 0x7f, 0, 0, 0], [b'E', 0xff, 0xff, 0xff, 0xff]] {
            let mut reader = FrameReader::default();
            reader.buffer().extend_from_slice(&header);
            assert!(matches!(reader.next(usize::MAX), Err(ConnectError::Protocol(_))));
        }
    }
}
