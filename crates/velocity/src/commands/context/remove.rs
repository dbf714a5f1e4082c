//! `velocity context remove`.

use crate::failure::Outcome;
use crate::session::Session;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its name
    name: String,
}

pub(super) fn run(session: &Session, args: &Args) -> Outcome {
    let mut config = session.config()?.clone();
    config.context(Some(&args.name))?;
    config.contexts.retain(|context| context.name != args.name);
    if config.current_context.as_deref() == Some(&*args.name) {
        config.current_context = None;
    }
    config.save()?;
    session.out.said(&format!("context {} removed", args.name))
}
