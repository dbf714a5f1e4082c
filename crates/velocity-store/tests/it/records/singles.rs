//! Single records: made, read, changed, replaced, deleted, brought back.

use serde_json::json;
use velocity_schema::Value;
use velocity_schema::schema::View;
use velocity_store::codec::Numbers;
use velocity_store::records::{Effect, RecordError, Write};

use super::world::{THING, World, full, json_of, session, text};

#[tokio::test]
async fn a_record_comes_back_as_it_was_sent_with_every_digit() {
    let world = World::new(THING).await;
    let made = world.create(full()).await.unwrap();
    let read = world.read(&made.id().unwrap()).await.unwrap();
    assert_eq!(text(&read), text(&made));
    let body = text(&read);
    for part in [
        r#""name":"bolt \"M8\"\n🔩","note":"""#,
        r#""count":-9223372036854775808,"amount":1234567890123456.70,"active":true"#,
        r#""seen":"2026-05-19T14:00:00.123456Z","born":"1999-12-31","alarm":"06:30:00.5""#,
        r#""status":"draft","token":"0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f","data":"AAEC/w==""#,
        r#""tags":["a\"b","c,d","{}","","null","e\\f"],"scores":[1.500,2.125,0.000]"#,
        r#""fixed":"once","serial":""#,
        r#""version":1,"created_at":""#,
        r#""created_by":"ravi""#,
    ] {
        assert!(body.contains(part), "{part} in {body}");
    }
    assert_eq!(json_of(&read)["extra"], full()["extra"]);
    assert!(!body.contains("deleted_at") && !body.contains("_head_hash"));

    let mut strings = Vec::new();
    read.append_json(&View::whole(), Numbers::Strings, &mut strings).unwrap();
    let strings = String::from_utf8(strings).unwrap();
    for part in [
        r#""count":"-9223372036854775808","amount":"1234567890123456.70""#,
        r#""scores":["1.500","2.125","0.000"]"#,
        r#""version":"1""#,
    ] {
        assert!(strings.contains(part), "{part} in {strings}");
    }
}

#[tokio::test]
async fn fields_without_a_value_are_null() {
    let world = World::new(THING).await;
    let made = json_of(&world.create(json!({"name": "a"})).await.unwrap());
    let nulls = [
        "note", "count", "amount", "active", "seen", "born", "alarm", "extra", "token", "data", "tags",
        "scores",
    ];
    assert!(nulls.iter().all(|name| made[*name].is_null()), "{made}");
    assert_eq!(made.as_object().unwrap().len(), world.schema.fields().len());
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let world = World::new(THING).await;
    let id = world.id("0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f");
    assert!(matches!(world.read(&id).await, Err(RecordError::NotFound)));
    assert!(matches!(world.patch(&id, json!({"name": "b"})).await, Err(RecordError::NotFound)));
    assert!(matches!(world.patch(&id, json!({"name": "b", "version": 1})).await, Err(RecordError::NotFound)));
    assert!(matches!(world.patch(&id, json!({})).await, Err(RecordError::NotFound)));
    assert!(matches!(world.delete(&id, None).await, Err(RecordError::NotFound)));
    assert!(matches!(world.delete(&id, Some(1)).await, Err(RecordError::NotFound)));
    assert!(matches!(world.undelete(&id).await, Err(RecordError::NotFound)));
    assert!(matches!(world.history(&id).await, Err(RecordError::NotFound)));
    assert!(matches!(
        world.replace(&id, json!({"name": "b", "version": 1})).await,
        Err(RecordError::NotFound)
    ));
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_counts_the_version() {
    let world = World::new(THING).await;
    let id = world.made(full()).await;
    let patched = json_of(&world.patch(&id, json!({"count": 5, "note": null, "amount": 0.1})).await.unwrap());
    assert_eq!(
        (&patched["count"], &patched["note"], &patched["version"]),
        (&json!(5), &json!(null), &json!(2))
    );
    assert_eq!(patched["tags"], full()["tags"]);
    let same = world.patch(&id, json!({})).await.unwrap();
    assert_eq!(same.version().unwrap(), 2);
    assert_eq!(world.operations(&id).await, ["UPDATE", "CREATE"]);
}

#[tokio::test]
async fn a_patch_of_a_json_object_merges() {
    let world = World::new(THING).await;
    let id = world.made(json!({"name": "a", "extra": {"keep": {"deep": 1.5}, "drop": 1}})).await;
    let patched = world.patch(&id, json!({"extra": {"drop": null, "keep": {"more": 2}}})).await.unwrap();
    assert!(text(&patched).contains(r#""extra":{"keep": {"deep": 1.5, "more": 2}}"#), "{}", text(&patched));
    let patched = json_of(&world.patch(&id, json!({"extra": [1]})).await.unwrap());
    assert_eq!(patched["extra"], json!([1]));
    let patched = json_of(&world.patch(&id, json!({"extra": {"a": {"b": null}}})).await.unwrap());
    assert_eq!(patched["extra"], json!({"a": {}}));
}

#[tokio::test]
async fn a_write_that_has_seen_another_version_is_a_conflict() {
    let world = World::new(THING).await;
    let id = world.made(full()).await;
    world.patch(&id, json!({"count": 1, "version": 1})).await.unwrap();
    let conflicts = [
        world.patch(&id, json!({"count": 2, "version": 1})).await.map(drop),
        world.patch(&id, json!({"extra": {"a": 2}, "version": 1})).await.map(drop),
        world.patch(&id, json!({"version": 1})).await.map(drop),
        world.replace(&id, json!({"name": "x", "fixed": "once", "version": 1})).await.map(drop),
        world.delete(&id, Some(1)).await.map(drop),
    ];
    for outcome in conflicts {
        assert!(matches!(outcome, Err(RecordError::VersionConflict { current: 2 })), "{outcome:?}");
    }
    assert_eq!(world.delete(&id, Some(2)).await.unwrap(), 3);
}

#[tokio::test]
async fn of_writers_that_saw_the_same_version_one_wins_and_the_others_learn_the_new_one() {
    let world = World::new(THING).await;
    let id = world.made(full()).await;
    let writers = (0..8).map(|n| world.patch(&id, json!({"count": n, "version": 1})));
    let outcomes = futures::future::join_all(writers).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    for outcome in outcomes.into_iter().filter_map(Result::err) {
        assert!(matches!(outcome, RecordError::VersionConflict { current: 2 }), "{outcome:?}");
    }
}

#[tokio::test]
async fn merges_at_once_lose_nothing() {
    let world = World::new(THING).await;
    let id = world.made(json!({"name": "a", "extra": {}})).await;
    let writers = (0..4).map(|n| world.patch(&id, json!({"extra": {format!("k{n}"): n}})));
    for outcome in futures::future::join_all(writers).await {
        outcome.unwrap();
    }
    assert_eq!(
        json_of(&world.read(&id).await.unwrap())["extra"],
        json!({"k0": 0, "k1": 1, "k2": 2, "k3": 3})
    );
}

#[tokio::test]
async fn a_replacement_makes_or_replaces_whole() {
    let world = World::new(THING).await;
    let id = world.id("0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f");
    let (record, effect) = world.replace(&id, json!({"name": "a", "count": 1})).await.unwrap();
    assert_eq!((effect, record.version().unwrap()), (Effect::Created, 1));
    let (record, effect) = world.replace(&id, json!({"name": "b"})).await.unwrap();
    assert_eq!((effect, record.version().unwrap()), (Effect::Updated, 2));
    let body = json_of(&record);
    assert_eq!(
        (&body["name"], &body["count"], &body["status"]),
        (&json!("b"), &json!(null), &json!("draft"))
    );
    world.replace(&id, json!({"name": "c", "version": 2})).await.unwrap();
    assert_eq!(world.operations(&id).await, ["UPDATE", "UPDATE", "CREATE"]);
}

#[tokio::test]
async fn a_replaced_record_keeps_what_the_platform_gave_it() {
    let world = World::new(THING).await;
    let id = world.made(json!({"name": "a"})).await;
    let serial = json_of(&world.read(&id).await.unwrap())["serial"].clone();
    assert!(serial.is_string());
    for body in
        [json!({"name": "b"}), json!({"name": "c", "version": 2}), json!({"name": "d", "serial": serial})]
    {
        let (record, _) = world.replace(&id, body).await.unwrap();
        assert_eq!(json_of(&record)["serial"], serial);
    }
    let other = world.replace(&id, json!({"name": "b", "serial": null})).await;
    assert!(matches!(&other, Err(RecordError::Immutable { field }) if field == "serial"), "{other:?}");
}

#[tokio::test]
async fn replacements_at_once_make_one_record() {
    let world = World::new(THING).await;
    let id = world.id("0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f");
    let writers = (0..6).map(|n| world.replace(&id, json!({"name": "a", "count": n})));
    let outcomes: Vec<_> = futures::future::join_all(writers).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes.iter().filter(|(_, effect)| *effect == Effect::Created).count(), 1);
    assert_eq!(world.read(&id).await.unwrap().version().unwrap(), 6);
}

#[tokio::test]
async fn a_deleted_record_is_gone_until_it_is_brought_back() {
    let world = World::new(THING).await;
    let id = world.made(full()).await;
    assert_eq!(world.delete(&id, None).await.unwrap(), 2);
    assert!(matches!(world.read(&id).await, Err(RecordError::NotFound)));
    assert!(matches!(world.patch(&id, json!({"count": 1})).await, Err(RecordError::NotFound)));
    assert!(matches!(world.delete(&id, None).await, Err(RecordError::NotFound)));
    assert!(world.list(&[]).await.is_empty());
    // It keeps its id and its unique values.
    let taken = world.replace(&id, json!({"name": "b"})).await;
    assert!(matches!(&taken, Err(RecordError::UniqueViolation { fields }) if fields == &["id"]), "{taken:?}");
    let taken = world.create(json!({"name": "b", "code": "C-1"})).await;
    assert!(
        matches!(&taken, Err(RecordError::UniqueViolation { fields }) if fields == &["code"]),
        "{taken:?}"
    );

    let (record, effect) = world.undelete(&id).await.unwrap();
    assert_eq!((effect, record.version().unwrap()), (Effect::Undeleted, 3));
    let (record, effect) = world.undelete(&id).await.unwrap();
    assert_eq!((effect, record.version().unwrap()), (Effect::Unchanged, 3));
    assert_eq!(world.operations(&id).await, ["UNDELETE", "DELETE", "CREATE"]);
}

#[tokio::test]
async fn errors_of_constraints_name_the_field_and_never_the_value() {
    let world = World::new(THING).await;
    let id = world.made(full()).await;
    let taken = world.create(json!({"name": "b", "code": "C-1"})).await.unwrap_err();
    assert!(!format!("{taken} {taken:?}").contains("C-1"), "{taken:?}");
    let immutable = world.patch(&id, json!({"fixed": "twice"})).await;
    assert!(matches!(&immutable, Err(RecordError::Immutable { field }) if field == "fixed"), "{immutable:?}");
    world.patch(&id, json!({"fixed": "once"})).await.unwrap();
}

const PART: &str = r"
org: acme
app: tests
domain: records
object: part
version: v1
fields:
  - {name: id, type: string}
  - {name: thing, type: string, ref: {object: thing, version: v1, field: code}}
access:
  roles: {create: [writer], read: [writer], update: [writer], delete: [writer]}
";

#[tokio::test]
async fn references_hold_in_both_directions() {
    let world = World::new(THING).await;
    let id = world.made(full()).await;
    let parts = world.add(PART).await;
    let part = |id: &str, thing: &str| {
        let body = json!({"id": id, "thing": thing}).to_string();
        let record =
            velocity_schema::input::parse_create(parts.schema(), body.as_bytes(), &mut uuid::Uuid::now_v7);
        Write::Create(record.unwrap())
    };
    world.records.write(&world.session, &parts, part("p-1", "C-1")).await.unwrap();
    let dangling = world.records.write(&world.session, &parts, part("p-2", "C-2")).await;
    assert!(
        matches!(&dangling, Err(RecordError::ReferenceViolation { field: Some(field) }) if field == "thing"),
        "{dangling:?}"
    );
    let held = world.delete(&id, None).await;
    assert!(matches!(held, Err(RecordError::ReferenceViolation { field: None })), "{held:?}");
    let p1 = Value::String("p-1".into());
    world
        .records
        .write(&world.session, &parts, Write::Delete { id: p1, expected_version: None })
        .await
        .unwrap();
    world.delete(&id, None).await.unwrap();
    let deleted = world.records.write(&world.session, &parts, part("p-3", "C-1")).await;
    assert!(
        matches!(&deleted, Err(RecordError::ReferenceViolation { field: Some(field) }) if field == "thing"),
        "{deleted:?}"
    );
}

const FILTERED: &str = r#"
org: acme
app: tests
domain: records
object: order
version: v1
fields:
  - {name: region, type: string, required: true, filterable: true}
  - {name: amount, type: number, filterable: true, sortable: true}
validation:
  rules:
    - {rule: "self.amount > 0.0", message: amount must be positive, field: amount}
    - {rule: "self.amount >= oldSelf.amount", message: amount never shrinks}
access:
  roles: {create: [regional], read: [regional], update: [regional], delete: [regional], history: [regional]}
  rowFilter:
    - {role: regional, condition: "record.region == actor.attributes.region"}
"#;

#[tokio::test]
async fn callers_see_and_write_what_their_row_filters_allow_and_nothing_else() {
    let mut world = World::new(FILTERED).await;
    world.session = session("north", &["regional"]);
    world.session.attributes = r#"{"region": "north"}"#.to_owned();
    let id = world.made(json!({"region": "north", "amount": 5})).await;
    let outside = world.create(json!({"region": "south", "amount": 5})).await;
    assert!(matches!(outside, Err(RecordError::RowFilterDenied)), "{outside:?}");
    let moved = world.patch(&id, json!({"region": "south"})).await;
    assert!(matches!(moved, Err(RecordError::RowFilterDenied)), "{moved:?}");

    world.session.attributes = r#"{"region": "south"}"#.to_owned();
    assert!(matches!(world.read(&id).await, Err(RecordError::NotFound)));
    assert!(matches!(world.patch(&id, json!({"amount": 6})).await, Err(RecordError::NotFound)));
    assert!(matches!(world.delete(&id, None).await, Err(RecordError::NotFound)));
    assert!(matches!(world.history(&id).await, Err(RecordError::NotFound)));
    let page = world.list(&[("count", "estimated")]).await;
    assert_eq!((page.len(), page.total().unwrap().total), (0, 0));

    // A role that could be taken for two is none.
    world.session = session("north", &["regional,platform-admin", "x,regional"]);
    assert!(world.list(&[]).await.is_empty());
    world.session = session("", &["platform-admin"]);
    assert!(world.list(&[]).await.is_empty(), "without an actor nothing is seen");
}

#[tokio::test]
async fn all_rules_that_do_not_hold_are_reported_on_every_kind_of_write() {
    let mut world = World::new(FILTERED).await;
    world.session.roles = vec!["platform-admin".to_owned()];
    let rules = |outcome: Result<velocity_store::records::Record, RecordError>| match outcome {
        Err(RecordError::Validation(violations)) => {
            violations.iter().map(|v| (v.path.clone(), v.message.clone())).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    let (positive, shrinks) = (
        ("amount".to_owned(), "amount must be positive".to_owned()),
        (String::new(), "amount never shrinks".to_owned()),
    );
    let of_create = rules(world.create(json!({"region": "n", "amount": 0})).await);
    assert_eq!(of_create, std::slice::from_ref(&positive));
    let id = world.made(json!({"region": "n", "amount": 5})).await;
    assert_eq!(rules(world.patch(&id, json!({"amount": -1})).await), [positive, shrinks.clone()]);
    let replaced = world.replace(&id, json!({"region": "n", "amount": 4})).await.map(|(record, _)| record);
    assert_eq!(rules(replaced), [shrinks]);
    assert_eq!(world.patch(&id, json!({"amount": 6})).await.unwrap().version().unwrap(), 2);
    // A rule on a field without a value does not stand in the way.
    world.create(json!({"region": "n"})).await.unwrap();
}
