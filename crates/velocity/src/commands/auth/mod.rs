//! `velocity auth …`.

mod login;
mod logout;
mod revocation;
mod token;
mod whoami;

use crate::failure::Outcome;
use crate::session::Session;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Sign in with any browser, on this machine or another
    Login(login::Args),
    /// Sign out: end the session, and forget it here
    Logout,
    /// Print a token for a development server
    Token(token::Args),
    /// Show who the server takes you for
    Whoami(whoami::Args),
    /// Shut out an actor, a token, a session or a key, at once and everywhere
    Revoke(revocation::Revoke),
    /// List what is shut out
    Revocations,
    /// Lift a revocation
    Restore(revocation::Restore),
}

pub(super) async fn run(session: &Session, command: Command) -> Outcome {
    match command {
        Command::Login(args) => login::run(session, &args).await,
        Command::Logout => logout::run(session).await,
        Command::Token(args) => token::run(session, &args),
        Command::Whoami(args) => whoami::run(session, &args).await,
        Command::Revoke(args) => revocation::revoke(session, &args).await,
        Command::Revocations => revocation::list(session).await,
        Command::Restore(args) => revocation::restore(session, &args).await,
    }
}
