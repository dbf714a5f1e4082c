//! Whether a strategy can be used. Pure.

use kube::api::DynamicObject;
use serde_json::Value as Json;
use velocity_access::AuthStrategy;
use velocity_contract::auth_strategy::{AuthStrategySpec, AuthStrategyType, SecretKeyRef};
use velocity_contract::vouching::{cycle, may_vouch, members, refusal};
use velocity_schema::schema::StrategyRef;

/// The other strategies.
pub(super) trait Others {
    /// What a strategy says, as far as it can be read.
    fn find(&self, name: &StrategyRef) -> Option<AuthStrategySpec>;
    /// Whether it is there, readable or not.
    fn is_there(&self, name: &StrategyRef) -> bool;
}

/// The Secret that a strategy names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ClientSecret {
    NotNeeded,
    Found,
    /// It cannot be used: why.
    Missing(String),
}

/// Whether a strategy can be used, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) ready: bool,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// What the object says, if it can be read.
pub(super) fn spec_of(object: &DynamicObject) -> Result<AuthStrategySpec, serde_json::Error> {
    serde_json::from_value(object.data.get("spec").unwrap_or(&Json::Null).clone())
}

/// The Secret that the strategy names.
pub(super) fn secret_ref(object: &DynamicObject) -> Option<SecretKeyRef> {
    spec_of(object).ok()?.oidc?.client_secret_ref
}

/// Judges the strategy among the others. `default` is the namespace of the installation's default strategy.
pub(super) fn verdict(
    object: &DynamicObject,
    others: &dyn Others,
    default: Option<&str>,
    secret: &ClientSecret,
) -> Verdict {
    let refused = |reason, message| Verdict { ready: false, reason, message };
    let spec = match spec_of(object) {
        Ok(spec) => spec,
        Err(error) => return refused("InvalidSpec", format!("spec: {error}")),
    };
    if let Err(violations) = AuthStrategy::parse(&spec) {
        return refused("InvalidSpec", violations.to_string());
    }
    let own = StrategyRef {
        namespace: object.metadata.namespace.clone().unwrap_or_default(),
        name: object.metadata.name.clone().unwrap_or_default(),
    };
    let members = members(&own.namespace, &spec);
    let foreign =
        members.iter().enumerate().filter(|(_, m)| !may_vouch(&own.namespace, &m.namespace, default));
    let foreign: Vec<String> = foreign
        .map(|(index, member)| {
            let why = refusal(&own.namespace, &member.namespace);
            format!("spec.composite.strategies[{index}].namespace: {why}")
        })
        .collect();
    if !foreign.is_empty() {
        return refused("ForeignStrategy", foreign.join("; "));
    }
    if let Some(way) = way_without_an_end(&own, &spec, others) {
        return refused(
            "Cycle",
            format!(
                "spec.composite.strategies: a composite that leads back to itself decides nothing: {way}"
            ),
        );
    }
    let nested: Vec<String> =
        members.iter().filter(|m| is_composite(m, others)).map(ToString::to_string).collect();
    if !nested.is_empty() {
        let message = format!(
            "spec.composite.strategies: {} is a composite itself: list its members here instead",
            nested.join(", ")
        );
        return refused("NestedComposite", message);
    }
    let missing: Vec<String> =
        members.iter().filter(|member| !others.is_there(member)).map(ToString::to_string).collect();
    if !missing.is_empty() {
        return refused("StrategyMissing", format!("there is no AuthStrategy {}", missing.join(", ")));
    }
    if let ClientSecret::Missing(why) = secret {
        return refused("SecretMissing", format!("spec.oidc.clientSecretRef: {why}"));
    }
    Verdict { ready: true, reason: "Accepted", message: "credentials are checked against it".to_owned() }
}

fn is_composite(name: &StrategyRef, others: &dyn Others) -> bool {
    others.find(name).is_some_and(|spec| spec.kind == AuthStrategyType::Composite)
}

fn way_without_an_end(own: &StrategyRef, spec: &AuthStrategySpec, others: &dyn Others) -> Option<String> {
    let members_of = |name: &StrategyRef| {
        if name == own {
            return members(&own.namespace, spec);
        }
        others.find(name).map(|spec| members(&name.namespace, &spec)).unwrap_or_default()
    };
    let way = cycle(own, &members_of)?;
    Some(way.iter().map(ToString::to_string).collect::<Vec<_>>().join(" -> "))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::json;

    use super::*;

    #[derive(Default)]
    struct All(HashMap<String, Json>);

    impl Others for All {
        fn find(&self, name: &StrategyRef) -> Option<AuthStrategySpec> {
            serde_json::from_value(self.0.get(&name.to_string())?.clone()).ok()
        }

        fn is_there(&self, name: &StrategyRef) -> bool {
            self.0.contains_key(&name.to_string())
        }
    }

    fn keys() -> Json {
        json!({ "type": "apiKey", "apiKey": {} })
    }

    fn composite(members: &[&str]) -> Json {
        let member = |text: &&str| {
            let (namespace, name) = text.split_once('/').unwrap();
            json!({ "namespace": namespace, "name": name })
        };
        json!({ "type": "composite", "composite": { "strategies": members.iter().map(member).collect::<Vec<_>>() } })
    }

    fn judge(name: &str, spec: &Json, others: &[(&str, Json)]) -> Verdict {
        let (namespace, name) = name.split_once('/').unwrap();
        let object = serde_json::from_value(json!({
            "apiVersion": "velocity.sh/v1", "kind": "AuthStrategy",
            "metadata": { "name": name, "namespace": namespace }, "spec": spec
        }))
        .unwrap();
        let others = All(others.iter().map(|(name, spec)| ((*name).to_owned(), spec.clone())).collect());
        verdict(&object, &others, Some("velocity-auth-main"), &ClientSecret::NotNeeded)
    }

    #[test]
    fn a_composite_of_what_is_there_is_accepted_and_one_of_what_is_not_is_told_what() {
        let all = [("platform/keys", keys()), ("velocity-auth-main/jwt", keys())];
        let of = |members: &[&str]| judge("platform/all", &composite(members), &all);
        assert!(of(&["platform/keys", "velocity-auth-main/jwt"]).ready);
        let missing = of(&["platform/keys", "platform/gone", "other/gone"]);
        assert_eq!(missing.reason, "StrategyMissing");
        assert!(missing.message.ends_with("platform/gone, other/gone"), "{}", missing.message);
    }

    #[test]
    fn a_composite_of_another_domains_strategy_is_refused_wherever_the_composite_is() {
        let all = [("evil-shop-sales/own", keys())];
        for name in ["platform/default", "acme-shop-sales/own", "velocity-auth-main/default"] {
            let refused = judge(name, &composite(&["evil-shop-sales/own"]), &all);
            assert_eq!(refused.reason, "ForeignStrategy", "{name}");
            assert!(
                refused.message.contains("spec.composite.strategies[0].namespace"),
                "{}",
                refused.message
            );
        }
        assert!(judge("evil-shop-sales/all", &composite(&["evil-shop-sales/own"]), &all).ready);
    }

    #[test]
    fn a_composite_in_a_composite_is_refused_as_the_api_does_not_run_it() {
        let all = [("p/inner", composite(&["p/keys"])), ("p/keys", keys())];
        let refused = judge("p/outer", &composite(&["p/keys", "p/inner"]), &all);
        assert_eq!(refused.reason, "NestedComposite");
        assert!(refused.message.contains("p/inner is a composite itself"), "{}", refused.message);
    }

    #[test]
    fn composites_in_a_circle_are_refused_with_the_way() {
        let all = [("p/b", composite(&["p/c"])), ("p/c", composite(&["p/a"])), ("p/a", keys())];
        let refused = judge("p/a", &composite(&["p/b"]), &all);
        assert_eq!(refused.reason, "Cycle");
        assert!(refused.message.contains("p/a -> p/b -> p/c -> p/a"), "{}", refused.message);
    }
}
