//! Objects and lists to responses, in the form that was asked for.

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Call;
use super::negotiate::{Form, form};
use crate::kind::{Behaviour, Endpoint};
use crate::status::ApiError;
use crate::table::{self, RowObject};

/// A JSON document.
pub(crate) fn json_document(code: StatusCode, body: String) -> Response {
    (code, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}

fn encode(code: StatusCode, form: Form, value: &Value) -> Result<Response, ApiError> {
    if form == Form::Yaml {
        let text = serde_saphyr::to_string(value).map_err(ApiError::internal)?;
        return Ok((code, [(header::CONTENT_TYPE, HeaderValue::from_static("application/yaml"))], text)
            .into_response());
    }
    Ok(json_document(code, value.to_string()))
}

/// One object that `endpoint` shows.
pub(crate) fn object(call: &Call, code: StatusCode, value: &Value) -> Result<Response, ApiError> {
    let form = form(&call.parts.headers)?;
    let metadata = json!({ "resourceVersion": value["metadata"]["resourceVersion"] });
    match form {
        Form::Table => {
            let table = as_table(call, std::slice::from_ref(value), &metadata, true);
            encode(code, form, &table)
        }
        Form::PartialMetadata | Form::PartialMetadataList => {
            encode(code, form, &table::partial_metadata(value))
        }
        Form::Json | Form::Yaml => encode(code, form, value),
    }
}

/// [`object`] with a `Warning` header for each of `warnings`.
pub(crate) fn object_with_warnings(
    call: &Call,
    code: StatusCode,
    value: &Value,
    warnings: &[String],
) -> Result<Response, ApiError> {
    let mut response = object(call, code, value)?;
    for warning in warnings {
        let text = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
            response.headers_mut().append(HeaderName::from_static("warning"), value);
        }
    }
    Ok(response)
}

pub(crate) fn list(call: &Call, mut items: Vec<Value>, metadata: &Value) -> Result<Response, ApiError> {
    let form = form(&call.parts.headers)?;
    let endpoint = &call.endpoint;
    let mut metadata = metadata.clone();
    if !matches!(form, Form::Json | Form::Yaml)
        && metadata["continue"] == ""
        && let Some(object) = metadata.as_object_mut()
    {
        object.remove("continue");
    }
    let body = match form {
        Form::Table => as_table(call, &items, &metadata, true),
        Form::PartialMetadata => return Err(ApiError::list_is_no_object()),
        Form::PartialMetadataList => json!({
            "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
            "items": items.iter().map(table::partial_metadata).collect::<Vec<_>>(),
        }),
        Form::Json | Form::Yaml => {
            // Typed lists of the real server leave the type out of their items; lists of custom resources do not.
            if endpoint.kind.behaviour != Behaviour::Custom {
                for item in &mut items {
                    if let Some(object) = item.as_object_mut() {
                        object.remove("apiVersion");
                        object.remove("kind");
                    }
                }
            }
            json!({
                "kind": endpoint.kind.list_kind, "apiVersion": endpoint.api_version(), "metadata": metadata,
                "items": items,
            })
        }
    };
    encode(StatusCode::OK, form, &body)
}

/// A list's metadata. Lists of custom resources always carry `continue`, as the real server's.
pub(crate) fn list_metadata(endpoint: &Endpoint, revision: u64) -> Value {
    let mut metadata = json!({ "resourceVersion": revision.to_string() });
    if endpoint.kind.behaviour == Behaviour::Custom {
        metadata["continue"] = json!("");
    }
    metadata
}

/// Whether a kind's table starts with the object's name.
pub(crate) fn is_named(endpoint: &Endpoint) -> bool {
    endpoint.kind.behaviour != Behaviour::Event
}

pub(crate) fn as_table(call: &Call, objects: &[Value], metadata: &Value, headers: bool) -> Value {
    let row = call.options.include_object.unwrap_or(RowObject::Metadata);
    let columns = &call.endpoint.version().columns;
    table::table(columns, is_named(&call.endpoint), objects, metadata, row, headers, Timestamp::now())
}
