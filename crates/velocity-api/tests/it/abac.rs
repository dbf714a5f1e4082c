//! Conditions on the actor, the request and the record.

use serde_json::{Value, json};
use velocity_access::Layers;
use velocity_api::Config;

use crate::app::{App, Client};

const TICKETS: &str = r#"
org: acme
app: desk
domain: DOMAIN
object: ticket
version: v1
fields:
  - { name: id, type: string }
  - { name: title, type: string, required: true }
  - { name: state, type: enum, enum: [open, closed, frozen], required: true, default: open, filterable: true }
  - { name: team, type: string, filterable: true }
  - { name: hours, type: integer, default: 1 }
access:
  roles:
    create: [agent, lead, local]
    read: [agent, lead, local]
    update: [agent, lead, local]
    delete: [agent, lead]
    restore: [agent, lead]
    history: [agent]
    export: [agent]
  rowFilter:
    - { role: local, condition: record.team == actor.attributes.team }
  abac:
    - operations: [update]
      condition: "record.state == 'open'"
      message: only open tickets change
    - operations: [create]
      condition: "record.hours < 10 && record.created_by == actor.id"
      message: small tickets only
    - operations: [delete]
      condition: "record.state == 'closed'"
      message: close it first
    - operations: [restore]
      condition: "record.team == actor.attributes.team"
      message: your own only
    - operations: [create, update, delete]
      condition: "'night' in actor.roles || request.operation != 'delete' || actor.attributes.desk == 'day'"
      message: not from this desk
"#;

async fn app() -> App {
    App::with(TICKETS, Config::default()).await
}

fn agent(app: &App) -> Client<'_> {
    app.as_actor("ada", &["agent"], &json!({"desk": "day", "team": "red"}))
}

fn admin(app: &App) -> Client<'_> {
    app.as_actor("root", &["platform-admin"], &json!({}))
}

async fn ticket(app: &App, id: &str, state: &str) {
    let record = json!({"id": id, "title": "T", "state": state, "team": "red"});
    admin(app).post("", &record).await.is(201);
}

#[track_caller]
fn is_denied(reply: &crate::app::Reply, message: &str) {
    let problem = reply.is_problem(403, "ABAC_DENIED");
    assert!(problem["detail"].as_str().unwrap().contains(message), "{problem}");
}

#[tokio::test]
async fn a_change_is_judged_by_the_record_as_it_was() {
    let app = app().await;
    ticket(&app, "o", "open").await;
    ticket(&app, "c", "closed").await;
    let agent = agent(&app);
    is_denied(&agent.patch("/c", &json!({"state": "open"})).await, "only open tickets change");
    is_denied(&agent.put("/c", &json!({"title": "T", "state": "open"})).await, "only open tickets change");
    is_denied(&agent.patch("/c", &json!({})).await, "only open tickets change");
    let tagged = agent.clone().header("If-Match", "\"1\"");
    is_denied(&tagged.put("/c", &json!({"title": "T"})).await, "only open tickets change");
    is_denied(
        &agent.clone().header("If-Match", "\"9\"").patch("/c", &json!({"title": "x"})).await,
        "only open",
    );
    is_denied(
        &agent.clone().header("Idempotency-Key", "k").patch("/c", &json!({"title": "x"})).await,
        "only open",
    );
    assert_eq!(admin(&app).get("/c").await.data()["version"], 1);
    agent.patch("/o", &json!({"state": "closed"})).await.is(200);
    is_denied(&agent.patch("/o", &json!({"state": "open"})).await, "only open tickets change");
}

#[tokio::test]
async fn a_new_record_is_judged_as_it_will_be_stored() {
    let app = app().await;
    let agent = agent(&app);
    // The default of `hours` is small; null is not known to be.
    agent.post("", &json!({"id": "a", "title": "A"})).await.is(201);
    is_denied(&agent.post("", &json!({"id": "b", "title": "B", "hours": 10})).await, "small tickets only");
    is_denied(&agent.post("", &json!({"id": "b", "title": "B", "hours": null})).await, "small tickets only");
    is_denied(&agent.put("/b", &json!({"title": "B", "hours": 10})).await, "small tickets only");
    is_denied(
        &agent.clone().header("If-None-Match", "*").put("/b", &json!({"title": "B", "hours": 10})).await,
        "small",
    );
    // The same hours are no matter on a record that is there.
    agent.put("/a", &json!({"title": "A", "hours": 10})).await.is(200);
    agent.put("/b", &json!({"title": "B", "hours": 2})).await.is(201);
}

#[tokio::test]
async fn deletes_and_their_reverse_are_judged_each_by_its_own_conditions() {
    let app = app().await;
    ticket(&app, "o", "open").await;
    ticket(&app, "c", "closed").await;
    let agent = agent(&app);
    is_denied(&agent.delete("/o").await, "close it first");
    agent.get("/o").await.is(200);
    agent.delete("/c").await.is(204);
    let stranger = app.as_actor("sid", &["agent"], &json!({"desk": "day", "team": "blue"}));
    is_denied(&stranger.post("/c/undelete", &json!({})).await, "your own only");
    agent.get("/c").await.is_problem(404, "ENTITY_NOT_FOUND");
    assert_eq!(agent.post("/c/undelete", &json!({})).await.is(200).data()["state"], "closed");
    // It is there again: the answer shows it, so the same condition holds.
    is_denied(&stranger.post("/c/undelete", &json!({})).await, "your own only");
    agent.post("/none/undelete", &json!({})).await.is_problem(404, "ENTITY_NOT_FOUND");
}

#[tokio::test]
async fn a_condition_without_a_record_is_judged_before_any_is_looked_for() {
    let app = app().await;
    ticket(&app, "c", "closed").await;
    let elsewhere = app.as_actor("eve", &["agent"], &json!({"desk": "attic", "team": "red"}));
    for id in ["/c", "/none"] {
        is_denied(&elsewhere.delete(id).await, "not from this desk");
    }
    app.as_actor("eve", &["agent", "night"], &json!({})).delete("/c").await.is(204);
}

#[tokio::test]
async fn many_writes_are_judged_one_by_one() {
    let app = app().await;
    ticket(&app, "o", "open").await;
    ticket(&app, "c", "closed").await;
    let operations = json!([
        {"create": {"id": "n", "title": "N"}},
        {"create": {"id": "big", "title": "B", "hours": 99}},
        {"update": {"id": "o", "data": {"title": "x"}}},
        {"update": {"id": "c", "data": {"title": "x"}}},
        {"upsert": {"id": "c", "title": "x"}},
        {"upsert": {"id": "huge", "title": "x", "hours": 99}},
        {"delete": {"id": "o"}},
        {"delete": {"id": "c"}},
    ]);
    let atomic = agent(&app).post("/bulk", &json!({"operations": operations})).await;
    atomic.is_problem(403, "ABAC_DENIED");
    assert_eq!(admin(&app).get("?count=exact").await.json()["pagination"]["total"], 2);
    let each =
        agent(&app).post("/bulk", &json!({"atomic": false, "operations": operations})).await.is(200).json();
    let outcomes: Vec<&Value> =
        each["data"].as_array().unwrap().iter().map(|item| &item["error"]["code"]).collect();
    let denied = json!("ABAC_DENIED");
    let passed = Value::Null;
    assert_eq!(outcomes, [&passed, &denied, &passed, &denied, &denied, &denied, &denied, &passed], "{each}");
    // A create that turns out to be an update is judged as an update.
    let over = json!({"onConflict": "update", "atomic": false, "operations": [
        {"create": {"id": "o", "title": "y", "hours": 99}},
        {"create": {"id": "new", "title": "y", "hours": 99}},
    ]});
    let each = agent(&app).post("/bulk", &over).await.is(200).json();
    assert_eq!((&each["data"][0]["error"], &each["data"][1]["error"]["code"]), (&passed, &denied), "{each}");
}

#[tokio::test]
async fn what_a_row_filter_hides_is_not_found_whatever_the_conditions_say() {
    let app = app().await;
    ticket(&app, "c", "closed").await;
    let local = app.as_actor("lou", &["local"], &json!({"team": "blue", "desk": "day"}));
    for reply in
        [local.patch("/c", &json!({"title": "x"})).await, local.patch("/none", &json!({"title": "x"})).await]
    {
        reply.is_problem(404, "ENTITY_NOT_FOUND");
    }
}

#[tokio::test]
async fn of_changes_at_the_same_time_only_what_was_judged_right_goes_through() {
    let app = app().await;
    for round in 0..5 {
        let id = format!("t{round}");
        ticket(&app, &id, "open").await;
        let agent = agent(&app);
        let body = json!({"state": "closed"});
        let path = format!("/{id}");
        let replies = futures::future::join_all((0..6).map(|_| agent.patch(&path, &body))).await;
        let done = replies.iter().filter(|reply| reply.status == 200).count();
        // Each sees the record as it is when it changes it: closed by the first.
        assert_eq!(done, 1, "{replies:?}");
        assert!(replies.iter().all(|reply| matches!(reply.status, 200 | 403 | 409)), "{replies:?}");
        assert_eq!(admin(&app).get(&path).await.data()["version"], 2);
    }
}

#[tokio::test]
async fn a_platform_administrator_passes_and_without_the_layer_everyone_does() {
    let app = app().await;
    ticket(&app, "c", "closed").await;
    admin(&app).patch("/c", &json!({"title": "x"})).await.is(200);
    admin(&app).post("", &json!({"id": "big", "title": "B", "hours": 99})).await.is(201);
    let layers = Layers::all().without(velocity_access::Layer::Abac);
    let open = App::with(TICKETS, Config { layers, ..Config::default() }).await;
    ticket(&open, "c", "closed").await;
    agent(&open).patch("/c", &json!({"title": "x"})).await.is(200);
    agent(&open).delete("/c").await.is(204);
}

#[tokio::test]
async fn a_replay_is_not_judged_by_what_the_first_write_left() {
    let app = app().await;
    ticket(&app, "o", "open").await;
    let keyed = agent(&app).header("Idempotency-Key", "k");
    let first = keyed.patch("/o", &json!({"state": "closed"})).await.is(200);
    let again = keyed.patch("/o", &json!({"state": "closed"})).await.is(200);
    assert_eq!((again.header("idempotent-replay"), &again.body), ("true", &first.body));
}

const DOORS: &str = r#"
org: acme
app: house
domain: DOMAIN
object: door
version: v1
fields:
  - { name: id, type: string }
  - { name: open, type: boolean, default: false }
access:
  roles: { create: [keeper], read: [keeper], update: [keeper] }
  abac:
    - { operations: [update], condition: "request.ip.startsWith('10.1.')", message: not from there }
    - { operations: [create], condition: "request.time > timestamp('2020-01-01T00:00:00Z') && request.operation == 'create'" }
    - { operations: [read], condition: "request.time < timestamp('2020-01-01T00:00:00Z') || record.id != 'secret'" }
"#;

#[tokio::test]
async fn conditions_see_when_and_from_where_and_for_what_a_request_comes() {
    let proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let app = App::with(DOORS, Config { trusted_proxies: proxies, ..Config::default() }).await;
    let keeper = app.as_actor("kim", &["keeper"], &json!({}));
    for id in ["front", "secret"] {
        keeper.post("", &json!({"id": id})).await.is(201);
    }
    let change = json!({"open": true});
    let from = |address: &str| keeper.clone().header("X-Forwarded-For", address);
    from("10.1.2.3").patch("/front", &change).await.is(200);
    for elsewhere in ["10.2.2.3", "10.1.2.3, 192.0.2.1", "nonsense", "::ffff:10.2.0.1"] {
        is_denied(&from(elsewhere).patch("/front", &change).await, "not from there");
    }
    is_denied(&keeper.patch("/front", &change).await, "not from there");
    keeper.get("/secret").await.is_problem(403, "ABAC_DENIED");
    let seen = keeper.get("?count=exact").await.is(200).json();
    assert_eq!((seen["data"].as_array().unwrap().len(), &seen["pagination"]["total"]), (1, &json!(1)));
    // What may be changed and not read is not shown by the change either.
    let shown = from("10.1.2.3").patch("/secret", &json!({})).await.is(200);
    assert_eq!(shown.data(), json!({"id": "secret", "version": 1}));
}
