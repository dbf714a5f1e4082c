//! `GET …/export`: all records that fit, streamed as they are read. Nothing piles up: the next chunk is fetched when the
//! client has taken the one before.

use std::io;
use std::sync::Arc;
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
    let plan = ListPlan::plan(&schema, &request, api.records().cursor_key())?;
    let header = match format {
        ExportFormat::Ndjson => Bytes::new(),
        ExportFormat::Csv => {
            let fields = plan.projection().iter().filter_map(|at| schema.fields().get(*at));
            csv::header(fields.map(|field| field.name.as_str()))
        }
    };
    let place = api.export_place()?;
    let (mut session, table) = scope.reading(&api);
    session.statement_timeout = api.config().requests.export_timeout;
    let export = api.records().export(&session, &table, plan).await?;
    let writer = Writer { format, numbers, stall: api.config().requests.export_stall_timeout };
    let chunks = first_chunk(writer.start(export, place)).await?;
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

type Chunks = mpsc::Receiver<Result<Bytes, RecordError>>;

struct Writer {
    format: ExportFormat,
    numbers: Numbers,
    /// How long a client may take for one chunk before its connection to the database is taken back.
    stall: Duration,
}

impl Writer {
    /// Runs the export in a task of its own, which ends with its client. One chunk waits while another is written.
    fn start(self, export: Running, place: OwnedSemaphorePermit) -> Chunks {
        let (sender, receiver) = mpsc::channel(1);
        let writer = Arc::new(self);
        tokio::spawn(async move {
            let _place = place;
            // Owned by each chunk's future: a future that borrows could not move between threads here.
            let (of_chunks, into) = (Arc::clone(&writer), sender.clone());
            let sink = move |chunk: Chunk| {
                let (writer, sender) = (Arc::clone(&of_chunks), into.clone());
                async move {
                    let part = writer.encode(&chunk);
                    let is_good = part.is_ok();
                    writer.hand_over(&sender, part).await && is_good
                }
            };
            if let Err(error) = export.run(sink).await {
                writer.hand_over(&sender, Err(error)).await;
            }
        });
        receiver
    }

    async fn hand_over(
        &self,
        into: &mpsc::Sender<Result<Bytes, RecordError>>,
        part: Result<Bytes, RecordError>,
    ) -> bool {
        matches!(tokio::time::timeout(self.stall, into.send(part)).await, Ok(Ok(())))
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

/// Waits for the first chunk, so that what fails at once is a problem and not a broken stream.
async fn first_chunk(
    mut chunks: Chunks,
) -> Result<impl futures::Stream<Item = io::Result<Bytes>> + Send + 'static, ApiError> {
    let first = chunks.recv().await.transpose()?;
    let rest = stream::unfold(chunks, |mut chunks| async move {
        // An error in the middle breaks the connection off: the client sees that the body is not whole.
        let part = chunks.recv().await?;
        Some((part.map_err(broken_off), chunks))
    });
    Ok(stream::iter(first.map(Ok)).chain(rest))
}

fn broken_off(error: RecordError) -> io::Error {
    tracing::warn!(error = %error, "an export was broken off");
    io::Error::other(error)
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
