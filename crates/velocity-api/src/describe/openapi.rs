//! OpenAPI 3.1 of live schemas, with the operations that the caller may do and no others.
//!
//! Written piece by piece: a document of ten thousand schemas is never whole in memory.

use serde_json::{Value as Json, json};
use velocity_schema::Schema;

use super::Rights;
use super::json_schema::{DIALECT, Shape, record, title};
use super::operations::{Names, OPERATIONS};

/// What comes before the first schema. `title` and `version` say what is described.
pub(crate) fn head(title: &str, version: &str) -> String {
    let info = json!({ "title": title, "version": version });
    let mut text = format!(r#"{{"openapi":"3.1.0","jsonSchemaDialect":{},"info":{info},"#, json!(DIALECT));
    text.push_str(r#""security":[{"bearer":[]}],"paths":{"#);
    text
}

/// The members of `paths` of one schema, without braces.
pub(crate) fn paths(schema: &Schema, rights: &Rights) -> String {
    let names = Names::of(schema);
    let endpoint = schema.path().endpoint();
    let mut items: Vec<(&str, serde_json::Map<String, Json>)> = Vec::new();
    for described in OPERATIONS.iter().filter(|described| rights.allowed().contains(&described.needs)) {
        let operation = (described.build)(&names, schema, rights);
        match items.iter_mut().find(|(tail, _)| *tail == described.tail) {
            Some((_, item)) => {
                item.insert(described.method.to_owned(), operation);
            }
            None => {
                items
                    .push((described.tail, [(described.method.to_owned(), operation)].into_iter().collect()));
            }
        }
    }
    let members = items
        .iter()
        .map(|(tail, item)| format!("{}:{}", json!(format!("{endpoint}{tail}")), Json::Object(item.clone())));
    members.collect::<Vec<_>>().join(",")
}

/// What stands between the paths and the components of the schemas: the components that all share, and a comma.
pub(crate) fn middle() -> String {
    let problem = json!({
        "description": "an error",
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
    });
    let bearer = json!({ "type": "http", "scheme": "bearer", "bearerFormat": "JWT" });
    let mut text = format!(
        r#"}},"components":{{"securitySchemes":{{"bearer":{bearer}}},"responses":{{"Problem":{problem}}},"schemas":{{"#
    );
    let shared = shared().into_iter().map(|(name, schema)| format!("{}:{schema}", json!(name)));
    text.push_str(&shared.collect::<Vec<_>>().join(","));
    text
}

/// The components of one schema, each after a comma.
pub(crate) fn components(schema: &Schema, rights: &Rights) -> String {
    let names = Names::of(schema);
    let mut whole = record(schema, rights, Shape::Record);
    whole["title"] = json!(title(schema));
    let parts = [
        (&names.record, whole),
        (&names.new, record(schema, rights, Shape::New)),
        (&names.patch, record(schema, rights, Shape::Patch)),
    ];
    parts.map(|(name, schema)| format!(",{}:{schema}", json!(name))).concat()
}

/// What comes after the last schema.
pub(crate) fn tail() -> &'static str {
    "}}}"
}

/// The document of one schema.
pub(crate) fn document(schema: &Schema, rights: &Rights) -> String {
    let version = format!("{}+{}", schema.path().version, schema.hash());
    let mut text = head(title(schema), &version);
    text.push_str(&paths(schema, rights));
    text.push_str(&middle());
    text.push_str(&components(schema, rights));
    text.push_str(tail());
    text
}

/// The components that every schema's routes refer to.
fn shared() -> Vec<(&'static str, Json)> {
    answers().into_iter().chain(bulks()).collect()
}

fn answers() -> Vec<(&'static str, Json)> {
    let text = json!({ "type": "string" });
    let maybe = json!({ "type": ["string", "null"] });
    let count = json!({ "type": "integer", "minimum": 0 });
    vec![
        (
            "Problem",
            json!({
                "type": "object", "required": ["type", "title", "status", "detail", "code"],
                "properties": {
                    "type": text, "title": text, "status": { "type": "integer" }, "detail": text, "instance": text,
                    "code": { "enum": velocity_contract::Code::ALL }, "requestId": text,
                    "errors": { "type": "array", "items": { "$ref": "#/components/schemas/FieldError" } },
                    "currentVersion": { "type": "integer" },
                },
            }),
        ),
        (
            "FieldError",
            json!({
                "type": "object", "required": ["field", "rule", "message"],
                "properties": { "field": text, "rule": text, "message": text },
            }),
        ),
        (
            "Pagination",
            json!({
                "type": "object", "required": ["limit", "nextCursor"],
                "properties": { "limit": count, "nextCursor": maybe, "total": count, "estimated": count },
            }),
        ),
        (
            "HistoryEvent",
            json!({
                "type": "object",
                "required": ["seq", "at", "actor", "operation", "version", "changed", "before", "after", "reason",
                    "requestId", "hash"],
                "properties": {
                    "seq": { "type": "integer" }, "at": { "type": "string", "format": "date-time" }, "actor": maybe,
                    "operation": text, "version": { "type": "integer" }, "changed": { "type": "array", "items": text },
                    "before": { "type": ["object", "null"] }, "after": { "type": ["object", "null"] }, "reason": maybe,
                    "requestId": maybe, "hash": maybe,
                },
            }),
        ),
    ]
}

fn bulks() -> Vec<(&'static str, Json)> {
    let any = json!({});
    let count = json!({ "type": "integer", "minimum": 0 });
    vec![
        (
            "BulkRequest",
            json!({
                "type": "object", "required": ["operations"], "additionalProperties": false,
                "properties": {
                    "atomic": { "type": "boolean", "default": true },
                    "mode": { "enum": ["write", "import"], "default": "write" },
                    "onConflict": { "enum": ["fail", "skip", "update"], "default": "fail" },
                    "operations": {
                        "type": "array", "minItems": 1, "maxItems": velocity_contract::bulk::OPERATIONS_MAX,
                        "items": { "type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": false,
                            "properties": { "create": any, "update": any, "upsert": any, "delete": any } },
                    },
                },
            }),
        ),
        (
            "BulkResponse",
            json!({
                "type": "object", "required": ["data", "stats"],
                "properties": {
                    "data": { "type": "array", "items": { "type": "object" } },
                    "stats": { "type": "object", "properties": {
                        "created": count, "updated": count, "deleted": count, "skipped": count, "failed": count } },
                },
            }),
        ),
    ]
}

#[cfg(test)]
pub(crate) mod tests {
    use velocity_schema::schema::{Operation, View, WriteRights};
    use velocity_schema::spec::SchemaDefinitionSpec;

    use super::*;

    /// A schema with a field of most kinds.
    pub(crate) fn order() -> Schema {
        Schema::parse(&order_spec()).unwrap()
    }

    fn order_spec() -> SchemaDefinitionSpec {
        let spec = json!({
            "org": "acme", "app": "shop", "domain": "sales", "object": "order", "version": "v1", "displayName": "Order",
            "fields": [
                { "name": "amount", "type": "number", "precision": 12, "scale": 2, "required": true, "min": 0,
                  "filterable": true, "sortable": true },
                { "name": "status", "type": "enum", "enum": ["draft", "sent"], "filterable": true },
                { "name": "tags", "type": "array", "items": "string", "maxItems": 5 },
                { "name": "at", "type": "time" },
                { "name": "supplier", "type": "string", "maxLength": 40, "sensitivity": "internal", "deprecated": true,
                  "ref": { "object": "supplier", "version": "v1" } },
            ],
            "access": { "roles": { "create": ["writer"], "read": ["reader"] } },
        });
        SchemaDefinitionSpec::from_json(&spec).unwrap()
    }

    /// The same with a field `margin` that is hidden, and `amount` masked, for a caller who may not set `supplier`.
    pub(crate) fn restricted() -> (Schema, Rights) {
        let mut spec = serde_json::to_value(order_spec()).unwrap();
        let margin = json!({ "name": "margin", "type": "number", "filterable": true, "sortable": true });
        spec["fields"].as_array_mut().unwrap().push(margin);
        spec["search"] = json!({ "tier": 1, "fields": ["supplier"] });
        spec["access"]["fieldAccess"] = json!([
            { "field": "margin", "read": ["boss"] },
            { "field": "amount", "read": ["boss"], "masking": { "strategy": "range", "rangeSize": 100 } },
            { "field": "supplier", "write": ["boss"] },
        ]);
        let schema = Schema::from_json(&spec).unwrap().1;
        let view = schema.view(&|role| role == "reader");
        let sets = schema.write_rights(&|role| role == "reader");
        assert!(view != View::whole() && sets != WriteRights::all());
        (schema, Rights::on(&Operation::ALL, view, sets))
    }

    fn parsed(allowed: &[Operation]) -> Json {
        serde_json::from_str(&document(&order(), &Rights::all(allowed))).unwrap()
    }

    #[test]
    fn nothing_is_said_of_hidden_fields_and_nothing_is_found_by_masked_ones() {
        let (schema, rights) = restricted();
        let text = document(&schema, &rights);
        assert!(!text.contains("margin"), "{text}");
        let document: Json = serde_json::from_str(&text).unwrap();
        for route in ["", "/export"] {
            let parameters =
                &document["paths"][format!("/api/acme/shop/sales/order/v1{route}")]["get"]["parameters"];
            let parameter = |name: &str| {
                parameters.as_array().unwrap().iter().find(|parameter| parameter["name"] == name).cloned()
            };
            let filter = parameter("filter").unwrap();
            let filterable: Vec<&String> =
                filter["schema"]["properties"].as_object().unwrap().keys().collect();
            assert_eq!(filterable, ["id", "status"]);
            assert!(parameter("sort").unwrap()["description"].as_str().unwrap().ends_with("sortable: id"));
            assert!(parameter("q").is_some());
        }
        let narrow = |name: &str| {
            let view = rights.view.narrowed(&schema, |at| schema.fields()[at].name.as_str() != name);
            super::document(&schema, &Rights { view, ..rights.clone() })
        };
        assert!(!narrow("supplier").contains(r#""name":"q""#) && narrow("at").contains(r#""name":"q""#));
        assert!(!narrow("supplier").contains("supplier"), "{}", narrow("supplier"));
    }

    #[test]
    fn descriptions_for_other_rights_have_other_tags() {
        let (schema, rights) = restricted();
        let none = Rights::all(&Operation::ALL).tag(&schema);
        let only_sets = Rights { view: View::whole(), ..rights.clone() };
        let only_sees = Rights { sets: WriteRights::all(), changes: WriteRights::all(), ..rights.clone() };
        let tags = [none, rights.tag(&schema), only_sets.tag(&schema), only_sees.tag(&schema)];
        for (at, tag) in tags.iter().enumerate() {
            assert!(tags[..at].iter().all(|other| other != tag), "{tags:?}");
        }
        assert_eq!(tags[0], "");
    }

    #[test]
    fn the_document_of_one_schema_is_pinned() {
        let version_free = |mut document: Json| {
            document["info"]["version"] = json!("(hash)");
            document
        };
        insta::assert_json_snapshot!(version_free(parsed(&Operation::ALL)));
    }

    #[test]
    fn only_what_the_caller_may_do_is_described() {
        let document = parsed(&[Operation::Read]);
        let paths = document["paths"].as_object().unwrap();
        let methods: Vec<(&str, Vec<&str>)> = paths
            .iter()
            .map(|(path, item)| {
                (path.as_str(), item.as_object().unwrap().keys().map(String::as_str).collect())
            })
            .collect();
        let endpoint = "/api/acme/shop/sales/order/v1";
        assert_eq!(methods, [(endpoint, vec!["get"]), (&*format!("{endpoint}/{{id}}"), vec!["get"])]);
    }

    #[test]
    fn lists_and_exports_take_q_where_the_schema_is_searched() {
        let document = |search: bool| {
            let spec = json!({
                "org": "acme", "app": "shop", "domain": "sales", "object": "order", "version": "v1",
                "fields": [{ "name": "title", "type": "string", "searchable": search }],
            });
            let schema = Schema::from_json(&spec).unwrap().1;
            serde_json::from_str::<Json>(&document(&schema, &Rights::all(&Operation::ALL))).unwrap()
        };
        for route in ["", "/export"] {
            let q = |search: bool| {
                let document = document(search);
                let parameters =
                    &document["paths"][format!("/api/acme/shop/sales/order/v1{route}")]["get"]["parameters"];
                let found =
                    parameters.as_array().unwrap().iter().find(|parameter| parameter["name"] == "q").cloned();
                found.map(|parameter| parameter["description"].as_str().unwrap().to_owned())
            };
            assert_eq!(q(false), None);
            assert!(q(true).unwrap().ends_with(" in title"), "{route}");
        }
    }

    #[test]
    fn every_reference_in_the_document_has_its_target() {
        let document = parsed(&Operation::ALL);
        let mut pending = vec![&document];
        while let Some(json) = pending.pop() {
            match json {
                Json::Object(members) => {
                    if let Some(Json::String(reference)) = members.get("$ref") {
                        assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
                    }
                    pending.extend(members.values());
                }
                Json::Array(items) => pending.extend(items),
                _ => {}
            }
        }
    }

    #[test]
    fn a_document_of_no_schemas_is_valid_json() {
        let text = format!("{}{}{}", head("t", "1"), middle(), tail());
        assert!(serde_json::from_str::<Json>(&text).is_ok());
    }
}
