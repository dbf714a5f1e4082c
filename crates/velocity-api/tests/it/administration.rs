//! Keys, revocations and explanations over HTTP.

use reqwest::Method;
use serde_json::{Value, json};
use velocity_contract::administration::Explanation;

use crate::app::{ORDERS, Reply};
use crate::replica::{As, Replica, World};

async fn world() -> (World, Replica, String) {
    let world = World::new(&[ORDERS]).await;
    let (replica, admin) = (world.replica().await, world.admin());
    (world, replica, admin)
}

async fn create_key(replica: &Replica, admin: &str, body: &Value) -> (String, String) {
    let reply = replica.post("/platform/api-keys", As::Token(admin), body).await.is(201);
    assert_eq!(reply.header("cache-control"), "no-store");
    let data = reply.data();
    (data["id"].as_str().unwrap().to_owned(), data["key"].as_str().unwrap().to_owned())
}

fn fields(reply: &Reply) -> Vec<String> {
    let problem = reply.is_problem(400, "VALIDATION_ERROR");
    let errors = problem["errors"].as_array().unwrap();
    errors
        .iter()
        .map(|error| format!("{} {}", error["field"].as_str().unwrap(), error["rule"].as_str().unwrap()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_shown_once_works_and_is_refused_when_it_is_revoked() {
    let (world, replica, admin) = world().await;
    let orders = world.schemas[0].path().endpoint();
    let wanted = json!({ "actor": "robot", "roles": ["reader"], "expiresIn": "90d", "name": "nightly" });
    let (id, key) = create_key(&replica, &admin, &wanted).await;
    assert!(key.starts_with("vel_prod_") && key.len() == "vel_prod_".len() + 43, "{key}");

    replica.get(&orders, As::Key(&key)).await.is(200);
    replica
        .post(&orders, As::Key(&key), &json!({ "code": "a", "amount": 1 }))
        .await
        .is_problem(403, "RBAC_DENIED");
    let listed = replica.get("/platform/api-keys?actor=robot", As::Token(&admin)).await.is(200);
    let secret = key.trim_start_matches("vel_prod_");
    assert!(!listed.body.contains(secret) && !listed.body.contains("hash"), "{}", listed.body);
    let shown = &listed.data()[0];
    assert_eq!(
        (&shown["id"], &shown["status"], &shown["name"]),
        (&json!(id), &json!("active"), &json!("nightly"))
    );
    assert_eq!(replica.get("/platform/api-keys?actor=mia", As::Token(&admin)).await.data(), json!([]));

    replica.delete(&format!("/platform/api-keys/{id}"), As::Token(&admin)).await.is(204);
    replica.delete(&format!("/platform/api-keys/{id}"), As::Token(&admin)).await.is(204);
    replica.until(&orders, As::Key(&key), 401).await.is_problem(401, "AUTH_INVALID_TOKEN");
    // Nobody brings it back: not by lifting its revocation, not by rotating it.
    let revocations = replica.get("/platform/revocations?kind=key", As::Token(&admin)).await.is(200).data();
    let revocation = revocations[0]["id"].as_str().unwrap();
    replica.delete(&format!("/platform/revocations/{revocation}"), As::Token(&admin)).await.is(204);
    let fresh = world.replica().await;
    fresh.get(&orders, As::Key(&key)).await.is_problem(401, "AUTH_INVALID_TOKEN");
    let rotated =
        replica.send(Method::POST, &format!("/platform/api-keys/{id}/rotate"), As::Token(&admin), None).await;
    assert_eq!(fields(&rotated), ["id active"]);
    let none = replica.delete("/platform/api-keys/none", As::Token(&admin)).await;
    none.is_problem(404, "ENTITY_NOT_FOUND");
    // When it was used last is written down now and then, and at the end of the process.
    replica.stop().await;
    let listed = fresh.get("/platform/api-keys", As::Token(&admin)).await.data();
    assert!(listed[0]["lastUsedAt"].is_string() && listed[0]["lastUsedIp"] == "127.0.0.1", "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_key_goes_on_for_its_overlap_and_no_longer() {
    let (world, replica, admin) = world().await;
    let orders = world.schemas[0].path().endpoint();
    let (first, old) = create_key(&replica, &admin, &json!({ "actor": "robot", "roles": ["reader"] })).await;
    let rotate = async |id: &str, body: Option<&Value>| {
        let path = format!("/platform/api-keys/{id}/rotate");
        let data = replica.send(Method::POST, &path, As::Token(&admin), body).await.is(201).data();
        (data["id"].as_str().unwrap().to_owned(), data["key"].as_str().unwrap().to_owned())
    };
    let (second, new) = rotate(&first, None).await;
    replica.get(&orders, As::Key(&old)).await.is(200);
    replica.get(&orders, As::Key(&new)).await.is(200);
    let listed = replica.get("/platform/api-keys", As::Token(&admin)).await.data();
    let old_one = listed.as_array().unwrap().iter().find(|key| key["id"] == first.as_str()).unwrap();
    assert_eq!((&old_one["status"], &old_one["replacedBy"]), (&json!("rotated"), &json!(second)));

    let (_, newest) = rotate(&second, Some(&json!({ "overlap": "0s" }))).await;
    replica.until(&orders, As::Key(&new), 401).await;
    replica.get(&orders, As::Key(&newest)).await.is(200);
    replica.get(&orders, As::Key(&old)).await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrowed_key_does_what_its_scopes_say_and_administers_nothing() {
    let (world, replica, admin) = world().await;
    let orders = world.schemas[0].path().endpoint();
    let scope = json!({ "schema": "acme/*/*/order/v1", "operations": ["read"], "fields": ["code"] });
    let wanted = json!({ "actor": "robot", "roles": ["platform-admin"], "scopes": [scope] });
    let (_, key) = create_key(&replica, &admin, &wanted).await;
    let (_, whole) =
        create_key(&replica, &admin, &json!({ "actor": "robot", "roles": ["platform-admin"] })).await;
    replica
        .post(&orders, As::Key(&whole), &json!({ "code": "a", "amount": 1, "note": "secret" }))
        .await
        .is(201);
    let seen = replica.get(&orders, As::Key(&key)).await.is(200).data();
    assert!(seen[0].get("note").is_none() && seen[0]["code"] == "a", "{seen}");
    replica.post(&orders, As::Key(&key), &json!({ "code": "b", "amount": 1 })).await.is(403);
    for path in ["/platform/api-keys", "/platform/revocations", "/platform/drift"] {
        replica.get(path, As::Key(&key)).await.is_problem(403, "RBAC_DENIED");
        replica.get(path, As::Key(&whole)).await.is(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_administrators_come_in() {
    let (world, replica, _) = world().await;
    let writer = world.token("ravi", &["writer", "admin", "Platform-Admin"], &json!({}));
    let routes = [
        (Method::GET, "/platform/api-keys"),
        (Method::POST, "/platform/api-keys"),
        (Method::POST, "/platform/api-keys/x/rotate"),
        (Method::DELETE, "/platform/api-keys/x"),
        (Method::GET, "/platform/revocations"),
        (Method::POST, "/platform/revocations"),
        (Method::DELETE, "/platform/revocations/x"),
        (Method::GET, "/platform/explain?schema=x"),
        (Method::POST, "/platform/plan"),
        (Method::GET, "/platform/drift"),
    ];
    for (method, path) in routes {
        let body = json!({});
        let body = (method == Method::POST).then_some(&body);
        replica.send(method.clone(), path, As::Nobody, body).await.is_problem(401, "AUTH_REQUIRED");
        replica.send(method, path, As::Token(&writer), body).await.is_problem(403, "RBAC_DENIED");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_request_is_said_at_once() {
    let (_world, replica, admin) = world().await;
    let admin = As::Token(&admin);
    let body = json!({ "roles": ["a b"], "scopes": ["x"], "expiresIn": "1 day", "nam": 1 });
    let reply = replica.post("/platform/api-keys", admin, &body).await;
    assert_eq!(
        fields(&reply),
        ["nam unknownField", "actor required", "roles pattern", "scopes[0] scope", "expiresIn duration"]
    );
    assert!(reply.body.contains("did you mean `name`"), "{}", reply.body);
    let reply = replica.post("/platform/revocations", admin, &json!({ "kind": "user" })).await;
    assert_eq!(fields(&reply), ["kind enum", "value required", "reason required"]);
    let reply = replica.get("/platform/explain?roles=a&ip=x&attributes=1&operation=reed", admin).await;
    assert_eq!(
        fields(&reply),
        ["schema required", "actor required", "operation enum", "attributes type", "ip type"]
    );
    replica.get("/platform/revocations?kind=user", admin).await.is_problem(400, "MALFORMED_REQUEST");
    replica.get("/platform/api-keys?owner=x", admin).await.is_problem(400, "MALFORMED_REQUEST");
    replica.post("/platform/api-keys", admin, &json!([])).await.is_problem(400, "MALFORMED_REQUEST");
}

#[tokio::test(flavor = "multi_thread")]
async fn revocations_are_listed_until_they_are_lifted() {
    let (_world, replica, admin) = world().await;
    let admin = As::Token(&admin);
    let body =
        json!({ "kind": "token", "value": "t-1", "reason": "stolen", "expiresAt": "2999-01-01T00:00:00Z" });
    let made = replica.post("/platform/revocations", admin, &body).await.is(201).data();
    assert_eq!((&made["createdBy"], &made["expiresAt"]), (&json!("root"), &json!("2999-01-01T00:00:00Z")));
    let again = replica.post("/platform/revocations", admin, &body).await.is(201).data();
    assert_eq!(made["id"], again["id"]);
    let list =
        async |query: &str| replica.get(&format!("/platform/revocations{query}"), admin).await.is(200).data();
    assert_eq!(list("").await.as_array().unwrap().len(), 1);
    assert_eq!(list("?kind=token&value=t-1").await.as_array().unwrap().len(), 1);
    assert_eq!(list("?kind=actor").await, json!([]));
    let path = format!("/platform/revocations/{}", made["id"].as_str().unwrap());
    replica.delete(&path, admin).await.is(204);
    replica.delete(&path, admin).await.is_problem(404, "ENTITY_NOT_FOUND");
    assert_eq!(list("").await, json!([]));
}

/// One layer of an explanation.
fn layer<'e>(explanation: &'e Value, name: &str) -> &'e Value {
    explanation["layers"].as_array().unwrap().iter().find(|layer| layer["layer"] == name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_layer_says_why() {
    let (world, replica, admin) = world().await;
    let admin = As::Token(&admin);
    let path = world.schemas[0].path().to_string();
    let orders = world.schemas[0].path().endpoint();
    let west = json!({ "code": "w", "amount": 1, "region": "west" });
    let id = replica
        .post(&orders, As::Token(&world.token("w", &["writer"], &json!({}))), &west)
        .await
        .is(201)
        .data()["id"]
        .clone();
    let id = id.as_str().unwrap();
    let explain = async |query: &str| {
        let reply =
            replica.get(&format!("/platform/explain?schema={path}&{query}"), admin).await.is(200).data();
        serde_json::from_value::<Explanation>(reply.clone()).unwrap();
        reply
    };

    let reply = explain("operation=read&actor=ravi&roles=stranger").await;
    assert_eq!(reply["allowed"], false);
    let rbac = layer(&reply, "rbac");
    assert_eq!((&rbac["verdict"], &rbac["rule"]), (&json!("deny"), &json!("access.roles.read")));
    assert!(rbac["remedy"].as_str().unwrap().contains("reader"), "{rbac}");

    let reply = explain("operation=read&actor=ravi&roles=reader").await;
    assert_eq!(reply["allowed"], true, "{reply}");
    assert_eq!(reply["roles"], json!([{ "role": "reader", "from": "given" }]));

    let regional = "operation=read&actor=ravi&roles=regional&attributes=%7B%22region%22:%22REGION%22%7D";
    let reply = explain(&regional.replace("REGION", "west")).await;
    assert_eq!(reply["allowed"], "depends", "{reply}");
    let reply = explain(&format!("{}&id={id}", regional.replace("REGION", "west"))).await;
    assert_eq!(
        (&reply["allowed"], &layer(&reply, "rls")["verdict"]),
        (&json!(true), &json!("allow")),
        "{reply}"
    );
    let reply = explain(&format!("{}&id={id}", regional.replace("REGION", "east"))).await;
    assert_eq!(reply["allowed"], false);
    for name in ["rowFilter", "rls"] {
        assert_eq!(layer(&reply, name)["verdict"], "deny", "{reply}");
    }
    let both = regional.replace("REGION", "west").replace("roles=regional", "roles=regional,writer");
    let reply = explain(&format!("{both}&id={id}")).await;
    let rule = "regional: record.region == actor.attributes.region; writer: no filter";
    assert_eq!(layer(&reply, "rowFilter")["rule"], rule, "which role lets the record through");
    let names: Vec<&Value> =
        reply["layers"].as_array().unwrap().iter().map(|layer| &layer["layer"]).collect();
    let all = [
        "authentication",
        "rbac",
        "abac",
        "scope",
        "crossSchema",
        "rowFilter",
        "fieldRights",
        "masking",
        "rls",
    ];
    assert_eq!(json!(names), json!(all));

    replica
        .get(
            &format!("/platform/explain?schema={path}&operation=read&actor=a&id={}", uuid::Uuid::now_v7()),
            admin,
        )
        .await
        .is_problem(404, "ENTITY_NOT_FOUND");
    let body = json!({ "kind": "actor", "value": "ravi", "reason": "left" });
    replica.post("/platform/revocations", admin, &body).await.is(201);
    let reply = explain("operation=read&actor=ravi&roles=reader").await;
    assert_eq!(
        (&reply["allowed"], &layer(&reply, "authentication")["verdict"]),
        (&json!(false), &json!("deny"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_explained_with_its_scopes_and_bindings_with_their_names() {
    let world = World::new(&[ORDERS]).await;
    let spec = serde_json::from_value(json!({ "actor": "robot", "roles": ["admin"] })).unwrap();
    let replica = world.replica_with("default", &[("robots", spec)]).await;
    let admin = world.admin();
    let path = world.schemas[0].path().to_string();
    let scope = json!({ "schema": "acme/*/*/order/v1", "operations": ["read"], "fields": ["code"] });
    let wanted = json!({ "actor": "robot", "roles": ["reader"], "scopes": [scope] });
    let (id, _) = create_key(&replica, &admin, &wanted).await;
    let explain = async |operation: &str| {
        let query = format!("/platform/explain?schema={path}&operation={operation}&keyId={id}");
        replica.get(&query, As::Token(&admin)).await.is(200).data()
    };
    let read = explain("read").await;
    assert_eq!((&read["actor"], &read["allowed"]), (&json!("robot"), &json!(true)), "{read}");
    let from = format!("RoleBinding {}/robots", world.namespace());
    assert_eq!(
        read["roles"],
        json!([{ "role": "reader", "from": "key" }, { "role": "admin", "from": from }])
    );
    let sight = |name: &str| {
        let fields = read["fields"].as_array().unwrap();
        fields.iter().find(|field| field["field"] == name).unwrap()["read"].clone()
    };
    assert_eq!((sight("code"), sight("note")), (json!("clear"), json!("hidden")));
    let export = explain("export").await;
    assert_eq!(
        (&export["allowed"], &layer(&export, "scope")["verdict"]),
        (&json!(false), &json!("deny")),
        "{export}"
    );
    replica.delete(&format!("/platform/api-keys/{id}"), As::Token(&admin)).await.is(204);
    let read = explain("read").await;
    assert_eq!(
        (&read["allowed"], &layer(&read, "authentication")["verdict"]),
        (&json!(false), &json!("deny"))
    );
}

const SUPPLIERS: &str = r"
org: acme
app: shop
domain: DOMAIN
object: supplier
version: v1
fields:
  - { name: code, type: string, required: true, unique: true }
access: { roles: { read: [buyer] } }
";
const PURCHASES: &str = r"
org: acme
app: shop
domain: DOMAIN
object: purchase
version: v1
fields:
  - name: supplier_code
    type: string
    required: true
    ref: { object: supplier, version: v1, field: code, onDelete: restrict }
access: { roles: { create: [writer], read: [writer] } }
";

#[tokio::test(flavor = "multi_thread")]
async fn what_reaches_into_another_schema_is_explained_by_the_rights_there() {
    let world = World::new(&[SUPPLIERS, PURCHASES]).await;
    let (replica, admin) = (world.replica().await, world.admin());
    let verdict = async |query: &str| {
        let path = world.schemas[1].path().to_string();
        let query = format!("/platform/explain?schema={path}&actor=ravi&{query}");
        let reply = replica.get(&query, As::Token(&admin)).await.is(200).data();
        let layer = layer(&reply, "crossSchema");
        (layer["verdict"].as_str().unwrap().to_owned(), layer["detail"].as_str().unwrap().to_owned())
    };
    let (refused, why) = verdict("operation=create&roles=writer").await;
    assert!(refused == "deny" && why.contains("supplier_code") && why.contains("buyer"), "{refused}: {why}");
    assert_eq!(verdict("operation=create&roles=writer,buyer").await.0, "allow");
    assert_eq!(verdict("operation=read&roles=writer").await.0, "notApplicable");
}

/// A spec of orders with these rights.
fn rights(readers: &Value, filters: &Value) -> Value {
    json!({
        "org": "acme", "app": "shop", "domain": "DOMAIN", "object": "order", "version": "v1",
        "fields": [{ "name": "amount", "type": "integer" }, { "name": "region", "type": "string" }],
        "access": { "roles": { "create": ["writer"], "read": readers }, "rowFilter": filters },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_counts_what_each_role_sees_before_and_after() {
    let filter = |role: &str, condition: &str| json!({ "role": role, "condition": condition });
    let before = rights(
        &json!(["reader", "big", "regional", "kept"]),
        &json!([
            filter("big", "record.amount > 100"),
            filter("regional", "record.region == actor.attributes.region"),
            filter("kept", "record.amount > 100"),
        ]),
    );
    let mut after = rights(
        &json!(["auditor", "big", "regional", "kept", "owner", "flagged", "renamed"]),
        &json!([
            filter("big", "record.amount > 10"),
            filter("regional", "record.place == actor.attributes.region && record.amount > 100"),
            filter("kept", "record.amount > 100"),
            filter("owner", "record.created_by == actor.id"),
            filter("flagged", "record.flag"),
            filter("renamed", "record.place == 'west'"),
        ]),
    );
    after["fields"] = json!([
        { "name": "amount", "type": "integer" },
        { "name": "place", "type": "string", "renamedFrom": "region" },
        { "name": "flag", "type": "boolean" },
    ]);
    let world = World::new(&[&before.to_string()]).await;
    let (replica, admin) = (world.replica().await, world.admin());
    let (path, writer) = (world.schemas[0].path(), world.token("w", &["writer"], &json!({})));
    let in_domain = |spec: &Value| -> Value {
        serde_json::from_str(&spec.to_string().replace("DOMAIN", path.domain.as_str())).unwrap()
    };
    let owner = world.database.owner().await;
    owner.execute("update platform.schemas set spec = $1", &[&in_domain(&before)]).await.unwrap();
    for (amount, region) in [(50, "west"), (150, "west"), (200, "east")] {
        let record = json!({ "amount": amount, "region": region });
        replica.post(&path.endpoint(), As::Token(&writer), &record).await.is(201);
    }
    let plan = async |query: &str, spec: &Value| {
        let route = format!("/platform/plan{query}");
        let plan = replica.post(&route, As::Token(&admin), &in_domain(spec)).await.is(200).data();
        let access = plan["access"].as_array().unwrap().clone();
        let reads = access
            .into_iter()
            .filter(|change| change["operation"] == "read" && change.get("field").is_none());
        let shown = |change: Value| {
            let note = change["note"].as_str().unwrap_or_default();
            let note = note.split(':').next().unwrap_or_default().to_owned();
            let role = change["role"].as_str().unwrap().to_owned();
            (role, change["rowsBefore"].clone(), change["rowsAfter"].clone(), note)
        };
        reads.map(shown).collect::<Vec<_>>()
    };
    let row = |role: &str, before: Value, after: Value, note: &str| {
        (role.to_owned(), before, after, note.to_owned())
    };
    let regional =
        row("regional", Value::Null, Value::Null, "depends on attributes of the actor, which were not given");
    let rest = |regional| {
        vec![
            row("auditor", json!(0), json!(3), ""),
            row("big", json!(2), json!(3), ""),
            row("flagged", json!(0), Value::Null, "depends on a field that is not there yet"),
            row("owner", json!(0), Value::Null, "depends on who asks"),
            row("reader", json!(3), json!(0), ""),
            regional,
            row("renamed", json!(0), json!(2), ""),
        ]
    };
    assert_eq!(plan("", &after).await, rest(regional));
    assert_eq!(
        plan("?attributes=%7B%22region%22:%22west%22%7D", &after).await,
        rest(row("regional", json!(2), json!(1), ""))
    );
    // What is everyone's changes what each role sees.
    let mut everyones = before.clone();
    everyones["access"]["rowFilter"].as_array_mut().unwrap().push(filter("*", "record.amount < 200"));
    everyones["access"]["abac"] = json!([{ "operations": ["read"], "condition": "record.amount != 50" }]);
    let counts = plan("?attributes=%7B%22region%22:%22west%22%7D", &everyones).await;
    let of_roles = counts.into_iter().filter(|(role, ..)| role != "*").collect::<Vec<_>>();
    assert_eq!(
        of_roles,
        [
            row("big", json!(2), json!(1), ""),
            row("kept", json!(2), json!(1), ""),
            row("reader", json!(3), json!(1), ""),
            row("regional", json!(2), json!(1), ""),
        ]
    );
    let refused = replica.post("/platform/plan?attributes=west", As::Token(&admin), &in_domain(&after)).await;
    refused.is_problem(400, "MALFORMED_REQUEST");
}
