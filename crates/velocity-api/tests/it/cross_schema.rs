//! Rights on the schemas that fields refer to.

use std::sync::Arc;

use serde_json::{Value, json};
use velocity_access::{Layer, Layers};
use velocity_api::Config;
use velocity_schema::Schema;

use crate::app::{App, Client, Reply};

const SUPPLIERS: &str = r"
org: acme
app: shop
domain: DOMAIN
object: supplier
version: v1
fields:
  - { name: id, type: string }
  - { name: region, type: string, filterable: true }
  - { name: tax, type: string, unique: true }
  - { name: parent, type: string, ref: { object: supplier, version: v1, field: id } }
access:
  roles:
    create: [boss, regional]
    read: [boss, regional, secretive]
    update: [boss, regional]
  rowFilter:
    - { role: regional, condition: record.region == actor.attributes.region }
  abac:
    - operations: [read]
      condition: record.region != 'moon'
  fieldAccess:
    - { field: tax, read: [boss] }
";

const ORDERS: &str = r"
org: acme
app: shop
domain: DOMAIN
object: order
version: v1
fields:
  - { name: id, type: string }
  - { name: supplier, type: string, ref: { object: supplier, version: v1, field: id } }
  - { name: tax, type: string, ref: { object: supplier, version: v1, field: tax } }
  - { name: hint, type: string, ref: { object: supplier, version: v1, field: id, enforce: false } }
  - { name: note, type: string }
access:
  roles:
    create: [boss, regional, clerk]
    read: [boss, regional, clerk]
    update: [boss, regional, clerk]
";

struct World {
    app: App,
    orders: Arc<Schema>,
}

impl World {
    async fn new(config: Config) -> Self {
        let app = App::with(SUPPLIERS, config).await;
        let orders = app.serve_also(ORDERS).await;
        let world = Self { app, orders };
        for (id, region) in [("w", "west"), ("e", "east"), ("m", "moon")] {
            let supplier = json!({"id": id, "region": region, "tax": format!("T-{id}")});
            world.boss().post("", &supplier).await.is(201);
        }
        world
    }

    fn boss(&self) -> Client<'_> {
        self.app.as_actor("bob", &["boss"], &json!({}))
    }

    fn regional(&self) -> Client<'_> {
        self.app.as_actor("mia", &["regional"], &json!({"region": "west"}))
    }

    fn clerk(&self) -> Client<'_> {
        self.app.as_actor("carl", &["clerk"], &json!({}))
    }

    fn at(&self, tail: &str) -> String {
        format!("/{}{tail}", self.orders.path().endpoint())
    }

    async fn order(&self, client: &Client<'_>, body: Value) -> Reply {
        client.post(&self.at(""), &body).await
    }
}

#[tokio::test]
async fn pointing_to_a_record_needs_the_right_to_read_its_schema() {
    let world = World::new(Config::default()).await;
    let clerk = world.clerk();
    world.order(&clerk, json!({"id": "1"})).await.is(201);
    world.order(&clerk, json!({"id": "2", "supplier": null})).await.is(201);
    world.order(&clerk, json!({"id": "3", "hint": "nowhere"})).await.is(201);
    let (orders, one) = (world.at("/bulk"), world.at("/1"));
    for supplier in ["w", "none"] {
        let sent = json!({"id": "4", "supplier": supplier});
        for reply in [
            world.order(&clerk, sent.clone()).await,
            clerk.put(&world.at("/4"), &sent).await,
            clerk.patch(&one, &json!({"supplier": supplier})).await,
            clerk.put(&one, &json!({"supplier": supplier})).await,
            clerk.post(&orders, &json!({"operations": [{"create": sent}]})).await,
            clerk
                .post(
                    &orders,
                    &json!({"operations": [{"update": {"id": "1", "data": {"supplier": supplier}}}]}),
                )
                .await,
        ] {
            let problem = reply.is_problem(403, "CROSS_SCHEMA_ACCESS_DENIED");
            let text = problem.to_string();
            assert!(text.contains("supplier"), "{text}");
        }
    }
    let each = json!({"atomic": false, "operations": [{"create": {"id": "5", "supplier": "w"}}, {"create": {"id": "6"}}]});
    let each = clerk.post(&orders, &each).await.is(200).json();
    assert_eq!(each["data"][0]["error"]["code"], "CROSS_SCHEMA_ACCESS_DENIED", "{each}");
    assert_eq!(each["stats"]["created"], 1, "{each}");
}

#[tokio::test]
async fn a_record_that_the_caller_does_not_see_is_none_in_the_very_same_words() {
    let world = World::new(Config::default()).await;
    let regional = world.regional();
    world.order(&regional, json!({"id": "1", "supplier": "w"})).await.is(201);
    // Hidden by the row filter, by the condition on reads, and not there at all.
    let said = |reply: &Reply| {
        let mut problem = reply.is_problem(409, "REFERENCE_VIOLATION");
        for own in ["requestId", "instance"] {
            problem.as_object_mut().unwrap().remove(own);
        }
        problem
    };
    let missing = said(&world.order(&regional, json!({"id": "2", "supplier": "none"})).await);
    for hidden in ["e", "m"] {
        assert_eq!(said(&world.order(&regional, json!({"id": "2", "supplier": hidden})).await), missing);
        let patched = regional.patch(&world.at("/1"), &json!({"supplier": hidden})).await;
        assert_eq!(said(&patched), missing);
        let put = regional.put(&world.at("/1"), &json!({"supplier": hidden})).await;
        assert_eq!(said(&put), missing);
    }
    let boss = world.boss();
    let moon = said(&world.order(&boss, json!({"id": "2", "supplier": "m"})).await);
    assert_eq!(moon, missing);
    world.order(&boss, json!({"id": "2", "supplier": "e"})).await.is(201);
}

#[tokio::test]
async fn a_field_that_stays_as_it_is_points_nowhere_new() {
    let world = World::new(Config::default()).await;
    world.order(&world.boss(), json!({"id": "1", "supplier": "e", "note": "a"})).await.is(201);
    let one = world.at("/1");
    for client in [world.regional(), world.clerk()] {
        client.put(&one, &json!({"supplier": "e", "note": "b"})).await.is(200);
        client.patch(&one, &json!({"supplier": "e", "note": "c"})).await.is(200);
    }
    world.regional().patch(&one, &json!({"supplier": null})).await.is(200);
    world.regional().patch(&one, &json!({"supplier": "e"})).await.is_problem(409, "REFERENCE_VIOLATION");
}

#[tokio::test]
async fn a_field_that_the_caller_does_not_see_there_is_nothing_to_point_to() {
    let world = World::new(Config::default()).await;
    world.order(&world.boss(), json!({"id": "1", "tax": "T-w"})).await.is(201);
    let reply = world.order(&world.regional(), json!({"id": "2", "tax": "T-w"})).await;
    reply.is_problem(403, "CROSS_SCHEMA_ACCESS_DENIED");
}

#[tokio::test]
async fn records_of_one_request_may_point_to_each_other() {
    let world = World::new(Config::default()).await;
    let regional = world.regional();
    let family = json!({"operations": [
        {"create": {"id": "p", "region": "west"}},
        {"create": {"id": "q", "region": "west", "parent": "p"}},
    ]});
    regional.post("/bulk", &family).await.is(200);
    regional.post("", &json!({"id": "s", "region": "west", "parent": "s"})).await.is(201);
    regional
        .post("", &json!({"id": "t", "region": "west", "parent": "e"}))
        .await
        .is_problem(409, "REFERENCE_VIOLATION");
}

#[tokio::test]
async fn a_target_that_is_not_served_or_has_another_strategy_is_not_pointed_to() {
    let world = World::new(Config::default()).await;
    let mut catalog = (*world.app.catalog.load_full()).clone();
    let domain = world.app.schema.path().domain.as_str();
    let own = format!("{SUPPLIERS}auth: {{ strategyRef: {{ name: own, namespace: acme-shop-DOMAIN }} }}\n");
    catalog.served.insert(Arc::new(velocity_testkit::schema(&own.replace("DOMAIN", domain))));
    world.app.catalog.store(catalog.clone());
    let reply = world.order(&world.boss(), json!({"id": "1", "supplier": "w"})).await;
    reply.is_problem(403, "CROSS_SCHEMA_ACCESS_DENIED");
    catalog.served.remove(world.app.schema.path());
    world.app.catalog.store(catalog);
    let reply = world.order(&world.boss(), json!({"id": "1", "supplier": "w"})).await;
    reply.is_problem(403, "CROSS_SCHEMA_ACCESS_DENIED");
}

#[tokio::test]
async fn without_the_layer_the_database_takes_what_the_caller_may_not_know_of() {
    let layers = Layers::all().without(Layer::CrossSchema);
    let world = World::new(Config { layers, ..Config::default() }).await;
    world.order(&world.clerk(), json!({"id": "1", "supplier": "w"})).await.is(201);
    world.order(&world.regional(), json!({"id": "2", "supplier": "e"})).await.is(201);
}

#[tokio::test]
async fn a_record_that_is_pointed_to_says_so_and_not_from_where() {
    let world = World::new(Config::default()).await;
    world.order(&world.boss(), json!({"id": "1", "supplier": "w"})).await.is(201);
    let admin = world.app.as_roles(&["platform-admin"]);
    let reply = admin.delete("/w").await;
    reply.is_problem(409, "REFERENCE_VIOLATION");
    assert!(!reply.body.contains("order"), "{}", reply.body);
    admin.delete("/e").await.is(204);
}
