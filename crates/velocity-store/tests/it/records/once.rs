//! Idempotency keys.

use bytes::Bytes;
use serde_json::json;
use velocity_store::records::{IdempotencyKey, Once, RecordError, Session, StoredResponse, Write, Written};

use super::world::{THING, World, session};

fn key(name: &str, digest: u8) -> IdempotencyKey {
    IdempotencyKey { key: name.to_owned(), digest: [digest; 32] }
}

fn present(written: &Written) -> Result<StoredResponse, RecordError> {
    let Written::Record { record, .. } = written else { panic!("{written:?}") };
    Ok(StoredResponse {
        status: 201,
        headers: vec![("ETag".into(), format!("\"{}\"", record.version()?))],
        body: Bytes::from(record.id()?.to_text()),
    })
}

async fn send(
    world: &World,
    session: &Session,
    key: &IdempotencyKey,
    name: &str,
) -> Result<Once, RecordError> {
    let write = Write::Create(world.new_record(&json!({"name": name})));
    world.records.write_once(session, &world.table, key, &write, present).await
}

#[tokio::test]
async fn eight_requests_with_one_key_make_one_record_and_get_one_answer() {
    let world = World::new(THING).await;
    let (key, session) = (key("k", 1), session("ravi", &["writer"]));
    let outcomes = futures::future::join_all((0..8).map(|_| send(&world, &session, &key, "a"))).await;
    let mut answers = Vec::new();
    let mut fresh = 0;
    for outcome in outcomes {
        match outcome.unwrap() {
            Once::Fresh(answer) => {
                fresh += 1;
                answers.push(answer);
            }
            Once::Replayed(answer) => answers.push(answer),
        }
    }
    assert_eq!(fresh, 1);
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(world.list(&[]).await.len(), 1);
}

#[tokio::test]
async fn the_same_key_with_another_request_is_a_conflict() {
    let world = World::new(THING).await;
    let session = session("ravi", &["writer"]);
    send(&world, &session, &key("k", 1), "a").await.unwrap();
    let other = send(&world, &session, &key("k", 2), "b").await;
    assert!(matches!(other, Err(RecordError::IdempotencyConflict)), "{other:?}");
    assert_eq!(world.list(&[]).await.len(), 1);
}

#[tokio::test]
async fn a_key_belongs_to_one_actor() {
    let world = World::new(THING).await;
    let key = key("k", 1);
    let first = send(&world, &session("ravi", &["writer"]), &key, "a").await.unwrap();
    let second = send(&world, &session("mallory", &["writer"]), &key, "a").await.unwrap();
    let (Once::Fresh(first), Once::Fresh(second)) = (first, second) else { panic!("one was replayed") };
    assert_ne!(first.body, second.body);
    assert_eq!(world.list(&[]).await.len(), 2);
}

#[tokio::test]
async fn a_write_that_fails_leaves_its_key_free() {
    let world = World::new(THING).await;
    let session = session("ravi", &["writer"]);
    world.made(json!({"name": "a", "code": "taken"})).await;
    let write = Write::Create(world.new_record(&json!({"name": "b", "code": "taken"})));
    let failed = world.records.write_once(&session, &world.table, &key("k", 1), &write, present).await;
    assert!(matches!(failed, Err(RecordError::UniqueViolation { .. })), "{failed:?}");
    let write = Write::Create(world.new_record(&json!({"name": "b"})));
    let unanswered = |_: &Written| Err(RecordError::TooLarge);
    let failed = world.records.write_once(&session, &world.table, &key("k", 1), &write, unanswered).await;
    assert!(failed.is_err());
    assert_eq!(world.list(&[]).await.len(), 1, "what could not be answered was not done");
    assert!(matches!(send(&world, &session, &key("k", 3), "c").await, Ok(Once::Fresh(_))));
}

#[tokio::test]
async fn a_key_is_forgotten_after_a_day() {
    let world = World::new(THING).await;
    let session = session("ravi", &["writer"]);
    send(&world, &session, &key("k", 1), "a").await.unwrap();
    let age = |hours: u32| {
        format!("update platform.idempotency_keys set created_at = now() - interval '{hours} hours'")
    };
    world.database.owner().await.batch_execute(&age(23)).await.unwrap();
    assert!(matches!(send(&world, &session, &key("k", 1), "a").await, Ok(Once::Replayed(_))));
    world.database.owner().await.batch_execute(&age(25)).await.unwrap();
    assert!(matches!(send(&world, &session, &key("k", 2), "b").await, Ok(Once::Fresh(_))));
    assert_eq!(world.list(&[]).await.len(), 2);
}
