//! A change that does not get its lock lets traffic pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use velocity_store::ddl::ApplyError;
use velocity_testkit::{PLATFORM, TestDatabase, provision, schema};

use crate::planned::{apply, plan};

const FIRST: &str = r"
org: any
app: locks
domain: test
object: item
version: v1
fields:
  - {name: title, type: string}
";

#[tokio::test]
async fn a_lock_that_is_not_to_be_had_is_given_up_and_readers_pass_meanwhile() {
    let database = TestDatabase::create_from(&PLATFORM).await;
    provision(&database, &schema(FIRST)).await;
    let mut owner = database.owner().await;
    let wanted = schema(&format!("{FIRST}  - {{name: note, type: string}}\n"));
    let change = plan(&owner, &wanted).await;

    let holder = database.owner().await;
    holder.batch_execute("begin; select from any__locks__test.item_v1").await.unwrap();
    let reader = database.owner().await;
    let (over, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let traffic = tokio::spawn({
        let (over, reads) = (Arc::clone(&over), Arc::clone(&reads));
        async move {
            while !over.load(Ordering::Relaxed) {
                // As long as a step waits for its lock a reader waits behind it; it must never be told no.
                reader.query("select title from any__locks__test.item_v1", &[]).await.unwrap();
                reads.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        }
    });
    let error = apply(&mut owner, &wanted, &change).await.unwrap_err();
    let passed = reads.load(Ordering::Relaxed);
    let ApplyError::LockNotAvailable { summary, blockers } = &error else { panic!("{error:?}") };
    assert_eq!(summary, "add column note (text)");
    assert_eq!(blockers.len(), 1, "the reader holds no lock for long: {blockers:?}");
    assert!(error.to_string().contains("begin; select from any__locks__test.item_v1"), "{error}");
    assert!(error.is_transient());
    assert!(passed > 4, "readers passed between the attempts: {passed}");

    holder.batch_execute("commit").await.unwrap();
    let rest = plan(&owner, &wanted).await;
    assert_eq!(rest, change, "nothing was half done");
    apply(&mut owner, &wanted, &rest).await.unwrap();
    assert!(plan(&owner, &wanted).await.is_empty());
    over.store(true, Ordering::Relaxed);
    traffic.await.unwrap();
}
