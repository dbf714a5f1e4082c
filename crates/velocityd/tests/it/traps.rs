//! What systems of this kind really fell into, through the public door.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Domain, OPEN, Reply, Server, count, send};

const ITEM: &str = r#"
fields:
  - {name: code, type: string, required: true, unique: true, maxLength: 40, filterable: true, sortable: true}
  - {name: amount, type: number, precision: 20, scale: 2, min: 0, filterable: true, sortable: true}
  - {name: region, type: string, filterable: true, sortable: true}
  - {name: note, type: string, maxLength: 100}
validation:
  rules:
    - {rule: "self.note != 'forbidden'", message: this note is forbidden, field: note}
    - {rule: "!has(self.note) || size(self.note) > 1", message: a note has two letters, field: note}
access:
  roles:
    create: [writer]
    read: [writer, reader, regional]
    update: [writer, regional]
    delete: [writer, regional]
    restore: [writer, regional]
    history: [writer, regional]
    export: [writer, regional]
  rowFilter:
    - {role: regional, condition: "record.region == actor.attributes.region"}
"#;

/// A server and a domain with items in it.
async fn items() -> (&'static Server, Domain<'static>, String) {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    domain.apply("item", ITEM).await;
    let route = domain.route("item");
    (server, domain, route)
}

fn codes(records: &[Value]) -> Vec<String> {
    records.iter().map(|record| record["code"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn eight_posts_at_once_with_one_key_make_one_record() {
    let (server, domain, route) = items().await;
    let writer = server.actor("ravi", &["writer"]);
    let body = json!({"code": "A", "amount": 1});
    let post = || send(writer.request(Method::POST, &route).header("idempotency-key", "k").json(&body));
    let replies = join_all((0..8).map(|_| post())).await;
    let first: Vec<&Reply> =
        replies.iter().filter(|reply| reply.header("idempotent-replay").is_none()).collect();
    assert_eq!(first.len(), 1, "{replies:#?}");
    for reply in &replies {
        assert_eq!((reply.status, &reply.text), (201, &first[0].text));
        assert_eq!(reply.header("location"), first[0].header("location"));
        assert_eq!(reply.header("etag"), Some("\"1\""));
    }
    let sql = server.sql().await;
    assert_eq!(count(&sql, &format!("select count(*) from {}", domain.table("item"))).await, 1);
    assert_eq!(count(&sql, &format!("select count(*) from {}_history", domain.table("item"))).await, 1);
}

#[tokio::test]
async fn a_key_belongs_to_one_actor_and_one_body() {
    let (server, _domain, route) = items().await;
    let post = async |name: &str, body: Value| {
        let actor = server.actor(name, &["writer"]);
        send(actor.request(Method::POST, &route).header("idempotency-key", "k").json(&body)).await
    };
    let ravi = post("ravi", json!({"code": "A"})).await.expect(201);
    let mia = post("mia", json!({"code": "B"})).await.expect(201);
    assert_eq!(mia.header("idempotent-replay"), None);
    assert_ne!(ravi.data()["id"], mia.data()["id"]);
    let other = post("ravi", json!({"code": "C"})).await;
    assert_eq!(other.problem(422), "IDEMPOTENCY_CONFLICT");
    let again = post("ravi", json!({"code": "A"})).await.expect(201);
    assert_eq!((again.header("idempotent-replay"), &again.text), (Some("true"), &ravi.text));
}

#[tokio::test]
async fn what_nobody_knows_is_refused_and_the_nearest_known_is_named() {
    let (server, _domain, route) = items().await;
    let writer = server.actor("ravi", &["writer"]);
    for (query, code, hint) in [
        ("limt=3", "VALIDATION_ERROR", "limit"),
        ("fliter[code]=A", "VALIDATION_ERROR", "filter"),
        ("filter[amuont]=1", "VALIDATION_ERROR", "amount"),
        ("filter[amount][above]=1", "VALIDATION_ERROR", "gt"),
        ("filter[note]=x", "FIELD_NOT_FILTERABLE", "filterable"),
        ("sort=note", "FIELD_NOT_FILTERABLE", "sortable"),
        ("sort=cod", "VALIDATION_ERROR", "code"),
        ("fields=id,cod", "VALIDATION_ERROR", "code"),
        ("offset=999&limit=10", "PAGINATION_LIMIT_EXCEEDED", "1000"),
        ("limit=1001", "", "1000"),
    ] {
        let reply = writer.get(&format!("{route}?{query}")).await;
        let text = reply.text.clone();
        let found = reply.problem(400);
        assert!((code.is_empty() || found == code) && text.contains(hint), "{query}: {text}");
    }
    let reply = writer.post(&route, &json!({"code": "A", "amuont": 1})).await;
    let problem = reply.json();
    assert_eq!(reply.problem(400), "VALIDATION_ERROR");
    assert!(problem.to_string().contains("amuont") && problem.to_string().contains("`amount`"), "{problem}");
    assert!(writer.walk(&route).await.is_empty(), "nothing was taken with the unknown field left out");
}

#[tokio::test]
async fn a_filter_is_bound_by_the_fields_type_whatever_came_first() {
    let (server, _domain, route) = items().await;
    let writer = server.actor("ravi", &["writer"]);
    for amount in ["9.99", "10", "10.49", "10.5", "11"] {
        let body = format!(r#"{{"code":"A{amount}","amount":{amount}}}"#);
        writer.post_text(&route, body).await.expect(201);
    }
    // More often than there are connections, so that each statement is prepared and used again.
    for _ in 0..12 {
        for (from, expected) in [("10", 4), ("10.5", 2), ("10.50", 2), ("10.499", 2), ("1e1", 4)] {
            let found = writer.get(&format!("{route}?filter[amount][gte]={from}")).await.expect(200).data();
            assert_eq!(found.as_array().unwrap().len(), expected, "amount >= {from}: {found}");
        }
    }
}

#[tokio::test]
async fn numbers_keep_every_digit() {
    let (server, _domain, route) = items().await;
    let writer = server.actor("ravi", &["writer"]);
    for (code, sent, stored) in [
        ("A", "900719925474099301.07", "900719925474099301.07"),
        ("B", "\"0.10\"", "0.10"),
        ("C", "1e3", "1000.00"),
    ] {
        let body = format!(r#"{{"code":"{code}","amount":{sent}}}"#);
        let created = writer.post_text(&route, body).await.expect(201);
        let id = created.data()["id"].as_str().unwrap().to_owned();
        for text in [created.text, writer.get(&format!("{route}/{id}")).await.text] {
            assert!(text.contains(&format!("\"amount\":{stored},")), "{text}");
        }
    }
    let rounded = writer.post_text(&route, r#"{"code":"D","amount":0.005}"#).await;
    assert!(rounded.text.contains("amount"), "{rounded:?}");
    assert_eq!(rounded.problem(400), "VALIDATION_ERROR");
}

#[tokio::test]
async fn pages_lose_and_repeat_nothing_with_nulls_in_the_order() {
    let (server, _domain, route) = items().await;
    let writer = server.actor("ravi", &["writer"]);
    let operations: Vec<Value> = (0..90)
        .map(|n| {
            // A third has no amount, the rest only four different ones; a few have neither.
            let amount = (n % 3 != 0).then_some(n % 4);
            let region = (n % 5 != 0).then_some(["west", "east"][n % 2]);
            json!({"create": {"code": format!("A{n:03}"), "amount": amount, "region": region}})
        })
        .collect();
    writer.post(&format!("{route}/bulk"), &json!({"operations": operations})).await.expect(200);
    let mut expected: Vec<String> = (0..90).map(|n| format!("A{n:03}")).collect();
    for sort in
        ["", "&sort=amount", "&sort=-amount", "&sort=region,-amount", "&sort=-region,code", "&sort=id"]
    {
        for limit in [1, 7, 89, 90, 100] {
            let mut found = codes(&writer.walk(&format!("{route}?limit={limit}{sort}")).await);
            if sort == "&sort=-region,code" && limit == 7 {
                found.sort();
            }
            found.sort();
            assert_eq!(found, expected, "limit={limit}{sort}");
        }
    }
    // Filters hold on every page.
    expected.retain(|code| code[1..].parse::<u32>().unwrap() % 3 == 0);
    let mut found =
        codes(&writer.walk(&format!("{route}?limit=4&sort=amount&filter[amount][isNull]=true")).await);
    found.sort();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_walk_meets_every_record_that_stays_while_others_come_and_go() {
    let (server, _domain, route) = items().await;
    let writer = server.actor("ravi", &["writer"]);
    let bulk = async |prefix: &str| {
        let operations: Vec<Value> = (0..60)
            .map(|n| json!({"create": {"code": format!("{prefix}{n:03}"), "amount": n % 7}}))
            .collect();
        writer.post(&format!("{route}/bulk"), &json!({"operations": operations})).await.expect(200)
    };
    bulk("STAY").await;
    let others = async {
        for n in 0..5 {
            bulk(&format!("N{n}-")).await;
        }
    };
    let path = format!("{route}?limit=5&sort=amount");
    let (found, ()) = tokio::join!(writer.walk(&path), others);
    let mut stayed: Vec<String> = codes(&found).into_iter().filter(|code| code.starts_with("STAY")).collect();
    stayed.sort();
    assert_eq!(stayed, (0..60).map(|n| format!("STAY{n:03}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_cursor_that_was_changed_or_belongs_to_another_order_is_refused() {
    let (server, _domain, route) = items().await;
    let writer = server.actor("ravi", &["writer"]);
    for code in ["A", "B", "C"] {
        writer.post(&route, &json!({"code": code})).await.expect(201);
    }
    let page = writer.get(&format!("{route}?limit=1&sort=code")).await.expect(200).json();
    let cursor = page["pagination"]["nextCursor"].as_str().unwrap();
    writer.get(&format!("{route}?limit=1&sort=code&cursor={cursor}")).await.expect(200);
    let flipped = format!("{}{}", if cursor.starts_with('A') { "B" } else { "A" }, &cursor[1..]);
    for query in [
        format!("sort=code&cursor={flipped}"),
        format!("sort=-code&cursor={cursor}"),
        format!("cursor={cursor}"),
        "sort=code&cursor=".to_owned(),
        "sort=code&cursor=%00".to_owned(),
        format!("sort=code&cursor={}", "A".repeat(3000)),
    ] {
        writer.get(&format!("{route}?limit=1&{query}")).await.problem(400);
    }
}

#[tokio::test]
async fn a_rule_on_an_absent_field_stops_no_create() {
    let (server, _domain, route) = items().await;
    let writer = server.actor("ravi", &["writer"]);
    writer.post(&route, &json!({"code": "A"})).await.expect(201);
    writer.post(&route, &json!({"code": "B", "note": null})).await.expect(201);
    writer.post(&route, &json!({"code": "C", "note": "fine"})).await.expect(201);
    for note in ["forbidden", "x"] {
        let refused = writer.post(&route, &json!({"code": "D", "note": note})).await;
        assert_eq!(refused.json()["errors"][0]["field"], "note", "{refused:?}");
        assert_eq!(refused.problem(400), "VALIDATION_ERROR");
    }
}

#[tokio::test]
async fn a_hidden_row_is_not_there() {
    let (server, _domain, route) = items().await;
    let writer = server.actor("ravi", &["writer"]);
    let mut ids = Vec::new();
    for (code, region) in [("W", "west"), ("E", "east")] {
        let created = writer.post(&route, &json!({"code": code, "region": region, "amount": 5})).await;
        ids.push(created.expect(201).data()["id"].as_str().unwrap().to_owned());
    }
    let west = server.actor_with("wanda", &["regional"], &json!({"region": "west"}));
    assert_eq!(codes(&west.walk(&route).await), ["W"]);
    let own = format!("{route}/{}", ids[0]);
    let hidden = format!("{route}/{}", ids[1]);
    west.get(&own).await.expect(200);
    for reply in [
        west.get(&hidden).await,
        west.patch(&hidden, &json!({"amount": 6})).await,
        west.delete(&hidden).await,
        west.post(&format!("{hidden}/undelete"), &json!({})).await,
        west.get(&format!("{hidden}/history")).await,
    ] {
        assert_eq!(reply.problem(404), "ENTITY_NOT_FOUND");
    }
    let exported = west.get(&format!("{route}/export")).await.expect(200).text;
    assert_eq!(exported.lines().count(), 1, "{exported}");
    // A row cannot be pushed out of sight, nor can one who has no region see any.
    let pushed = west.patch(&own, &json!({"region": "east"})).await;
    assert!(matches!(pushed.status, 403 | 404), "{pushed:?}");
    for attributes in [json!({}), json!({"region": null}), json!({"region": ["west"]}), json!({"region": ""})]
    {
        let nobody = server.actor_with("nora", &["regional"], &attributes);
        assert!(nobody.walk(&route).await.is_empty(), "{attributes}");
    }
    let untouched = writer.get(&hidden).await.expect(200).data();
    assert_eq!((&untouched["version"], &untouched["amount"]), (&json!(1), &json!(5.0)));
}

#[tokio::test]
async fn a_conflict_names_the_field_and_not_whose_value_it_is() {
    let (server, _domain, route) = items().await;
    let writer = server.actor("ravi", &["writer"]);
    writer.post(&route, &json!({"code": "A", "note": "private"})).await.expect(201);
    let again = writer.post(&route, &json!({"code": "A"})).await;
    assert!(again.text.contains("code") && !again.text.contains("private"), "{again:?}");
    assert_eq!(again.problem(409), "UNIQUE_VIOLATION");
}

#[tokio::test]
async fn roles_open_what_the_schema_says_and_nothing_else() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    domain.apply("item", &format!("fields:\n  - {{name: code, type: string}}\n{OPEN}")).await;
    let route = domain.route("item");
    let writer = server.actor("ravi", &["writer"]);
    let id = writer.post(&route, &json!({"code": "A"})).await.expect(201).data()["id"].clone();
    let path = format!("{route}/{}", id.as_str().unwrap());
    let reader = server.actor("rosa", &["reader"]);
    reader.get(&path).await.expect(200);
    reader.get(&format!("{path}/history")).await.expect(200);
    let stranger = server.actor("sam", &["procurement-writer"]);
    for reply in [
        reader.post(&route, &json!({"code": "B"})).await,
        reader.patch(&path, &json!({"code": "B"})).await,
        reader.delete(&path).await,
        stranger.get(&path).await,
        stranger.get(&route).await,
        stranger.get(&format!("{path}/history")).await,
        stranger.get(&format!("{route}/export")).await,
    ] {
        assert_eq!(reply.problem(403), "RBAC_DENIED");
    }
}
