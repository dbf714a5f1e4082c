//! Several strategies in order.

use velocity_contract::auth_strategy::CompositeSpec;
use velocity_schema::Violations;
use velocity_schema::schema::StrategyRef;

use crate::strategy::Scope;

/// Most members of a composite.
const MAX_MEMBERS: usize = 16;
/// Longest name of a resource and of a namespace.
const NAME_MAX: usize = 253;
const NAMESPACE_MAX: usize = 63;

/// A member as it is written: its namespace is that of the composite unless it says one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    namespace: Option<String>,
    name: String,
}

impl Member {
    /// The member of a composite in `namespace`.
    pub(crate) fn in_namespace(&self, namespace: &str) -> StrategyRef {
        StrategyRef {
            namespace: self.namespace.clone().unwrap_or_else(|| namespace.to_owned()),
            name: self.name.clone(),
        }
    }
}

/// The validated form of `spec.composite`; its problems go to `violations`.
pub(crate) fn parse(spec: &CompositeSpec, violations: &mut Violations) -> Vec<Member> {
    let mut scope = Scope::new("spec.composite", violations);
    if !(1..=MAX_MEMBERS).contains(&spec.strategies.len()) {
        scope.push("strategies", "length", format!("must name 1 to {MAX_MEMBERS} strategies"));
        return Vec::new();
    }
    let mut members: Vec<Member> = Vec::new();
    for (index, reference) in spec.strategies.iter().enumerate() {
        let at = format!("strategies[{index}]");
        if !(1..=NAME_MAX).contains(&reference.name.len()) {
            scope.push(&format!("{at}.name"), "length", format!("must be 1 to {NAME_MAX} characters"));
        }
        if reference.namespace.as_ref().is_some_and(|n| !(1..=NAMESPACE_MAX).contains(&n.len())) {
            scope.push(
                &format!("{at}.namespace"),
                "length",
                format!("must be 1 to {NAMESPACE_MAX} characters"),
            );
        }
        let member = Member { namespace: reference.namespace.clone(), name: reference.name.clone() };
        if members.contains(&member) {
            scope.push(&at, "unique", "is there already");
        }
        members.push(member);
    }
    members
}
