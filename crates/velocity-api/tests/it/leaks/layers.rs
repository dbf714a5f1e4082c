//! Takes single layers away and sees the attacks succeed that they stop: so it is known that the tests bite, and which
//! layer it is that stops them.
//!
//! The checks of the API come out of a build with the feature `removable-layers`, which these tests have; what the database
//! enforces is switched off in the database.

use std::sync::Arc;

use serde_json::json;
use velocity_access::{Layer, Layers};
use velocity_api::Config;
use velocity_testkit::{provision, schema};

use super::world::{CLERK, DOCTOR, LOST, PERSONS, STRANGER, Secrets, WEST, World, same};
use crate::app::Reply;

async fn world(layers: Layers) -> World {
    World::new(&Secrets::first(), 1, Config { layers, ..Config::default() }).await
}

fn without(layer: Layer) -> Layers {
    Layers::all().without(layer)
}

#[tokio::test]
async fn roles_stop_an_operation_that_nothing_else_does() {
    let attack = async |world: &World| world.client(WEST).delete("/P-00").await;
    attack(&world(Layers::all()).await).await.is_problem(403, "RBAC_DENIED");
    attack(&world(without(Layer::Rbac)).await).await.is(204);
}

#[tokio::test]
async fn conditions_stop_a_read_that_nothing_else_does() {
    let attack = async |world: &World| {
        (world.client(CLERK).get("/P-11").await, world.client(CLERK).get("?filter[region]=moon").await)
    };
    let (one, list) = attack(&world(Layers::all()).await).await;
    one.is_problem(403, "ABAC_DENIED");
    assert_eq!(list.is(200).data(), json!([]));
    let (one, list) = attack(&world(without(Layer::Abac)).await).await;
    assert_eq!(one.is(200).data()["region"], "moon");
    assert_eq!(list.is(200).data().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn rights_on_the_other_schema_stop_a_reference_that_nothing_else_does() {
    let attack = async |world: &World| -> Reply {
        let visit = format!(
            "org: acme\napp: clinic\ndomain: {}\nobject: visit\nversion: v1\nfields:\n  - {{ name: person, type: string, \
             ref: {{ object: person, version: v1 }} }}\naccess:\n  roles: {{ create: [porter], read: [porter] }}\n",
            world.app.schema.path().domain
        );
        let visit = Arc::new(schema(&visit));
        provision(&world.app.database, &visit).await;
        let mut catalog = (*world.app.catalog.load_full()).clone();
        catalog.served.insert(Arc::clone(&visit));
        world.app.catalog.store(catalog);
        let porter = world.app.as_actor("paul", &["porter"], &json!({}));
        porter.post(&format!("/{}", visit.path().endpoint()), &json!({"person": "P-00"})).await
    };
    let problem = attack(&world(Layers::all()).await).await.is_problem(403, "CROSS_SCHEMA_ACCESS_DENIED");
    assert!(problem["detail"].as_str().unwrap().contains("person"), "{problem}");
    attack(&world(without(Layer::CrossSchema)).await).await.is(201);
}

#[tokio::test]
async fn row_filters_stop_a_read_that_nothing_else_does() {
    let attack = async |world: &World| world.client(WEST).get("/P-01").await;
    attack(&world(Layers::all()).await).await.is_problem(404, "ENTITY_NOT_FOUND");
    let filter =
        "  rowFilter:\n    - { role: west, condition: \"record.region == actor.attributes.region\" }\n";
    let spec = PERSONS.replace("TIER", "1");
    assert!(spec.contains(filter));
    let open = World::of(&spec.replace(filter, ""), &Secrets::first(), Config::default()).await;
    assert_eq!(attack(&open).await.is(200).data()["region"], "east");
}

#[tokio::test]
async fn field_rights_stop_what_nothing_else_does() {
    let attack = async |world: &World| {
        let client = world.client(CLERK);
        let filtered = client.get("?filter[diagnosis][contains]=walrus").await;
        let written = client.patch("/P-00", &json!({"diagnosis": "made up"})).await;
        (client.get("/P-01").await, filtered, written)
    };
    let (read, filtered, written) = attack(&world(Layers::all()).await).await;
    assert!(read.is(200).data().get("diagnosis").is_none());
    filtered.is_problem(403, "FIELD_FORBIDDEN");
    written.is_problem(403, "FIELD_FORBIDDEN");
    let (read, filtered, written) = attack(&world(without(Layer::FieldRights)).await).await;
    assert_eq!(read.is(200).data()["diagnosis"], "walrus cough");
    assert_ne!(filtered.is(200).data(), json!([]));
    written.is(200);
}

#[tokio::test]
async fn masks_stop_what_nothing_else_does() {
    let attack = async |world: &World| world.client(CLERK).get("/P-01").await.is(200).data();
    assert_eq!(attack(&world(Layers::all()).await).await["salary"], "1000..2000");
    assert_eq!(attack(&world(without(Layer::Masking)).await).await["salary"].as_f64(), Some(1900.0));
}

#[tokio::test]
async fn the_database_stops_what_the_api_lets_through() {
    let mut none = Layers::all();
    for layer in Layer::ALL {
        none = none.without(layer);
    }
    let world = world(none).await;
    // Nothing of the API stands between a caller and the database: it still shows everybody their own rows only.
    let regions = async |who| {
        let rows = world.client(who).get("?limit=1000").await.is(200).data();
        let mut regions: Vec<String> =
            rows.as_array().unwrap().iter().map(|row| row["region"].as_str().unwrap().to_owned()).collect();
        regions.sort();
        regions.dedup();
        regions
    };
    assert_eq!(regions(DOCTOR).await, ["east", "moon", "west"]);
    assert_eq!(regions(WEST).await, ["west"]);
    assert!(regions(LOST).await.is_empty() && regions(STRANGER).await.is_empty());
    world.client(WEST).patch("/P-01", &json!({"name": "x"})).await.is_problem(404, "ENTITY_NOT_FOUND");
    world.client(WEST).get("/P-01/history").await.is_problem(404, "ENTITY_NOT_FOUND");
    // As SQL, with the API's own login and no identity at all.
    let (names, login) = (
        velocity_sql::TableNames::of(world.app.schema.path()),
        world.app.database.client("velocity_api").await,
    );
    let count = format!("select count(*) from {}", names.table_sql().inline());
    login.batch_execute(&format!("set role {}", names.role())).await.unwrap();
    assert_eq!(login.query_one(&count, &[]).await.unwrap().get::<_, i64>(0), 0);
    // Without the policies the same attacks succeed.
    let owner = world.app.database.owner().await;
    for table in [names.table_sql(), names.history_sql()] {
        owner
            .batch_execute(&format!("alter table {} disable row level security", table.inline()))
            .await
            .unwrap();
    }
    assert_eq!(login.query_one(&count, &[]).await.unwrap().get::<_, i64>(0), 12);
    assert_eq!(regions(STRANGER).await, ["east", "moon", "west"]);
    world.client(WEST).patch("/P-01", &json!({"name": "x"})).await.is(200);
}

#[tokio::test]
async fn the_suite_over_all_endpoints_notices_each_layer_that_is_missing() {
    for (layer, probe) in [
        (Layer::Masking, super::world::get("/P-01")),
        (Layer::FieldRights, super::world::get("")),
        (Layer::FieldRights, super::world::get("/P-00/history")),
        (Layer::FieldRights, super::world::get("/export?format=csv")),
        (Layer::FieldRights, super::world::get("?q=walrus")),
    ] {
        let config = || Config { layers: without(layer), ..Config::default() };
        let worlds = [
            World::new(&Secrets::first(), 1, config()).await,
            World::new(&Secrets::second(), 1, config()).await,
        ];
        assert!(
            same(&worlds, CLERK, &probe).await.is_err(),
            "{layer} is missing, and {probe:?} does not show it"
        );
    }
}
