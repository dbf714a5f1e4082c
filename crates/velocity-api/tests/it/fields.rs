//! Fields that a caller may not set, and errors that must not tell of fields that a caller does not see.

use reqwest::Method;
use serde_json::{Value, json};
use velocity_api::Config;

use crate::app::{App, Client};

const PEOPLE: &str = r"
org: acme
app: hr
domain: DOMAIN
object: person
version: v1
fields:
  - { name: id, type: string }
  - { name: name, type: string, required: true, maxLength: 40, filterable: true }
  - { name: salary, type: integer, min: 1 }
  - { name: passport, type: string, unique: true, maxLength: 20 }
  - { name: nickname, type: string }
  - { name: birthplace, type: string, immutable: true }
  - { name: grade, type: string, default: junior, required: true }
  - { name: seen_by, type: string }
validation:
  rules:
    - { rule: 'self.salary < 1000', message: salary is below a thousand, field: salary }
access:
  roles:
    create: [clerk, hr]
    read: [clerk, hr]
    update: [clerk, hr]
    delete: [hr]
    history: [clerk, hr]
  fieldAccess:
    - { field: salary, read: [hr], write: [hr], masking: { strategy: redact } }
    - { field: passport, read: [hr] }
    - { field: nickname, read: [hr], write: [hr] }
    - { field: birthplace, read: [hr] }
    - { field: grade, read: [hr], write: [hr] }
    - { field: seen_by, write: [hr] }
";

async fn app() -> App {
    App::with(PEOPLE, Config::default()).await
}

fn hr(app: &App) -> Client<'_> {
    app.as_actor("hana", &["hr"], &json!({}))
}

fn clerk(app: &App) -> Client<'_> {
    app.as_actor("carl", &["clerk"], &json!({}))
}

/// The fields that a problem names, sorted.
fn named(problem: &Value) -> Vec<String> {
    let errors = problem["errors"].as_array().unwrap();
    let mut named: Vec<String> =
        errors.iter().map(|error| error["field"].as_str().unwrap().to_owned()).collect();
    named.sort();
    named
}

async fn anna(app: &App) {
    let record = json!({"id": "anna", "name": "Anna", "salary": 900, "passport": "P-1", "nickname": "Ann",
        "birthplace": "Rome", "grade": "senior", "seen_by": "hana"});
    hr(app).post("", &record).await.is(201);
}

#[tokio::test]
async fn fields_without_write_right_are_refused_all_at_once_in_every_kind_of_write() {
    let app = app().await;
    anna(&app).await;
    let sent = json!({"id": "bert", "name": "Bert", "salary": 5, "nickname": "B", "seen_by": null});
    let all = ["nickname", "salary", "seen_by"];
    let clerk = clerk(&app);
    for reply in [
        clerk.post("", &sent).await,
        clerk.put("/bert", &sent).await,
        clerk.put("/anna", &json!({"name": "A", "salary": 5, "nickname": "B", "seen_by": null})).await,
        clerk.patch("/anna", &json!({"salary": 5, "nickname": "B", "seen_by": null})).await,
    ] {
        let problem = reply.is_problem(403, "FIELD_FORBIDDEN");
        assert_eq!(named(&problem), all, "{problem}");
    }
    clerk.get("/bert").await.is_problem(404, "ENTITY_NOT_FOUND");
    assert_eq!(hr(&app).get("/anna").await.data()["version"], 1);
}

#[tokio::test]
async fn rights_come_before_the_form_of_a_value_so_that_a_hidden_type_is_not_told() {
    let app = app().await;
    anna(&app).await;
    for value in [json!(null), json!("text"), json!({"a": 1}), json!([1, 2]), json!(1e99)] {
        let reply = clerk(&app).patch("/anna", &json!({"salary": value, "unknown": 1})).await;
        let problem = reply.is_problem(403, "FIELD_FORBIDDEN");
        assert_eq!(named(&problem), ["salary"], "{problem}");
    }
}

#[tokio::test]
async fn neither_twin_keys_nor_escapes_smuggle_a_field_in() {
    let app = app().await;
    anna(&app).await;
    let clerk = clerk(&app);
    for body in [
        r#"{"name": "A", "\u006eickname": "X"}"#,
        r#"{"nickname": "X", "nickname": "Y"}"#,
        r#"{"name": "A", "nickname": null}"#,
    ] {
        clerk.send(Method::PATCH, "/anna", Some(body.into())).await.is_problem(403, "FIELD_FORBIDDEN");
    }
    for body in [r#"{"name": "A", "name": "B"}"#, r#"{"name": "A", "n\u0061me": "B"}"#] {
        let reply = clerk.send(Method::PATCH, "/anna", Some(body.into())).await;
        let problem = reply.is_problem(400, "VALIDATION_ERROR");
        assert_eq!(problem["errors"][0]["rule"], "duplicateKey");
    }
    assert_eq!(hr(&app).get("/anna").await.data()["nickname"], "Ann");
}

#[tokio::test]
async fn what_the_platform_fills_in_is_nobodys_to_send() {
    let app = app().await;
    anna(&app).await;
    for name in ["created_at", "created_by", "updated_at", "updated_by", "deleted_at", "_head_hash"] {
        for client in [hr(&app), app.as_roles(&["platform-admin"])] {
            let sent = json!({"name": "M", name: "x"});
            client.post("", &sent).await.is_problem(400, "VALIDATION_ERROR");
            client.patch("/anna", &sent).await.is_problem(400, "VALIDATION_ERROR");
            client.put("/anna", &sent).await.is_problem(400, "VALIDATION_ERROR");
        }
    }
    let version = json!({"id": "m", "name": "M", "version": 7});
    hr(&app).post("", &version).await.is_problem(400, "VALIDATION_ERROR");
    hr(&app).patch("/anna", &json!({"id": "other"})).await.is_problem(400, "VALIDATION_ERROR");
}

#[tokio::test]
async fn a_replace_keeps_what_its_caller_may_not_set_or_does_not_see() {
    let app = app().await;
    anna(&app).await;
    let reply = clerk(&app).put("/anna", &json!({"name": "Anna B."})).await.is(200).data();
    assert_eq!(
        (&reply["name"], &reply["salary"], &reply["seen_by"]),
        (&json!("Anna B."), &json!("***"), &json!("hana"))
    );
    let whole = hr(&app).get("/anna").await.data();
    for (field, kept) in [
        ("salary", json!(900)),
        ("passport", json!("P-1")),
        ("nickname", json!("Ann")),
        ("birthplace", json!("Rome")),
        ("grade", json!("senior")),
        ("seen_by", json!("hana")),
    ] {
        assert_eq!(whole[field], kept, "{field}");
    }
    let upsert = json!({"operations": [{"upsert": {"id": "anna", "name": "Anna C."}}]});
    clerk(&app).post("/bulk", &upsert).await.is(200);
    let over = json!({"onConflict": "update", "operations": [{"create": {"id": "anna", "name": "Anna D."}}]});
    clerk(&app).post("/bulk", &over).await.is(200);
    let whole = hr(&app).get("/anna").await.data();
    assert_eq!(
        (&whole["name"], &whole["nickname"], &whole["grade"]),
        (&json!("Anna D."), &json!("Ann"), &json!("senior"))
    );
    // A new one gets the defaults.
    clerk(&app).put("/bert", &json!({"name": "Bert"})).await.is(201);
    assert_eq!(hr(&app).get("/bert").await.data()["grade"], "junior");
}

#[tokio::test]
async fn an_operation_of_many_is_refused_by_itself_or_with_all() {
    let app = app().await;
    let operations = json!([
        {"create": {"id": "a", "name": "A"}},
        {"create": {"id": "b", "name": "B", "salary": 1, "grade": "x"}},
        {"update": {"id": "a", "data": {"nickname": "X"}}},
        {"upsert": {"id": "c", "name": "C", "seen_by": "c"}},
    ]);
    let atomic = clerk(&app).post("/bulk", &json!({"operations": operations})).await;
    let problem = atomic.is_problem(403, "FIELD_FORBIDDEN");
    assert_eq!(
        named(&problem),
        [
            "operations[1].create.grade",
            "operations[1].create.salary",
            "operations[2].update.nickname",
            "operations[3].upsert.seen_by"
        ]
    );
    assert_eq!(hr(&app).get("").await.data(), json!([]));
    let each =
        clerk(&app).post("/bulk", &json!({"atomic": false, "operations": operations})).await.is(200).json();
    assert_eq!((&each["stats"]["created"], &each["stats"]["failed"]), (&json!(1), &json!(3)), "{each}");
    for index in 1..4 {
        assert_eq!(each["data"][index]["error"]["code"], "FIELD_FORBIDDEN", "{each}");
    }
}

#[tokio::test]
async fn errors_name_no_field_that_the_caller_does_not_see() {
    let app = app().await;
    anna(&app).await;
    let clerk = clerk(&app);
    // Of a value that is taken. `passport` may be set by everyone and seen by few.
    let taken = json!({"id": "eva", "name": "Eva", "passport": "P-1"});
    let bulk = json!({"operations": [{"create": taken}]});
    let each = json!({"atomic": false, "operations": [{"create": taken}]});
    for reply in [
        clerk.post("", &taken).await,
        clerk.put("/eva", &taken).await,
        clerk.clone().header("Idempotency-Key", "k").post("", &taken).await,
        clerk.post("/bulk", &bulk).await,
    ] {
        reply.is_problem(409, "UNIQUE_VIOLATION");
        assert!(!reply.body.contains("passport"), "{}", reply.body);
    }
    let each = clerk.post("/bulk", &each).await.is(200);
    assert!(each.body.contains("UNIQUE_VIOLATION") && !each.body.contains("passport"), "{}", each.body);
    assert!(hr(&app).post("", &taken).await.body.contains("passport"));
    // Of a rule whose words name a hidden field: what is stored breaks it, as when the rule is newer than the record.
    let owner = app.database.owner().await;
    let table = velocity_sql::names::TableNames::of(app.schema.path()).table_sql().inline();
    let old = format!("begin; set local velocity.actor = 'owner'; update {table} set salary = 5000; commit");
    owner.batch_execute(&old).await.unwrap();
    for reply in [
        clerk.patch("/anna", &json!({"name": "A"})).await,
        clerk.put("/anna", &json!({"name": "A"})).await,
        clerk
            .post("/bulk", &json!({"operations": [{"update": {"id": "anna", "data": {"name": "A"}}}]}))
            .await,
    ] {
        reply.is_problem(400, "VALIDATION_ERROR");
        assert!(!reply.body.contains("salary"), "{}", reply.body);
    }
    assert!(hr(&app).patch("/anna", &json!({"name": "A"})).await.body.contains("salary"));
}

#[tokio::test]
async fn what_was_meant_is_looked_for_among_the_fields_that_are_seen() {
    let app = app().await;
    for (sent, near) in [("nicknam", "nickname"), ("passpor", "passport"), ("birthplac", "birthplace")] {
        let body = json!({"id": "x", "name": "X", sent: "x"});
        let clerk = clerk(&app).post("", &body).await;
        clerk.is_problem(400, "VALIDATION_ERROR");
        assert!(!clerk.body.contains(&format!("`{near}`")), "{}", clerk.body);
        assert!(hr(&app).post("", &body).await.body.contains(&format!("`{near}`")));
    }
    assert!(clerk(&app).post("", &json!({"nam": 1})).await.body.contains("`name`"));
}

#[tokio::test]
async fn a_value_that_stays_as_created_cannot_be_guessed() {
    let app = app().await;
    anna(&app).await;
    let clerk = clerk(&app);
    let answers = [json!("Rome"), json!("Oslo"), json!(null)].map(|guess| {
        let clerk = clerk.clone();
        async move { clerk.patch("/anna", &json!({"birthplace": guess})).await }
    });
    for reply in futures::future::join_all(answers).await {
        reply.is_problem(403, "FIELD_FORBIDDEN");
    }
    // Who creates a record may say it.
    clerk.post("", &json!({"id": "eva", "name": "Eva", "birthplace": "Oslo"})).await.is(201);
    clerk
        .header("If-None-Match", "*")
        .put("/ida", &json!({"name": "Ida", "birthplace": "Oslo"}))
        .await
        .is(201);
}

#[tokio::test]
async fn skipping_what_is_there_does_not_decide_by_values_that_are_not_seen() {
    let app = app().await;
    anna(&app).await;
    let request = |rule: &str| json!({"onConflict": rule, "atomic": false, "operations": [{"create": {"id": "eva", "name": "E", "passport": "P-1"}}]});
    clerk(&app).post("/bulk", &request("skip")).await.is_problem(403, "FIELD_FORBIDDEN");
    let skipped = hr(&app).post("/bulk", &request("skip")).await.is(200).json();
    assert_eq!(skipped["stats"]["skipped"], 1, "{skipped}");
    let updated = clerk(&app).post("/bulk", &request("update")).await.is(200).json();
    assert_eq!(updated["data"][0]["error"]["code"], "UNIQUE_VIOLATION", "{updated}");
}

#[tokio::test]
async fn an_answer_is_not_replayed_to_whoever_sees_less_by_now() {
    let app = app().await;
    let record = json!({"id": "anna", "name": "Anna", "passport": "P-1"});
    let with = |roles: &[&str]| app.as_actor("hana", roles, &json!({})).header("Idempotency-Key", "k");
    let first = with(&["hr", "clerk"]).post("", &record).await.is(201);
    assert_eq!(first.data()["passport"], "P-1");
    let again = with(&["hr", "clerk"]).post("", &record).await.is(201);
    assert_eq!((again.header("idempotent-replay"), &again.body), ("true", &first.body));
    let narrower = with(&["clerk"]).post("", &record).await;
    narrower.is_problem(422, "IDEMPOTENCY_CONFLICT");
    assert!(!narrower.body.contains("P-1"), "{}", narrower.body);
}

#[tokio::test]
async fn the_answer_to_a_write_shows_what_its_caller_sees() {
    let app = app().await;
    anna(&app).await;
    let clerk = clerk(&app);
    for reply in [
        clerk.patch("/anna", &json!({"name": "A"})).await,
        clerk.patch("/anna", &json!({})).await,
        clerk.put("/anna", &json!({"name": "B"})).await,
        clerk.clone().header("Idempotency-Key", "k").patch("/anna", &json!({"name": "C"})).await,
        clerk.clone().header("Idempotency-Key", "k").patch("/anna", &json!({"name": "C"})).await,
    ] {
        let data = reply.is(200).data();
        assert_eq!(data["salary"], "***", "{data}");
        for hidden in ["passport", "nickname", "birthplace", "grade"] {
            assert!(data.get(hidden).is_none(), "{data}");
        }
    }
}
