//! RoleBindings, and strategies that are not the installation's.

use std::time::Duration;

use serde_json::{Value, json};
use velocity_access::{Bindings, DevKey};
use velocity_api::Config;
use velocity_contract::role_binding::RoleBindingSpec;

use crate::app::{App, ORDERS};

/// Puts these in force in the app's namespace.
fn bind(app: &App, specs: &[Value]) {
    let specs: Vec<RoleBindingSpec> =
        specs.iter().map(|spec| serde_json::from_value(spec.clone()).unwrap()).collect();
    let names: Vec<String> = (0..specs.len()).map(|index| format!("b{index}")).collect();
    let namespace = app.schema.path().namespace();
    let named = names.iter().zip(&specs).map(|(name, spec)| (namespace.as_str(), name.as_str(), spec));
    let (bindings, _) = Bindings::build(named);
    app.catalog.store_bindings(bindings);
}

#[tokio::test]
async fn a_binding_adds_roles_and_attributes_where_and_while_it_holds() {
    let app = App::new().await;
    let west = app.as_writer().order("W", "1", Some("west")).await;
    let east = app.as_writer().order("E", "1", Some("east")).await;
    let nina = app.as_actor("nina", &[], &json!({}));
    nina.get("").await.is_problem(403, "RBAC_DENIED");
    bind(&app, &[json!({"actor": "nina", "roles": ["regional"], "attributes": {"region": "west"}})]);
    nina.get(&format!("/{west}")).await.is(200);
    nina.get(&format!("/{east}")).await.is_problem(404, "ENTITY_NOT_FOUND");
    nina.patch(&format!("/{west}"), &json!({"note": "n"})).await.is(200);
    // What the token says of itself stays.
    let eastern = app.as_actor("nina", &[], &json!({"region": "east"}));
    eastern.get(&format!("/{west}")).await.is_problem(404, "ENTITY_NOT_FOUND");
    eastern.get(&format!("/{east}")).await.is(200);
    app.as_actor("otto", &[], &json!({})).get("").await.is_problem(403, "RBAC_DENIED");
    let scoped = |scope: Value| json!({"actor": "nina", "roles": ["writer"], "scopes": [scope]});
    bind(&app, &[scoped(json!({"object": "order", "operations": ["read"]}))]);
    nina.get(&format!("/{east}")).await.is(200);
    nina.patch(&format!("/{east}"), &json!({"note": "n"})).await.is_problem(403, "RBAC_DENIED");
    nina.post("/bulk", &json!({"operations": [{"create": {"code": "N", "amount": 1}}]}))
        .await
        .is_problem(403, "RBAC_DENIED");
    for elsewhere in [json!({"object": "invoice"}), json!({"object": "order", "version": "v2"})] {
        bind(&app, &[scoped(elsewhere)]);
        nina.get("").await.is_problem(403, "RBAC_DENIED");
    }
    bind(&app, &[json!({"actor": "nina", "roles": ["writer"], "expiresAt": "2020-01-01T00:00:00Z"})]);
    nina.get("").await.is_problem(403, "RBAC_DENIED");
}

#[tokio::test]
async fn no_binding_makes_an_administrator() {
    let app = App::new().await;
    app.as_writer().order("W", "1", None).await;
    bind(
        &app,
        &[
            json!({"actor": "nina", "roles": ["platform-admin"]}),
            json!({"actor": "nina", "roles": ["platform-admin", "reader"]}),
        ],
    );
    let nina = app.as_actor("nina", &[], &json!({}));
    nina.get("").await.is_problem(403, "RBAC_DENIED");
    nina.get("//platform/drift").await.is_problem(403, "RBAC_DENIED");
}

fn token(key: &DevKey, roles: &[&str]) -> String {
    let roles: Vec<String> = roles.iter().map(ToString::to_string).collect();
    key.mint("eve", &roles, &serde_json::Map::new(), jiff::Timestamp::now(), Duration::from_hours(1)).unwrap()
}

#[tokio::test]
async fn a_tenants_own_strategy_makes_callers_and_no_administrators() {
    let spec = format!("{ORDERS}\nauth: {{ strategyRef: {{ name: own, namespace: acme-shop-DOMAIN }} }}\n");
    let app = App::with(&spec, Config::default()).await;
    let namespace = app.schema.path().namespace();
    let key = app.start_strategy(&namespace, "own");
    let client = |roles: &[&str]| app.anonymous().bearer(&token(&key, roles));
    let made = client(&["writer"]).post("", &json!({"code": "A", "amount": 1})).await.is(201).data();
    let path = format!("/{}", made["id"].as_str().unwrap());
    let forged = client(&["platform-admin"]);
    for reply in [
        forged.get(&path).await,
        forged.delete(&path).await,
        forged.patch(&path, &json!({"note": "x"})).await,
        forged.get("/export").await,
        forged.get(&format!("{path}/history")).await,
    ] {
        reply.is_problem(403, "RBAC_DENIED");
    }
    // The role is no role at all: it neither widens rows nor comes along with another.
    let both = client(&["platform-admin", "regional"]);
    assert_eq!(both.get("").await.is(200).data(), json!([]));
    both.delete(&path).await.is_problem(403, "RBAC_DENIED");
    // The installation's administrators are not known to it, and its tokens are not known elsewhere.
    app.as_roles(&["platform-admin"]).get(&path).await.is_problem(401, "AUTH_INVALID_TOKEN");
    forged.get("//platform/drift").await.is_problem(401, "AUTH_INVALID_TOKEN");
}

#[tokio::test]
async fn a_strategy_of_another_domain_decides_about_nobody() {
    let spec =
        format!("{ORDERS}\nauth: {{ strategyRef: {{ name: own, namespace: acme-shop-neighbour }} }}\n");
    let app = App::with(&spec, Config::default()).await;
    let key = app.start_strategy("acme-shop-neighbour", "own");
    let reply = app.anonymous().bearer(&token(&key, &["writer"])).get("").await;
    reply.is_problem(401, "AUTH_INVALID_TOKEN");
}

#[tokio::test]
async fn whoever_writes_and_may_not_read_is_shown_the_id_and_the_version() {
    let app = App::new().await;
    let made =
        app.as_writer().post("", &json!({"code": "A", "amount": 1, "note": "secret"})).await.is(201).data();
    let path = format!("/{}", made["id"].as_str().unwrap());
    let admin = app.as_roles(&["admin"]);
    admin.get(&path).await.is_problem(403, "RBAC_DENIED");
    admin.delete(&path).await.is(204);
    for _ in 0..2 {
        let back = admin.post(&format!("{path}/undelete"), &json!({})).await.is(200);
        assert_eq!((back.data(), back.header("etag")), (json!({"id": made["id"], "version": 3}), "\"3\""));
    }
    assert_eq!(app.as_writer().patch(&path, &json!({})).await.is(200).data()["note"], "secret");
}
