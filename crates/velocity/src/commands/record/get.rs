//! `velocity record get`.

use super::show;
use crate::failure::{Exit, Outcome};
use crate::server::{Request, Schema, segment};
use crate::session::Session;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Schema of the record
    schema: String,
    /// Its id
    id: String,
}

pub(super) async fn run(session: &Session, args: &Args) -> Outcome {
    let server = session.server()?;
    let schema = Schema::resolve(server, &args.schema).await?;
    let reply = server.send(&Request::get(schema.route(&segment(&args.id)))).await.map_err(|failure| {
        let names_it = failure.message().contains(&args.id);
        if failure.exit() == Some(Exit::NotFound) && !names_it {
            failure.while_doing(&format!("{} {}", schema.object(), args.id))
        } else {
            failure
        }
    })?;
    show::one(session, &schema, &reply.data()?)
}
