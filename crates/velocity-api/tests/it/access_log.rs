//! What is written down of access.

use serde_json::json;
use velocity_api::Config;

use crate::app::App;

const PATIENTS: &str = r#"
org: acme
app: clinic
domain: DOMAIN
object: patient
version: v1
fields:
  - { name: id, type: string }
  - { name: name, type: string, sensitivity: pii }
  - { name: ward, type: string, filterable: true }
  - { name: insurance, type: string, sensitivity: financial }
access:
  roles: { create: [doctor], read: [doctor, porter], update: [doctor], history: [doctor], export: [doctor] }
  fieldAccess:
    - { field: name, read: [doctor], masking: { strategy: redact } }
    - { field: insurance, read: [doctor], write: [] }
  abac:
    - { operations: [update], condition: "record.ward != 'closed'", message: the ward is closed }
audit: { sensitiveReads: true }
"#;

/// `kind actor operation code layer [records] [fields]` of every event, in the order in which they happened.
async fn events(app: &mut App) -> Vec<String> {
    app.end().await;
    let owner = app.database.owner().await;
    let rows = owner
        .query(
            "select concat_ws(' ', kind, coalesce(actor, '-'), coalesce(operation, '-'), coalesce(code, '-'), coalesce(layer, '-'), \
             record_ids::text, fields::text, host(ip)) from platform.access_events order by occurred_at, id",
            &[],
        )
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn every_denial_is_written_down_with_the_layer_that_denied() {
    let mut app = App::with(PATIENTS, Config::default()).await;
    let doctor = app.as_actor("dora", &["doctor"], &json!({}));
    doctor.post("", &json!({"id": "p", "ward": "closed"})).await.is(201);
    let porter = app.as_actor("paul", &["porter"], &json!({}));
    porter.post("", &json!({})).await.is_problem(403, "RBAC_DENIED");
    doctor.patch("/p", &json!({"ward": "x"})).await.is_problem(403, "ABAC_DENIED");
    doctor.patch("/p", &json!({"insurance": "x"})).await.is_problem(403, "FIELD_FORBIDDEN");
    app.anonymous().get("").await.is_problem(401, "AUTH_REQUIRED");
    let events = events(&mut app).await;
    let denied: Vec<&String> = events.iter().filter(|event| event.starts_with("DENIED")).collect();
    for wanted in [
        "DENIED paul create RBAC_DENIED rbac {} {} 127.0.0.1",
        "DENIED dora update ABAC_DENIED abac {p} {} 127.0.0.1",
        "DENIED dora update FIELD_FORBIDDEN fields {p} {insurance} 127.0.0.1",
        "DENIED - list AUTH_REQUIRED authentication {} {} 127.0.0.1",
    ] {
        assert_eq!(denied.iter().filter(|event| **event == wanted).count(), 1, "{wanted}: {events:#?}");
    }
    assert_eq!(denied.len(), 4, "{events:#?}");
}

#[tokio::test]
async fn sensitive_fields_are_written_down_where_they_are_shown_in_clear() {
    let mut app = App::with(PATIENTS, Config::default()).await;
    let doctor = app.as_actor("dora", &["doctor"], &json!({}));
    doctor.post("", &json!({"id": "p", "name": "N", "ward": "w"})).await.is(201);
    app.as_actor("paul", &["porter"], &json!({})).get("/p").await.is(200);
    doctor.get("/p").await.is(200);
    doctor.get("?fields=id,ward").await.is(200);
    doctor.get("?fields=id,name").await.is(200);
    let events = events(&mut app).await;
    let wanted = [
        "SENSITIVE_READ dora create - - {} {name,insurance} 127.0.0.1",
        "SENSITIVE_READ dora read - - {p} {name,insurance} 127.0.0.1",
        "SENSITIVE_READ dora list - - {} {name} 127.0.0.1",
    ];
    assert_eq!(events, wanted);
}

#[tokio::test]
async fn what_an_administrator_does_is_written_down() {
    let mut app = App::with(PATIENTS, Config::default()).await;
    app.as_actor("root", &["platform-admin", "doctor"], &json!({})).get("?fields=id").await.is(200);
    app.as_actor("dora", &["doctor"], &json!({})).get("?fields=id").await.is(200);
    assert_eq!(events(&mut app).await, ["ADMIN_USE root list - - {} {} 127.0.0.1"]);
}
