//! What hands change in the database is found, and repaired when that is asked for.

use serde_json::{Value, json};

use crate::harness::{Domain, OPEN, Server, count, eventually};

const BOOK: &str = "
fields:
  - {name: title, type: string, required: true, filterable: true}
  - {name: pages, type: integer}
";

#[tokio::test]
async fn what_hands_have_changed_is_named_and_repaired() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    let cli = server.cli();
    domain.apply("book", &format!("{BOOK}{OPEN}")).await;
    let writer = server.actor("ravi", &["writer"]);
    let route = domain.route("book");
    writer.post(&route, &json!({"title": "kept", "pages": 3})).await.expect(201);
    let schema = domain.schema("book");
    cli.run(&["drift", &schema]).await.ok();

    let sql = server.sql().await;
    let table = domain.table("book");
    sql.batch_execute(&format!(
        "alter table {table} add column intruder text default 'x';
         create index by_hand on {table} (pages);
         drop policy velocity_update on {table};
         alter table {table} drop column pages;"
    ))
    .await
    .unwrap();
    let ran = cli.run(&["drift", &schema, "-o", "json"]).await;
    assert_eq!(ran.code, 1, "{ran:#?}");
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    let (ours, foreign) = (found[0]["operations"].to_string(), found[0]["foreign"].to_string());
    assert!(ours.contains("velocity_update") && ours.contains("pages"), "{ours}");
    assert!(foreign.contains("intruder"), "{foreign}");
    let text = cli.run(&["drift"]).await;
    assert!(text.code == 1 && text.stdout.contains("Foreign; this removes it"), "{text:#?}");

    let fixed = cli.run(&["drift", &schema, "--fix", "--yes"]).await;
    if fixed.code != 0 {
        // Dropping a column that somebody filled is for somebody to agree to.
        assert_eq!(fixed.code, 1, "{fixed:#?}");
        let command = fixed.stdout.split("velocity approve ").nth(1).unwrap().trim();
        let words: Vec<&str> = std::iter::once("approve").chain(command.split(' ')).collect();
        cli.run(&words).await.ok();
    }
    eventually("the repair", async || {
        let ran = cli.run(&["drift", &schema]).await;
        (ran.code == 0).then_some(())
    })
    .await;
    let left = format!(
        "select count(*) from pg_attribute where attrelid = '{table}'::regclass and attname = 'intruder' and not attisdropped"
    );
    assert_eq!(count(&sql, &left).await, 0);
    let kept = writer.get(&format!("{route}?filter[title]=kept")).await.expect(200).data();
    assert_eq!(kept.as_array().unwrap().len(), 1, "{kept}");
    let id = kept[0]["id"].as_str().unwrap();
    writer.patch(&format!("{route}/{id}"), &json!({"pages": 4})).await.expect(200);
}
