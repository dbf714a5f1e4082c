//! The command line as a whole: what every command takes.

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser};

use crate::commands::Command;
use crate::output::format::Format;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default())
    .placeholder(AnsiColor::Cyan.on_default().dimmed());

/// One resource makes a backend: apply schemas, work with their records.
#[derive(Debug, Parser)]
#[command(
    name = "velocity",
    version,
    styles = STYLES,
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 denied, 5 conflict, 6 unavailable."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Config file [default: $VELOCITY_CONFIG, ./.velocity/config.yaml, ~/.velocity/config.yaml: the first there is]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Context of the config to use instead of the current one
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Namespace of resources: {org}-{app}-{domain} for schemas
    #[arg(short, long, global = true, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// Output: table, wide, json, yaml, name or jsonpath=TEMPLATE
    #[arg(short, long, global = true, value_name = "FORMAT")]
    pub(crate) output: Option<Format>,
    /// Print results only
    #[arg(long, global = true)]
    pub(crate) quiet: bool,
    /// Show each request and how long it took
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}
