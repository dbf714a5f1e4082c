//! What somebody who is no administrator may know: a yes or a no about themselves.

use std::process::ExitCode;

use serde_json::json;
use velocity_contract::administration::Allowed;
use velocity_contract::listing::{SchemaListing, WhoAmI};
use velocity_schema::SchemaPath;

use super::{Args, code};
use crate::failure::{Failure, Outcome};
use crate::server::{Schema, Server, visible_schemas};
use crate::session::Session;

/// Answers from what the server shows the caller.
pub(super) async fn answer(
    session: &Session,
    server: &Server,
    args: &Args,
    who: &WhoAmI,
) -> Outcome<ExitCode> {
    if args.id.is_some() || args.ip.is_some() {
        let message = "what decides about one record or address is told to administrators only";
        return Err(Failure::usage(message)
            .with_help("without --id and --ip it says whether your roles allow the operation at all"));
    }
    let visible = visible_schemas(server).await?;
    // A whole path that is not among them may be there and hidden: either way it is a no.
    let path = match args.schema.parse::<SchemaPath>() {
        Ok(path) => path,
        Err(_) => Schema::resolve(server, &args.schema).await?.path,
    };
    let listed = visible.iter().find(|listing| listing.path() == path.to_string());
    let yes = may(listed, &args.operation);
    if session.out.is_structured() {
        session.out.serialized(&json!({
            "allowed": yes, "operation": args.operation, "schema": path.to_string(), "actor": who.actor,
        }))?;
    } else {
        session.out.line(if yes { "yes" } else { "no" })?;
        session.out.note(&words(args, who, &path.to_string(), yes));
    }
    Ok(code(if yes { Allowed::Yes } else { Allowed::No }))
}

fn may(listed: Option<&SchemaListing>, operation: &str) -> bool {
    listed.is_some_and(|listing| listing.operations.iter().any(|word| word == operation))
}

fn words(args: &Args, who: &WhoAmI, path: &str, yes: bool) -> String {
    let (actor, operation) = (&who.actor, &args.operation);
    let what = if yes {
        format!(
            "your roles allow {operation} on {path}; conditions, row filters and field rights may still narrow it"
        )
    } else {
        format!("none of your roles allows {operation} on {path}, or you cannot see it")
    };
    format!("{what}; why is for an administrator: velocity can-i {operation} {path} --as {actor}")
}
