//! `velocity can-i`: whether somebody may do something, and which layer decides.

mod explained;
mod own;

use std::net::IpAddr;
use std::process::ExitCode;

use serde_json::Value;
use velocity_contract::administration::{Allowed, Explanation};
use velocity_contract::listing::WhoAmI;
use velocity_contract::page::Data;

use super::{bindings, options};
use crate::failure::{Exit, Failure, Outcome};
use crate::output::format::Format;
use crate::server::{Request, Schema, Server};
use crate::session::Session;

/// Who may ask about everybody.
const ADMIN: &str = "platform-admin";

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 yes, 4 no, 1 it depends on what was not given, such as the record.\n\
                  Which layer decides, by which rule, is told to administrators (platform-admin). Everybody else gets a yes or a no \
                  about themselves.\n\n\
                  Examples:\n  \
                  velocity can-i create purchase-order\n  \
                  velocity can-i update purchase-order --as ravi --role region-manager --attribute region=west --id PO-1")]
pub(crate) struct Args {
    /// create, read, update, delete, restore, history or export
    #[arg(value_parser = bindings::parse_operation)]
    operation: String,
    /// Schema: org/app/domain/object/version, or as much of its end as is unambiguous
    schema: String,
    /// About this actor instead of yourself
    #[arg(long = "as", value_name = "ACTOR")]
    actor: Option<String>,
    /// Roles that their token carries, beside those of RoleBindings, which are known
    #[arg(long = "role", value_name = "ROLE", value_delimiter = ',', requires = "actor")]
    roles: Vec<String>,
    /// Attributes that their token carries
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = options::attribute, requires = "actor")]
    attributes: Vec<(String, Value)>,
    /// With this API key: its owner, roles, attributes and scopes
    #[arg(long, value_name = "ID", conflicts_with_all = ["roles", "attributes"])]
    key: Option<String>,
    /// On this record
    #[arg(long, value_name = "RECORD")]
    id: Option<String>,
    /// From this address
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<IpAddr>,
}

/// Whose rights are asked about.
#[derive(Default)]
struct About {
    /// The key's owner where there is none.
    actor: Option<String>,
    roles: Vec<String>,
    attributes: serde_json::Map<String, Value>,
}

pub(super) async fn run(session: &Session, args: &Args) -> Outcome<ExitCode> {
    let server = session.server()?;
    let about = if let Some(actor) = &args.actor {
        let roles: Vec<String> = args.roles.iter().map(|role| role.trim().to_owned()).collect();
        if roles.iter().any(String::is_empty) {
            return Err(Failure::usage("a role is missing between the commas"));
        }
        About { actor: Some(actor.clone()), roles, attributes: options::attributes(&args.attributes)? }
    } else if args.key.is_some() {
        About::default()
    } else {
        let who = whoami(server).await?;
        if !who.roles.iter().any(|role| role == ADMIN) {
            return own::answer(session, server, args, &who).await;
        }
        About { actor: Some(who.actor), roles: who.roles, attributes: who.attributes.into_iter().collect() }
    };
    let schema = Schema::resolve(server, &args.schema).await?;
    let reply = server.send(&request(args, &about, &schema)).await.map_err(|failure| {
        if failure.exit() == Some(Exit::Denied) {
            failure.with_help("asking about others is for administrators (platform-admin); without --as it is about yourself")
        } else {
            failure
        }
    })?;
    let body: Data<Explanation> = serde_json::from_slice(&reply.body)
        .map_err(|error| Failure::failed(format!("the server's explanation cannot be read: {error}")))?;
    if session.out.is_structured() {
        session.out.value(&reply.data()?)?;
    } else if session.out.format == Some(Format::Name) {
        session.out.line(explained::word(body.data.allowed))?;
    } else {
        session.out.text(&explained::page(&session.out, &body.data))?;
    }
    Ok(code(body.data.allowed))
}

fn request(args: &Args, about: &About, schema: &Schema) -> Request {
    let mut request = Request::get("/platform/explain")
        .query("schema", schema.path.to_string())
        .query("operation", args.operation.as_str());
    for (name, value) in [("actor", &about.actor), ("keyId", &args.key), ("id", &args.id)] {
        if let Some(value) = value {
            request = request.query(name, value.as_str());
        }
    }
    if !about.roles.is_empty() {
        request = request.query("roles", about.roles.join(","));
    }
    if !about.attributes.is_empty() {
        request = request.query("attributes", Value::Object(about.attributes.clone()).to_string());
    }
    if let Some(ip) = &args.ip {
        request = request.query("ip", ip.to_string());
    }
    request
}

async fn whoami(server: &Server) -> Outcome<WhoAmI> {
    let reply = server.send(&Request::get("/auth/whoami")).await?;
    serde_json::from_slice::<Data<WhoAmI>>(&reply.body)
        .map(|body| body.data)
        .map_err(|error| Failure::failed(format!("the server's answer cannot be read: {error}")))
}

/// Only a yes is success.
fn code(allowed: Allowed) -> ExitCode {
    match allowed {
        Allowed::Yes => ExitCode::SUCCESS,
        Allowed::No => ExitCode::from(Exit::Denied as u8),
        Allowed::Depends => ExitCode::FAILURE,
    }
}
