//! `velocity context …`.

mod add;
mod current;
mod list;
mod remove;
mod select;

use crate::failure::Outcome;
use crate::session::Session;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List the contexts
    List,
    /// Add a context, or replace the one of that name
    Add(add::Args),
    /// Make a context the current one
    Use(select::Args),
    /// Remove a context
    Remove(remove::Args),
    /// Show where commands go
    Current,
}

pub(super) fn run(session: &Session, command: Command) -> Outcome {
    match command {
        Command::List => list::run(session),
        Command::Add(args) => add::run(session, args),
        Command::Use(args) => select::run(session, &args),
        Command::Remove(args) => remove::run(session, &args),
        Command::Current => current::run(session),
    }
}
