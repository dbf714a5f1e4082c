//! Many writes in one transaction.

use serde_json::{Value as Json, json};
use velocity_schema::Value;
use velocity_schema::input::{parse_patch, parse_replace};
use velocity_store::records::{
    Bulk, BulkItem, BulkOp, BulkReport, ConflictRule, Origin, Outcome, RecordError, Write, Written,
};

use super::world::{THING, World, full, json_of, text};

impl World {
    fn creates(&self, bodies: impl IntoIterator<Item = Json>) -> Vec<BulkItem> {
        let items = bodies.into_iter().enumerate();
        items
            .map(|(index, body)| BulkItem {
                index: u32::try_from(index).unwrap(),
                op: BulkOp::Create(self.new_record(&body)),
            })
            .collect()
    }

    async fn bulk(
        &self,
        atomic: bool,
        conflict: ConflictRule,
        items: Vec<BulkItem>,
    ) -> Result<BulkReport, RecordError> {
        match self.write(Write::Bulk(Bulk { atomic, conflict, items })).await? {
            Written::Bulk(report) => Ok(report),
            other => panic!("{other:?}"),
        }
    }

    async fn count(&self) -> u64 {
        self.list(&[("count", "exact"), ("limit", "1")]).await.total().unwrap().total
    }
}

/// `C` created, `U` updated, `D` deleted, `S` skipped, else the failure.
fn shown(report: &BulkReport) -> Vec<String> {
    let outcome = |outcome: &Outcome| match outcome {
        Outcome::Created(version) => format!("C{version}"),
        Outcome::Updated(version) => format!("U{version}"),
        Outcome::Deleted(version) => format!("D{version}"),
        Outcome::Skipped => "S".to_owned(),
        Outcome::Failed(RecordError::UniqueViolation { fields }) => format!("taken {}", fields.join("+")),
        Outcome::Failed(error) => format!("{error}"),
    };
    report.results.iter().map(|result| outcome(&result.outcome)).collect()
}

/// Without a value of the platform's own besides the id.
fn named(index: usize) -> Json {
    json!({"name": format!("n{index}"), "code": format!("c{index}"), "serial": null})
}

#[tokio::test]
async fn thousands_of_records_with_every_type_arrive_whole() {
    let mut world = World::new(THING).await;
    world.session.origin = Origin::Import;
    let body = |index: usize| {
        let mut body = full();
        body["code"] = json!(format!("c{index}"));
        if index.is_multiple_of(3) {
            for name in ["tags", "scores", "extra", "data", "amount", "seen"] {
                body[name] = Json::Null;
            }
        }
        body
    };
    let report = world.bulk(true, ConflictRule::Fail, world.creates((0..2500).map(body))).await.unwrap();
    assert!(report.results.iter().all(|result| matches!(result.outcome, Outcome::Created(1))));
    assert_eq!(world.count().await, 2500);
    let single = world
        .create({
            let mut body = full();
            body["code"] = json!("single");
            body
        })
        .await
        .unwrap();
    let bulk = world.read(&report.results[1].id).await.unwrap();
    for field in ["tags", "scores", "extra", "data", "amount", "seen", "count", "token", "born", "alarm"] {
        assert_eq!(json_of(&bulk)[field], json_of(&single)[field], "{field}");
    }
    assert!(text(&world.read(&report.results[0].id).await.unwrap()).contains(r#""tags":null"#));
    assert_eq!(world.operations(&report.results[1].id).await, ["IMPORT"]);
}

#[tokio::test]
async fn one_bad_record_undoes_an_atomic_bulk_and_is_named() {
    let world = World::new(THING).await;
    world.made(json!({"name": "x", "code": "c700"})).await;
    let failed = world.bulk(true, ConflictRule::Fail, world.creates((0..1500).map(named))).await;
    let Err(RecordError::Bulk { failures }) = failed else { panic!("{failed:?}") };
    assert_eq!(failures.iter().map(|failure| failure.index).collect::<Vec<_>>(), [700]);
    assert!(matches!(&failures[0].error, RecordError::UniqueViolation { fields } if fields == &["code"]));
    assert_eq!(world.count().await, 1);
}

#[tokio::test]
async fn item_by_item_the_bad_ones_fail_and_the_others_stay() {
    let world = World::new(THING).await;
    world.made(json!({"name": "x", "code": "c3"})).await;
    let mut bodies: Vec<Json> = (0..8).map(named).collect();
    bodies[5]["code"] = json!("c1");
    let report = world.bulk(false, ConflictRule::Fail, world.creates(bodies)).await.unwrap();
    assert_eq!(shown(&report), ["C1", "C1", "C1", "taken code", "C1", "taken code", "C1", "C1"]);
    assert_eq!(world.count().await, 7);
}

#[tokio::test]
async fn a_second_import_of_the_same_records_skips_them_all() {
    let world = World::new(THING).await;
    let items = world.creates((0..30).map(named));
    world.bulk(true, ConflictRule::Fail, items.clone()).await.unwrap();
    let report = world.bulk(true, ConflictRule::Skip, items.clone()).await.unwrap();
    assert!(report.results.iter().all(|result| matches!(result.outcome, Outcome::Skipped)));
    let report = world.bulk(false, ConflictRule::Fail, items).await.unwrap();
    assert!(shown(&report).iter().all(|outcome| outcome.starts_with("taken")));
    // Another id, a unique value that is taken, and twins within the batch.
    let mixed = world.creates([named(2), named(100), named(100), json!({"name": "no code"})]);
    let report = world.bulk(true, ConflictRule::Skip, mixed).await.unwrap();
    assert_eq!(shown(&report), ["S", "C1", "S", "C1"]);
    assert_eq!(world.count().await, 32);
}

#[tokio::test]
async fn a_conflict_on_the_id_can_become_an_update() {
    let world = World::new(THING).await;
    let mut items = world.creates((0..4).map(named));
    world.bulk(true, ConflictRule::Fail, items[..2].to_vec()).await.unwrap();
    // The first comes twice, and the last has another's code.
    items.push(BulkItem { index: 4, ..items[0].clone() });
    if let BulkOp::Create(record) = &mut items[3].op {
        let code = world.schema.position("code").unwrap();
        record.values[code] = Value::String("c1".into());
    }
    let report = world.bulk(false, ConflictRule::Update, items).await.unwrap();
    assert_eq!(shown(&report), ["U2", "U2", "C1", "taken code", "U3"]);
}

#[tokio::test]
async fn an_update_by_bulk_keeps_what_the_platform_gave_the_record() {
    let world = World::new(THING).await;
    let id = world.made(json!({"name": "a"})).await;
    let serial = json_of(&world.read(&id).await.unwrap())["serial"].clone();
    let items = world.creates([json!({"name": "b", "id": id.to_text()})]);
    let report = world.bulk(true, ConflictRule::Update, items).await.unwrap();
    assert_eq!(shown(&report), ["U2"]);
    let record = json_of(&world.read(&id).await.unwrap());
    assert_eq!((&record["name"], &record["serial"]), (&json!("b"), &serial));
}

#[tokio::test]
async fn a_deleted_record_keeps_its_place_in_a_bulk() {
    let world = World::new(THING).await;
    let items = world.creates((0..2).map(named));
    let report = world.bulk(true, ConflictRule::Fail, items.clone()).await.unwrap();
    world.delete(&report.results[0].id, None).await.unwrap();
    let again = world.bulk(false, ConflictRule::Update, items.clone()).await.unwrap();
    assert_eq!(shown(&again), ["taken id", "U2"]);
    let again = world.bulk(false, ConflictRule::Skip, items).await.unwrap();
    assert_eq!(shown(&again), ["S", "S"]);
}

#[tokio::test]
async fn all_kinds_of_writes_go_in_their_order() {
    let world = World::new(THING).await;
    let id = world.id("0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f");
    let missing = world.id("0190c8a5-7b1e-7c3a-9f00-000000000000");
    let upsert = |body: Json| {
        let body = body.to_string();
        BulkOp::Upsert(parse_replace(&world.schema, &id, body.as_bytes(), &mut uuid::Uuid::now_v7).unwrap())
    };
    let update = |id: &Value, body: Json| BulkOp::Update {
        id: id.clone(),
        patch: parse_patch(&world.schema, id, body.to_string().as_bytes()).unwrap(),
    };
    let ops = vec![
        upsert(json!({"name": "a"})),
        update(&id, json!({"count": 1})),
        BulkOp::Create(world.new_record(&json!({"name": "other"}))),
        update(&missing, json!({"count": 1})),
        update(&id, json!({"count": 2, "version": 1})),
        upsert(json!({"name": "b"})),
        BulkOp::Delete { id: id.clone(), expected_version: Some(3) },
        BulkOp::Delete { id: id.clone(), expected_version: None },
    ];
    let items = ops.into_iter().enumerate();
    let items = items.map(|(index, op)| BulkItem { index: u32::try_from(index).unwrap(), op }).collect();
    let report = world.bulk(false, ConflictRule::Fail, items).await.unwrap();
    assert_eq!(
        shown(&report),
        [
            "C1",
            "U2",
            "C1",
            "no record has this id",
            "the record is at version 2",
            "U3",
            "D4",
            "no record has this id"
        ]
    );
}
