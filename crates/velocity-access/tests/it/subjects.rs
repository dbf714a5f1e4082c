//! What a caller may do on a schema: roles of the token and of bindings, scopes of the credential, conditions, fields.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value as Json, json};
use velocity_access::{
    Allowed, Bindings, Credential, Decision, Explanation, Identity, IdentityParts, Layer, LayerVerdict,
    Layers, PLATFORM_ADMIN, RoleSource, Subject, Verdict,
};
use velocity_contract::role_binding::RoleBindingSpec;
use velocity_schema::cel::RequestView;
use velocity_schema::schema::{Operation, Sight};
use velocity_schema::spec::SchemaDefinitionSpec;
use velocity_schema::{Schema, Value};

use crate::signer::now;

const NAMESPACE: &str = "acme-supply-procurement";

fn schema_of(object: &str, access: &Json) -> Arc<Schema> {
    let spec = json!({
        "org": "acme", "app": "supply", "domain": "procurement", "object": object, "version": "v1",
        "fields": [
            { "name": "region", "type": "string" },
            { "name": "amount", "type": "integer" },
            { "name": "note", "type": "string" },
        ],
        "access": access
    });
    Arc::new(Schema::parse(&SchemaDefinitionSpec::from_json(&spec).unwrap()).unwrap())
}

fn access() -> Json {
    json!({
        "roles": {
            "create": ["writer"], "read": ["reader", "writer", "west"], "update": ["writer", "fixer"],
            "delete": ["admin"], "restore": ["admin", "fixer"], "export": ["admin"]
        },
        "abac": [
            { "operations": ["update"], "condition": "actor.attributes.department == 'procurement'",
              "message": "only procurement" },
            { "operations": ["read", "update"], "condition": "record.region != 'secret'" }
        ],
        "rowFilter": [{ "role": "west", "condition": "record.region == actor.attributes.region" }],
        "fieldAccess": [
            { "field": "note", "read": ["admin"], "write": ["admin"] },
            { "field": "amount", "read": ["writer"], "masking": { "strategy": "redact" } }
        ]
    })
}

pub(crate) fn schema() -> Arc<Schema> {
    schema_of("order", &access())
}

pub(crate) fn caller(roles: &[&str]) -> IdentityParts {
    IdentityParts {
        roles: roles.iter().map(ToString::to_string).collect::<BTreeSet<_>>(),
        ..IdentityParts::user("ravi", "platform/dev", Timestamp::MAX)
    }
}

fn with_attributes(parts: IdentityParts, attributes: Json) -> IdentityParts {
    IdentityParts { attributes: attributes.as_object().unwrap().clone(), ..parts }
}

fn narrowed(parts: IdentityParts, scopes: &[&str]) -> IdentityParts {
    IdentityParts {
        scopes: Some(scopes.iter().map(|scope| scope.parse().unwrap()).collect()),
        credential: Credential::Key { id: "k".to_owned() },
        ..parts
    }
}

/// Each with its name, all in the namespace of the schema.
fn bindings(specs: &[(&str, Json)]) -> Bindings {
    let specs: Vec<(&str, RoleBindingSpec)> =
        specs.iter().map(|(name, spec)| (*name, serde_json::from_value(spec.clone()).unwrap())).collect();
    let (bindings, refused) = Bindings::build(specs.iter().map(|(name, spec)| (NAMESPACE, *name, spec)));
    assert!(refused.is_empty(), "{refused:?}");
    bindings
}

fn on(schema: Arc<Schema>, parts: IdentityParts, bindings: &Bindings, at: Timestamp) -> Subject {
    let identity = Arc::new(Identity::new(parts).unwrap());
    Subject::resolve(identity, bindings, schema, at, true, Layers::all())
}

/// With these layers and no bindings.
#[cfg(feature = "removable-layers")]
pub(crate) fn on_layers(parts: IdentityParts, layers: Layers) -> Subject {
    let identity = Arc::new(Identity::new(parts).unwrap());
    Subject::resolve(identity, &Bindings::default(), schema(), now(), true, layers)
}

fn subject(parts: IdentityParts) -> Subject {
    on(schema(), parts, &Bindings::default(), now())
}

fn bound(parts: IdentityParts, specs: &[(&str, Json)]) -> Subject {
    on(schema(), parts, &bindings(specs), now())
}

/// The roles that the database would be told, `None` where the operation is denied.
fn roles(subject: &Subject, operations: &[Operation]) -> Option<Vec<String>> {
    match subject.roles_for_all(operations) {
        Decision::Allowed { effective_roles } => {
            Some(effective_roles.into_iter().map(str::to_owned).collect())
        }
        Decision::Denied { .. } => None,
    }
}

fn words(operations: &[Operation]) -> Vec<&'static str> {
    operations.iter().map(|operation| operation.as_str()).collect()
}

pub(crate) fn request() -> RequestView<'static> {
    RequestView { time: 0, operation: "update", ip: None }
}

/// A record with this region.
pub(crate) fn record(schema: &Schema, region: &str) -> Vec<Value> {
    let value = |name: &str| if name == "region" { Value::String(region.to_owned()) } else { Value::Null };
    schema.fields().iter().map(|field| value(field.name.as_str())).collect()
}

#[test]
fn a_binding_adds_roles_to_those_of_the_token_and_takes_none_away() {
    let subject = bound(caller(&["reader"]), &[("b", json!({ "actor": "ravi", "roles": ["writer"] }))]);
    assert_eq!(words(&subject.operations()), ["create", "read", "update"]);
    assert_eq!(roles(&subject, &[Operation::Read]).unwrap(), ["reader", "writer"]);
}

#[test]
fn a_binding_holds_for_its_actor_and_namespace_only() {
    let give = json!({ "actor": "ravi", "roles": ["writer"] });
    let mia = IdentityParts { actor: "mia".to_owned(), ..caller(&[]) };
    assert!(bound(mia, &[("b", give.clone())]).operations().is_empty());
    let other: RoleBindingSpec = serde_json::from_value(give).unwrap();
    for namespace in ["acme-supply-procurement2", "acme-supply", "", "platform", "ACME-supply-procurement"] {
        let (bindings, _) = Bindings::build([(namespace, "b", &other)]);
        assert!(on(schema(), caller(&[]), &bindings, now()).operations().is_empty(), "{namespace}");
    }
    for actor in ["Ravi", "ravi ", "rav", "*"] {
        let spec = RoleBindingSpec { actor: actor.to_owned(), ..other.clone() };
        let (bindings, _) = Bindings::build([(NAMESPACE, "b", &spec)]);
        assert!(on(schema(), caller(&[]), &bindings, now()).operations().is_empty(), "{actor}");
    }
}

#[test]
fn a_binding_expires_to_the_second_on_every_request() {
    let expires = now() + SignedDuration::from_secs(10);
    let bindings =
        bindings(&[("b", json!({ "actor": "ravi", "roles": ["writer"], "expiresAt": expires.to_string() }))]);
    let at = |seconds| {
        let subject = on(schema(), caller(&[]), &bindings, now() + SignedDuration::from_secs(seconds));
        subject.holds("writer", Operation::Update)
    };
    assert_eq!([at(0), at(9), at(10), at(1000)], [true, true, false, false]);
}

#[test]
fn a_scope_of_a_binding_holds_for_its_object_version_and_operations() {
    for (scope, expected) in [
        (json!({ "object": "order" }), vec!["create", "read", "update"]),
        (json!({ "object": "order", "version": "v1" }), vec!["create", "read", "update"]),
        (json!({ "object": "order", "version": "v2" }), vec![]),
        (json!({ "object": "orders" }), vec![]),
        (json!({ "object": "order", "operations": ["read"] }), vec!["read"]),
        (
            json!({ "object": "order", "version": "v1", "operations": ["update", "read"] }),
            vec!["read", "update"],
        ),
    ] {
        let spec = json!({ "actor": "ravi", "roles": ["writer"], "scopes": [scope] });
        assert_eq!(words(&bound(caller(&[]), &[("b", spec)]).operations()), expected, "{scope}");
    }
}

#[test]
fn in_one_transaction_a_role_counts_only_where_it_is_held_for_every_change() {
    // `writer` is bound for create alone, though it could update; `fixer` updates and restores.
    let subject = bound(
        caller(&["fixer"]),
        &[(
            "b",
            json!({ "actor": "ravi", "roles": ["writer"], "scopes": [{ "object": "order", "operations": ["create"] }] }),
        )],
    );
    assert_eq!(roles(&subject, &[Operation::Create]).unwrap(), ["writer"]);
    assert_eq!(roles(&subject, &[Operation::Update]).unwrap(), ["fixer"]);
    assert_eq!(roles(&subject, &[Operation::Update, Operation::Restore]).unwrap(), ["fixer"]);
    // Together `writer` would come along to the update, so they are sent apart.
    assert_eq!(roles(&subject, &[Operation::Create, Operation::Update]), None);
    assert_eq!(roles(&subject, &[Operation::Update, Operation::Delete]), None);
}

#[test]
fn an_attribute_of_the_token_is_never_replaced_and_those_of_bindings_count_where_the_binding_holds() {
    let parts = || with_attributes(caller(&["reader"]), json!({ "region": "west", "empty": null }));
    let subject = bound(
        parts(),
        &[
            ("a", json!({ "actor": "ravi", "attributes": { "region": "east", "level": 1, "empty": "x" } })),
            ("b", json!({ "actor": "ravi", "attributes": { "level": 2 } })),
            (
                "c",
                json!({ "actor": "ravi", "attributes": { "only": "read" }, "scopes": [{ "object": "order", "operations": ["read"] }] }),
            ),
        ],
    );
    let read = json!({ "region": "west", "empty": null, "level": 1, "only": "read" });
    let rest = json!({ "region": "west", "empty": null, "level": 1 });
    assert_eq!(Json::Object(subject.attributes(&[Operation::Read]).into_owned()), read);
    assert_eq!(Json::Object(subject.attributes(&[Operation::Update]).into_owned()), rest);
    assert_eq!(Json::Object(subject.attributes(&[Operation::Read, Operation::Update]).into_owned()), rest);
    let text: Json = serde_json::from_str(&subject.attributes_json(&[Operation::Read])).unwrap();
    assert_eq!(text, read);
}

#[test]
fn platform_admin_comes_from_a_strategy_that_may_give_it_and_never_from_a_binding() {
    let admin = Arc::new(Identity::new(caller(&[PLATFORM_ADMIN, "reader"])).unwrap());
    let on_behalf = |counts| {
        Subject::resolve(Arc::clone(&admin), &Bindings::default(), schema(), now(), counts, Layers::all())
    };
    assert_eq!(on_behalf(true).operations().len(), Operation::ALL.len());
    let tenant = on_behalf(false);
    assert_eq!(words(&tenant.operations()), ["read"]);
    assert!(!tenant.holds(PLATFORM_ADMIN, Operation::Read) && !tenant.is_platform_admin());
    assert_eq!(roles(&tenant, &[Operation::Read]).unwrap(), ["reader"]);
    assert_eq!(tenant.all_roles(Operation::Read), ["reader"]);
    assert_eq!(tenant.view(Operation::Read).sight(3), on_behalf(false).view(Operation::Read).sight(3));
    assert!(!tenant.view(Operation::Read).is_whole() && on_behalf(true).view(Operation::Read).is_whole());

    let spec: RoleBindingSpec =
        serde_json::from_value(json!({ "actor": "ravi", "roles": ["reader", PLATFORM_ADMIN] })).unwrap();
    let (bindings, refused) = Bindings::build([(NAMESPACE, "b", &spec)]);
    assert!(refused[0].2.to_string().contains(PLATFORM_ADMIN));
    assert!(on(schema(), caller(&[]), &bindings, now()).operations().is_empty());
}

#[test]
fn a_role_that_a_schema_lists_as_platform_admin_is_not_one() {
    // Whoever could list it would otherwise let tenants' administrators in.
    let spec = json!({ "roles": { "read": [PLATFORM_ADMIN, "reader"] } });
    let definition = json!({
        "org": "acme", "app": "supply", "domain": "procurement", "object": "order", "version": "v1",
        "fields": [{ "name": "region", "type": "string" }], "access": spec
    });
    let schema = Schema::parse(&SchemaDefinitionSpec::from_json(&definition).unwrap()).unwrap();
    let identity = Arc::new(Identity::new(caller(&[PLATFORM_ADMIN])).unwrap());
    let subject =
        Subject::resolve(identity, &Bindings::default(), Arc::new(schema), now(), false, Layers::all());
    assert!(subject.operations().is_empty());
}

#[test]
fn a_narrowed_credential_does_what_its_scopes_cover_and_its_owner_may() {
    for (scopes, expected) in [
        (&["acme/supply/procurement/order/v1"][..], vec!["create", "read", "update"]),
        (&["acme/*/*/*/*:read"], vec!["read"]),
        (&["acme/*/*/*/*:read", "*/*/*/order/*:update"], vec!["read", "update"]),
        (&["acme/*/*/*/*:delete"], vec![]),
        (&["acme/*/*/order/v2", "acme/*/*/orders/v1", "evil/*/*/*/*"], vec![]),
    ] {
        assert_eq!(
            words(&subject(narrowed(caller(&["writer"]), scopes)).operations()),
            expected,
            "{scopes:?}"
        );
    }
    let admin = subject(narrowed(caller(&[PLATFORM_ADMIN]), &["acme/*/*/*/*:read:id,region"]));
    assert_eq!(words(&admin.operations()), ["read"]);
    assert!(!admin.view(Operation::Read).is_whole());
    assert_eq!(roles(&admin, &[Operation::Read, Operation::Delete]), None);
}

#[test]
fn a_narrowed_credential_sees_and_sets_only_its_fields_and_never_more_than_its_owner() {
    let schema = schema();
    let at = |name: &str| schema.position(name).unwrap();
    let subject = subject(narrowed(
        caller(&["writer"]),
        &[
            "acme/*/*/order/v1:read:amount",
            "acme/*/*/order/v1:read:note",
            "acme/*/*/order/v1:update:amount,note",
        ],
    ));
    let view = subject.view(Operation::Read);
    assert_eq!(view.sight(at("amount")), Sight::Clear);
    assert_eq!(view.sight(at("note")), Sight::Hidden);
    assert_eq!(view.sight(at("region")), Sight::Hidden);
    assert_eq!(view.sight(at("id")), Sight::Clear);
    assert_eq!(view.sight(at("version")), Sight::Clear);
    let rights = subject.write_rights(Operation::Update);
    assert_eq!([at("amount"), at("note"), at("region")].map(|at| rights.allows(at)), [true, false, false]);
    // Beside a scope without fields the others narrow nothing.
    let wide = narrowed(caller(&["writer"]), &["acme/*/*/order/v1:read:amount", "acme/*/*/order/v1"]);
    assert!(
        on(Arc::clone(&schema), wide, &Bindings::default(), now())
            .view(Operation::Read)
            .is_clear(at("region"))
    );
}

#[test]
fn fields_go_by_every_role_that_the_caller_holds_for_the_operation() {
    let schema = schema();
    let at = |name: &str| schema.position(name).unwrap();
    let reader = subject(caller(&["reader"])).view(Operation::Read);
    assert_eq!(
        [at("amount"), at("note"), at("region")].map(|at| reader.sight(at)),
        [Sight::Masked, Sight::Hidden, Sight::Clear]
    );
    // `admin` may not read here, and still sees the field when another role lets the caller read.
    assert!(subject(caller(&["reader", "admin"])).view(Operation::Read).is_clear(at("note")));
    let for_update = bound(
        caller(&["reader"]),
        &[(
            "b",
            json!({ "actor": "ravi", "roles": ["writer", "admin"], "scopes": [{ "object": "order", "operations": ["update"] }] }),
        )],
    );
    assert!(!for_update.view(Operation::Read).is_clear(at("note")));
    assert!(for_update.view(Operation::Update).is_whole());
    assert!(for_update.write_rights(Operation::Update).is_all());
    assert!(!for_update.write_rights(Operation::Create).allows(at("note")));
}

#[test]
fn every_condition_must_be_true_and_unknown_is_not() {
    let (schema, none) = (schema(), Bindings::default());
    let with = |attributes: Json| {
        on(Arc::clone(&schema), with_attributes(caller(&["writer"]), attributes), &none, now())
    };
    let good = with(json!({ "department": "procurement" }));
    let (open, secret) = (record(&schema, "west"), record(&schema, "secret"));
    assert_eq!(good.abac(Operation::Update, Some(&open), request()), Ok(()));
    let denied = good.abac(Operation::Update, Some(&secret), request()).unwrap_err();
    assert_eq!((denied.rule, denied.message.contains("secret")), (1, false));
    // Without a record only what does not look at it is asked.
    assert_eq!(good.abac(Operation::Update, None, request()), Ok(()));
    assert_eq!(good.abac(Operation::Read, None, request()), Ok(()));
    for attributes in [
        json!({}),
        json!({ "department": null }),
        json!({ "department": "sales" }),
        json!({ "department": 7 }),
    ] {
        let denied = with(attributes.clone()).abac(Operation::Update, None, request()).unwrap_err();
        assert_eq!((denied.rule, denied.message.as_str()), (0, "only procurement"), "{attributes}");
    }
    let nothing: Vec<Value> = schema.fields().iter().map(|_| Value::Null).collect();
    assert_eq!(good.abac(Operation::Update, Some(&nothing), request()).unwrap_err().rule, 1);
    // Operations that no rule lists.
    assert_eq!(with(json!({})).abac(Operation::Create, Some(&secret), request()), Ok(()));
    let admin = subject(caller(&[PLATFORM_ADMIN]));
    assert_eq!(admin.abac(Operation::Update, Some(&secret), request()), Ok(()));
}

#[test]
fn a_binding_gives_the_attribute_that_a_condition_asks_for() {
    let give = json!({ "actor": "ravi", "attributes": { "department": "procurement" } });
    assert_eq!(bound(caller(&["writer"]), &[("b", give)]).abac(Operation::Update, None, request()), Ok(()));
}

#[test]
fn conditions_see_every_role_that_is_held_for_the_operation_whatever_it_allows() {
    let schema = schema_of(
        "order",
        &json!({
            "roles": { "read": ["reader"], "update": ["reader"] },
            "abac": [{ "operations": ["read", "update"], "condition": "'astronaut' in actor.roles" }]
        }),
    );
    let on_it = |roles: &[&str], bindings: &Bindings| {
        let subject = on(Arc::clone(&schema), caller(roles), bindings, now());
        [Operation::Read, Operation::Update].map(|operation| subject.abac(operation, None, request()).is_ok())
    };
    assert_eq!(on_it(&["reader", "astronaut"], &Bindings::default()), [true, true]);
    assert_eq!(on_it(&["reader"], &Bindings::default()), [false, false]);
    let read_only = json!({ "actor": "ravi", "roles": ["astronaut"], "scopes": [{ "object": "order", "operations": ["read"] }] });
    assert_eq!(on_it(&["reader"], &bindings(&[("b", read_only)])), [true, false]);
}

#[test]
fn reads_ask_the_conditions_on_records_in_sql() {
    let sources = |subject: &Subject, operation| -> Vec<String> {
        subject.abac_in_sql(operation).iter().map(|condition| condition.source().to_owned()).collect()
    };
    let reader = subject(caller(&["reader"]));
    assert_eq!(sources(&reader, Operation::Read), ["record.region != 'secret'"]);
    assert!(sources(&reader, Operation::Export).is_empty());
    assert!(sources(&subject(caller(&[PLATFORM_ADMIN])), Operation::Read).is_empty());
}

#[test]
fn bindings_that_are_wrong_are_left_out_with_every_reason() {
    let parse = |spec: Json| {
        let spec: RoleBindingSpec = serde_json::from_value(spec).unwrap();
        let (bindings, refused) = Bindings::build([(NAMESPACE, "b", &spec)]);
        assert_eq!(bindings.len() + refused.len(), 1);
        refused.into_iter().flat_map(|(_, _, why)| why.problems().to_vec()).collect::<Vec<_>>()
    };
    assert!(parse(json!({ "actor": "a", "roles": ["r"] })).is_empty());
    for (spec, begins) in [
        (json!({ "actor": "", "roles": ["r"] }), "actor:"),
        (json!({ "actor": "*", "roles": ["r"] }), "actor:"),
        (json!({ "actor": "a\n", "roles": ["r"] }), "actor:"),
        (json!({ "actor": "a" }), "roles:"),
        (json!({ "actor": "a", "roles": ["a,b"] }), "roles:"),
        (json!({ "actor": "a", "roles": ["*"] }), "roles:"),
        (json!({ "actor": "a", "roles": ["r"], "attributes": { "x": "\u{0}" } }), "attributes:"),
        (json!({ "actor": "a", "roles": ["r"], "attributes": { "x": "y".repeat(9000) } }), "attributes:"),
        (json!({ "actor": "a", "roles": ["r"], "expiresAt": "tomorrow" }), "expiresAt:"),
        (json!({ "actor": "a", "roles": ["r"], "expiresAt": "2027-01-01" }), "expiresAt:"),
        (json!({ "actor": "a", "roles": ["r"], "scopes": [] }), "scopes:"),
        (json!({ "actor": "a", "roles": ["r"], "scopes": [{ "object": "*" }] }), "scopes[0].object:"),
        (
            json!({ "actor": "a", "roles": ["r"], "scopes": [{ "object": "o", "version": "1" }] }),
            "scopes[0].version:",
        ),
        (
            json!({ "actor": "a", "roles": ["r"], "scopes": [{ "object": "o", "operations": [] }] }),
            "scopes[0].operations:",
        ),
        (
            json!({ "actor": "a", "roles": ["r"], "scopes": [{ "object": "o", "operations": ["fly"] }] }),
            "scopes[0].operations:",
        ),
    ] {
        let problems = parse(spec.clone());
        assert!(problems.len() == 1 && problems[0].starts_with(begins), "{spec}: {problems:?}");
    }
    assert_eq!(parse(json!({ "actor": "", "roles": ["*"], "expiresAt": "x", "scopes": [] })).len(), 4);
}

#[test]
fn what_an_actor_is_given_stays_within_what_a_transaction_can_carry() {
    let spec = |roles: usize, attributes: usize| RoleBindingSpec {
        actor: "ravi".to_owned(),
        roles: (0..roles).map(|index| format!("r{index}")).collect(),
        attributes: Map::from_iter([("a".to_owned(), json!("x".repeat(attributes)))]),
        scopes: None,
        expires_at: None,
    };
    let refused = |specs: &[RoleBindingSpec]| -> Vec<String> {
        let names: Vec<String> = (0..specs.len()).map(|index| format!("b{index:04}")).collect();
        // The order in which they come does not matter.
        let all = names.iter().zip(specs).rev().map(|(name, spec)| (NAMESPACE, name.as_str(), spec));
        Bindings::build(all).1.into_iter().map(|(_, name, _)| name).collect()
    };
    assert!(refused(&[spec(100, 1), spec(100, 1), spec(56, 1)]).is_empty());
    assert_eq!(refused(&[spec(100, 1), spec(100, 1), spec(57, 1)]), ["b0002"]);
    assert_eq!(refused(&[spec(1, 5000), spec(1, 5000), spec(1, 1)]), ["b0001"]);
    assert_eq!(refused(&vec![spec(1, 1); 257]), ["b0256"]);
}

fn verdict(explanation: &Explanation, layer: Layer) -> &LayerVerdict {
    explanation.layers.iter().find(|verdict| verdict.layer == layer).unwrap()
}

#[test]
fn an_explanation_names_every_layer_the_rule_that_decided_and_the_way_out() {
    let schema = schema();
    let denied = subject(caller(&["reader"])).explain(Operation::Delete, None, request());
    assert_eq!(denied.allowed, Allowed::No);
    assert_eq!(denied.layers.iter().map(|verdict| verdict.layer).collect::<Vec<_>>(), Layer::ALL);
    let rbac = verdict(&denied, Layer::Rbac);
    assert_eq!((rbac.verdict, rbac.rule.as_deref()), (Verdict::Deny, Some("access.roles.delete")));
    assert!(
        rbac.remedy.as_ref().unwrap().contains("admin") && rbac.remedy.as_ref().unwrap().contains(NAMESPACE)
    );
    assert_eq!(verdict(&denied, Layer::Rls).verdict, Verdict::Deny);

    let in_procurement = json!({ "department": "procurement", "region": "west" });
    let writer = subject(with_attributes(caller(&["writer"]), in_procurement.clone()));
    let open = writer.explain(Operation::Update, None, request());
    assert_eq!(open.allowed, Allowed::Depends);
    assert_eq!(verdict(&open, Layer::Abac).verdict, Verdict::Partial);
    let known = writer.explain(Operation::Update, Some(&record(&schema, "west")), request());
    assert_eq!(known.allowed, Allowed::Yes);
    let secret = writer.explain(Operation::Update, Some(&record(&schema, "secret")), request());
    assert_eq!(secret.allowed, Allowed::No);
    assert_eq!(
        verdict(&secret, Layer::Abac).rule.as_deref(),
        Some("access.abac[1]: record.region != 'secret'")
    );

    let west = subject(with_attributes(caller(&["west"]), in_procurement));
    let east = west.explain(Operation::Read, Some(&record(&schema, "east")), request());
    assert_eq!(verdict(&east, Layer::RowFilter).verdict, Verdict::Deny);
    let seen = west.explain(Operation::Read, Some(&record(&schema, "west")), request());
    assert_eq!(seen.allowed, Allowed::Yes);
    assert!(verdict(&seen, Layer::Masking).detail.contains("amount"));
    assert!(verdict(&seen, Layer::FieldRights).detail.contains("note"));
}

#[test]
fn an_explanation_agrees_with_the_decision_for_every_caller_and_operation() {
    let schema = schema();
    let roles = ["reader", "writer", "west", "fixer", "admin", PLATFORM_ADMIN];
    let record = record(&schema, "west");
    for set in 0..(1 << roles.len()) {
        let held: Vec<&str> = roles
            .iter()
            .enumerate()
            .filter(|(bit, _)| set & (1 << bit) != 0)
            .map(|(_, role)| *role)
            .collect();
        let department = json!({ "department": "procurement", "region": "west" });
        let subject = subject(with_attributes(caller(&held), department));
        for operation in Operation::ALL {
            let allowed = matches!(subject.roles_for(operation), Decision::Allowed { .. })
                && subject.abac(operation, Some(&record), request()).is_ok();
            let explained = subject.explain(operation, Some(&record), request());
            assert_eq!(explained.allowed == Allowed::Yes, allowed, "{held:?} {operation} {explained:?}");
        }
    }
}

#[test]
fn an_explanation_says_where_each_role_comes_from_and_is_json_as_the_contract_has_it() {
    let subject =
        bound(caller(&["reader"]), &[("from-ops", json!({ "actor": "ravi", "roles": ["writer"] }))]);
    let explanation = subject.explain(Operation::Read, None, request());
    let sources: Vec<_> =
        explanation.roles.iter().map(|held| (held.role.as_str(), held.from.clone())).collect();
    assert_eq!(
        sources,
        [("reader", RoleSource::Credential), ("writer", RoleSource::RoleBinding("from-ops".to_owned()))]
    );
    let document = serde_json::to_value(&explanation).unwrap();
    assert_eq!(document["allowed"], "depends");
    assert_eq!(document["layers"][0]["layer"], "rbac");
    assert_eq!(document["layers"][5]["verdict"], "notApplicable");
}

#[test]
fn a_narrowed_credential_is_explained_by_its_scopes() {
    let subject = subject(narrowed(caller(&["writer"]), &["acme/*/*/*/*:read"]));
    let explanation = subject.explain(Operation::Update, None, request());
    let rbac = verdict(&explanation, Layer::Rbac);
    assert_eq!((rbac.verdict, rbac.rule.as_deref()), (Verdict::Deny, Some("the credential's scopes")));
}
