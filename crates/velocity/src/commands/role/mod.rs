//! `velocity role …`.

mod list;
mod schemas;

use crate::failure::Outcome;
use crate::session::Session;

pub(super) use schemas::known_roles;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Show the roles that schemas know, what they may do, and who holds them by bindings
    List(list::Args),
}

pub(super) async fn run(session: &Session, command: Command) -> Outcome {
    match command {
        Command::List(args) => list::run(session, &args).await,
    }
}
