//! `velocity`, the command line.

mod args;
mod cluster;
mod commands;
mod config;
mod failure;
mod manifest;
mod output;
mod server;
mod session;
mod sign_in;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    let color = output::style::for_stderr();
    // One thread: a command waits for the network far more than it computes, and a pool costs start-up time.
    let outcome = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(Box::pin(commands::run(cli))),
        Err(error) => Err(failure::Failure::failed(format!("no runtime could be started: {error}"))),
    };
    match outcome {
        Ok(code) => code,
        Err(failure) => failure.report(color),
    }
}
