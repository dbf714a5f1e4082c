//! From a binding to its status. Pure.

use jiff::Timestamp;
use kube::api::DynamicObject;
use serde_json::Value as Json;
use velocity_access::Bindings;
use velocity_contract::role_binding::RoleBindingSpec;
use velocity_contract::status::{
    BindingPhase, Condition, ConditionStatus, RoleBindingStatus, condition, set_condition,
};

use crate::reconcile::shown;

/// What a binding gives now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// What it says, perhaps for a time.
    Ready { until: Option<Timestamp> },
    /// Nothing: why, all of it.
    Refused(Vec<String>),
    /// Nothing, only because no domain has the namespace, perhaps not yet.
    NoDomain(String),
    /// Nothing any more.
    Expired { since: Timestamp },
}

impl Verdict {
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Ready { .. } => "InForce",
            Self::Refused(_) => "Refused",
            Self::NoDomain(_) => "NoDomain",
            Self::Expired { .. } => "Expired",
        }
    }

    pub(super) fn message(&self) -> String {
        match self {
            Self::Ready { until: None } => "it is in force".to_owned(),
            Self::Ready { until: Some(until) } => format!("it is in force until {until}"),
            Self::Refused(reasons) => reasons.join("; "),
            Self::NoDomain(reason) => reason.clone(),
            Self::Expired { since } => {
                format!("its time was over at {since}: delete it, or give it a later expiresAt")
            }
        }
    }

    fn phase(&self) -> BindingPhase {
        match self {
            Self::Ready { .. } => BindingPhase::Ready,
            Self::Refused(_) | Self::NoDomain(_) => BindingPhase::Refused,
            Self::Expired { .. } => BindingPhase::Expired,
        }
    }
}

/// What the binding gives at `now`, where its namespace belongs to `domain`.
pub(super) fn verdict(object: &DynamicObject, domain: Option<&str>, now: Timestamp) -> Verdict {
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let mut reasons = Vec::new();
    if domain.is_none() {
        reasons.push(format!(
            "no domain has the namespace `{namespace}`: a binding is for the domain of its namespace, which the first \
             SchemaDefinition there makes it"
        ));
    }
    let spec = object.data.get("spec").unwrap_or(&Json::Null);
    let spec = match serde_json::from_value::<RoleBindingSpec>(spec.clone()) {
        Ok(spec) => Some(spec),
        Err(error) => {
            reasons.push(format!("spec: {error}"));
            None
        }
    };
    if let Some(spec) = &spec {
        // What the API says of it, which is who leaves it out.
        let (_, refused) = Bindings::build([(namespace, name, spec)]);
        reasons.extend(refused.into_iter().map(|(.., why)| why.to_string()));
    }
    match reasons.as_slice() {
        [] => {}
        [only] if domain.is_none() => return Verdict::NoDomain(only.clone()),
        _ => return Verdict::Refused(reasons),
    }
    let until = spec.and_then(|spec| spec.expires_at).and_then(|until| until.parse().ok());
    match until {
        Some(until) if until <= now => Verdict::Expired { since: until },
        until => Verdict::Ready { until },
    }
}

/// The status that says so. Transition times of conditions that stay as they are are kept.
pub(super) fn status(
    before: &RoleBindingStatus,
    generation: Option<i64>,
    verdict: &Verdict,
    now: Timestamp,
) -> RoleBindingStatus {
    let mut after = before.clone();
    after.phase = Some(verdict.phase());
    after.observed_generation = generation;
    let of = |holds: bool| if holds { ConditionStatus::True } else { ConditionStatus::False };
    let is_over = matches!(verdict, Verdict::Expired { .. });
    let expired = match verdict {
        Verdict::Expired { .. } => ("Expired", verdict.message()),
        Verdict::Ready { until: Some(until) } => ("NotYet", format!("its time is over at {until}")),
        _ => ("NotYet", String::new()),
    };
    let ready = (verdict.reason(), verdict.message());
    for (kind, holds, (reason, message)) in [
        (condition::READY, matches!(verdict, Verdict::Ready { .. }), ready),
        (condition::EXPIRED, is_over, expired),
    ] {
        set_condition(
            &mut after.conditions,
            Condition {
                kind: kind.to_owned(),
                status: of(holds),
                reason: reason.to_owned(),
                message,
                last_transition_time: shown(now),
                observed_generation: generation,
            },
        );
    }
    after
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use velocity_contract::status::find_condition;

    use super::*;

    fn object(spec: &Json) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "velocity.sh/v1", "kind": "RoleBinding",
            "metadata": { "name": "b", "namespace": "acme-shop-sales", "generation": 3 }, "spec": spec
        }))
        .unwrap()
    }

    fn of(spec: &Json) -> Verdict {
        verdict(&object(spec), Some("acme/shop/sales"), "2026-06-01T00:00:00Z".parse().unwrap())
    }

    #[test]
    fn a_binding_is_in_force_until_its_time_is_over() {
        let until = |time: &str| of(&json!({ "actor": "a", "roles": ["r"], "expiresAt": time }));
        assert_eq!(of(&json!({ "actor": "a", "roles": ["r"] })), Verdict::Ready { until: None });
        assert!(matches!(until("2026-06-01T00:00:01Z"), Verdict::Ready { until: Some(_) }));
        assert!(matches!(until("2026-06-01T00:00:00Z"), Verdict::Expired { .. }));
        assert!(matches!(until("2026-06-01T01:00:00+02:00"), Verdict::Expired { .. }));
    }

    #[test]
    fn all_that_is_wrong_is_said_and_an_expired_binding_that_is_wrong_is_refused() {
        let spec = json!({ "actor": "a", "roles": ["platform-admin"], "expiresAt": "2020-01-01T00:00:00Z" });
        let now = Timestamp::UNIX_EPOCH;
        let Verdict::Refused(reasons) = verdict(&object(&spec), None, now) else { panic!("not refused") };
        let text = reasons.join("\n");
        assert!(text.contains("no domain has the namespace `acme-shop-sales`"), "{text}");
        assert!(text.contains("platform-admin"), "{text}");
        let Verdict::Refused(reasons) = of(&json!({ "actor": 3 })) else { panic!("not refused") };
        assert!(reasons[0].starts_with("spec: "), "{reasons:?}");
    }

    #[test]
    fn the_status_has_both_conditions_and_keeps_their_times() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let first = status(
            &RoleBindingStatus::default(),
            Some(3),
            &Verdict::Ready { until: None },
            at("2026-01-01T00:00:00Z"),
        );
        let again = status(&first, Some(3), &Verdict::Ready { until: None }, at("2026-01-02T00:00:00Z"));
        assert_eq!(first, again);
        let since = at("2026-01-03T00:00:00Z");
        let over = status(&first, Some(3), &Verdict::Expired { since }, since);
        assert_eq!(over.phase, Some(BindingPhase::Expired));
        let condition = |kind| find_condition(&over.conditions, kind).unwrap();
        assert_eq!(condition("Ready").status, ConditionStatus::False);
        assert_eq!(condition("Ready").reason, "Expired");
        assert_eq!(condition("Expired").status, ConditionStatus::True);
    }
}
