//! Follows the server's answer to one request, step by step. Pure: bytes in, results out.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Column, ConnectError, DbError, Place, ResultLimit, ResultSet, WireError,
    cache::{StatementCache, StatementId},
    frame::Frame,
    rows::RowCollector,
};

/// A message of ours that will be answered.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) place: Place,
    pub(super) kind: StepKind,
}

/// What was sent, and so what comes back.
#[derive(Debug)]
pub(super) enum StepKind {
    Close,
    Parse(Option<StatementId>),
    Describe(Option<StatementId>),
    Bind,
    /// `columns` is known when the statement was prepared earlier; otherwise it was just described.
    Execute {
        keep: bool,
        columns: Option<Arc<[Column]>>,
        limit: ResultLimit,
    },
    Sync,
}

/// What a message has brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The answer goes on.
    More,
    /// The answer goes on, but the current result has just become too large: worth cancelling.
    Overflowed,
    /// The answer is complete; the transaction state that the server is in.
    Done(u8),
}

/// The state of one answer.
#[derive(Debug)]
pub(super) struct Exchange {
    steps: Vec<Step>,
    at: usize,
    described: Arc<[Column]>,
    rows: Option<RowCollector>,
    results: Vec<ResultSet>,
    too_large: Option<(usize, ResultLimit)>,
    failure: Option<DbError>,
}

impl Exchange {
    pub(super) fn new(steps: Vec<Step>) -> Self {
        Self {
            steps,
            at: 0,
            described: Arc::new([]),
            rows: None,
            results: Vec::new(),
            too_large: None,
            failure: None,
        }
    }

    /// The largest row that is still wanted.
    pub(super) fn row_room(&self) -> usize {
        match (&self.rows, self.steps.get(self.at)) {
            (Some(rows), _) => rows.room(),
            (None, Some(Step { kind: StepKind::Execute { limit, .. }, .. })) => limit.max_bytes,
            _ => 0,
        }
    }

    /// Takes in one message of the answer.
    pub(super) fn feed(
        &mut self,
        frame: Frame,
        cache: &mut StatementCache,
    ) -> Result<Progress, ConnectError> {
        let Some(Step { place, kind }) = self.steps.get(self.at) else {
            return Err(ConnectError::Protocol("a message after the end of an answer".into()));
        };
        let place = *place;
        let (tag, body) = match frame {
            Frame::Message { tag, body } => (tag, body),
            Frame::OversizedRow if matches!(kind, StepKind::Execute { .. }) => {
                return Ok(self.oversized_row(place));
            }
            Frame::OversizedRow => return Err(ConnectError::Protocol("a row that nobody asked for".into())),
        };
        match (tag, kind) {
            (b'E', _) => return self.fail(&body, place, cache),
            (b'3', StepKind::Close) | (b'1', StepKind::Parse(_)) | (b'2', StepKind::Bind) => self.at += 1,
            (b't', StepKind::Describe(_)) => {}
            (b'T' | b'n', StepKind::Describe(id)) => {
                self.described = if tag == b'T' { parse_columns(&body)? } else { Arc::new([]) };
                if let Some(id) = id {
                    cache.confirm(*id, &self.described);
                }
                self.at += 1;
            }
            (b'D', StepKind::Execute { .. }) => return self.row(body, place),
            (b'C' | b's' | b'I', StepKind::Execute { .. }) => self.end_of_result(tag, &body)?,
            (b'Z', StepKind::Sync) => {
                self.at += 1;
                return match body[..] {
                    [status @ (b'I' | b'T' | b'E')] => Ok(Progress::Done(status)),
                    _ => Err(ConnectError::Protocol("an unknown transaction state".into())),
                };
            }
            (tag, kind) => {
                return Err(ConnectError::Protocol(format!(
                    "message {:?} in answer to {}",
                    char::from(tag),
                    kind.name()
                )));
            }
        }
        Ok(Progress::More)
    }

    /// The server skips everything up to the Sync; what was to be prepared there was not.
    fn fail(
        &mut self,
        body: &Bytes,
        place: Place,
        cache: &mut StatementCache,
    ) -> Result<Progress, ConnectError> {
        let error = DbError::parse(body, place)?;
        let last = self.steps.len() - 1;
        for step in &self.steps[self.at..last] {
            if let StepKind::Parse(Some(id)) | StepKind::Describe(Some(id)) = step.kind {
                cache.forget(id);
            }
        }
        self.at = last;
        self.rows = None;
        self.failure.get_or_insert(error);
        Ok(Progress::More)
    }

    fn collector(&mut self) -> &mut RowCollector {
        let limit = match &self.steps[self.at].kind {
            StepKind::Execute { limit, .. } => *limit,
            _ => ResultLimit::default(),
        };
        self.rows.get_or_insert_with(|| RowCollector::new(limit))
    }

    fn row(&mut self, body: Bytes, place: Place) -> Result<Progress, ConnectError> {
        let rows = self.collector();
        let before = rows.overflowed();
        rows.push(body)?;
        if rows.overflowed() && !before { Ok(self.overflow(place)) } else { Ok(Progress::More) }
    }

    fn oversized_row(&mut self, place: Place) -> Progress {
        let rows = self.collector();
        let before = rows.overflowed();
        rows.overflow();
        if before { Progress::More } else { self.overflow(place) }
    }

    fn overflow(&mut self, place: Place) -> Progress {
        let StepKind::Execute { limit, .. } = &self.steps[self.at].kind else { return Progress::More };
        let index = if let Place::Statement(index) = place { index } else { 0 };
        self.too_large.get_or_insert((index, *limit));
        Progress::Overflowed
    }

    fn end_of_result(&mut self, kind: u8, body: &Bytes) -> Result<(), ConnectError> {
        let rows = self.rows.take().map(RowCollector::finish).unwrap_or_default();
        let tag = if kind == b'C' {
            let Some((0, tag)) = body.split_last() else {
                return Err(ConnectError::Protocol("a command tag without an end".into()));
            };
            body.slice_ref(tag)
        } else {
            Bytes::new()
        };
        if let StepKind::Execute { keep: true, columns, .. } = &self.steps[self.at].kind {
            let columns = columns.as_ref().unwrap_or(&self.described);
            self.results.push(ResultSet::new(Arc::clone(columns), rows, tag));
        }
        self.at += 1;
        Ok(())
    }

    /// The server's error, if there was one.
    pub(super) fn failure(&self) -> Option<&DbError> {
        self.failure.as_ref()
    }

    /// The results, or what went wrong, once the answer is complete.
    pub(super) fn finish(self) -> Result<Vec<ResultSet>, WireError> {
        if let Some((statement, limit)) = self.too_large {
            return Err(WireError::ResultTooLarge { statement, limit });
        }
        match self.failure {
            Some(error) => Err(error.into()),
            None => Ok(self.results),
        }
    }
}

impl StepKind {
    fn name(&self) -> &'static str {
        match self {
            Self::Close => "Close",
            Self::Parse(_) => "Parse",
            Self::Describe(_) => "Describe",
            Self::Bind => "Bind",
            Self::Execute { .. } => "Execute",
            Self::Sync => "Sync",
        }
    }
}

fn parse_columns(body: &[u8]) -> Result<Arc<[Column]>, ConnectError> {
    let broken = || ConnectError::Protocol("a row description whose lengths do not add up".into());
    let (count, mut rest) = body.split_first_chunk::<2>().ok_or_else(broken)?;
    let mut columns = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let end = rest.iter().position(|b| *b == 0).ok_or_else(broken)?;
        let name = String::from_utf8_lossy(&rest[..end]).into_owned();
        // Table (4), attribute (2), type (4), size (2), modifier (4), format (2).
        let (fixed, after) = rest[end + 1..].split_first_chunk::<18>().ok_or_else(broken)?;
        let oid = u32::from_be_bytes([fixed[6], fixed[7], fixed[8], fixed[9]]);
        columns.push(Column { name, oid });
        rest = after;
    }
    if rest.is_empty() { Ok(columns.into()) } else { Err(broken()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn execute(limit: ResultLimit) -> StepKind {
        StepKind::Execute { keep: true, columns: Some(Arc::new([])), limit }
    }

    fn exchange() -> Exchange {
        let place = Place::Statement(0);
        Exchange::new(vec![
            Step { place, kind: StepKind::Parse(None) },
            Step { place, kind: StepKind::Describe(None) },
            Step { place, kind: StepKind::Bind },
            Step { place, kind: execute(ResultLimit { max_rows: 1, max_bytes: 1000 }) },
            Step { place: Place::Commit, kind: StepKind::Sync },
        ])
    }

    fn message(tag: u8, body: &'static [u8]) -> Frame {
        Frame::Message { tag, body: Bytes::from_static(body) }
    }

    fn feed_all(exchange: &mut Exchange, frames: impl IntoIterator<Item = Frame>) -> Progress {
        let mut cache = StatementCache::default();
        frames.into_iter().map(|frame| exchange.feed(frame, &mut cache).unwrap()).last().unwrap()
    }

    #[test]
    fn an_error_at_the_sync_is_an_error_although_the_command_had_completed() {
        let mut exchange = exchange();
        let done = feed_all(
            &mut exchange,
            [
                message(b'1', b""),
                message(b't', b"\0\0"),
                message(b'n', b""),
                message(b'2', b""),
                message(b'C', b"INSERT 0 1\0"),
                message(b'E', b"SERROR\0C23503\0Mviolates\0\0"),
                message(b'Z', b"I"),
            ],
        );
        assert_eq!(done, Progress::Done(b'I'));
        let error = exchange.finish().unwrap_err();
        let error = error.database().unwrap();
        assert_eq!((error.code, error.place), (SqlState::FOREIGN_KEY_VIOLATION, Place::Commit));
    }

    #[test]
    fn the_second_of_two_rows_overflows_a_limit_of_one_and_the_answer_is_still_read_to_its_end() {
        let mut exchange = exchange();
        let start = [message(b'1', b""), message(b'n', b""), message(b'2', b""), message(b'D', b"\0\0")];
        assert_eq!(feed_all(&mut exchange, start), Progress::More);
        assert_eq!(feed_all(&mut exchange, [message(b'D', b"\0\0")]), Progress::Overflowed);
        assert_eq!(feed_all(&mut exchange, [Frame::OversizedRow]), Progress::More);
        let end = [message(b'C', b"SELECT 3\0"), message(b'Z', b"I")];
        assert_eq!(feed_all(&mut exchange, end), Progress::Done(b'I'));
        assert!(matches!(exchange.finish(), Err(WireError::ResultTooLarge { statement: 0, .. })));
    }

    proptest! {
        #[test]
        fn any_message_in_any_order_is_an_error_or_progress_and_never_a_panic(
            frames in prop::collection::vec(
                (prop::sample::select(&b"123EtTnDCsIZGHWc"[..]), prop::collection::vec(any::<u8>(), 0..40)), 0..30,
            ),
        ) {
            let mut exchange = exchange();
            let mut cache = StatementCache::default();
            for (tag, body) in frames {
                if exchange.feed(Frame::Message { tag, body: body.into() }, &mut cache).is_err() {
                    break;
                }
            }
        }
    }

    use super::super::SqlState;
}
