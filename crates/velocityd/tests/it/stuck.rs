//! Many schemas: those that do not get on delay no other, and those that need nothing cost nothing.

use serde_json::json;

use crate::harness::{Cluster, Domain, OPEN, condition, eventually};

/// More than the operator works on at once, quick and long lanes together.
const STUCK: usize = 10;
const OTHERS: usize = 20;
/// More than the operator takes for small.
const MANY_ROWS: usize = 60_000;

fn thing(more: &str) -> String {
    format!("fields:\n  - {{name: title, type: string, filterable: true}}\n{more}{OPEN}")
}

const MORE: &str = "  - {name: more, type: string}\n";

#[tokio::test]
async fn schemas_whose_tables_are_held_delay_no_other_and_follow_once_they_are_let_go() {
    let (cluster, operator) = Cluster::start().await;
    let domain = Domain::new(&cluster);
    let stuck: Vec<String> = (0..STUCK).map(|n| format!("stuck-{n}")).collect();
    for object in stuck.iter().map(String::as_str).chain(["large", "small"]) {
        domain.put(object, &thing("")).await.expect(201);
    }
    for object in stuck.iter().map(String::as_str).chain(["large", "small"]) {
        domain.served(object).await;
    }
    let holder = cluster.sql().await;
    holder
        .batch_execute(&format!(
            "begin; set local velocity.actor = 'seeder'; insert into {} (id, title)
             select gen_random_uuid(), 't' || n from generate_series(1, {MANY_ROWS}) n; commit; begin",
            domain.table("large")
        ))
        .await
        .unwrap();
    for object in &stuck {
        // Somebody reads, and does not end.
        holder.batch_execute(&format!("select from {}", domain.table(object))).await.unwrap();
        domain.put(object, &thing(MORE)).await.expect(200);
    }
    eventually("a schema that says what it waits for", async || {
        let status = cluster.schema_object(&domain.namespace(), "stuck-0").await["status"].clone();
        let ready = condition(&status, "Ready");
        (ready["reason"] == "WaitingForLock" && ready["status"] == "False").then_some(())
    })
    .await;

    // New ones, a change of a small one, and one whose change looks at many rows.
    let others: Vec<String> = (0..OTHERS).map(|n| format!("other-{n}")).collect();
    for object in &others {
        domain.put(object, &thing("")).await.expect(201);
    }
    domain.apply("small", &thing(MORE)).await;
    for object in &others {
        domain.served(object).await;
    }
    domain.apply("large", &thing(&format!("{MORE}indexes:\n  - {{fields: [title, more]}}\n"))).await;
    let writer = cluster.actor("ravi", &["writer"]);
    for object in &stuck {
        let status = cluster.schema_object(&domain.namespace(), object).await["status"].clone();
        assert_ne!(status["phase"], "Ready", "{object} is held: {status}");
        // What holds the table up is not in anybody's way who reads and writes it as it is.
        writer.post(&domain.route(object), &json!({"title": "t"})).await.expect(201);
    }

    holder.batch_execute("commit").await.unwrap();
    for object in &stuck {
        domain.served(object).await;
        writer.post(&domain.route(object), &json!({"title": "t", "more": "m"})).await.expect(201);
    }
    drop(operator);
}

#[tokio::test]
async fn while_nothing_happens_the_operator_only_renews_its_lease() {
    let (cluster, operator) = Cluster::start().await;
    let domain = Domain::new(&cluster);
    let objects: Vec<String> = (0..40).map(|n| format!("thing-{n}")).collect();
    for object in &objects {
        domain.put(object, &thing("")).await.expect(201);
    }
    for object in &objects {
        domain.served(object).await;
    }
    // What follows the last status: the Event that tells of it.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    cluster.calls();
    let mut renewed = 0;
    while renewed < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        for call in cluster.calls() {
            assert_eq!(call.agent, "operator-1", "{call:?}");
            assert!(call.path.contains("/leases/velocity-operator"), "{call:?}");
            assert_eq!(call.method, "PUT", "{call:?}");
            renewed += 1;
        }
    }
    drop(operator);
}
