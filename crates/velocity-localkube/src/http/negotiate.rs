//! Which representation the client asks for.

use http::{HeaderMap, header};

use crate::status::ApiError;

/// The forms of an answer with objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    Yaml,
    Table,
    PartialMetadata,
    PartialMetadataList,
}

/// The forms of `/api` and `/apis`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiscoveryForm {
    Legacy,
    Aggregated { version: &'static str },
}

struct Media<'a> {
    kind: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Media<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let parameters = parts.filter_map(|part| part.split_once('=')).collect();
        Self { kind, parameters }
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.parameters.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }

    fn is_json(&self) -> bool {
        matches!(self.kind, "application/json" | "*/*" | "application/*")
    }
}

fn accepted(headers: &HeaderMap) -> &str {
    headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .filter(|text| !text.is_empty())
        .unwrap_or("*/*")
}

/// The first accepted form that we have.
pub(crate) fn form(headers: &HeaderMap) -> Result<Form, ApiError> {
    for media in accepted(headers).split(',').map(Media::parse) {
        let is_known =
            media.get("g") == Some("meta.k8s.io") && matches!(media.get("v"), Some("v1" | "v1beta1"));
        match (media.is_json(), media.get("as")) {
            (true, None) => return Ok(Form::Json),
            (true, Some("Table")) if is_known => return Ok(Form::Table),
            (true, Some("PartialObjectMetadata")) if is_known => return Ok(Form::PartialMetadata),
            (true, Some("PartialObjectMetadataList")) if is_known => return Ok(Form::PartialMetadataList),
            (false, None) if media.kind == "application/yaml" => return Ok(Form::Yaml),
            _ => {}
        }
    }
    Err(ApiError::not_acceptable("application/json, application/yaml, application/vnd.kubernetes.protobuf"))
}

pub(crate) fn discovery_form(headers: &HeaderMap) -> Result<DiscoveryForm, ApiError> {
    for media in accepted(headers).split(',').map(Media::parse).filter(Media::is_json) {
        match (media.get("as"), media.get("v")) {
            (None, _) => return Ok(DiscoveryForm::Legacy),
            (Some("APIGroupDiscoveryList"), Some("v2")) => {
                return Ok(DiscoveryForm::Aggregated { version: "v2" });
            }
            (Some("APIGroupDiscoveryList"), Some("v2beta1")) => {
                return Ok(DiscoveryForm::Aggregated { version: "v2beta1" });
            }
            _ => {}
        }
    }
    Err(ApiError::not_acceptable("application/json"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(accept: &'static str) -> Result<Form, ApiError> {
        form(&HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]))
    }

    #[test]
    fn the_first_form_that_we_have_wins() {
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;\
                       g=meta.k8s.io,application/json";
        assert_eq!(of(kubectl).unwrap(), Form::Table);
        assert_eq!(of("application/vnd.kubernetes.protobuf,application/json").unwrap(), Form::Json);
        assert_eq!(
            of("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1").unwrap(),
            Form::PartialMetadataList
        );
        assert_eq!(form(&HeaderMap::new()).unwrap(), Form::Json);
        assert_eq!(of("application/vnd.kubernetes.protobuf").unwrap_err().reason(), "NotAcceptable");
    }
}
