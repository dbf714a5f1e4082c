//! The bench: starts a release build of `velocityd dev`, measures it from outside, prints a table.
//!
//! It never fails on speed, only on wrong answers: a figure without a correct system behind it says nothing.

mod args;
mod calls;
mod capture;
mod cli;
mod compare;
mod figures;
mod http;
mod import;
mod kubernetes;
mod latency;
mod load;
mod masks;
mod orders;
mod pgbench;
mod process;
mod report;
mod schemas;
mod server;
mod split;
mod starts;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Part};
use crate::figures::Figures;

// One thread: the bench shares the machine with what it measures.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("velocity-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> anyhow::Result<()> {
    let mut figures = Figures::of_this_machine(args)?;
    for part in &args.parts {
        match part {
            Part::Requests => figures.requests = compare::run(args).await?,
            Part::Masks => figures.masks = masks::run(args).await?,
            Part::Import => figures.import = Some(import::run(args).await?),
            Part::Start => figures.start = Some(starts::run(args).await?),
            Part::Schemas => figures.schemas = Some(schemas::run(args).await?),
        }
    }
    let table = report::markdown(&figures);
    println!("{table}");
    if let Some(path) = &args.json {
        std::fs::write(path, serde_json::to_string_pretty(&figures)? + "\n")?;
        eprintln!("the same as JSON: {}", path.display());
    }
    Ok(())
}
