//! The kinds that are there without a CRD: what they look like and what is special about them.

mod columns;
pub(crate) mod convert;
mod meta;
mod schemas;

use serde_json::Value;

use crate::kind::{Behaviour, DEFINITIONS, Kind, NAMESPACES, Version, api_version};
use crate::schema::{Schema, SchemaError};
use crate::table::Column;

pub(crate) use meta::object_meta;

/// The table in which Events of both groups live.
pub(crate) const EVENTS: &str = "/events";

struct Builtin {
    group: &'static str,
    names: [&'static str; 3],
    short: &'static [&'static str],
    namespaced: bool,
    has_status: bool,
    behaviour: Behaviour,
    table: &'static str,
    stored_as: &'static str,
    schema: fn() -> Value,
    columns: fn() -> Vec<Column>,
    selectable: &'static [&'static str],
}

const EVENT_SELECTORS: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];

const BUILTINS: &[Builtin] = &[
    Builtin {
        group: "",
        names: ["namespaces", "namespace", "Namespace"],
        short: &["ns"],
        namespaced: false,
        has_status: true,
        behaviour: Behaviour::Namespace,
        table: NAMESPACES,
        stored_as: "v1",
        schema: schemas::namespace,
        columns: columns::namespace,
        selectable: &["status.phase"],
    },
    Builtin {
        group: "",
        names: ["secrets", "secret", "Secret"],
        short: &[],
        namespaced: true,
        has_status: false,
        behaviour: Behaviour::Secret,
        table: "/secrets",
        stored_as: "v1",
        schema: schemas::secret,
        columns: columns::secret,
        selectable: &["type"],
    },
    Builtin {
        group: "",
        names: ["configmaps", "configmap", "ConfigMap"],
        short: &["cm"],
        namespaced: true,
        has_status: false,
        behaviour: Behaviour::ConfigMap,
        table: "/configmaps",
        stored_as: "v1",
        schema: schemas::config_map,
        columns: columns::config_map,
        selectable: &[],
    },
    Builtin {
        group: "",
        names: ["events", "event", "Event"],
        short: &["ev"],
        namespaced: true,
        has_status: false,
        behaviour: Behaviour::Event,
        table: EVENTS,
        stored_as: "v1",
        schema: schemas::core_event,
        columns: columns::event,
        selectable: EVENT_SELECTORS,
    },
    Builtin {
        group: "events.k8s.io",
        names: ["events", "event", "Event"],
        short: &["ev"],
        namespaced: true,
        has_status: false,
        behaviour: Behaviour::Event,
        table: EVENTS,
        stored_as: "v1",
        schema: schemas::event,
        columns: columns::event,
        selectable: EVENT_SELECTORS,
    },
    Builtin {
        group: "coordination.k8s.io",
        names: ["leases", "lease", "Lease"],
        short: &[],
        namespaced: true,
        has_status: false,
        behaviour: Behaviour::Lease,
        table: "coordination.k8s.io/leases",
        stored_as: "coordination.k8s.io/v1",
        schema: schemas::lease,
        columns: columns::lease,
        selectable: &[],
    },
    Builtin {
        group: "apiextensions.k8s.io",
        names: ["customresourcedefinitions", "customresourcedefinition", "CustomResourceDefinition"],
        short: &["crd", "crds"],
        namespaced: false,
        has_status: true,
        behaviour: Behaviour::Definition,
        table: DEFINITIONS,
        stored_as: "apiextensions.k8s.io/v1",
        schema: schemas::definition,
        columns: columns::definition,
        selectable: &[],
    },
];

/// All of them.
pub(crate) fn kinds() -> Result<Vec<Kind>, SchemaError> {
    BUILTINS.iter().map(kind).collect()
}

fn kind(builtin: &Builtin) -> Result<Kind, SchemaError> {
    let [plural, singular, kind] = builtin.names;
    let openapi = (builtin.schema)();
    let version = Version {
        name: "v1".to_owned(),
        has_status: builtin.has_status,
        schema: Schema::parse(&openapi, kind)?,
        openapi,
        columns: (builtin.columns)(),
        selectable: builtin.selectable.iter().map(|&field| field.to_owned()).collect(),
    };
    debug_assert!(
        builtin.behaviour == Behaviour::Event || builtin.stored_as == api_version(builtin.group, "v1")
    );
    Ok(Kind {
        group: builtin.group.to_owned(),
        plural: plural.to_owned(),
        singular: singular.to_owned(),
        kind: kind.to_owned(),
        list_kind: format!("{kind}List"),
        short_names: builtin.short.iter().map(|&name| name.to_owned()).collect(),
        categories: if builtin.behaviour == Behaviour::Definition {
            vec!["api-extensions".to_owned()]
        } else {
            Vec::new()
        },
        namespaced: builtin.namespaced,
        behaviour: builtin.behaviour,
        table: builtin.table.to_owned(),
        stored_as: builtin.stored_as.to_owned(),
        versions: vec![version],
    })
}
