//! Names and values at the edge of what there may be.

use serde_json::{Value, json};

use crate::harness::{Domain, OPEN, Server, escaped, untampered, untampered_in};

#[tokio::test]
async fn names_that_are_longer_than_postgres_takes_never_meet() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    let stem = "a".repeat(55);
    let long = |tail: &str| format!("{stem}-{tail}");
    let field = "f".repeat(62);
    let spec = format!(
        "fields:
  - {{name: {field}1, type: string, unique: true, filterable: true, sortable: true, maxLength: 9, pattern: '^[a-z]*$'}}
  - {{name: {field}2, type: number, min: 0, max: 9, filterable: true}}
uniqueConstraints:
  - {{fields: [{field}1, {field}2]}}
indexes:
  - {{fields: [{field}2, -{field}1]}}
{OPEN}"
    );
    for tail in ["one", "two"] {
        domain.apply(&long(tail), &spec).await;
    }
    let writer = server.actor("ravi", &["writer"]);
    for tail in ["one", "two"] {
        let route = domain.route(&long(tail));
        let body: Value =
            serde_json::from_str(&format!(r#"{{"{field}1": "{tail}", "{field}2": 1}}"#)).unwrap();
        let created = writer.post(&route, &body).await.expect(201).data();
        assert_eq!(writer.post(&route, &body).await.problem(409), "UNIQUE_VIOLATION");
        let found = writer.walk(&format!("{route}?filter[{field}1]={tail}&sort=-{field}1")).await;
        assert_eq!(found, std::slice::from_ref(&created));
        let events =
            writer.get(&format!("{route}/{}/history", created["id"].as_str().unwrap())).await.expect(200);
        assert_eq!(events.data().as_array().unwrap().len(), 1);
    }
    let status = server.schema_object(&domain.namespace(), &long("one")).await["status"].clone();
    let table = status["table"].as_str().unwrap();
    assert!(table.split('.').all(|part| part.len() <= 63), "{table}");
    let conditions = status["conditions"].as_array().unwrap();
    let history = conditions.iter().find(|condition| condition["type"] == "HistoryReady").unwrap();
    let history = history["message"].as_str().unwrap().rsplit(' ').next().unwrap();
    assert_eq!(untampered_in(&server.sql().await, table, history).await, (1, 1));
}

#[tokio::test]
async fn field_names_that_sql_and_json_know_are_only_names() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    let names = [
        "select", "table", "user", "order", "state", "actor", "value", "data", "Case", "record", "new", "old",
    ];
    let field = |name: &&str| format!("  - {{name: {name}, type: string, filterable: true, sortable: true}}");
    let fields = names.iter().map(field).collect::<Vec<_>>().join("\n");
    domain.apply("table", &format!("fields:\n{fields}\n{OPEN}")).await;
    let writer = server.actor("ravi", &["writer"]);
    let route = domain.route("table");
    let body: Value = names.iter().map(|name| ((*name).to_owned(), json!(format!("<{name}>")))).collect();
    let created = writer.post(&route, &body).await.expect(201).data();
    for name in names {
        assert_eq!(created[name], format!("<{name}>"));
        let found =
            writer.walk(&format!("{route}?filter[{name}]=%3C{name}%3E&sort={name}&fields=id,{name}")).await;
        assert_eq!(found, [json!({"id": created["id"], name: format!("<{name}>")})]);
    }
    let path = format!("{route}/{}", created["id"].as_str().unwrap());
    writer.patch(&path, &json!({"order": "changed", "select": null})).await.expect(200);
    let events = writer.get(&format!("{path}/history")).await.expect(200).data();
    assert_eq!(events[0]["changed"], json!(["select", "order"]), "{events}");
    assert_eq!(events[0]["after"]["select"], Value::Null);
}

#[tokio::test]
async fn any_text_comes_back_as_it_went_in() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    let spec = format!(
        "fields:
  - {{name: id, type: string}}
  - {{name: text, type: string, filterable: true, sortable: true}}
  - {{name: tags, type: array, items: string}}
  - {{name: extra, type: json}}
{OPEN}"
    );
    domain.apply("text", &spec).await;
    let writer = server.actor("O'Brien \"the\" \\ Ωmega, 7", &["writer"]);
    let route = domain.route("text");
    let texts = [
        "'; drop table x; --",
        "\"quoted\" and \\back\\slashed\\",
        "{curly},NULL,\"\"",
        "NULL",
        "",
        "  spaces  ",
        "tab\tnew\nline\r\n",
        "ünï 漢字 🐘 \u{202e}rtl",
        "e\u{301} is not é",
        "$1 $$ %s {}",
        "\u{7f}\u{1}\u{fffd}",
        &"long ".repeat(20_000),
    ];
    for (n, text) in texts.iter().enumerate() {
        let body = json!({"id": format!("{n}/{}", text.chars().take(20).collect::<String>()), "text": text,
            "tags": [text, ""], "extra": {*text: [text, null, {"a": text}]}});
        let created = writer.post(&route, &body).await.expect(201);
        let path = created.header("location").unwrap().to_owned();
        let read = writer.get(&path).await.expect(200).data();
        for name in ["id", "text", "tags", "extra"] {
            assert_eq!(read[name], body[name], "{n}");
        }
        assert_eq!(read["created_by"], "O'Brien \"the\" \\ Ωmega, 7");
        if text.len() < 1000 {
            let escaped = escaped(text);
            let found =
                writer.get(&format!("{route}?filter[text]={escaped}&fields=id")).await.expect(200).data();
            assert_eq!(found, json!([{"id": body["id"]}]), "{n}");
        }
        let history = writer.get(&format!("{path}/history")).await.expect(200).data();
        assert_eq!(history[0]["after"]["text"], **text);
    }
    let count = i64::try_from(texts.len()).unwrap();
    assert_eq!(untampered(&server.sql().await, &domain.table("text")).await, (count, count));
    assert_eq!(writer.walk(&format!("{route}?limit=3&sort=text")).await.len(), texts.len());
}
