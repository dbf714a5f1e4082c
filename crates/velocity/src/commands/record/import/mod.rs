//! `velocity record import`: a file of rows becomes records, each good row exactly once.
//!
//! A thread reads and parses the file into batches; the main task sends a few of them at a time and takes the answers in
//! order. Each batch carries an idempotency key made from its position and its content, so the same command run again
//! sends the same batches under the same keys, and the server answers what it has stored from memory. That needs no
//! second pass over the file and works for pipes, where a digest of the whole file would not; and after a correction
//! somewhere in the file the untouched batches are still known.

mod batch;
mod columns;
mod csv;
mod deliver;
mod ndjson;
mod reader;
mod rejects;
mod source;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::StreamExt;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::failure::{Failure, Outcome};
use crate::output::progress::Progress;
use crate::server::{Schema, Shape};
use crate::session::Session;
use columns::Mapping;
use deliver::{Delivery, Sender};
use rejects::Rejects;

/// Rows of a batch: enough that the round trip does not count, few enough that a batch is quick to repeat.
const BATCH_ROWS: usize = 1000;
/// Batches on their way at once: keeps the server busy while answers travel, and memory small.
const IN_FLIGHT: usize = 3;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "CSV: the header names the fields. An empty cell is no value; \"\" in quotes is an empty text. \
                        Numbers keep every digit; lists and json fields are written as JSON.\n\
                        Running the same command again within a day, after any interruption, imports the rest and no row twice."
)]
pub(crate) struct Args {
    /// Schema of the records
    schema: String,
    /// File with the rows, plain or gzip; - for standard input
    #[arg(short, long = "file", value_name = "FILE")]
    file: PathBuf,
    /// Form of the file [default: by its name, else csv]
    #[arg(long, value_enum)]
    format: Option<ImportFormat>,
    /// A text that stands for no value, such as NA
    #[arg(long = "null", value_name = "TEXT")]
    nulls: Vec<String>,
    /// The field that a column goes to; - leaves the column out
    #[arg(long = "map", value_name = "COLUMN=FIELD", value_parser = columns::mapping)]
    maps: Vec<Mapping>,
    /// File for rows that were not imported, with line and reason [default: FILE.rejects.csv, when there are any]
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// What to do with a row whose id, or another unique value, is there already
    #[arg(long, value_enum, default_value_t = OnConflict::Fail)]
    on_conflict: OnConflict,
    /// Import rows a second time that an earlier run of this command has imported
    #[arg(long)]
    anew: bool,
    /// Rows sent at once
    #[arg(long, value_name = "N", default_value_t = BATCH_ROWS, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=10_000))]
    batch: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ImportFormat {
    /// A header, then a line a record
    Csv,
    /// A JSON object a line
    Ndjson,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum OnConflict {
    /// Reject the row
    Fail,
    /// Leave the record as it is
    Skip,
    /// Change the record of that id to what the row says
    Update,
}

/// How many rows ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    imported: u64,
    skipped: u64,
    rejected: u64,
    /// Of those imported: what an earlier run had sent already.
    known: u64,
}

pub(super) async fn run(session: &Session, args: &Args) -> Outcome<ExitCode> {
    let server = session.server()?;
    let schema = Schema::resolve(server, &args.schema).await?;
    let shape = Shape::of(server, &schema).await?;
    // Rows that refer to rows before them need those to be there.
    let in_flight = if shape.refers_to_itself { 1 } else { IN_FLIGHT };
    let source = source::open(&args.file)?;
    let (total, read) = (source.total, Arc::clone(&source.read));
    let stop = CancellationToken::new();
    let settings = reader::Settings::of(args, shape)?;
    let batches = reader::start(source, settings, stop.clone())?;
    let sender = Sender::new(server, schema.route("bulk"), args.anew, stop.clone());
    let mut rejects = Rejects::open(args.rejects.as_deref(), &args.file)?;
    let mut progress = Progress::bytes(total, session.out.quiet);

    let deliveries =
        batches.into_stream().map(|batch| async { sender.deliver(batch?).await }).buffered(in_flight);
    let work = take(deliveries, &mut rejects, &mut progress, &read);
    let interrupted = stop.clone();
    let outcome = {
        tokio::pin!(work);
        tokio::select! {
            outcome = &mut work => outcome,
            _ = tokio::signal::ctrl_c() => {
                // What is on its way is finished; a second Ctrl-C does not wait for that.
                stop.cancel();
                tokio::select! {
                    outcome = &mut work => outcome,
                    _ = tokio::signal::ctrl_c() => Err(Failure::failed("stopped at once")),
                }
            }
        }
    };
    progress.finish();
    rejects.finish()?;
    finish(session, outcome, interrupted.is_cancelled(), &rejects)
}

/// Takes the answers in the order of the file.
async fn take(
    deliveries: impl futures::Stream<Item = Outcome<Delivery>>,
    rejects: &mut Rejects,
    progress: &mut Progress,
    read: &AtomicU64,
) -> Outcome<Counts> {
    let mut counts = Counts::default();
    tokio::pin!(deliveries);
    let started = tokio::time::Instant::now();
    while let Some(delivery) = deliveries.next().await {
        let delivery = delivery?;
        counts.imported += delivery.imported;
        counts.skipped += delivery.skipped;
        counts.rejected += delivery.rejected.len() as u64;
        counts.known += delivery.known;
        for reject in &delivery.rejected {
            rejects.write(reject)?;
        }
        let rows = counts.imported + counts.skipped + counts.rejected;
        let message = format!("{rows} rows  {}/s", rate(rows, started.elapsed()));
        progress.at(read.load(Ordering::Relaxed), message);
    }
    Ok(counts)
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "for people to look at"
)]
fn rate(rows: u64, elapsed: std::time::Duration) -> u64 {
    (rows as f64 / elapsed.as_secs_f64().max(0.001)) as u64
}

fn finish(
    session: &Session,
    outcome: Outcome<Counts>,
    interrupted: bool,
    rejects: &Rejects,
) -> Outcome<ExitCode> {
    let again = "run the same command again: it goes on with the rest and imports no row twice";
    let counts = match outcome {
        Ok(counts) => counts,
        Err(failure) if failure.exit().is_none() => return Err(failure),
        Err(failure) if failure.has_help() => return Err(failure),
        Err(failure) => return Err(failure.with_help(again)),
    };
    if let (Some(path), true) = (rejects.path(), counts.rejected > 0) {
        session.out.note(&format!("rejected rows are in {}", path.display()));
    }
    let Counts { imported, skipped, rejected, known } = counts;
    if known > 0 {
        session.out.note(&format!(
            "{known} of these rows were imported by an earlier run and are there once; --anew would import them again"
        ));
    }
    if session.out.is_structured() {
        let path = rejects.path().filter(|_| rejected > 0).map(|path| path.display().to_string());
        session.out.serialized(&json!({
            "imported": imported, "skipped": skipped, "rejected": rejected, "rejects": path, "complete": !interrupted,
        }))?;
    } else {
        session.out.line(&format!("imported {imported}, skipped {skipped}, rejected {rejected}"))?;
    }
    if interrupted {
        return Err(Failure::failed("interrupted before the end of the file").with_help(again));
    }
    Ok(if rejected > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
