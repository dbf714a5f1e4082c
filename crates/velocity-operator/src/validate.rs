//! From the object to the schema. Pure; collects every violation.

use kube::api::DynamicObject;
use velocity_contract::vouching::{may_vouch, refusal};
use velocity_schema::spec::SchemaDefinitionSpec;
use velocity_schema::{Schema, Violations};

/// The schema that the object describes, with its spec; or everything that is wrong with it. `default` is the namespace of
/// the installation's default strategy.
pub(crate) fn schema(
    object: &DynamicObject,
    default: Option<&str>,
) -> Result<(SchemaDefinitionSpec, Schema), Violations> {
    let (spec, schema) = Schema::from_json(object.data.get("spec").unwrap_or(&serde_json::Value::Null))?;
    let wanted = schema.path().namespace();
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    if namespace != wanted {
        let mut errors = Violations::default();
        errors.push(
            "metadata.namespace",
            "namespace",
            format!("is `{namespace}`, but org, app and domain say `{wanted}`; apply it there"),
        );
        return Err(errors);
    }
    if let Some(strategy) = schema.strategy()
        && !may_vouch(namespace, &strategy.namespace, default)
    {
        let mut errors = Violations::default();
        let why = refusal(namespace, &strategy.namespace);
        errors.push("auth.strategyRef.namespace", "foreignStrategy", why);
        return Err(errors);
    }
    Ok((spec, schema))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(namespace: &str, spec: &serde_json::Value) -> DynamicObject {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "velocity.sh/v1", "kind": "SchemaDefinition",
            "metadata": {"name": "x", "namespace": namespace}, "spec": spec
        }))
        .unwrap()
    }

    #[test]
    fn a_schema_in_the_wrong_namespace_is_told_the_right_one() {
        let spec = serde_json::json!({"org": "a", "app": "b", "domain": "c", "object": "x", "version": "v1",
            "fields": [{"name": "title", "type": "string"}]});
        assert!(schema(&object("a-b-c", &spec), None).is_ok());
        let error = schema(&object("default", &spec), None).unwrap_err();
        assert!(error.to_string().contains("`a-b-c`"), "{error}");
    }

    #[test]
    fn an_object_without_a_readable_spec_is_a_violation_and_no_panic() {
        for spec in [serde_json::Value::Null, serde_json::json!("x"), serde_json::json!({"fields": 3})] {
            assert!(schema(&object("a-b-c", &spec), None).is_err());
        }
    }

    #[test]
    fn another_domains_strategy_is_refused_and_the_installations_is_not() {
        let of = |namespace: &str| {
            let spec = serde_json::json!({"org": "a", "app": "b", "domain": "c", "object": "x", "version": "v1",
                "fields": [{"name": "title", "type": "string"}],
                "auth": {"strategyRef": {"name": "own", "namespace": namespace}}});
            schema(&object("a-b-c", &spec), Some("velocity-auth-main")).map(|_| ())
        };
        for namespace in ["a-b-c", "platform", "velocity-auth-main"] {
            assert!(of(namespace).is_ok(), "{namespace}");
        }
        let error = of("a-b-d").unwrap_err();
        assert!(error.to_string().contains("auth.strategyRef.namespace"), "{error}");
    }
}
