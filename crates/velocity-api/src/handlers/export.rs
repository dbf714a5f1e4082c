//! `GET …/export`: all records that fit, streamed as they are read. Nothing piles up: the next chunk is fetched when the
//! client has taken the one before.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::HeaderValue;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::request::Parts;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use velocity_sql::query::{ListPlan, ListRequest};
use velocity_store::codec::Numbers;
use velocity_store::records::{Chunk, Export as Running, RecordError};

use crate::error::ApiError;
use crate::present::csv;
use crate::request::accept::{self, ExportFormat};
use crate::request::{Malformed, query};
use crate::scope::{Export, Scope};
use crate::state::Api;

pub(crate) async fn export_records(
    State(api): State<Api>,
    scope: Scope<Export>,
    parts: Parts,
) -> Result<Response, ApiError> {
    let schema = Arc::clone(&scope.caller.schema);
    let pairs = query::pairs(parts.uri.query())?;
    let format = pairs.iter().find(|(name, _)| name == "format").map(|(_, value)| &**value);
    let format = accept::export_format(format, &parts.headers)?;
    let numbers =
        if format == ExportFormat::Ndjson { accept::ndjson_numbers(&parts.headers)? } else { Numbers::Json };
    let request = request(pairs.iter().map(|(name, value)| (&**name, &**value)))?;
    let mut reads = scope.reading(&api);
    let plan = ListPlan::plan(&schema, &request, api.records().cursor_key(), &reads.rights())?;
    let header = match format {
        ExportFormat::Ndjson => Bytes::new(),
        ExportFormat::Csv => {
            let fields = plan.projection().iter().filter_map(|at| schema.fields().get(*at));
            csv::header(fields.map(|field| field.name.as_str()))
        }
    };
    let place = api.export_place()?;
    reads.session.statement_timeout = api.config().requests.export_timeout;
    scope.shown(&api, plan.projection().iter().copied()).await;
    let export = api.records().export(&reads.session, &reads.table, plan).await?;
    let writer = Writer { format, numbers, stall: api.config().requests.export_stall_timeout };
    let chunks = begin(writer.start(export, place)).await?;
    let body = Body::from_stream(stream::once(async { Ok(header) }).chain(chunks));
    Ok(answer(body, format, schema.path().object.as_str()))
}

/// The query of a list, without what only pages have.
fn request<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Result<ListRequest, ApiError> {
    let mut kept = Vec::new();
    for (name, value) in pairs {
        match name {
            "format" => {}
            "limit" | "cursor" | "offset" | "count" => {
                let text = format!("the query parameter `{name}` is one of lists: an export has no pages");
                return Err(Malformed(text).into());
            }
            _ => kept.push((name, value)),
        }
    }
    Ok(ListRequest::parse(kept)?)
}

/// What the export hands over: chunks, then either the end or an error. A stream that stops without either was given up,
/// and its client must not take what it has for the whole.
enum Part {
    Chunk(Bytes),
    End,
    Failed(RecordError),
}

struct Writer {
    format: ExportFormat,
    numbers: Numbers,
    /// How long a client may take for one chunk before its connection to the database is taken back.
    stall: Duration,
}

impl Writer {
    /// Runs the export in a task of its own, which ends with its client. One chunk waits while another is written.
    fn start(self, export: Running, place: OwnedSemaphorePermit) -> mpsc::Receiver<Part> {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            let given_up = Arc::new(AtomicBool::new(false));
            let (writer, into, gives_up) = (Arc::new(self), sender.clone(), Arc::clone(&given_up));
            let stall = writer.stall;
            // Owned by each chunk's future: a future that borrows could not move between threads here.
            let sink = move |chunk: Chunk| {
                let (writer, into, gives_up) = (Arc::clone(&writer), into.clone(), Arc::clone(&gives_up));
                async move {
                    let part = writer.encode(&chunk).map_or_else(Part::Failed, Part::Chunk);
                    let is_chunk = matches!(part, Part::Chunk(_));
                    let goes_on = hand_over(&into, part, stall).await && is_chunk;
                    gives_up.store(!goes_on, Ordering::Relaxed);
                    goes_on
                }
            };
            let outcome = export.run(sink).await;
            // Before the last word, so that an export that begins again finds its place free.
            drop(place);
            if let Some(last) = last_part(outcome, given_up.load(Ordering::Relaxed)) {
                hand_over(&sender, last, stall).await;
            }
        });
        receiver
    }

    fn encode(&self, chunk: &Chunk) -> Result<Bytes, RecordError> {
        let mut lines = Vec::with_capacity(256 * chunk.len());
        chunk.append_json(self.numbers, b'\n', &mut lines)?;
        match self.format {
            ExportFormat::Ndjson => Ok(lines.into()),
            ExportFormat::Csv => {
                csv::from_ndjson(&lines).map_err(|source| RecordError::Internal { source: Box::new(source) })
            }
        }
    }
}

/// An export that was given up has no end, only a stop.
fn last_part(outcome: Result<u64, RecordError>, given_up: bool) -> Option<Part> {
    match outcome {
        Ok(_) if given_up => None,
        Ok(_) => Some(Part::End),
        Err(error) => Some(Part::Failed(error)),
    }
}

async fn hand_over(into: &mpsc::Sender<Part>, part: Part, stall: Duration) -> bool {
    matches!(tokio::time::timeout(stall, into.send(part)).await, Ok(Ok(())))
}

/// Waits for the first part, so that what fails at once is a problem and not a broken stream.
async fn begin(
    mut parts: mpsc::Receiver<Part>,
) -> Result<impl futures::Stream<Item = io::Result<Bytes>> + Send + 'static, ApiError> {
    let first = match parts.recv().await {
        Some(Part::Failed(error)) => return Err(error.into()),
        first => first,
    };
    Ok(stream::unfold(Some((Some(first), parts)), |state| async move {
        let (first, mut parts) = state?;
        let part = match first {
            Some(first) => first,
            None => parts.recv().await,
        };
        // An error in the middle breaks the connection off: the client sees that the body is not whole.
        match part {
            Some(Part::Chunk(bytes)) => Some((Ok(bytes), Some((None, parts)))),
            Some(Part::End) => None,
            Some(Part::Failed(error)) => Some((Err(broken_off(error)), None)),
            None => Some((Err(broken_off("the client took too long")), None)),
        }
    }))
}

fn broken_off(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    let why = why.into();
    tracing::warn!(error = %why, "an export was broken off");
    io::Error::other(why)
}

fn answer(body: Body, format: ExportFormat, object: &str) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    let ending = if format == ExportFormat::Csv { "csv" } else { "ndjson" };
    if let Ok(name) = HeaderValue::try_from(format!("attachment; filename=\"{object}.{ending}\"")) {
        headers.insert(CONTENT_DISPOSITION, name);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(parts: Vec<Part>) -> Vec<Result<Bytes, String>> {
        let (sender, receiver) = mpsc::channel(8);
        for part in parts {
            assert!(sender.send(part).await.is_ok());
        }
        drop(sender);
        let stream = begin(receiver).await.unwrap();
        stream.map(|part| part.map_err(|error| error.to_string())).collect().await
    }

    #[tokio::test]
    async fn only_what_came_to_its_end_looks_whole() {
        let chunk = || Part::Chunk(Bytes::from_static(b"a"));
        assert_eq!(read(vec![chunk(), Part::End]).await, [Ok(Bytes::from_static(b"a"))]);
        assert!(read(vec![chunk()]).await.last().is_some_and(Result::is_err));
        assert!(read(vec![]).await.last().is_some_and(Result::is_err));
        assert!(
            read(vec![chunk(), Part::Failed(RecordError::Timeout)]).await.last().is_some_and(Result::is_err)
        );
        assert!(matches!(last_part(Ok(1), false), Some(Part::End)));
        assert!(last_part(Ok(1), true).is_none());
    }

    #[tokio::test]
    async fn what_fails_at_once_is_a_problem() {
        let (sender, receiver) = mpsc::channel(1);
        assert!(sender.send(Part::Failed(RecordError::Timeout)).await.is_ok());
        assert!(matches!(begin(receiver).await, Err(ApiError::Record(RecordError::Timeout))));
    }
}
