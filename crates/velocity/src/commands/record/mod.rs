//! `velocity record …`.

mod body;
mod create;
mod delete;
mod export;
mod get;
mod import;
mod list;
mod show;
mod undelete;
mod update;
mod upsert;

use std::process::ExitCode;

use crate::failure::Outcome;
use crate::session::Session;

/// SCHEMA is org/app/domain/object/version, or just the object where that is unambiguous.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Create a record
    Create(create::Args),
    /// Show a record
    Get(get::Args),
    /// List records
    List(list::Args),
    /// Change fields of a record
    Update(update::Args),
    /// Create a record or replace the one with its id
    Upsert(upsert::Args),
    /// Delete a record; `undelete` brings it back
    Delete(delete::Args),
    /// Bring a deleted record back
    Undelete(undelete::Args),
    /// Create records from a file
    Import(import::Args),
    /// Write records to a file
    Export(export::Args),
}

pub(super) async fn run(session: &Session, command: Command) -> Outcome<ExitCode> {
    match command {
        Command::Create(args) => create::run(session, &args).await?,
        Command::Get(args) => get::run(session, &args).await?,
        Command::List(args) => list::run(session, &args).await?,
        Command::Update(args) => update::run(session, &args).await?,
        Command::Upsert(args) => upsert::run(session, &args).await?,
        Command::Delete(args) => delete::run(session, &args).await?,
        Command::Undelete(args) => undelete::run(session, &args).await?,
        Command::Import(args) => return import::run(session, &args).await,
        Command::Export(args) => export::run(session, &args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A key for this one write: should the connection break, sending it again does not write twice.
fn new_key() -> String {
    uuid::Uuid::new_v4().to_string()
}
