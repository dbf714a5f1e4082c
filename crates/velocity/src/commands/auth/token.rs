//! `velocity auth token`: a token signed by the key that `velocityd dev` keeps beside its config.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use velocity_access::DevKey;

use crate::commands::options;
use crate::failure::{Failure, Outcome};
use crate::session::Session;

/// The key's file, in the folder of the config.
const KEY_FILE: &str = "dev-key.pem";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Who the token is for
    #[arg(long, value_name = "NAME")]
    actor: String,
    /// Roles that it carries, separated by commas
    #[arg(long, value_name = "ROLE", value_delimiter = ',')]
    roles: Vec<String>,
    /// Attributes that it carries; true, false and numbers keep their type
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = options::attribute)]
    attributes: Vec<(String, Value)>,
    /// How long it is good for: 30m, 1h, 7d
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = options::duration)]
    expires: Duration,
}

pub(super) fn run(session: &Session, args: &Args) -> Outcome {
    let config = session.config()?;
    let path = config.path.with_file_name(KEY_FILE);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Failure::usage(format!("there is no development key: {} cannot be read ({error})", path.display()))
            .with_help("`velocityd dev` makes one beside its config; run this in the same folder, or name the config with --config DIR/config.yaml")
    })?;
    let key =
        DevKey::from_pem(&text).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    let attributes = options::attributes(&args.attributes)?;
    let token = key
        .mint(&args.actor, &args.roles, &attributes, Timestamp::now(), args.expires)
        .map_err(|error| Failure::failed(error.to_string()))?;
    session.out.line(&token)
}
