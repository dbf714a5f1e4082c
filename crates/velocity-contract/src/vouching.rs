//! Whose strategy may say who somebody is.
//!
//! Who writes an AuthStrategy decides which identities there are for those who use it. So a domain uses its own, and
//! those of the installation: never that of another domain, which could make up callers here.

use std::collections::BTreeSet;

use velocity_schema::schema::StrategyRef;

use crate::auth_strategy::AuthStrategySpec;

/// Whether a strategy in the namespace `theirs` may be named in the namespace `own`, by a schema or a composite.
/// `default` is the namespace of the installation's default strategy.
///
/// A namespace that no domain can have (a domain's is `{org}-{app}-{domain}`, so it has two dashes or more) belongs to
/// the installation, such as `platform`.
pub fn may_vouch(own: &str, theirs: &str, default: Option<&str>) -> bool {
    own == theirs || default == Some(theirs) || theirs.matches('-').count() < 2
}

/// Why a strategy is refused that [`may_vouch`] does not allow; the sentence begins with what it is about.
pub fn refusal(own: &str, theirs: &str) -> String {
    format!(
        "is `{theirs}`, which can be another domain's: whoever writes strategies there would decide who the callers \
         are here; use one in `{own}`, in the namespace of the installation's default strategy, or in one with fewer \
         than two dashes"
    )
}

/// The members of a composite in `namespace`, in order; none of another type.
pub fn members(namespace: &str, spec: &AuthStrategySpec) -> Vec<StrategyRef> {
    let strategies = spec.composite.iter().flat_map(|composite| &composite.strategies);
    let member = |reference: &crate::auth_strategy::CompositeStrategyRef| StrategyRef {
        namespace: reference.namespace.clone().unwrap_or_else(|| namespace.to_owned()),
        name: reference.name.clone(),
    };
    strategies.map(member).collect()
}

/// The way from `start` through composites that comes back to one that was passed: `a`, `b`, `c`, `b`.
pub fn cycle(
    start: &StrategyRef,
    members: &dyn Fn(&StrategyRef) -> Vec<StrategyRef>,
) -> Option<Vec<StrategyRef>> {
    let (mut way, mut done) = (Vec::new(), BTreeSet::new());
    find_cycle(start, members, &mut way, &mut done).then_some(way)
}

/// Each strategy is entered once, so the depth is at most their number.
fn find_cycle(
    at: &StrategyRef,
    members: &dyn Fn(&StrategyRef) -> Vec<StrategyRef>,
    way: &mut Vec<StrategyRef>,
    done: &mut BTreeSet<String>,
) -> bool {
    let comes_back = way.contains(at);
    way.push(at.clone());
    if comes_back || way.len() > MAX_DEPTH {
        return true;
    }
    if done.insert(at.to_string()) && members(at).iter().any(|member| find_cycle(member, members, way, done))
    {
        return true;
    }
    way.pop();
    false
}

/// Deeper than anybody nests composites; a way that is longer counts as one without an end.
const MAX_DEPTH: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn cycle_of(arrows: &[(&str, &[&str])]) -> Option<String> {
        let named = |name: &str| StrategyRef { namespace: "n".into(), name: name.into() };
        let members = |at: &StrategyRef| {
            let found = arrows.iter().find(|(from, _)| *from == at.name);
            found.map(|(_, to)| to.iter().map(|name| named(name)).collect()).unwrap_or_default()
        };
        let way = cycle(&named("a"), &members)?;
        Some(way.iter().map(|strategy| strategy.name.as_str()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_way_that_comes_back_is_a_cycle_and_one_that_meets_again_is_not() {
        assert_eq!(cycle_of(&[("a", &["b", "c"]), ("b", &["d"]), ("c", &["d"])]), None);
        assert_eq!(cycle_of(&[("a", &["a"])]).unwrap(), "a a");
        assert_eq!(cycle_of(&[("a", &["x", "b"]), ("b", &["c"]), ("c", &["b"])]).unwrap(), "a b c b");
        assert_eq!(cycle_of(&[("a", &["missing"])]), None);
    }

    #[test]
    fn composites_nested_beyond_all_measure_count_as_a_cycle() {
        let named = |n: usize| StrategyRef { namespace: "n".into(), name: n.to_string() };
        let members = |at: &StrategyRef| vec![named(at.name.parse::<usize>().unwrap() + 1)];
        assert!(cycle(&named(0), &members).is_some());
    }

    #[test]
    fn only_ones_own_domain_and_the_installation_vouch() {
        let of = |theirs: &str| may_vouch("acme-shop-sales", theirs, Some("velocity-auth-main"));
        for theirs in ["acme-shop-sales", "platform", "my-platform", "velocity-auth-main"] {
            assert!(of(theirs), "{theirs}");
        }
        for theirs in ["acme-shop-stock", "evil-shop-sales", "a-b-c-d", "velocity-auth-other"] {
            assert!(!of(theirs), "{theirs}");
        }
        assert!(
            !may_vouch("platform", "evil-shop-sales", None),
            "nor does the installation rely on a domain"
        );
    }
}
