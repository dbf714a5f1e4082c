//! The thread that turns a file into batches.

use std::io::BufRead;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::batch::Batch;
use super::columns::{self, Column, Mapping};
use super::csv::{Cell, Reader, Row};
use super::source::Source;
use super::{Args, ImportFormat, OnConflict, ndjson};
use crate::failure::{Failure, Outcome};
use crate::server::{Kind, Shape};

/// Batches that are ready and wait: one, so that memory stays small.
const READY: usize = 1;

/// What a row means.
pub(super) struct Settings {
    format: ImportFormat,
    nulls: Vec<String>,
    maps: Vec<Mapping>,
    shape: Shape,
    rows: usize,
    on_conflict: OnConflict,
}

impl Settings {
    pub(super) fn of(args: &Args, shape: Shape) -> Outcome<Self> {
        let format = args.format.unwrap_or_else(|| {
            let name = args.file.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
            let name = name.strip_suffix(".gz").unwrap_or(&name);
            let ndjson = [".ndjson", ".jsonl"].iter().any(|ending| name.ends_with(ending));
            if ndjson { ImportFormat::Ndjson } else { ImportFormat::Csv }
        });
        if format == ImportFormat::Ndjson && !args.nulls.is_empty() {
            return Err(Failure::usage("--null is for CSV: JSON has a null of its own"));
        }
        Ok(Self {
            format,
            nulls: args.nulls.clone(),
            maps: args.maps.clone(),
            shape,
            rows: args.batch,
            on_conflict: args.on_conflict,
        })
    }
}

/// The batches of a file, as they are read.
pub(super) struct Batches(mpsc::Receiver<Outcome<Batch>>);

impl Batches {
    pub(super) fn into_stream(self) -> ReceiverStream<Outcome<Batch>> {
        ReceiverStream::new(self.0)
    }
}

/// Starts to read. The thread ends when the file does, when `stop` says so, or when nobody takes its batches any more.
pub(super) fn start(source: Source, settings: Settings, stop: CancellationToken) -> Outcome<Batches> {
    let (sender, receiver) = mpsc::channel(READY);
    let work = move || {
        let name = source.name.clone();
        let mut output = Output { batch: None, next: 0, settings: &settings, sender: &sender, stop: &stop };
        let outcome = match settings.format {
            ImportFormat::Csv => read_csv(source.bytes, &mut output),
            ImportFormat::Ndjson => read_ndjson(source.bytes, &mut output),
        };
        // What came before the fault is imported; then the fault is told.
        let outcome = output.flush().and(outcome);
        if let Err(Ended::Failed(failure)) = outcome {
            // When nobody listens any more, nobody wants to know.
            let _ = sender.blocking_send(Err(failure.while_doing(&name)));
        }
    };
    std::thread::Builder::new()
        .name("import-reader".to_owned())
        .spawn(work)
        .map_err(|error| Failure::failed(format!("no thread to read the file with: {error}")))?;
    Ok(Batches(receiver))
}

/// Why the reading ended before the file did.
enum Ended {
    /// Somebody said stop, or takes no more.
    Stopped,
    Failed(Failure),
}

/// Rows go in, batches come out.
struct Output<'a> {
    batch: Option<Batch>,
    next: u64,
    settings: &'a Settings,
    sender: &'a mpsc::Sender<Outcome<Batch>>,
    stop: &'a CancellationToken,
}

impl Output<'_> {
    fn batch(&mut self) -> &mut Batch {
        let (index, on_conflict) = (self.next, self.settings.on_conflict);
        self.batch.get_or_insert_with(|| Batch::new(index, on_conflict))
    }

    fn row_done(&mut self) -> Result<(), Ended> {
        if self.batch.as_ref().is_some_and(|batch| batch.is_full(self.settings.rows)) {
            return self.flush();
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Ended> {
        let Some(batch) = self.batch.take() else { return Ok(()) };
        self.next += 1;
        if self.stop.is_cancelled() {
            return Err(Ended::Stopped);
        }
        self.sender.blocking_send(Ok(batch)).map_err(|_| Ended::Stopped)
    }
}

fn failed(error: &(dyn std::error::Error + 'static)) -> Ended {
    let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
    Ended::Failed(Failure::failed(format!("{error}{cause}")).with_help(
        "the rows before it are imported; when the file is whole again, the same command goes on with the rest",
    ))
}

fn read_csv(bytes: impl BufRead, output: &mut Output<'_>) -> Result<(), Ended> {
    let mut reader = Reader::new(bytes);
    let mut row = Row::default();
    if !reader.read(&mut row).map_err(|error| failed(&error))? {
        return Err(Ended::Failed(Failure::usage("the file is empty; its first line names the fields")));
    }
    let header: Vec<String> =
        row.cells().enumerate().map(|(position, cell)| column_name(position, cell)).collect();
    let columns =
        columns::resolve(&header, &output.settings.maps, &output.settings.shape).map_err(Ended::Failed)?;
    let mut record = String::new();
    while reader.read(&mut row).map_err(|error| failed(&error))? {
        let raw = String::from_utf8_lossy(&row.raw);
        record.clear();
        match write_record(&row, &columns, &output.settings.nulls, &mut record) {
            Ok(()) => output.batch().push(row.line, &record, &raw),
            Err(reason) => output.batch().reject(row.line, &reason, &raw),
        }
        output.row_done()?;
    }
    Ok(())
}

/// A column's name, without the mark that some programs begin a file with.
fn column_name(position: usize, cell: Cell<'_>) -> String {
    let name = String::from_utf8_lossy(cell.bytes);
    let name = if position == 0 { name.trim_start_matches('\u{feff}') } else { &name };
    name.trim().to_owned()
}

fn write_record(
    row: &Row,
    columns: &[Option<Column>],
    nulls: &[String],
    out: &mut String,
) -> Result<(), String> {
    if row.broken {
        return Err("there is text after a closing quote".to_owned());
    }
    let cells = row.cells();
    if cells.len() != columns.len() {
        return Err(format!("has {} cells, the header has {}", cells.len(), columns.len()));
    }
    out.push('{');
    for (cell, column) in cells.zip(columns) {
        let Some(column) = column else { continue };
        let text = std::str::from_utf8(cell.bytes).map_err(|_| format!("{}: is not UTF-8", column.field))?;
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&column.key);
        if is_null(cell, text, column.kind, nulls) {
            out.push_str("null");
        } else {
            column.kind.write_json(text, out).map_err(|why| format!("{}: {why}", column.field))?;
        }
    }
    out.push('}');
    Ok(())
}

/// Nothing at all is no value, and so is what `--null` names. A text may be empty: in quotes it is.
fn is_null(cell: Cell<'_>, text: &str, kind: Kind, nulls: &[String]) -> bool {
    (text.is_empty() && !(cell.quoted && kind == Kind::Text)) || nulls.iter().any(|null| null == text)
}

fn read_ndjson(bytes: impl BufRead, output: &mut Output<'_>) -> Result<(), Ended> {
    let mut reader = ndjson::Reader::new(bytes);
    let mut line = Vec::new();
    let mut record = String::new();
    while let Some(number) = reader.read(&mut line).map_err(|error| failed(&error))? {
        let raw = String::from_utf8_lossy(&line);
        record.clear();
        let written = match std::str::from_utf8(&line) {
            Ok(text) => {
                ndjson::write_record(text.trim_start_matches('\u{feff}'), &output.settings.maps, &mut record)
            }
            Err(_) => Err("is not UTF-8".to_owned()),
        };
        match written {
            Ok(()) => output.batch().push(number, &record, &raw),
            Err(reason) => output.batch().reject(number, &reason, &raw),
        }
        output.row_done()?;
    }
    Ok(())
}
