//! The raw `spec` of a SchemaDefinition, as users write it: every field of the contract, nothing checked.
//!
//! [`crate::Schema::parse`] turns it into a validated schema. Descriptions here become the CRD's.

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value as Json};

/// The contract of one object type: its shape, who may do what with it, and what is kept of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SchemaDefinitionSpec {
    /// The organisation, the first part of the namespace `{org}-{app}-{domain}`.
    #[cfg_attr(feature = "schemars", schemars(regex(pattern = NAME_PATTERN), length(min = 1, max = 63)))]
    pub org: String,
    /// The application.
    #[cfg_attr(feature = "schemars", schemars(regex(pattern = NAME_PATTERN), length(min = 1, max = 63)))]
    pub app: String,
    /// The domain: its schemas share a Postgres schema and a Postgres role.
    #[cfg_attr(feature = "schemars", schemars(regex(pattern = NAME_PATTERN), length(min = 1, max = 63)))]
    pub domain: String,
    /// The object type, as it stands in routes.
    #[cfg_attr(feature = "schemars", schemars(regex(pattern = NAME_PATTERN), length(min = 1, max = 63)))]
    pub object: String,
    /// The version of the contract: v1, v2, ….
    #[cfg_attr(feature = "schemars", schemars(regex(pattern = "^v[1-9][0-9]*$"), length(max = 10)))]
    pub version: String,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schemars", schemars(length(max = 200)))]
    pub display_name: Option<String>,
    /// What the records are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schemars", schemars(length(max = 4096)))]
    pub description: Option<String>,
    /// The fields of a record, besides the system fields.
    #[cfg_attr(
        feature = "schemars",
        schemars(length(min = 1, max = 500), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))
    )]
    pub fields: Vec<FieldSpec>,
    /// Combinations of fields of which no two records may have the same values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schemars", schemars(length(max = 32)))]
    pub unique_constraints: Vec<UniqueConstraintSpec>,
    /// Indexes beyond those that unique and filterable fields bring.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schemars", schemars(length(max = 32)))]
    pub indexes: Vec<IndexSpec>,
    /// Rules across fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<ValidationSpec>,
    /// Who may do what. Without it only `platform-admin` may do anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<AccessSpec>,
    /// Full-text search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<SearchSpec>,
    /// History and point-in-time reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_machine: Option<TimeMachineSpec>,
    /// What the audit trail demands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditSpec>,
    /// When records leave for the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveSpec>,
    /// How callers prove who they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<AuthSpec>,
    /// Objectives and alerts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observability: Option<ObservabilitySpec>,
    /// How the API scales for this schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<ScalingSpec>,
}

/// Single dashes only: `--` is kept free so that no two paths meet in one Postgres name.
#[cfg(feature = "schemars")]
const NAME_PATTERN: &str = "^[a-z0-9]+(-[a-z0-9]+)*$";

/// The type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the words are the documentation; see the table of field types")]
pub enum TypeSpec {
    String,
    Integer,
    Number,
    Boolean,
    Timestamp,
    Date,
    Time,
    Json,
    Enum,
    Uuid,
    Bytes,
    Array,
}

/// How carefully a value is to be handled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the words are the documentation")]
pub enum Sensitivity {
    #[default]
    None,
    Internal,
    Pii,
    Financial,
    Confidential,
}

/// One field of a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FieldSpec {
    /// Letters, digits and underscores, beginning with a letter.
    #[cfg_attr(
        feature = "schemars",
        schemars(regex(pattern = "^[a-zA-Z][a-zA-Z0-9_]*$"), length(min = 1, max = 63))
    )]
    pub name: String,
    /// The type of its values.
    #[serde(rename = "type")]
    pub field_type: TypeSpec,
    /// What the field means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schemars", schemars(length(max = 4096)))]
    pub description: Option<String>,
    /// Whether every record must have a value.
    #[serde(default, skip_serializing_if = "is_false")]
    pub required: bool,
    /// Whether no two records may have the same value.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unique: bool,
    /// What a new record gets when it says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schemars", schemars(extend("x-kubernetes-preserve-unknown-fields" = true)))]
    pub default: Option<Json>,
    /// Whether conditions may name it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub filterable: bool,
    /// Whether lists may be sorted by it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub sortable: bool,
    /// Whether search looks into it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub searchable: bool,
    /// Whether its value stays as it was created.
    #[serde(default, skip_serializing_if = "is_false")]
    pub immutable: bool,
    /// Whether the platform fills it in (uuid: a new version 7).
    #[serde(default, skip_serializing_if = "is_false")]
    pub auto_populated: bool,
    /// How carefully its values are to be handled.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sensitivity: Sensitivity,
    /// The name that it had before: a rename keeps the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<String>,
    /// Whether clients should stop using it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub deprecated: bool,
    /// The record of another schema that the value points to.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<RefSpec>,
    /// string: the fewest characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_length: Option<u32>,
    /// string: the most characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u32>,
    /// string: a regular expression (linear-time dialect: no look-around, no back-references) found in every value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schemars", schemars(length(max = 1024)))]
    pub pattern: Option<String>,
    /// integer, number: the smallest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Number>,
    /// integer, number: the largest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Number>,
    /// number: how many digits in all (default 18).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schemars", schemars(range(min = 1, max = 1000)))]
    pub precision: Option<u32>,
    /// number: how many of them after the point (default 2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schemars", schemars(range(min = 0, max = 1000)))]
    pub scale: Option<u32>,
    /// enum: the values that there are.
    #[serde(default, rename = "enum", skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schemars", schemars(length(max = 1000)))]
    pub values: Vec<String>,
    /// bytes: the most bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<u32>,
    /// array: the type of its elements, a scalar type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<TypeSpec>,
    /// array: the fewest elements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_items: Option<u32>,
    /// array: the most elements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_items: Option<u32>,
    /// array: whether no element may come twice.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unique_items: bool,
    /// json: a JSON Schema that every value fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schemars", schemars(extend("type" = "object", "x-kubernetes-preserve-unknown-fields" = true)))]
    pub schema: Option<Json>,
}

/// A pointer to a record of another schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RefSpec {
    /// The target's organisation; without it: this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org: Option<String>,
    /// The target's application; without it: this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The target's domain; without it: this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The target's object type.
    pub object: String,
    /// The target's version.
    pub version: String,
    /// The field of the target whose value is meant: its id or a unique field.
    #[serde(default = "id_field")]
    pub field: String,
    /// What a delete of the target does.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_delete: OnDelete,
    /// Whether the database enforces it. `false`: a relation only, for data whose targets may be missing.
    #[serde(default = "enforced", skip_serializing_if = "Clone::clone")]
    pub enforce: bool,
}

/// What happens to records that point to one that is deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum OnDelete {
    /// The delete is refused while they are there.
    #[default]
    Restrict,
    /// They are deleted too.
    Cascade,
    /// They lose the value.
    SetNull,
}

/// Fields whose values together are unique.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct UniqueConstraintSpec {
    /// The fields, in the order of the index behind it.
    #[cfg_attr(feature = "schemars", schemars(length(min = 1, max = 16)))]
    pub fields: Vec<String>,
}

/// An index for queries that the schema's owner knows of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct IndexSpec {
    /// The fields in order; `-name` for descending.
    #[cfg_attr(feature = "schemars", schemars(length(min = 1, max = 16)))]
    pub fields: Vec<String>,
    /// A CEL condition over `record`: only the records that fit it are in the index.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schemars", schemars(length(max = 10240)))]
    pub condition: Option<String>,
}

/// Rules across fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ValidationSpec {
    /// Each must hold for every record that is written.
    #[serde(default)]
    #[cfg_attr(feature = "schemars", schemars(length(max = 100)))]
    pub rules: Vec<RuleSpec>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RuleSpec {
    /// A CEL condition over `self`, and `oldSelf` (then the rule holds for updates only).
    #[cfg_attr(feature = "schemars", schemars(length(min = 1, max = 10240)))]
    pub rule: String,
    /// What the caller is told when it does not hold.
    #[cfg_attr(feature = "schemars", schemars(length(min = 1, max = 1024)))]
    pub message: String,
    /// The field that the error names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// Who may do what.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AccessSpec {
    /// The roles that may do each operation. An operation that is not listed is denied to everyone but `platform-admin`.
    #[serde(default)]
    pub roles: RolesSpec,
    /// Conditions on the actor, the request and the record.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schemars", schemars(length(max = 100)))]
    pub abac: Vec<AbacSpec>,
    /// Which records a role sees.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schemars", schemars(length(max = 100)))]
    pub row_filter: Vec<RowFilterSpec>,
    /// Which fields a role sees and sets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schemars", schemars(length(max = 500)))]
    pub field_access: Vec<FieldAccessSpec>,
}

/// The roles that may do each operation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RolesSpec {
    /// Create records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub create: Vec<String>,
    /// Read and list records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<String>,
    /// Change records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub update: Vec<String>,
    /// Delete records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delete: Vec<String>,
    /// Undelete records and restore earlier states.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restore: Vec<String>,
    /// Read what records were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<String>,
    /// Take records out in bulk.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub export: Vec<String>,
}

/// A condition that a request must meet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AbacSpec {
    /// The operations that it is asked for.
    pub operations: Vec<String>,
    /// A CEL condition over `actor`, `request` and `record`.
    #[cfg_attr(feature = "schemars", schemars(length(min = 1, max = 10240)))]
    pub condition: String,
    /// What the caller is told when it does not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The records that a role sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RowFilterSpec {
    /// The role, or `*` for a filter that holds for everyone on top.
    #[cfg_attr(feature = "schemars", schemars(length(min = 1, max = 128)))]
    pub role: String,
    /// A CEL condition over `record` and `actor`; it becomes a row-level security policy.
    #[cfg_attr(feature = "schemars", schemars(length(min = 1, max = 10240)))]
    pub condition: String,
}

/// Who sees and sets a field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FieldAccessSpec {
    /// The field.
    pub field: String,
    /// The roles that see it in clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<Vec<String>>,
    /// The roles that may set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write: Option<Vec<String>>,
    /// What the others see; without it: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masking: Option<MaskingSpec>,
}

/// How a value is masked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MaskingSpec {
    /// The kind of mask.
    pub strategy: MaskingStrategy,
    /// partial: how many characters at the end stay (default 4, never more than half).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visible_chars: Option<u32>,
    /// range: the width of the band.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range_size: Option<Number>,
}

/// The kinds of mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the words are the documentation")]
pub enum MaskingStrategy {
    Partial,
    Hash,
    Range,
    Redact,
    Tokenise,
}

/// Full-text search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SearchSpec {
    /// 1: Postgres patterns, 2: Postgres full text, 3: a search engine.
    #[cfg_attr(feature = "schemars", schemars(range(min = 1, max = 3)))]
    pub tier: u8,
    /// The fields that are searched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schemars", schemars(extend("items" = {"x-kubernetes-preserve-unknown-fields": true})))]
    pub fields: Vec<SearchFieldSpec>,
    /// The language of the texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

/// A field that is searched: its name, or its name with settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum SearchFieldSpec {
    /// Its name.
    Name(String),
    /// Its name with settings.
    Settings {
        /// The field.
        name: String,
        /// Whether results are counted by its values.
        #[serde(default)]
        facet: bool,
        /// How much a match in it counts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        weight: Option<f64>,
    },
}

/// History and point-in-time reads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TimeMachineSpec {
    /// Whether earlier states can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// How long events stay in Postgres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hot_retention: Option<String>,
    /// How long they stay in the archive after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm_retention: Option<String>,
}

/// What the audit trail demands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AuditSpec {
    /// The operations that need a reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require_reason: Vec<String>,
    /// A regular expression that every reason matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schemars", schemars(length(max = 1024)))]
    pub reason_pattern: Option<String>,
    /// Whether reads of sensitive fields are events too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensitive_reads: Option<bool>,
}

/// When records leave for the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ArchiveSpec {
    /// The ArchivePolicy.
    pub policy_ref: ObjectRef,
}

/// How callers prove who they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AuthSpec {
    /// The AuthStrategy; without it: the installation's default.
    pub strategy_ref: ObjectRef,
}

/// A resource, in this namespace unless one is named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// Its name.
    pub name: String,
    /// Its namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// Objectives and alerts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ObservabilitySpec {
    /// The service-level objectives.
    #[serde(default)]
    pub slos: Vec<SloSpec>,
}

/// One service-level objective.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SloSpec {
    /// The operation.
    pub operation: String,
    /// Its 99th percentile in milliseconds.
    #[serde(default, rename = "p99Ms", skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<u32>,
    /// Its availability in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub availability: Option<f64>,
    /// Over which time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
}

/// How the API scales.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ScalingSpec {
    /// The fewest replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_replicas: Option<u32>,
    /// The most replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_replicas: Option<u32>,
    /// The load that is aimed at, in percent.
    #[serde(default, rename = "targetCPUUtilization", skip_serializing_if = "Option::is_none")]
    pub target_cpu_utilization: Option<u32>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(value: &bool) -> bool {
    !value
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn id_field() -> String {
    "id".to_owned()
}

fn enforced() -> bool {
    true
}
