//! The server: one binary, one role each run.

mod cli;
mod dev;
mod role;
mod telemetry;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    // Two providers are in the dependency graph; without this, the first TLS connection would panic.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    telemetry::start(cli.log_format, matches!(cli.role, cli::Role::Dev(_)));
    let result = match cli.role {
        cli::Role::Api(args) => role::api(args).await,
        cli::Role::Operator(args) => role::operator(args).await,
        cli::Role::Dev(args) => dev::run(args).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("velocityd: {error:#}");
            ExitCode::FAILURE
        }
    }
}
