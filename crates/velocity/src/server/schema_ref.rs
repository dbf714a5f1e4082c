//! `SCHEMA` on the command line: a whole path, or as much of its end as is unambiguous.

use velocity_contract::listing::SchemaListing;
use velocity_contract::page::Data;
use velocity_schema::SchemaPath;
use velocity_schema::violation::did_you_mean;

use super::{Request, Server};
use crate::failure::{Failure, Outcome};

/// A schema that a command works on.
#[derive(Debug, Clone)]
pub(crate) struct Schema {
    /// `org/app/domain/object/version`.
    pub(crate) path: SchemaPath,
}

impl Schema {
    /// The schema that `text` means: as it stands when it is a whole path, else the only one that ends so.
    pub(crate) async fn resolve(server: &Server, text: &str) -> Outcome<Self> {
        if let Ok(path) = text.parse::<SchemaPath>() {
            return Ok(Self { path });
        }
        if text.is_empty() || text.split('/').count() > 4 {
            return Err(Failure::usage(format!("`{text}` is no schema"))
                .with_help("use org/app/domain/object/version, or just the object"));
        }
        let visible = visible_schemas(server).await?;
        choose(text, &visible)
    }

    /// The path of its routes.
    pub(crate) fn endpoint(&self) -> String {
        self.path.endpoint()
    }

    /// The path of a route below it.
    pub(crate) fn route(&self, rest: &str) -> String {
        format!("{}/{rest}", self.path.endpoint())
    }

    /// The object type, for sentences.
    pub(crate) fn object(&self) -> &str {
        self.path.object.as_str()
    }
}

/// The schemas that the caller can see.
pub(crate) async fn visible_schemas(server: &Server) -> Outcome<Vec<SchemaListing>> {
    let reply = server.send(&Request::get("/api")).await?;
    let body: Data<Vec<SchemaListing>> = serde_json::from_slice(&reply.body)
        .map_err(|error| Failure::failed(format!("the server's list of schemas cannot be read: {error}")))?;
    Ok(body.data)
}

fn choose(text: &str, visible: &[SchemaListing]) -> Outcome<Schema> {
    let found: Vec<&SchemaListing> = visible.iter().filter(|listing| is_meant(text, listing)).collect();
    match found[..] {
        [only] => only.path().parse().map(|path| Schema { path }).map_err(
            |error: velocity_schema::name::InvalidName| {
                Failure::failed(format!("the server lists a schema with an impossible path: {error}"))
            },
        ),
        [] => {
            let near = did_you_mean(text, visible.iter().map(|listing| listing.object.as_str()));
            Err(Failure::not_found(format!("you can see no schema `{text}`{near}"))
                .with_help("`velocity get schemadefinitions` shows what is applied; a schema that you may not use is not visible to you"))
        }
        _ => Err(Failure::usage(format!(
            "`{text}` could be any of these; write out as much as tells them apart"
        ))
        .with_details(found.iter().map(|listing| listing.path()))),
    }
}

/// Whether the schema's path ends so, with its version or without.
fn is_meant(text: &str, listing: &SchemaListing) -> bool {
    let path = listing.path();
    let without_version = path.rsplit_once('/').map_or("", |(front, _)| front);
    [path.as_str(), without_version]
        .iter()
        .any(|whole| whole.strip_suffix(text).is_some_and(|front| front.is_empty() || front.ends_with('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(path: &str) -> SchemaListing {
        let parts: Vec<&str> = path.split('/').collect();
        SchemaListing {
            org: parts[0].into(),
            app: parts[1].into(),
            domain: parts[2].into(),
            object: parts[3].into(),
            version: parts[4].into(),
            display_name: None,
            description: None,
            endpoint: format!("/api/{path}"),
            spec_hash: String::new(),
            operations: vec![],
        }
    }

    fn chosen(text: &str) -> Result<String, String> {
        let visible: Vec<_> = [
            "acme/shop/sales/order/v1",
            "acme/shop/sales/order/v2",
            "acme/shop/stock/item/v1",
            "acme/hr/stock/item/v1",
            "acme/shop/sales/reorder/v1",
        ]
        .map(listing)
        .into();
        choose(text, &visible)
            .map(|schema| schema.path.to_string())
            .map_err(|failure| failure.message().to_owned())
    }

    #[test]
    fn the_end_of_a_path_is_enough_where_it_is_unambiguous() {
        assert_eq!(chosen("reorder").unwrap(), "acme/shop/sales/reorder/v1");
        assert_eq!(chosen("order/v2").unwrap(), "acme/shop/sales/order/v2");
        assert_eq!(chosen("hr/stock/item").unwrap(), "acme/hr/stock/item/v1");
    }

    #[test]
    fn an_ambiguous_or_unknown_name_is_an_error() {
        assert!(chosen("order").unwrap_err().contains("any of these"));
        assert!(chosen("item").unwrap_err().contains("any of these"));
        assert_eq!(chosen("reordr").unwrap_err(), "you can see no schema `reordr` (did you mean `reorder`?)");
        assert!(chosen("rder").unwrap_err().contains("no schema"));
    }
}
