//! api-key over HTTP.

use serde_json::{Value, json};

use crate::fake_api::{FakeApi, SCHEMA};
use crate::harness::Home;

fn key(id: &str, status: &str) -> Value {
    json!({ "id": id, "name": "sync", "status": status, "actor": "shop", "roles": ["reader"], "attributes": {},
        "scopes": [{ "schema": SCHEMA, "operations": ["read"], "fields": ["id"] }], "createdAt": "2026-01-01T00:00:00Z",
        "createdBy": "admin", "expiresAt": "2026-04-01T00:00:00Z", "endsAt": null, "replacedBy": null, "revokedAt": null,
        "lastUsedAt": null, "lastUsedIp": null })
}

fn made(id: &str) -> Value {
    let mut made = key(id, "active");
    made["key"] = json!("vel_dev_s3cret");
    json!({ "data": made })
}

#[test]
fn a_key_is_made_and_printed_this_once() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    api.can("POST /platform/api-keys", 201, made("k1"));
    let run = home.run("api-key create --actor shop --roles reader --attribute level=3 --scope order:read,export:id --scope 'acme/*/*/*/*' --expires 90d --name sync");
    assert!(run.stderr.contains("not shown again"), "{}", run.all());
    insta::assert_snapshot!(run.ok(), @r"
    id        k1
    key       vel_dev_s3cret
    name      sync
    actor     shop
    roles     reader
    scopes    acme/shop/sales/order/v1:read:id
    expires   2026-04-01T00:00:00Z
    ");
    let sent: Value = serde_json::from_str(&api.seen("POST /platform/api-keys").body).unwrap();
    assert_eq!(
        sent,
        json!({ "actor": "shop", "roles": ["reader"], "attributes": { "level": 3 }, "expiresIn": "90d", "name": "sync",
            "scopes": [{ "schema": SCHEMA, "operations": ["read", "export"], "fields": ["id"] }, { "schema": "acme/*/*/*/*" }] })
    );
    assert_eq!(home.run("api-key create --actor shop -o name").ok(), "vel_dev_s3cret\n");
    assert_eq!(home.run("api-key create --actor shop -o jsonpath={.id}").ok(), "k1\n");
    let bare: Value = serde_json::from_str(&api.seen("POST /platform/api-keys").body).unwrap();
    assert_eq!(bare, json!({ "actor": "shop" }));
}

#[test]
fn keys_are_listed_without_those_that_work_no_more() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    let mut rotated = key("k2", "rotated");
    rotated["endsAt"] = json!("2026-01-02T00:00:00Z");
    let mut other = key("k4", "active");
    other["actor"] = json!("other");
    let all = json!({ "data": [key("k1", "active"), rotated, key("k3", "revoked"), other] });
    api.can("GET /platform/api-keys", 200, all);
    insta::assert_snapshot!(home.run("api-key list").ok(), @r"
    ID   NAME   ACTOR   ROLES    SCOPES                             STATUS                               EXPIRES                LAST USED
    k1   sync   shop    reader   acme/shop/sales/order/v1:read:id   active                               2026-04-01T00:00:00Z   never
    k2   sync   shop    reader   acme/shop/sales/order/v1:read:id   rotated, ends 2026-01-02T00:00:00Z   2026-04-01T00:00:00Z   never
    k4   sync   other   reader   acme/shop/sales/order/v1:read:id   active                               2026-04-01T00:00:00Z   never
    ");
    assert_eq!(home.run("api-key list --all -o name").ok(), "k1\nk2\nk3\nk4\n");
    assert_eq!(home.run("api-key list --actor other -o jsonpath={[*].id}").ok(), "k4\n");
}

#[test]
fn a_key_is_rotated_and_revoked() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    api.can("POST /platform/api-keys/k1/rotate", 201, made("k2"));
    api.can("DELETE /platform/api-keys/k1", 204, Value::Null);
    let told = home.run("api-key rotate k1").ok();
    assert!(told.contains("k2") && told.contains("vel_dev_s3cret"), "{told}");
    assert_eq!(api.seen("POST /platform/api-keys/k1/rotate").body, r#"{"overlap":"24h"}"#);
    home.run("api-key rotate k1 --overlap 0s --expires 30d").ok();
    assert_eq!(api.seen("POST /platform/api-keys/k1/rotate").body, r#"{"overlap":"0s","expiresIn":"30d"}"#);
    assert_eq!(home.run("api-key revoke k1").ok(), "key k1 revoked\n");
    assert_eq!(home.run("api-key revoke ../k1").code, 3, "an id is one segment of the path");
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_asked() {
    let home = Home::at(&FakeApi::start());
    for line in [
        "api-key create",
        "api-key create --actor a --roles a,,b",
        "api-key create --actor a --expires 0s",
        "api-key create --actor a --expires tomorrow",
        "api-key create --actor a --scope order:reed",
        "api-key rotate",
        "api-key rotate k --overlap soon",
    ] {
        assert_eq!(home.run(line).code, 2, "{line}");
    }
}

#[test]
fn a_context_gets_in_with_a_key() {
    let api = FakeApi::start();
    let home = Home::new();
    let key = home.write("key", "vel_dev_x\n");
    home.run(&format!("context add k --server {} --api-key-file {} --use", api.url(), key.display())).ok();
    api.can(
        "GET /auth/whoami",
        200,
        json!({ "data": { "actor": "shop", "type": "user", "roles": [], "strategy": "a/keys",
        "expiresAt": null, "credential": "key", "credentialId": "k1" } }),
    );
    let shown = home.run("auth whoami").ok();
    assert!(shown.contains("API key k1"), "{shown}");
    let headers = api.seen("GET /auth/whoami").headers;
    assert_eq!(
        (headers.get("x-api-key").unwrap(), headers.get("authorization")),
        (&"vel_dev_x".parse().unwrap(), None)
    );
    assert_eq!(home.run("context add two --server http://x --api-key-file k --token-file t").code, 2);
    assert!(!home.run("context list -o json").ok().contains("vel_dev_x"));
}
