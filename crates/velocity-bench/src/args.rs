//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Measures a release build of Velocity on this machine.
#[derive(Debug, Parser)]
#[command(name = "velocity-bench", version)]
pub(crate) struct Args {
    /// The folder with the binaries `velocityd` and `velocity`
    #[arg(long, value_name = "DIR")]
    pub(crate) bin_dir: PathBuf,
    /// pgbench, 14 or newer
    #[arg(long, value_name = "FILE", default_value = "pgbench")]
    pub(crate) pgbench: PathBuf,
    /// What to measure
    #[arg(long, value_delimiter = ',', default_values = ["requests", "masks", "import", "start", "schemas"])]
    pub(crate) parts: Vec<Part>,
    /// Seconds of each measurement of requests
    #[arg(long, default_value_t = 5)]
    pub(crate) seconds: u64,
    /// How often each measurement is repeated, in turn with pgbench; the median counts
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Connections
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64])]
    pub(crate) connections: Vec<usize>,
    /// Which requests
    #[arg(long, value_delimiter = ',', default_values = ["read", "list", "create", "patch"])]
    pub(crate) operations: Vec<Operation>,
    /// Rows in the table before the first request
    #[arg(long, default_value_t = 100_000)]
    pub(crate) rows: u64,
    /// Schemas of the part `schemas`
    #[arg(long, default_value_t = 1000)]
    pub(crate) schemas: usize,
    /// How often one of them is changed, to see how soon the change is served
    #[arg(long, default_value_t = 100)]
    pub(crate) changes: usize,
    /// Seconds in which the calls of an idle operator are counted
    #[arg(long, default_value_t = 120)]
    pub(crate) idle_seconds: u64,
    /// The folder with the schemas of examples/nycflights
    #[arg(long, value_name = "DIR", default_value = "examples/nycflights")]
    pub(crate) flights: PathBuf,
    /// Leave the data folder of the requests' server behind, under this name
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Write all figures to this file too
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// A part of the bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Requests a second and their latency, beside pgbench.
    Requests,
    /// GET for a caller with a row filter and three masks, beside one without.
    Masks,
    /// Rows a second of `velocity record import`.
    Import,
    /// How long a start takes, and a new schema.
    Start,
    /// Many schemas, with API and operator as processes of their own: how long until all are ready, how soon a change is
    /// served among them, the memory that they take, and what they cost while nothing happens.
    Schemas,
}

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Operation {
    /// GET of one record, at random.
    Read,
    /// A page of 20, filtered and sorted.
    List,
    /// POST of one record, which writes its event too.
    Create,
    /// PATCH of one field of a record at random.
    Patch,
}
