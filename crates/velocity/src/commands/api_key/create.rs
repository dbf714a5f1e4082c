//! `velocity api-key create`.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use velocity_contract::administration::{ApiKeyRequest, KeyScope};

use super::{KEYS, scope, show};
use crate::commands::options;
use crate::failure::{Failure, Outcome};
use crate::server::Request;
use crate::session::Session;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The key is printed this once: only its digest is kept. -o name prints the key alone, for scripts.\n\
                  A context carries it with `velocity context add NAME --server URL --api-key-file FILE`.\n\n\
                  Examples:\n  \
                  velocity api-key create --actor shop-sync --roles procurement-reader --expires 90d\n  \
                  velocity api-key create --actor report --roles procurement-reader --scope purchase-order:read,export:id,amount"
)]
pub(crate) struct Args {
    /// Whom the key stands for
    #[arg(long, value_name = "NAME")]
    actor: String,
    /// Roles that it carries, separated by commas; RoleBindings of the actor come on top
    #[arg(long, value_name = "ROLE", value_delimiter = ',')]
    roles: Vec<String>,
    /// Attributes that it carries; true, false and numbers keep their type
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = options::attribute)]
    attributes: Vec<(String, Value)>,
    /// What it may be used for: SCHEMA, SCHEMA:OPERATIONS or SCHEMA:OPERATIONS:FIELDS; parts of the path may be *
    /// [default: all that its owner may do]
    #[arg(long = "scope", value_name = "SCOPE", value_parser = scope::parse)]
    scopes: Vec<KeyScope>,
    /// How long it is valid: 12h, 90d [default: for ever]
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    expires: Option<String>,
    /// What people call it
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
}

/// A duration, as the server wants it.
pub(super) fn lifetime(text: &str) -> Result<String, String> {
    options::duration(text).and_then(|duration| {
        if duration == Duration::ZERO {
            Err("a key that is valid for no time is no use".to_owned())
        } else {
            Ok(text.to_owned())
        }
    })
}

pub(super) async fn run(session: &Session, args: Args) -> Outcome {
    let server = session.server()?;
    let roles: BTreeSet<String> = args.roles.iter().map(|role| role.trim().to_owned()).collect();
    if roles.contains("") {
        return Err(Failure::usage("a role is missing between the commas"));
    }
    let mut scopes = Vec::with_capacity(args.scopes.len());
    for wanted in args.scopes {
        scopes.push(scope::whole(server, wanted).await?);
    }
    let body = ApiKeyRequest {
        actor: args.actor,
        roles,
        attributes: options::attributes(&args.attributes)?,
        scopes,
        expires_in: args.expires,
        name: args.name,
    };
    let body = serde_json::to_string(&body)
        .map_err(|error| Failure::failed(format!("the request cannot be written: {error}")))?;
    let reply = server.send(&Request::new(http::Method::POST, KEYS).json(body)).await?;
    show::made(session, &reply)
}
