//! `velocity context use`.

use crate::failure::Outcome;
use crate::session::Session;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its name
    name: String,
}

pub(super) fn run(session: &Session, args: &Args) -> Outcome {
    let mut config = session.config()?.clone();
    let context = config.context(Some(&args.name))?;
    let line = format!("context {} ({})", context.name, context.server);
    config.current_context = Some(args.name.clone());
    config.save()?;
    session.out.said(&line)
}
