//! The CustomResourceDefinitions that this binary was built with.

use serde_json::{Map, Value};

use crate::failure::{Failure, Outcome};

/// Those of `deploy/crds`; a test tells when one is missing here.
const FILES: [&str; 3] = [
    include_str!("../../../../../deploy/crds/schemadefinitions.velocity.sh.yaml"),
    include_str!("../../../../../deploy/crds/authstrategies.velocity.sh.yaml"),
    include_str!("../../../../../deploy/crds/rolebindings.velocity.sh.yaml"),
];

/// A kind.
pub(super) struct Definition(Value);

/// A field, or the kind as a whole.
pub(super) struct Found<'a> {
    /// Its schema.
    pub(super) schema: &'a Value,
    /// From the kind to it: `spec.fields.name`.
    pub(super) path: Vec<String>,
    /// Whether what it is in needs it.
    pub(super) required: bool,
}

/// A name that is not there.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) name: String,
    /// Where it was looked for.
    pub(super) within: String,
    pub(super) there: Vec<String>,
}

/// Every kind.
pub(super) fn all() -> Outcome<Vec<Definition>> {
    FILES
        .iter()
        .map(|text| {
            serde_saphyr::from_str(text).map(Definition).map_err(|error| {
                Failure::failed(format!("a definition in this binary cannot be read: {error}"))
            })
        })
        .collect()
}

impl Definition {
    /// `SchemaDefinition`.
    pub(super) fn kind(&self) -> &str {
        self.0["spec"]["names"]["kind"].as_str().unwrap_or_default()
    }

    /// `velocity.sh/v1`.
    pub(super) fn api_version(&self) -> String {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        format!("{}/{}", text(&self.0["spec"]["group"]), text(&self.0["spec"]["versions"][0]["name"]))
    }

    /// Singular, plural and short names.
    pub(super) fn names(&self) -> Vec<String> {
        let names = &self.0["spec"]["names"];
        let short = names["shortNames"].as_array().into_iter().flatten();
        [&names["singular"], &names["plural"]]
            .into_iter()
            .chain(short)
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    }

    pub(super) fn is_called(&self, word: &str) -> bool {
        let word = word.to_ascii_lowercase();
        self.names().contains(&word)
    }

    fn root(&self) -> &Value {
        &self.0["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    }

    /// The field at a path; lists are looked through.
    pub(super) fn find(&self, path: &[&str]) -> Result<Found<'_>, Lost> {
        let mut found = Found { schema: self.root(), path: Vec::new(), required: false };
        for name in path {
            let properties = members(found.schema);
            let Some(schema) = properties.and_then(|all| all.get(*name)) else {
                return Err(Lost {
                    name: (*name).to_owned(),
                    within: found.path.join("."),
                    there: properties.into_iter().flat_map(|all| all.keys().cloned()).collect(),
                });
            };
            found.required = is_required(found.schema, name);
            found.schema = schema;
            found.path.push((*name).to_owned());
        }
        Ok(found)
    }
}

/// What a value is, or the elements of a list of them.
pub(super) fn element(schema: &Value) -> &Value {
    match schema.get("items") {
        Some(items) => element(items),
        None => schema.get("additionalProperties").filter(|more| more.is_object()).unwrap_or(schema),
    }
}

/// The fields of a value.
pub(super) fn members(schema: &Value) -> Option<&Map<String, Value>> {
    element(schema).get("properties")?.as_object()
}

/// Whether a value needs the field.
pub(super) fn is_required(schema: &Value, name: &str) -> bool {
    let required = element(schema)["required"].as_array();
    required.into_iter().flatten().any(|required| required == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_the_installation_is_in_the_binary() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/crds");
        let mut there: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
            .collect();
        let mut here = FILES.map(str::to_owned).to_vec();
        there.sort();
        here.sort();
        assert!(there == here, "FILES and deploy/crds differ");
    }
}
