//! The commands: a file each, noun by noun.

mod api_key;
mod apply;
mod approve;
mod auth;
mod bindings;
mod can_i;
mod completion;
mod context;
mod delete;
mod describe;
mod diff;
mod drift;
mod explain;
mod get;
mod grant;
mod health;
mod history;
mod options;
mod reconcile;
mod record;
mod revoke;
mod role;
mod status;
mod target;
mod validate;
mod version;

use std::process::ExitCode;

use clap::Subcommand;

use crate::args::Cli;
use crate::failure::Outcome;
use crate::session::Session;

/// What there is to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Apply resources, and wait until the API serves them if asked to
    Apply(apply::Args),
    /// List resources or show one
    Get(get::Args),
    /// Show a resource with its status, conditions and events
    Describe(describe::Args),
    /// Delete resources
    Delete(delete::Args),
    /// Show what resource files would change: fields, access, and the SQL with its locks
    Diff(diff::Args),
    /// Agree to a change that breaks something, exactly as it is planned
    Approve(approve::Args),
    /// Compare the database with what is declared, and have it repaired
    Drift(drift::Args),
    /// Ask the operator to look at a resource again
    Reconcile(reconcile::Args),
    /// Explain kinds of resources and their fields
    Explain(explain::Args),
    /// Check resource files without any server
    Validate(validate::Args),
    /// Work with the records of a schema
    #[command(subcommand)]
    Record(record::Command),
    /// Show the events of a record, newest first
    History(history::Args),
    /// Give an actor roles and attributes in a namespace
    Grant(grant::Args),
    /// Take roles back that were granted
    Revoke(revoke::Args),
    /// Roles: what they may do, and who holds them
    #[command(subcommand)]
    Role(role::Command),
    /// Tell whether somebody may do something, and which layer decides
    CanI(can_i::Args),
    /// Keys for programs: create, list, rotate, revoke
    #[command(subcommand)]
    ApiKey(api_key::Command),
    /// Choose which servers commands talk to
    #[command(subcommand)]
    Context(context::Command),
    /// Sign in and out, tokens, who the server takes you for, and revocations
    #[command(subcommand)]
    Auth(auth::Command),
    /// Show whether the API is alive and ready
    Health,
    /// Show what runs where, and how it is
    Status,
    /// Show the version of this program and of the server
    Version(version::Args),
    /// Print a completion script for a shell
    Completion(completion::Args),
}

/// Runs the command line.
pub(crate) async fn run(cli: Cli) -> Outcome<ExitCode> {
    let session = Session::new(cli.global);
    match cli.command {
        Command::Apply(args) => apply::run(&session, &args).await?,
        Command::Get(args) => get::run(&session, &args).await?,
        Command::Describe(args) => describe::run(&session, &args).await?,
        Command::Delete(args) => delete::run(&session, &args).await?,
        Command::Diff(args) => return diff::run(&session, &args).await,
        Command::Approve(args) => approve::run(&session, &args).await?,
        Command::Drift(args) => return drift::run(&session, &args).await,
        Command::Reconcile(args) => reconcile::run(&session, &args).await?,
        Command::Explain(args) => explain::run(&session, &args)?,
        Command::Validate(args) => return validate::run(&session, &args),
        Command::Record(command) => return record::run(&session, command).await,
        Command::History(args) => history::run(&session, &args).await?,
        Command::Grant(args) => grant::run(&session, &args).await?,
        Command::Revoke(args) => revoke::run(&session, &args).await?,
        Command::Role(command) => role::run(&session, command).await?,
        Command::CanI(args) => return can_i::run(&session, &args).await,
        Command::ApiKey(command) => api_key::run(&session, command).await?,
        Command::Context(command) => context::run(&session, command)?,
        Command::Auth(command) => auth::run(&session, command).await?,
        Command::Health => health::run(&session).await?,
        Command::Status => status::run(&session).await?,
        Command::Version(args) => version::run(&session, &args).await?,
        Command::Completion(args) => completion::run(&session, &args)?,
    }
    Ok(ExitCode::SUCCESS)
}
