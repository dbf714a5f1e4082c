//! The operations of one schema's routes, as OpenAPI describes them.

use serde_json::{Map, Value as Json, json};
use velocity_schema::Schema;
use velocity_schema::schema::{Operation, Tier};

use super::Rights;

/// Describes a route's method.
type Build = fn(&Names, &Schema, &Rights) -> Json;

/// One route's method.
pub(super) struct Described {
    /// After the schema's endpoint.
    pub(super) tail: &'static str,
    pub(super) method: &'static str,
    /// What a caller must be allowed.
    pub(super) needs: Operation,
    pub(super) build: Build,
}

/// The names of one schema's components.
pub(super) struct Names {
    pub(super) record: String,
    pub(super) new: String,
    pub(super) patch: String,
}

impl Names {
    pub(super) fn of(schema: &Schema) -> Self {
        // Dots keep the names apart, since no name has one.
        let base = schema.path().to_string().replace('/', ".");
        Self { new: format!("{base}.New"), patch: format!("{base}.Patch"), record: base }
    }
}

const fn on(method: &'static str, tail: &'static str, needs: Operation, build: Build) -> Described {
    Described { tail, method, needs, build }
}

pub(super) const OPERATIONS: &[Described] = &[
    on("get", "", Operation::Read, list),
    on("post", "", Operation::Create, create),
    on("post", "/bulk", Operation::Create, bulk),
    on("get", "/export", Operation::Export, export),
    on("get", "/{id}", Operation::Read, read),
    on("patch", "/{id}", Operation::Update, patch),
    on("put", "/{id}", Operation::Update, replace),
    on("delete", "/{id}", Operation::Delete, delete),
    on("post", "/{id}/undelete", Operation::Restore, undelete),
    on("get", "/{id}/history", Operation::History, history),
];

fn reference(name: &str) -> Json {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn content(schema: &Json) -> Json {
    json!({ "application/json": { "schema": schema } })
}

fn data(schema: &Json) -> Json {
    json!({ "type": "object", "required": ["data"], "properties": { "data": schema } })
}

fn page(items: &Json) -> Json {
    json!({
        "type": "object", "required": ["data", "pagination"],
        "properties": { "data": { "type": "array", "items": items }, "pagination": reference("Pagination") },
    })
}

/// Puts together an operation; every one may end in a problem.
fn operation(id: &str, names: &Names, summary: &str, status: &str, success: &Json, more: Json) -> Json {
    let mut operation = json!({
        "operationId": format!("{id}:{}", names.record),
        "summary": summary,
        "tags": [names.record],
        "responses": { status: success, "default": { "$ref": "#/components/responses/Problem" } },
    });
    if let (Json::Object(operation), Json::Object(more)) = (&mut operation, more) {
        operation.extend(more);
    }
    operation
}

fn one_record(names: &Names, description: &str) -> Json {
    json!({
        "description": description,
        "headers": { "ETag": { "description": "the record's version, quoted", "schema": { "type": "string" } } },
        "content": content(&data(&reference(&names.record))),
    })
}

fn header(name: &str, description: &str) -> Json {
    json!({ "name": name, "in": "header", "description": description, "schema": { "type": "string" } })
}

fn parameter(name: &str, description: &str, schema: &Json) -> Json {
    json!({ "name": name, "in": "query", "description": description, "schema": schema })
}

fn id_parameter(schema: &Schema) -> Json {
    let description = format!("the record's id, of type {}", schema.id().kind.name());
    json!({ "name": "id", "in": "path", "required": true, "description": description, "schema": { "type": "string" } })
}

fn write_headers() -> Vec<Json> {
    vec![
        header("Idempotency-Key", "makes a retry return the first response; 1 to 255 visible characters"),
        header("X-Reason", "why, for the audit trail"),
    ]
}

/// What a list may be asked about the fields that the caller sees in clear.
fn filter_parameters(schema: &Schema, rights: &Rights) -> Vec<Json> {
    let filterable: Map<String, Json> = rights
        .clear(schema)
        .filter(|field| field.filterable)
        .map(|field| (field.name.to_string(), json!({ "type": ["string", "object"] })))
        .collect();
    let sortable: Vec<&str> =
        rights.clear(schema).filter(|field| field.sortable).map(|field| field.name.as_str()).collect();
    let sortable = if sortable.is_empty() { "nothing".to_owned() } else { sortable.join(", ") };
    let mut parameters = vec![
        json!({
            "name": "filter", "in": "query", "style": "deepObject", "explode": true,
            "description": "`filter[field]=value` or `filter[field][operator]=value`",
            "schema": { "type": "object", "properties": filterable, "additionalProperties": false },
        }),
        parameter(
            "sort",
            &format!("fields in order, `-` before a descending one; sortable: {sortable}"),
            &json!({ "type": "string" }),
        ),
        parameter("fields", "the fields that are wanted, separated by commas", &json!({ "type": "string" })),
    ];
    parameters.extend(search_parameter(schema, rights));
    parameters
}

fn search_parameter(schema: &Schema, rights: &Rights) -> Option<Json> {
    let search = schema.search()?;
    let clear = rights.clear(schema).filter(|field| search.fields.contains(&field.name));
    let fields: Vec<&str> = clear.map(|field| field.name.as_str()).collect();
    if fields.is_empty() {
        return None;
    }
    let what = match search.tier {
        Tier::Pieces => "records with every word somewhere in",
        Tier::Words(_) => "records with these words (\"a phrase\", `or`, `-without`) in",
    };
    let text = json!({ "type": "string", "minLength": 1, "maxLength": 1000 });
    Some(parameter("q", &format!("{what} {}", fields.join(", ")), &text))
}

fn page_parameters() -> Vec<Json> {
    vec![
        parameter(
            "limit",
            "most items of a page",
            &json!({ "type": "integer", "minimum": 1, "maximum": 1000 }),
        ),
        parameter("cursor", "`nextCursor` of the page before", &json!({ "type": "string" })),
    ]
}

fn list(names: &Names, schema: &Schema, rights: &Rights) -> Json {
    let mut parameters = filter_parameters(schema, rights);
    parameters.extend(page_parameters());
    parameters.push(parameter("offset", "how many to skip", &json!({ "type": "integer", "minimum": 0 })));
    parameters.push(parameter("count", "whether to count all", &json!({ "enum": ["exact", "estimated"] })));
    let success =
        json!({ "description": "a page of records", "content": content(&page(&reference(&names.record))) });
    operation("list", names, "List records", "200", &success, json!({ "parameters": parameters }))
}

fn create(names: &Names, _: &Schema, _: &Rights) -> Json {
    let more = json!({
        "parameters": write_headers(),
        "requestBody": { "required": true, "content": content(&reference(&names.new)) },
    });
    operation("create", names, "Create a record", "201", &one_record(names, "the new record"), more)
}

fn bulk(names: &Names, _: &Schema, _: &Rights) -> Json {
    let more = json!({
        "parameters": write_headers(),
        "requestBody": { "required": true, "content": content(&reference("BulkRequest")) },
    });
    let success =
        json!({ "description": "what became of each", "content": content(&reference("BulkResponse")) });
    operation("bulk", names, "Write many records in one request", "200", &success, more)
}

fn export(names: &Names, schema: &Schema, rights: &Rights) -> Json {
    let mut parameters = filter_parameters(schema, rights);
    parameters.push(parameter("format", "`Accept` decides otherwise", &json!({ "enum": ["ndjson", "csv"] })));
    let success = json!({
        "description": "all records that fit, streamed",
        "content": { "application/x-ndjson": { "schema": reference(&names.record) }, "text/csv": {} },
    });
    operation(
        "export",
        names,
        "Take records out in bulk",
        "200",
        &success,
        json!({ "parameters": parameters }),
    )
}

fn read(names: &Names, schema: &Schema, _: &Rights) -> Json {
    let parameters = [id_parameter(schema), header("If-None-Match", "304 where the version is this one")];
    let more = json!({ "parameters": parameters });
    operation("read", names, "Read a record", "200", &one_record(names, "the record"), more)
}

fn change(id: &str, names: &Names, schema: &Schema, summary: &str, body: &Json) -> Json {
    let mut parameters =
        vec![id_parameter(schema), header("If-Match", "the version that the record must be at")];
    parameters.extend(write_headers());
    let more = json!({ "parameters": parameters, "requestBody": { "required": true, "content": body } });
    operation(id, names, summary, "200", &one_record(names, "the record as it is now"), more)
}

fn patch(names: &Names, schema: &Schema, _: &Rights) -> Json {
    let body = reference(&names.patch);
    let both =
        json!({ "application/merge-patch+json": { "schema": body }, "application/json": { "schema": body } });
    change("update", names, schema, "Change a record by a JSON merge patch", &both)
}

fn replace(names: &Names, schema: &Schema, _: &Rights) -> Json {
    change("replace", names, schema, "Create or replace a record", &content(&reference(&names.new)))
}

fn delete(names: &Names, schema: &Schema, _: &Rights) -> Json {
    let mut parameters =
        vec![id_parameter(schema), header("If-Match", "the version that the record must be at")];
    parameters.extend(write_headers());
    let success = json!({ "description": "it is deleted; `undelete` brings it back" });
    operation("delete", names, "Delete a record", "204", &success, json!({ "parameters": parameters }))
}

fn undelete(names: &Names, schema: &Schema, _: &Rights) -> Json {
    let mut parameters = vec![id_parameter(schema)];
    parameters.extend(write_headers());
    let more = json!({ "parameters": parameters });
    operation("undelete", names, "Bring a deleted record back", "200", &one_record(names, "the record"), more)
}

fn history(names: &Names, schema: &Schema, _: &Rights) -> Json {
    let mut parameters = vec![id_parameter(schema)];
    parameters.extend(page_parameters());
    let success = json!({ "description": "events", "content": content(&page(&reference("HistoryEvent"))) });
    operation(
        "history",
        names,
        "Events of a record, newest first",
        "200",
        &success,
        json!({ "parameters": parameters }),
    )
}
