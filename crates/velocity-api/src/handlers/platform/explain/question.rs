//! What is asked: who, what, where, and as what.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value as Json};
use velocity_access::{ActorType, Credential, CredentialScope, Identity, IdentityParts};
use velocity_schema::schema::Operation;
use velocity_schema::violation::did_you_mean;
use velocity_schema::{Schema, Value, Violation, Violations};
use velocity_store::platform::{AccessError, ListedApiKey, api_key_by_id};
use velocity_store::records::RecordError;

use super::super::drift::served;
use super::super::login::refused;
use crate::error::ApiError;
use crate::request::query;
use crate::state::Api;

/// The parameters.
const KNOWN: [&str; 8] = ["schema", "operation", "actor", "id", "roles", "attributes", "ip", "keyId"];

/// A question, its parts checked.
pub(super) struct Question {
    pub(super) schema: Arc<Schema>,
    pub(super) operation: Operation,
    pub(super) identity: Arc<Identity>,
    pub(super) id: Option<Value>,
    pub(super) ip: Option<String>,
    pub(super) key: Option<ListedApiKey>,
}

impl Question {
    /// The question of a query string; everything that is wrong with it is said at once.
    pub(super) async fn of(api: &Api, query: Option<&str>) -> Result<Self, ApiError> {
        let [schema, operation, actor, id, roles, attributes, ip, key_id] = query::only(query, KNOWN)?;
        let mut wrong = Wrong::default();
        wrong.needed("schema", schema.is_none());
        wrong.needed("operation", operation.is_none());
        wrong.needed("actor", actor.is_none() && key_id.is_none());
        for (name, given) in [("roles", roles.is_some()), ("attributes", attributes.is_some())] {
            if key_id.is_some() && given {
                wrong.push(name, "exclusive", "are the key's, where `keyId` is given");
            }
        }
        let operation = operation.and_then(|word| parse_operation(&mut wrong, &word));
        let attributes = attributes.and_then(|text| parse_attributes(&mut wrong, &text)).unwrap_or_default();
        let ip = ip.and_then(|text| parse_ip(&mut wrong, &text));
        if operation == Some(Operation::Create) && id.is_some() {
            wrong.push("id", "exclusive", "has no meaning for `create`: the record is not there yet");
        }
        let schema = match (schema, wrong.0.0.is_empty()) {
            (Some(path), true) => served(api, &path)?,
            _ => return Err(wrong.0.into()),
        };
        let id = id.map(|id| velocity_schema::input::parse_id(&schema, &id)).transpose();
        let id = id.map_err(|violation| Violations(vec![violation]))?;
        let key = match &key_id {
            Some(id) => Some(find_key(api, id).await?),
            None => None,
        };
        if let (Some(key), Some(actor)) = (&key, &actor)
            && key.actor != *actor
        {
            wrong.push(
                "actor",
                "exclusive",
                format!("is not whom the key stands for: leave it out, or say `{}`", key.actor),
            );
        }
        let roles = roles
            .map(|roles| roles.split(',').map(|role| role.trim().to_owned()).collect())
            .unwrap_or_default();
        let strategy = api.strategy_of(&schema).map(ToString::to_string).unwrap_or_default();
        let parts = match &key {
            Some(key) => parts_of_key(key, strategy)?,
            None => IdentityParts {
                roles,
                attributes,
                ..IdentityParts::user(actor.unwrap_or_default(), strategy, Timestamp::MAX)
            },
        };
        let given: BTreeSet<String> = parts.roles.clone();
        let identity = match Identity::new(parts) {
            Ok(identity) => identity,
            Err(error) => {
                wrong.push("actor", "identity", error.to_string());
                return Err(wrong.0.into());
            }
        };
        for role in given.difference(identity.roles()) {
            wrong.push("roles", "pattern", format!("`{}` is not a role", role.escape_debug()));
        }
        let operation = operation.ok_or(ApiError::Panicked)?;
        if !wrong.0.0.is_empty() {
            return Err(wrong.0.into());
        }
        Ok(Self { schema, operation, identity: Arc::new(identity), id, ip, key })
    }
}

#[derive(Default)]
struct Wrong(Violations);

impl Wrong {
    fn push(&mut self, name: &str, rule: &'static str, message: impl Into<String>) {
        self.0.0.push(Violation::new(name, rule, message));
    }

    fn needed(&mut self, name: &str, missing: bool) {
        if missing {
            self.push(name, "required", "is missing");
        }
    }
}

fn parse_operation(wrong: &mut Wrong, word: &str) -> Option<Operation> {
    let operation = word.parse().ok();
    if operation.is_none() {
        let known = Operation::ALL.map(Operation::as_str);
        let near = did_you_mean(word, known);
        wrong.push("operation", "enum", format!("is one of {}{near}", known.join(", ")));
    }
    operation
}

fn parse_attributes(wrong: &mut Wrong, text: &str) -> Option<Map<String, Json>> {
    let attributes = serde_json::from_str(text).ok();
    if attributes.is_none() {
        wrong.push("attributes", "type", "must be a JSON object such as {\"region\":\"west\"}");
    }
    attributes
}

fn parse_ip(wrong: &mut Wrong, text: &str) -> Option<String> {
    let ip = text.parse::<IpAddr>().ok();
    if ip.is_none() {
        wrong.push("ip", "type", "must be an address such as 10.0.0.1");
    }
    ip.map(|ip| ip.to_canonical().to_string())
}

async fn find_key(api: &Api, id: &str) -> Result<ListedApiKey, ApiError> {
    if id.contains('\0') {
        return Err(RecordError::NotFound.into());
    }
    let mut view = api.database().login().view().await?;
    let found = api_key_by_id(view.connection().client(), id).await.map_err(refused)?;
    found.ok_or_else(|| RecordError::NotFound.into())
}

fn parts_of_key(key: &ListedApiKey, strategy: String) -> Result<IdentityParts, ApiError> {
    let scopes: Vec<CredentialScope> =
        serde_json::from_value(key.scopes.clone()).map_err(|error| refused(AccessError::from(error)))?;
    Ok(IdentityParts {
        actor_type: ActorType::ApiKey,
        roles: key.roles.iter().cloned().collect(),
        attributes: key.attributes.clone(),
        credential: Credential::Key { id: key.id.clone() },
        scopes: (!scopes.is_empty()).then_some(scopes),
        ..IdentityParts::user(key.actor.clone(), strategy, Timestamp::MAX)
    })
}
