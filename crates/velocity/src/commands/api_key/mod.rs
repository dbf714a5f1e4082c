//! `velocity api-key …`: keys for programs.

mod create;
mod list;
mod revoke;
mod rotate;
mod scope;
mod show;

use crate::failure::Outcome;
use crate::session::Session;

/// The route of all keys.
const KEYS: &str = "/platform/api-keys";

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a key, and print it this once
    Create(create::Args),
    /// List the keys: whose they are, what they may be used for, when they were used last
    List(list::Args),
    /// Make a new key with the same rights; the old one goes on working for a while
    Rotate(rotate::Args),
    /// End a key at once
    Revoke(revoke::Args),
}

pub(super) async fn run(session: &Session, command: Command) -> Outcome {
    match command {
        Command::Create(args) => create::run(session, args).await,
        Command::List(args) => list::run(session, &args).await,
        Command::Rotate(args) => rotate::run(session, &args).await,
        Command::Revoke(args) => revoke::run(session, &args).await,
    }
}

/// The route of one key.
fn route(id: &str) -> String {
    format!("{KEYS}/{}", crate::server::segment(id))
}
