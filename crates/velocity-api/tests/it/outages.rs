//! The database goes away and comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use velocity_api::Config;
use velocity_store::wire::ExclusiveLimits;
use velocity_testkit::{PLATFORM, TestCluster};

use crate::app::{App, ORDERS};

#[tokio::test]
async fn when_all_connections_are_busy_a_write_is_turned_away_and_does_not_hang() {
    let exclusive = ExclusiveLimits {
        connections: 1,
        waiting: 1,
        acquire_timeout: Duration::from_millis(200),
        ..ExclusiveLimits::default()
    };
    let app = App::build(ORDERS, Config::default(), exclusive).await;
    let path = format!("/{}", app.as_writer().order("A", "1", None).await);
    let mut owner = app.database.owner().await;
    let locked = owner.transaction().await.unwrap();
    let table = velocity_sql::names::TableNames::of(app.schema.path()).table_sql().inline();
    locked.batch_execute(&format!("select * from {table} for update")).await.unwrap();
    let client = app.as_writer();
    let note = json!({ "note": "x" });
    let writes = futures::future::join_all((0..4).map(|_| client.patch(&path, &note)));
    let release = async {
        tokio::time::sleep(Duration::from_millis(600)).await;
        locked.rollback().await.unwrap();
    };
    let (replies, ()) = tokio::join!(writes, release);
    let refused: Vec<_> = replies.iter().filter(|reply| reply.status != 200).collect();
    assert_eq!(refused.len(), 3, "{replies:?}");
    for reply in refused {
        reply.is_problem(503, "POSTGRES_UNAVAILABLE");
        assert!(!reply.header("retry-after").is_empty());
    }
}

#[tokio::test]
async fn while_postgres_is_away_requests_get_503_and_afterwards_all_is_as_before() {
    let cluster = TestCluster::start().await;
    let database = cluster.create_database_with(&PLATFORM).await;
    let app = Arc::new(App::on(database, ORDERS, Config::default(), ExclusiveLimits::default()).await);
    let path = format!("/{}", app.as_writer().order("A-0", "1", None).await);
    let done = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..4)
        .map(|worker| {
            let (app, done, path) = (Arc::clone(&app), Arc::clone(&done), path.clone());
            tokio::spawn(async move {
                let (client, mut acknowledged, mut unavailable, mut n) = (app.as_writer(), Vec::new(), 0, 0);
                while !done.load(Ordering::Relaxed) {
                    n += 1;
                    let code = format!("W{worker}-{n}");
                    for reply in [
                        client.get(&path).await,
                        client.post("", &json!({ "code": code, "amount": 1 })).await,
                    ] {
                        match reply.status {
                            200 => {}
                            201 => acknowledged.push(code.clone()),
                            _ => {
                                reply.is_problem(503, "POSTGRES_UNAVAILABLE");
                                assert!(
                                    reply.header("retry-after").parse::<u32>().unwrap() >= 1,
                                    "{reply:?}"
                                );
                                unavailable += 1;
                            }
                        }
                    }
                }
                (acknowledged, unavailable)
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    cluster.kill_postgres().await;
    let missing = app.anonymous().get("//readyz").await.is(503).json()["missing"].to_string();
    assert!(missing.contains("database"), "{missing}");
    cluster.restart_postgres().await;
    let back = async {
        while app.as_writer().get(&path).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(30), back).await.is_ok(), "it recovers");
    done.store(true, Ordering::Relaxed);
    let mut unavailable = 0;
    for worker in workers {
        let (acknowledged, refused) = worker.await.unwrap();
        unavailable += refused;
        for code in acknowledged {
            let found = app.as_writer().get(&format!("?filter[code]={code}")).await.is(200).data();
            assert_eq!(found.as_array().unwrap().len(), 1, "{code} was acknowledged");
        }
    }
    assert!(unavailable > 0, "the outage was seen");
}
