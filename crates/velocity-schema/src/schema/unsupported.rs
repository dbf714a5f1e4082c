//! What the contract has and this release does not act on: refused by name, never accepted and ignored.

use crate::spec::SchemaDefinitionSpec;
use crate::violation::Violations;

const RULE: &str = "notSupported";

/// Reports every part of the spec that nothing would act on yet.
pub(super) fn refuse(spec: &SchemaDefinitionSpec, errors: &mut Violations) {
    let mut refuse = |present: bool, path: &str, what: &str| {
        if present {
            errors.push(path, RULE, format!("{what} not supported yet; leave it out"));
        }
    };
    for (index, field) in spec.fields.iter().enumerate() {
        let at = format!("spec.fields[{index}]");
        refuse(field.schema.is_some(), &format!("{at}.schema"), "a JSON Schema for json fields is");
    }
    if let Some(machine) = &spec.time_machine {
        refuse(machine.enabled == Some(false), "spec.timeMachine.enabled", "switching history off is");
        refuse(machine.hot_retention.is_some(), "spec.timeMachine.hotRetention", "retention of history is");
        refuse(machine.warm_retention.is_some(), "spec.timeMachine.warmRetention", "retention of history is");
    }
    refuse(spec.archive.is_some(), "spec.archive", "the archive is");
    refuse(
        spec.observability.as_ref().is_some_and(|o| !o.slos.is_empty()),
        "spec.observability.slos",
        "service-level objectives are",
    );
    refuse(spec.scaling.is_some(), "spec.scaling", "scaling per schema is");
}
