//! What the operator says of a resource: its `status`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a SchemaDefinition stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SchemaDefinitionStatus {
    /// In one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The hash of the spec that is provisioned and served: `sha256:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec_hash: Option<String>,
    /// The hash of the plan in `pendingOperations`, which an approval names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_hash: Option<String>,
    /// The table in Postgres: `schema.table`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// The path of the routes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The exact DDL that is blocked or running, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending_operations: Vec<PendingOperation>,
    /// What holds and what does not, each with its reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(
        feature = "crd",
        schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))
    )]
    pub conditions: Vec<Condition>,
}

/// A SchemaDefinition's standing in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
pub enum Phase {
    /// Its table is being made or changed.
    Provisioning,
    /// The current spec is served.
    Ready,
    /// A change waits for an approval; the earlier shape is served.
    Blocked,
    /// The spec is invalid, or applying it failed.
    Failed,
    /// It is being deleted.
    Terminating,
}

impl Phase {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "Provisioning",
            Self::Ready => "Ready",
            Self::Blocked => "Blocked",
            Self::Failed => "Failed",
            Self::Terminating => "Terminating",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
pub struct PendingOperation {
    /// What it does, for people.
    pub summary: String,
    /// How careful one must be with it.
    pub class: OperationClass,
    /// The strongest lock that it takes on the table, as Postgres names it.
    pub lock: String,
    /// The exact SQL.
    pub sql: String,
    /// Why it has not been done.
    pub reason: String,
}

/// How careful one must be with a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum OperationClass {
    /// Applied at once.
    Safe,
    /// Applied when the data allow it.
    NeedsData,
    /// Applied only when approved.
    Breaking,
}

/// Where an AuthStrategy stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AuthStrategyStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What holds and what does not, each with its reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(
        feature = "crd",
        schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))
    )]
    pub conditions: Vec<Condition>,
}

/// Where a RoleBinding stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RoleBindingStatus {
    /// In one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<BindingPhase>,
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What holds and what does not, each with its reason: `Ready` and `Expired`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(
        feature = "crd",
        schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))
    )]
    pub conditions: Vec<Condition>,
}

/// A RoleBinding's standing in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
pub enum BindingPhase {
    /// It is in force.
    Ready,
    /// It gives nothing, because of what it says or where it stands.
    Refused,
    /// It gives nothing any more: its time is over.
    Expired,
}

impl BindingPhase {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Refused => "Refused",
            Self::Expired => "Expired",
        }
    }
}

impl fmt::Display for BindingPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The types of condition.
pub mod condition {
    /// The resource does what its spec says.
    pub const READY: &str = "Ready";
    /// The table has the declared shape.
    pub const TABLE_READY: &str = "TableReady";
    /// Row-level security and grants are in force.
    pub const POLICIES_READY: &str = "PoliciesReady";
    /// Events are written.
    pub const HISTORY_READY: &str = "HistoryReady";
    /// Search works.
    pub const SEARCH_READY: &str = "SearchReady";
    /// A change waits for an approval or for data.
    pub const MIGRATION_BLOCKED: &str = "MigrationBlocked";
    /// The live table differs from what was applied.
    pub const DRIFTED: &str = "Drifted";
    /// The time of a RoleBinding is over.
    pub const EXPIRED: &str = "Expired";
}

/// Something that holds or does not, as Kubernetes has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What it is about.
    #[serde(rename = "type")]
    #[cfg_attr(
        feature = "crd",
        schemars(regex(pattern = "^[A-Za-z][A-Za-z0-9]*$"), length(min = 1, max = 316))
    )]
    pub kind: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why, in one CamelCase word.
    #[cfg_attr(
        feature = "crd",
        schemars(regex(pattern = "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"), length(min = 1, max = 1024))
    )]
    pub reason: String,
    /// Why, for people.
    #[cfg_attr(feature = "crd", schemars(length(max = 32768)))]
    pub message: String,
    /// When `status` last changed: RFC 3339.
    #[cfg_attr(feature = "crd", schemars(extend("format" = "date-time")))]
    pub last_transition_time: String,
    /// The generation of the spec that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It cannot be told.
    Unknown,
}

/// Puts `new` among the conditions, in the place of the one of its type. `lastTransitionTime` stays as it was unless the
/// status changes.
pub fn set_condition(conditions: &mut Vec<Condition>, mut new: Condition) {
    match conditions.iter_mut().find(|old| old.kind == new.kind) {
        Some(old) => {
            if old.status == new.status {
                new.last_transition_time.clone_from(&old.last_transition_time);
            }
            *old = new;
        }
        None => conditions.push(new),
    }
}

/// The condition of that type.
pub fn find_condition<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.kind == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(status: ConditionStatus, reason: &str, at: &str) -> Condition {
        Condition {
            kind: condition::READY.into(),
            status,
            reason: reason.into(),
            message: String::new(),
            last_transition_time: at.into(),
            observed_generation: Some(1),
        }
    }

    #[test]
    fn a_condition_keeps_its_time_while_its_status_stays() {
        let mut all = vec![ready(ConditionStatus::False, "Provisioning", "t1")];
        set_condition(&mut all, ready(ConditionStatus::False, "Waiting", "t2"));
        assert_eq!((all[0].reason.as_str(), all[0].last_transition_time.as_str()), ("Waiting", "t1"));
        set_condition(&mut all, ready(ConditionStatus::True, "Provisioned", "t3"));
        assert_eq!((all.len(), all[0].last_transition_time.as_str()), (1, "t3"));
    }

    #[test]
    fn a_status_reads_back_as_the_contract_writes_it() {
        let json = serde_json::json!({
            "phase": "Blocked", "observedGeneration": 3, "specHash": "sha256:ab", "planHash": "sha256:cd",
            "table": "acme__supply_chain__procurement.purchase_order_v1",
            "endpoint": "/api/acme/supply-chain/procurement/purchase-order/v1",
            "pendingOperations": [{ "summary": "drop column note", "class": "needsData", "lock": "ACCESS EXCLUSIVE",
                "sql": "alter table …", "reason": "breaking" }],
            "conditions": [{ "type": "Ready", "status": "False", "reason": "Blocked", "message": "m",
                "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 3 }],
        });
        let status: SchemaDefinitionStatus = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(status).unwrap(), json);
    }
}
