//! `velocity auth …`.

mod token;
mod whoami;

use crate::failure::Outcome;
use crate::session::Session;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Print a token for a development server
    Token(token::Args),
    /// Show who the server takes you for
    Whoami,
}

pub(super) async fn run(session: &Session, command: Command) -> Outcome {
    match command {
        Command::Token(args) => token::run(session, &args),
        Command::Whoami => whoami::run(session).await,
    }
}
